"""A process and all that descend from it, by /proc: processor time and memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Watch:
    """What the work took, once it is done. ``cpu_seconds`` are those of all processes of the bench together."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def watch() -> Iterator[Watch]:
    """Measure the work inside; everything that is measured descends from this process."""
    found = Watch()
    started, used = time.monotonic(), _cpu_seconds(os.getpid())
    yield found
    found.seconds, found.cpu_seconds = time.monotonic() - started, _cpu_seconds(os.getpid()) - used


def descendants(pid: int) -> list[int]:
    """All of them, children first."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in children.read_text(encoding="ascii").split()]
        except OSError:
            continue  # it has ended
        for child in direct:
            found += [child, *descendants(child)]
    return found


def resident_bytes(pid: int) -> int:
    """Memory of one process; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:")), 0)


def _cpu_seconds(pid: int) -> float:
    """Of the process, its descendants, and those of them that have ended."""
    ticks = 0
    for each in (pid, *descendants(pid)):
        try:
            fields = Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        ticks += sum(map(int, fields[11:15]))  # user, system, and both of children that ended
    return ticks / _TICKS
