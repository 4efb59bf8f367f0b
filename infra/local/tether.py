"""Run a command that ends when a given process does, even if that one is killed with ``kill -9``.

    python tether.py SIGNAL PARENT COMMAND [ARGUMENT ...]

``PARENT`` is the process id of the caller; when it is gone, the command gets ``SIGNAL`` (KILL, TERM, ...). This
process becomes the command, so the pid is the same and nothing stands in between. Standard library only; starts in a
few milliseconds with ``-I -S``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_SECONDS = 0.5


def main() -> None:
    """Tie this process to its parent, then become the command."""
    number, parent, command = signal.Signals[f"SIG{sys.argv[1]}"], int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ask_the_kernel(number)
    else:
        leave_a_watcher(number, parent, os.getpid())
    if os.getppid() != parent:
        sys.exit("tether: the parent ended before its child began")
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def ask_the_kernel(number: signal.Signals) -> None:
    """Have the kernel send the signal when the parent's thread that forked us ends; this holds across exec."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def leave_a_watcher(number: signal.Signals, parent: int, target: int) -> None:
    """Where the kernel has no such thing (macOS): a small process, child of nobody here, that looks now and then."""
    if (child := os.fork()) > 0:
        os.waitpid(child, 0)
        return
    if os.fork() > 0:
        os._exit(0)
    while is_alive(target):
        if not is_alive(parent):
            os.kill(target, number)
            break
        time.sleep(_LOOK_EVERY_SECONDS)
    os._exit(0)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
