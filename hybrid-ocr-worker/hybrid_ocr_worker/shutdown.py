"""A request to stop, and how long the work in hand may still take."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from hybrid_ocr_core.errors import HybridOcrError


class ShuttingDown(HybridOcrError):
    """The grace time is over: give the job back."""

    retryable = True


class StopWaiting(BaseException):
    """Raised by a signal inside a wait that holds no work. Control flow: botocore would take an Exception for a fault
    of the network, and try again.
    """


class Shutdown:
    """Set by SIGTERM or SIGINT; a second signal ends the grace at once."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._deadline: float | None = None
        self._is_waiting = False
        self.requested = threading.Event()

    def install(self) -> None:
        """Take over the signals of this process; main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def request(self) -> None:
        """Stop: no new work, and what is in hand has the grace time. Asked again: no grace."""
        now = time.monotonic()
        self._deadline = now if self.requested.is_set() else now + self._grace_seconds
        self.requested.set()

    def check(self) -> None:
        """Raises ShuttingDown when the grace time is over."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise ShuttingDown("the worker is stopping")

    def __enter__(self) -> None:
        """A block that only waits: a signal breaks it off by StopWaiting instead of sitting it out."""
        self._is_waiting = True
        if self.requested.is_set():
            raise StopWaiting

    def __exit__(self, *_exception: object) -> None:
        self._is_waiting = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
        if self._is_waiting:
            raise StopWaiting
