"""Keeps a number of child processes running: starts again what dies, stops all of them together."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
#: A process that was killed, or ended in peace, did not fail: it is wanted back soon, however often that happens.
_LONGEST_PAUSE_WITHOUT_FAILURE_SECONDS = 1.0
#: A process that lived this long was healthy: its next death starts the backoff anew.
_HEALTHY_SECONDS = 30.0


@dataclass(slots=True)
class _Child:
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = field(default=_FIRST_PAUSE_SECONDS)


class Supervisor:
    """Children of one kind, each in its own process."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        self._children = [_Child(command, environment) for command in commands]

    def run(self, stop: threading.Event, *, grace_seconds: float) -> None:
        """Until ``stop`` is set; then SIGTERM to all, and SIGKILL to what is left after the grace time."""
        while not stop.is_set():
            for child in self._children:
                self._tend(child)
            stop.wait(_LOOK_SECONDS)
        self._end(grace_seconds)

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                child.process = subprocess.Popen(child.command, env=dict(child.environment))
                child.started_at = now
            return
        code = child.process.poll()
        if code is None:
            return
        if now - child.started_at > _HEALTHY_SECONDS:
            child.pause = _FIRST_PAUSE_SECONDS
        _log.error("A process ended with %s and is started again.", code, extra={"action": "process_restarted"})
        longest = _LONGEST_PAUSE_WITHOUT_FAILURE_SECONDS if code <= 0 else _LONGEST_PAUSE_SECONDS
        child.process, child.start_at = None, now + min(longest, child.pause)
        child.pause = min(_LONGEST_PAUSE_SECONDS, child.pause * 2)

    def _end(self, grace_seconds: float) -> None:
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
