"""The virtual environments: ``.venv`` for the project, ``.venv-emulator`` for MiniStack, which pins botocore, and for
measurements only, made when they need it, ``.venv-bench`` for OCRmyPDF.

Run by ``setup.sh`` with any Python >= 3.11 and the standard library. A stamp in each environment holds the digest of
what it was made from; nothing is done while that is unchanged.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from infra.local.installer import SetupFailed, apt_install, say, setup_lock

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualEnv:
    """One environment. ``paths`` are importable in it, as if installed in place."""

    directory: Path
    requirements: Path
    paths: tuple[Path, ...] = ()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / "bin/python"

    def ensure(self) -> None:
        """Create or complete it, unless it is as it should be."""
        digest = self._digest()
        stamp = self.directory / "setup-digest"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest and self.python.exists():
            return
        say(f"Installing {self.requirements.relative_to(ROOT)} into {self.directory.name} (a minute or two)...")
        started = time.monotonic()
        # One that works is completed, not made anew: a stack may be running from it.
        if not self._works():
            call([sys.executable, "-m", "venv", "--clear", str(self.directory)])
        call([str(self.python), "-m", "pip", "install", "--quiet", "--no-input", "-r", str(self.requirements)])
        self._link_paths()
        stamp.write_text(digest, encoding="utf-8")
        say(f"{self.directory.name} is ready after {time.monotonic() - started:.0f} s.")

    def _digest(self) -> str:
        parts = (self.requirements.read_text(encoding="utf-8"), *map(str, self.paths), str(self.directory))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _works(self) -> bool:
        code = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        try:
            return subprocess.run([self.python, "-c", code], capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def _link_paths(self) -> None:
        (site_packages,) = self.directory.glob("lib/python3*/site-packages")
        (site_packages / "hybrid-ocr.pth").write_text("".join(f"{path}\n" for path in self.paths), encoding="utf-8")


ENVIRONMENTS = (
    VirtualEnv(directory=ROOT / ".venv", requirements=ROOT / "requirements-dev.txt", paths=(ROOT / "hybrid-ocr-core",)),
    VirtualEnv(directory=ROOT / ".venv-emulator", requirements=ROOT / "infra/local/requirements-emulator.txt"),
)
#: Not one of those that every set-up makes.
BENCH = VirtualEnv(directory=ROOT / ".venv-bench", requirements=ROOT / "bench/requirements.txt")


def main() -> int:
    """Ensure those that everything needs."""
    try:
        with setup_lock():
            install_ensurepip()
            for environment in ENVIRONMENTS:
                environment.ensure()
    except SetupFailed as error:
        say(str(error))
        return 1
    return 0


def install_ensurepip() -> None:
    """Debian and Ubuntu have it in a package of its own; without it there are no virtual environments."""
    if importlib.util.find_spec("ensurepip") is None:
        apt_install([f"python{sys.version_info.major}.{sys.version_info.minor}-venv"])


def call(command: list[str]) -> None:
    """Run a step of the set-up; it shows its own errors."""
    if subprocess.run(command, check=False).returncode != 0:
        raise SetupFailed(f"That failed: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
