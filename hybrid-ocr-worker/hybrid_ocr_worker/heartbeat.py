"""Keeps a claim alive while its document or chunk is read: renews the lease, then hides the message for as long.

In this order: were the message hidden but the lease lapsed, the job would be free and nobody told to take it.

Nothing is kept alive for ever: at the job's deadline the heartbeat ends too, so that even a worker that hangs where it
asks nobody loses its job to another.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hybrid_ocr_core.errors import DocumentRejected, HybridOcrError, LeaseLost, Unavailable
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage

_log = logging.getLogger(__name__)

#: Progress is written at most this often; the page in hand takes longer anyway.
_PROGRESS_SECONDS = 1.0


class HeartbeatDied(HybridOcrError):
    """The thread ended by a defect of ours: without it this worker must not go on."""


class Heartbeat:
    """A thread from entering to leaving. The worker asks ``check`` while it works."""

    def __init__(
        self,
        renew: Callable[[], object],
        queue: JobQueue,
        message: ReceivedMessage,
        *,
        lease_seconds: int,
        beat_seconds: float,
        job_seconds: float,
    ) -> None:
        self._renew = renew
        self._queue = queue
        self._message = message
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        self._ended = threading.Event()
        self._is_lost = False
        self._job_seconds = job_seconds
        self._renewed_at = self._told_at = time.monotonic()
        self._ends_at = self._renewed_at + job_seconds
        # The thread logs with the job's own fields.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """May the worker go on? Asked while it works.

        All times are on this machine's monotonic clock, so a worker that was paused stops itself, whatever the wall
        clocks say.

        Raises:
            LeaseLost: the job is someone else's.
            DocumentRejected: the attempt took longer than any document may.
            HeartbeatDied: nobody renews the lease any more, by a defect.
            Unavailable: no renewal for nearly a lease: the job may be someone else's soon.
        """
        if self._is_lost:
            raise LeaseLost("the heartbeat was fenced off")
        now = time.monotonic()
        if now > self._ends_at:
            raise DocumentRejected("page_timeout", f"the document was not read within {self._job_seconds:g} s")
        if not self._thread.is_alive():
            raise HeartbeatDied("the heartbeat died")
        if now - self._renewed_at > self._lease_seconds * 0.9:
            raise Unavailable("DynamoDB", "the lease could not be renewed in time")

    def tell(self, renew: Callable[[], object]) -> None:
        """A renewal that also shows progress; seldom enough that it costs little. Raises LeaseLost."""
        now = time.monotonic()
        if now - self._told_at < _PROGRESS_SECONDS:
            return
        self._told_at = now
        try:
            renew()
            self._renewed_at = now
        except Unavailable as error:
            # Progress is a courtesy; the heartbeat decides whether the lease is in danger.
            _log.info("Could not show progress: %s.", error, extra={"action": "progress_postponed"})

    def _run(self) -> None:
        wait = self._beat_seconds
        while not self._ended.wait(wait):
            started = time.monotonic()
            if started > self._ends_at:
                return
            try:
                self._renew()
                self._renewed_at = started
                self._queue.hide(self._message, self._lease_seconds)
                wait = self._beat_seconds
            except LeaseLost:
                self._is_lost = True
                return
            except Unavailable as error:
                wait = self._beat_seconds / 4
                _log.warning("A heartbeat failed: %s.", error, extra={"action": "heartbeat_failed"})
            except Exception:  # noqa: BLE001 - the border of a thread
                # The border of this thread: without a heartbeat the worker stops itself, at its next check.
                _log.exception("The heartbeat died.", extra={"action": "heartbeat_died"})
                return
