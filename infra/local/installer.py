"""What the parts of the set-up share: the lock, the messages, and the system's package manager.

Standard library only: it runs before there is any virtual environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path


class SetupFailed(Exception):
    """Something cannot be installed; the message names the remedy."""


@contextlib.contextmanager
def setup_lock() -> Iterator[None]:
    """One set-up at a time in a checkout; the lock is on the directory itself, so no file is left."""
    directory = os.open(Path(__file__).parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another set-up in this checkout...")
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def apt_install(packages: Sequence[str]) -> None:
    """Install Debian packages, as root or by sudo.

    Raises:
        SetupFailed: it does not work here.
    """
    by_hand = f"apt-get install {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise SetupFailed(f"There is no apt-get here; install what Debian calls {' '.join(packages)} by other means.")
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and shutil.which("sudo") is None:
        raise SetupFailed(f"Not root, and there is no sudo. Have someone run: {by_hand}")
    # By env(1), since sudo clears the environment; and wait if something else is being installed just now.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    say(f"Installing {' '.join(packages)} by apt (a minute or two)...")
    _run([*apt, "update"], by_hand=f"apt-get update && {by_hand}")
    _run([*apt, "install", "--yes", "--no-install-recommends", *packages], by_hand=by_hand)


def brew_install(formulas: Sequence[str]) -> None:
    """Install Homebrew formulas.

    Raises:
        SetupFailed: it does not work here.
    """
    if shutil.which("brew") is None:
        raise SetupFailed(f"There is no brew here; install Homebrew, or {' '.join(formulas)} by other means.")
    say(f"Installing {' '.join(formulas)} by Homebrew (some minutes)...")
    _run(["brew", "install", *formulas], by_hand=f"brew install {' '.join(formulas)}")


def say(text: str) -> None:
    """Progress, for people."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def _run(command: list[str], *, by_hand: str) -> None:
    """Call a package manager; what it says is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
    if done.returncode != 0:
        raise SetupFailed(f"{done.stdout.rstrip()}\nThat failed. Try by hand: {by_hand}")
