"""An attempt at what was claimed, a job or a chunk: under a heartbeat, in a directory of its own, to whatever end.

done               the message is deleted
document at fault  the job FAILED, the message deleted
fenced off         nothing is written, nothing deleted
anything else      given back, and the message shown again later
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import SourceMissing
from hybrid_ocr_core.errors import DOCUMENT_CODES, DocumentRejected, LeaseLost, Unavailable
from hybrid_ocr_core.job import Ended, JobFailure
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.logs import log_context
from hybrid_ocr_worker import metrics
from hybrid_ocr_worker.heartbeat import Heartbeat
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.scratch import full_disk_is_unavailable
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown, ShuttingDown

_log = logging.getLogger(__name__)

_LONGEST_BACKOFF_SECONDS = 15 * 60


class Claim(Protocol):
    """What a worker holds, until its lease ends or it lets go of it."""

    @property
    def kind(self) -> str:
        """Job or chunk, for the log."""

    @property
    def names(self) -> dict[str, str | int]:
        """Which one it is, for the log."""

    def renew(self) -> object:
        """Move the lease's expiry on. Raises LeaseLost, Unavailable."""

    def fail(self, failure: JobFailure) -> Ended:
        """The job -> FAILED. Raises LeaseLost, Unavailable."""

    def release(self, *, reason: str, spend_budget: bool, retry_in: dt.timedelta) -> None:
        """PROCESSING -> QUEUED. Raises LeaseLost, Unavailable."""


#: What is to be done with a claim, in an empty directory of the scratch disk. None: the job is not over by that.
Work = Callable[[Heartbeat, Path], Ended | None]


class Owed(NamedTuple):
    """A claim to be given back."""

    claim: Claim
    reason: str
    spend_budget: bool
    retry_in: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The attempts of one worker process, one at a time."""

    settings: WorkerSettings
    queue: JobQueue
    dispatch: Dispatch
    sandbox: WarmSandbox
    shutdown: Shutdown
    scratch: Path
    #: Claims that an outage kept from being given back.
    owed: list[Owed] = field(default_factory=list)

    def run(self, claim: Claim, message: ReceivedMessage, work: Work) -> None:
        """Bring what was claimed to its end, and then delete its message.

        Raises:
            Unavailable: a part of AWS is away; the claim was given back, or will be by ``settle``.
        """
        started = time.monotonic()
        heartbeat = Heartbeat(
            claim.renew,
            self.queue,
            message,
            lease_seconds=self.settings.lease_seconds,
            beat_seconds=self.settings.heartbeat_seconds,
            job_seconds=self.settings.job_seconds,
        )

        def still_wanted() -> None:
            heartbeat.check()
            self.shutdown.check()

        with log_context(**claim.names), heartbeat, self.sandbox.asking(still_wanted):
            _log.info("Claimed a %s.", claim.kind, extra={"action": f"{claim.kind}_claimed"})
            try:
                with metrics.attempt(claim.kind):
                    end = self._finish(claim, heartbeat, work)
                    # A crash here leaves others waiting for a place or a result: the next receive tells them.
                    if end is not None:
                        self.dispatch.ended(end)
            except LeaseLost as error:
                # Someone else has it, or had it: write nothing, delete nothing. If it was erased instead, the message
                # comes back and is deleted then.
                _log.info("Stopped: %s.", error, extra={"action": "lease_lost"})
                return
            except ShuttingDown:
                self._give_back(claim, message, reason="the worker was stopped", spend_budget=False, delay=0)
                return
            except Unavailable as error:
                self._give_back(claim, message, reason=str(error), spend_budget=False, delay=_backoff(message))
                raise  # other jobs would fare no better
            except Exception as error:  # noqa: BLE001 - the border of a message
                # A defect of ours may be one of this document: it costs the budget.
                _log.exception("An attempt failed.", extra={"action": "attempt_failed"})
                reason = f"{type(error).__name__} in the worker"
                self._give_back(claim, message, reason=reason, spend_budget=True, delay=_backoff(message))
                return
            # A crash here leaves a finished job or chunk whose message comes back: the next receive deletes it.
            self.queue.delete(message)
            seconds = round(time.monotonic() - started, 3)
            _log.info("Finished a %s.", claim.kind, extra={"action": f"{claim.kind}_finished", "seconds": seconds})

    def _finish(self, claim: Claim, heartbeat: Heartbeat, work: Work) -> Ended | None:
        """Do the work; FAILED where the document is at fault."""
        prefix = f"{claim.kind}-"
        try:
            with full_disk_is_unavailable(), tempfile.TemporaryDirectory(prefix=prefix, dir=self.scratch) as directory:
                return work(heartbeat, Path(directory))
        except DocumentRejected as error:
            code = error.document_code
            failure = JobFailure(code=code, message=str(error), retryable=DOCUMENT_CODES[code], page=error.page)
            _log.info("The document was refused.", extra={"action": "job_failed", "code": code})
        except SourceMissing as error:
            failure = JobFailure(code="internal", message=str(error), retryable=True)
            _log.error("The submitted bytes are gone or changed.", extra={"action": "job_failed", "code": "internal"})
        return claim.fail(failure)

    def settle(self) -> None:
        """Give back what an outage kept.

        Raises:
            Unavailable: not yet.
        """
        while self.owed:
            debt = self.owed[-1]
            with log_context(**debt.claim.names):
                self._release(debt)
            self.owed.pop()

    def _give_back(
        self, claim: Claim, message: ReceivedMessage, *, reason: str, spend_budget: bool, delay: float
    ) -> None:
        """PROCESSING -> QUEUED, and the message shown again after the delay."""
        debt = Owed(claim, reason, spend_budget, dt.timedelta(seconds=delay))
        try:
            if self._release(debt):
                # A crash here leaves a QUEUED job whose message is still hidden: it shows when its visibility lapses.
                self.queue.hide(message, delay)
        except Unavailable as error:
            # The lease ends by itself and the message shows again; but then this attempt would count as the document's.
            self.owed.append(debt)
            _log.warning("Could not give the %s back yet: %s.", claim.kind, error, extra={"action": "release_failed"})

    def _release(self, debt: Owed) -> bool:
        try:
            debt.claim.release(reason=debt.reason, spend_budget=debt.spend_budget, retry_in=debt.retry_in)
        except LeaseLost:
            _log.info("The %s was taken over meanwhile.", debt.claim.kind, extra={"action": "lease_lost"})
            return False
        _log.info(
            "Gave the %s back: %s.", debt.claim.kind, debt.reason, extra={"action": f"{debt.claim.kind}_released"}
        )
        return True


def rest_of(lease_ends_at: dt.datetime, now: dt.datetime) -> float:
    """Seconds to hide the message of what is someone else's: bouncing would run up a healthy job's receive count."""
    remaining = (lease_ends_at - now).total_seconds()
    return max(1.0, remaining) + random.uniform(1, 3)  # noqa: S311 - not cryptography


def _backoff(message: ReceivedMessage) -> float:
    """Full jitter over a window that doubles with each receive; seconds."""
    window = min(_LONGEST_BACKOFF_SECONDS, 5.0 * 2 ** min(message.receive_count, 16))
    return random.uniform(1.0, window)  # noqa: S311 - not cryptography
