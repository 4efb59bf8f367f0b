"""Processes of this machine, told by what they left behind."""

from __future__ import annotations

import os


def is_alive(pid: str) -> bool:
    """Is there such a process, whoever owns it? What is no number is none."""
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
