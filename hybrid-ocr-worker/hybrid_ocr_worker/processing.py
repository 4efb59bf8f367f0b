"""The way of one message. The order of the steps is the design.

1. claim       DynamoDB: QUEUED or lapsed -> PROCESSING, attempt + 1
2. fetch       S3: the submitted bytes, checked against their hash
3. recognise   preflight, pages, outputs; the heartbeat keeps lease and message
4. upload      S3: the result, under this attempt's own keys
5. complete    DynamoDB: PROCESSING -> DONE (or FAILED), if the attempt is still ours
6. delete      SQS: only now, for until here the message is what brings the job back
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hybrid_ocr_core.document_store import DocumentStore, SourceMissing
from hybrid_ocr_core.errors import (
    DOCUMENT_CODES,
    AttemptsExhausted,
    DocumentRejected,
    JobErased,
    JobFinished,
    JobNotFound,
    LeaseHeld,
    LeaseLost,
    NewerSchema,
    Unavailable,
)
from hybrid_ocr_core.job import Clock, Job, JobFailure, JobId, Lease, Result, utc_now
from hybrid_ocr_core.job_queue import JobQueue, MalformedMessage, NewerMessage, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.logs import log_context
from hybrid_ocr_worker.heartbeat import Heartbeat
from hybrid_ocr_worker.recognition import Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.scratch import full_disk_is_unavailable
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown, ShuttingDown

_log = logging.getLogger(__name__)

#: The API writes the item before it sends, so an unknown job is an oddity; but a restored table may be behind.
_UNKNOWN_JOB_KEPT_SECONDS = 15 * 60
_UNKNOWN_JOB_RETRY_SECONDS = 60
#: What a later version wrote waits for a worker of that version; by then a rolling deployment has brought one.
_NEWER_RETRY_SECONDS = 5 * 60
_LONGEST_BACKOFF_SECONDS = 15 * 60


class Owed(NamedTuple):
    """A claim to be given back."""

    lease: Lease
    reason: str
    spend_budget: bool
    retry_in: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Everything one message needs. One thread."""

    settings: WorkerSettings
    store: JobStore
    queue: JobQueue
    documents: DocumentStore
    recogniser: Recogniser
    sandbox: WarmSandbox
    shutdown: Shutdown
    scratch: Path
    clock: Clock = utc_now
    #: Claims that an outage kept from being given back.
    owed: list[Owed] = field(default_factory=list)

    def process(self, message: ReceivedMessage) -> None:
        """Do what the message's job needs.

        Raises:
            Unavailable: a part of AWS is away. The job was given back, or will be by ``recover``, or the message comes
                back by itself; until ``recover`` succeeds no other message must be taken.
        """
        try:
            job_id = message.job()
        except NewerMessage as error:
            _log.info("Left to a newer worker: %s.", error, extra={"action": "message_newer"})
            self.queue.hide(message, _jittered(_NEWER_RETRY_SECONDS))
            return
        except MalformedMessage as error:
            _log.error("A message cannot be read and goes to the dead letters.", extra={"action": "message_malformed"})
            self.queue.send_to_dead_letters(message, job=None, reason=f"malformed: {error}")
            # A crash here leaves a second copy among the dead letters.
            self.queue.delete(message)
            return
        with log_context(job_id=job_id.job_id):
            try:
                self._look_at(job_id, message)
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - the border of a message
                # A defect outside of an attempt, or an item that nobody can read. The message comes back, in the end
                # among the dead letters; the worker lives.
                _log.exception("A message could not be handled.", extra={"action": "message_failed"})

    def recover(self) -> None:
        """After ``Unavailable``: do table and bucket answer again? Then give back what is owed.

        Raises:
            Unavailable: not yet.
        """
        self.store.ping()
        self.documents.ping()
        while self.owed:
            debt = self.owed[-1]
            with log_context(job_id=debt.lease.job.job_id, attempt=debt.lease.attempt):
                self._release(debt)
            self.owed.pop()

    def _look_at(self, job_id: JobId, message: ReceivedMessage) -> None:
        try:
            job, lease = self.store.claim(job_id)
        except JobFinished as finished:
            # A redelivery, or a crash between terminal write and delete: nothing is left to do.
            failure = finished.job.failure
            if failure is not None and failure.code == "out_of_attempts":
                # But whoever gave it up may have died before the letter; one too many is harmless.
                self.queue.send_to_dead_letters(message, job=job_id, reason=failure.message)
            self.queue.delete(message)
        except JobErased:
            self.queue.delete(message)
        except LeaseHeld as held:
            # Hidden for the rest of the other's lease: bouncing would run up the receive count of a healthy job.
            remaining = (held.until - self.clock()).total_seconds()
            self.queue.hide(message, max(1.0, remaining) + random.uniform(1, 3))  # noqa: S311 - not cryptography
        except NewerSchema as newer:
            _log.info("Left to a newer worker: %s.", newer, extra={"action": "job_newer"})
            self.queue.hide(message, _jittered(_NEWER_RETRY_SECONDS))
        except AttemptsExhausted as exhausted:
            self._give_up(exhausted.job, message)
        except JobNotFound:
            if message.age_seconds < _UNKNOWN_JOB_KEPT_SECONDS:
                self.queue.hide(message, _UNKNOWN_JOB_RETRY_SECONDS)
            else:
                _log.warning("A message names a job that does not exist.", extra={"action": "job_unknown"})
                self.queue.delete(message)
        else:
            # A crash from here to the terminal write leaves PROCESSING with a lease that ends: the message shows
            # again with it, and the next claim is attempt + 1.
            with log_context(attempt=lease.attempt):
                self._work(job, lease, message)

    def _work(self, job: Job, lease: Lease, message: ReceivedMessage) -> None:
        started = time.monotonic()
        _log.info("Claimed a job.", extra={"action": "job_claimed", "bytes": job.document.bytes})
        heartbeat = Heartbeat(
            self.store,
            self.queue,
            message,
            lease,
            lease_seconds=self.settings.lease_seconds,
            beat_seconds=self.settings.heartbeat_seconds,
            job_seconds=self.settings.job_seconds,
        )
        with heartbeat:
            try:
                self._finish(job, lease, heartbeat)
            except LeaseLost as error:
                # Someone else has the job, or had it: write nothing, delete nothing. If it was erased instead, the
                # message comes back and is deleted then.
                _log.info("Stopped: %s.", error, extra={"action": "lease_lost"})
                return
            except ShuttingDown:
                self._give_back(lease, message, reason="the worker was stopped", spend_budget=False, delay=0)
                return
            except Unavailable as error:
                self._give_back(lease, message, reason=str(error), spend_budget=False, delay=_backoff(message))
                raise  # other jobs would fare no better
            except Exception as error:  # noqa: BLE001 - the border of a message
                # The border of a message. A defect of ours may be one of this document: it costs the budget.
                _log.exception("An attempt failed.", extra={"action": "attempt_failed"})
                reason = f"{type(error).__name__} in the worker"
                self._give_back(lease, message, reason=reason, spend_budget=True, delay=_backoff(message))
                return
            # A crash here leaves a terminal job whose message comes back: the next receive deletes it.
            self.queue.delete(message)
        seconds = round(time.monotonic() - started, 3)
        _log.info("Finished a job.", extra={"action": "job_finished", "seconds": seconds})

    def _finish(self, job: Job, lease: Lease, heartbeat: Heartbeat) -> None:
        """Bring the job to DONE, or to FAILED where the document is at fault."""

        def still_wanted() -> None:
            heartbeat.check()
            self.shutdown.check()

        self.sandbox.still_wanted = still_wanted
        try:
            with full_disk_is_unavailable(), tempfile.TemporaryDirectory(prefix="job-", dir=self.scratch) as directory:
                self._complete(job, lease, heartbeat, Path(directory))
        except DocumentRejected as error:
            code = error.document_code
            failure = JobFailure(code=code, message=str(error), retryable=DOCUMENT_CODES[code], page=error.page)
            self.store.fail(lease, failure)
            _log.info("The document was refused.", extra={"action": "job_failed", "code": code})
        except SourceMissing as error:
            self.store.fail(lease, JobFailure(code="internal", message=str(error), retryable=True))
            _log.error("The submitted bytes are gone or changed.", extra={"action": "job_failed", "code": "internal"})

    def _complete(self, job: Job, lease: Lease, heartbeat: Heartbeat, directory: Path) -> None:
        still_wanted = self.sandbox.still_wanted
        self.documents.get_source(job, directory / "source", still_wanted)
        found = self.recogniser.recognise(job, directory, heartbeat.tell)
        for output, path in found.files.items():
            # Asked at every block: what is sent after the job was erased must end before its prefix is purged for good.
            self.documents.put_result(
                job.id, attempt=lease.attempt, revision=0, output=output, path=path, still_wanted=heartbeat.check
            )
        # A crash here leaves files of an attempt that no item points to. They stay in the job's prefix, unseen, and
        # go with it.
        result = Result(
            attempt=lease.attempt,
            revision=0,
            outputs=tuple(found.files),
            pages=found.pages,
            confidence=found.confidence,
            triage=found.triage,
            warnings=found.warnings,
        )
        self.store.complete(lease, found.document, result)

    def _give_back(
        self, lease: Lease, message: ReceivedMessage, *, reason: str, spend_budget: bool, delay: float
    ) -> None:
        """PROCESSING -> QUEUED, and the message shown again after the delay."""
        debt = Owed(lease, reason, spend_budget, dt.timedelta(seconds=delay))
        try:
            is_free = self._release(debt)
        except Unavailable as error:
            # The lease ends by itself and the message shows again; but then this attempt would count as the document's.
            self.owed.append(debt)
            _log.warning("Could not give the job back yet: %s.", error, extra={"action": "release_failed"})
            return
        if is_free:
            # A crash here, or SQS away, leaves a QUEUED job whose message is hidden: it shows when that time is over.
            with contextlib.suppress(Unavailable):
                self.queue.hide(message, delay)

    def _release(self, debt: Owed) -> bool:
        try:
            self.store.release(debt.lease, reason=debt.reason, spend_budget=debt.spend_budget, retry_in=debt.retry_in)
        except LeaseLost:
            _log.info("The job was taken over meanwhile.", extra={"action": "lease_lost"})
            return False
        _log.info("Gave the job back: %s.", debt.reason, extra={"action": "job_released"})
        return True

    def _give_up(self, job: Job, message: ReceivedMessage) -> None:
        try:
            failure = self.store.exhaust(job)
        except LeaseLost:
            return  # claimed or redriven at this very moment; the message comes back
        # A crash here leaves a FAILED job without its dead letter: the redelivered message becomes it. After the copy,
        # a crash leaves a harmless second copy.
        self.queue.send_to_dead_letters(message, job=job.id, reason=failure.message)
        self.queue.delete(message)
        _log.error("Gave up on a job.", extra={"action": "job_failed", "code": failure.code})


def _backoff(message: ReceivedMessage) -> float:
    """Full jitter over a window that doubles with each receive; seconds."""
    window = min(_LONGEST_BACKOFF_SECONDS, 5.0 * 2 ** min(message.receive_count, 16))
    return random.uniform(1.0, window)  # noqa: S311 - not cryptography


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - not cryptography
