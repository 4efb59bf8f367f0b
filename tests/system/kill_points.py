"""Arms named steps of the processes of a stack (see ``inside/sitecustomize.py``), and lets the stopped go on."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

INSIDE = Path(__file__).parent / "inside"
SIGNALS = ("SIGKILL", "SIGSTOP", "SIGTERM")

#: Every step of a real process, by the role of the process.
STEPS = {
    "api": (
        "DocumentStore.put_source",
        "DocumentStore.pin_upload",
        "DocumentStore.delete_upload",
        "Places.take",
        "Places.wait",
        "JobStore.create",
        "JobQueue.send_all",
        "JobStore.erase",
        "BatchStore.create",
    ),
    "worker": (
        "JobQueue.receive",
        "JobStore.claim",
        "DocumentStore.get_source",
        "Recogniser.survey",
        "Recogniser.read_page",
        "Recogniser.draw",
        "DocumentStore.put_result",
        "JobStore.complete",
        "Places.leave",
        "JobStore.admit",
        "Places.tear_up",
        "JobQueue.delete",
        # a long document
        "Recogniser.split",
        "DocumentStore.put_chunk",
        "ChunkStore.create",
        "JobStore.split",
        "JobQueue.send_all",
        "ChunkStore.claim",
        "DocumentStore.get_chunk",
        "DocumentStore.put_page",
        "ChunkStore.renew",
        "ChunkStore.home",
        "DocumentStore.get_page",
        "DocumentStore.tidy",
        # the heartbeat
        "JobStore.renew",
        "JobQueue.hide",
        # other ends
        "JobStore.fail",
        "JobStore.release",
        "JobStore.exhaust",
        "JobQueue.send_to_dead_letters",
        # the sweeper
        "JobStore.resend",
        "JobQueue.send",
        "DocumentStore.purge",
        "JobStore.purged",
        # a webhook
        "EventStore.claim",
        "Poster.post",
        "EventStore.report",
    ),
    "operator": (
        "JobStore.redrive",
        "JobQueue.send",
        "DeadLetterQueue.delete",
    ),
}
POINTS = [
    f"{role}.{step}.{when}"
    for role, steps in STEPS.items()
    for step, when in itertools.product(steps, ("before", "after"))
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A signal that a process sent itself. ``job_id`` is the job it had in hand, if any; ``at`` is Unix time."""

    point: str
    signal: str
    pid: int
    job_id: str
    at: float


class KillPoints:
    """A context manager: inside it, stopped processes go on after ``pause_seconds``."""

    def __init__(self, directory: Path, *, pause_seconds: float) -> None:
        self._directory = directory
        self._pause_seconds = pause_seconds
        for name in ("armed", "fired", "hits"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self._ended = threading.Event()
        self._resumed: set[tuple[str, float]] = set()
        self._thread = threading.Thread(target=self._resume_stopped, name="resume-stopped")

    @property
    def environment(self) -> dict[str, str]:
        """For the stack."""
        return {"PYTHONPATH": str(INSIDE), "KILL_POINTS_DIR": str(self._directory)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def arm(self, points: Iterable[tuple[str, str]]) -> None:
        """Each of these (point, signal), once."""
        for point, name in points:
            (self._directory / "armed" / f"{point} {name}").touch()

    def armed(self, part: str = "") -> list[str]:
        """What has not happened yet."""
        return sorted(path.name for path in (self._directory / "armed").iterdir() if part in path.name)

    def fired(self) -> list[Fired]:
        """What has happened."""
        found = []
        for path in (self._directory / "fired").iterdir():
            point, _, _ = path.name.rpartition(" ")
            found.append(Fired(point=point, **json.loads(path.read_text())))
        return found

    def _resume_stopped(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._ended.wait(0.2)
            for fired in self.fired():
                is_due = is_last or time.time() > fired.at + self._pause_seconds
                if fired.signal == "SIGSTOP" and is_due and (fired.point, fired.at) not in self._resumed:
                    self._resumed.add((fired.point, fired.at))
                    try:
                        os.kill(fired.pid, signal.SIGCONT)
                    except ProcessLookupError:
                        continue  # killed while it was stopped
