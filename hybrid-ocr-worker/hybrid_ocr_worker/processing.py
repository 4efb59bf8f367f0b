"""The way of one job. The order of the steps is the design.

1. claim       DynamoDB: QUEUED or lapsed -> PROCESSING, attempt + 1
2. fetch       S3: the submitted bytes, checked against their hash
3. recognise   preflight, pages, outputs; the heartbeat keeps lease and message
4. upload      S3: the result, under this attempt's own keys
5. complete    DynamoDB: PROCESSING -> DONE (or FAILED), if the attempt is still ours
6. delete      SQS: only now, for until here the message is what brings the job back

A long document is recognised by the whole fleet: step 3 then only cuts it up (``fan_out``), any worker reads a chunk
(``chunks``), and when the last of them is home the job is claimed once more, and 4 to 6 follow.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hybrid_ocr_core import trace
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import (
    AttemptsExhausted,
    ChunksOut,
    JobErased,
    JobFinished,
    JobNotFound,
    LeaseHeld,
    LeaseLost,
    NewerSchema,
    Unavailable,
)
from hybrid_ocr_core.job import Clock, Ended, Job, JobFailure, JobId, Lane, Lease, Progress, Result, utc_now
from hybrid_ocr_core.job_queue import JobQueue, MalformedMessage, NewerMessage, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.logs import fresh_log_context
from hybrid_ocr_worker import metrics
from hybrid_ocr_worker.attempts import Attempts, rest_of
from hybrid_ocr_worker.chunks import ChunkProcessor
from hybrid_ocr_worker.copies import Copies
from hybrid_ocr_worker.fan_out import FanOut
from hybrid_ocr_worker.heartbeat import Heartbeat
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.recognition import Drawing, Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox, nothing
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown

_log = logging.getLogger(__name__)

#: The API writes the item before it sends, so an unknown job is an oddity; but a restored table may be behind.
_UNKNOWN_JOB_KEPT_SECONDS = 15 * 60
_UNKNOWN_JOB_RETRY_SECONDS = 60
#: What a later version wrote waits for a worker of that version; by then a rolling deployment has brought one.
_NEWER_RETRY_SECONDS = 5 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaim:
    """A job that is ours."""

    store: JobStore
    lease: Lease
    kind = "job"

    @property
    def names(self) -> dict[str, str | int]:
        """For the log; the job itself is there already."""
        return {"attempt": self.lease.attempt}

    def renew(self) -> None:
        """Move the lease's expiry on. Raises LeaseLost, Unavailable."""
        self.store.renew(self.lease)

    def fail(self, failure: JobFailure) -> Ended:
        """The job -> FAILED. Raises LeaseLost, Unavailable."""
        return self.store.fail(self.lease, failure)

    def release(self, *, reason: str, spend_budget: bool, retry_in: dt.timedelta) -> None:
        """PROCESSING -> QUEUED. Raises LeaseLost, Unavailable."""
        self.store.release(self.lease, reason=reason, spend_budget=spend_budget, retry_in=retry_in)


@dataclass(slots=True, kw_only=True)
class Processor:
    """Everything one message needs. One thread."""

    settings: WorkerSettings
    store: JobStore
    queue: JobQueue
    dispatch: Dispatch
    intake: Intake
    documents: DocumentStore
    recogniser: Recogniser
    sandbox: WarmSandbox
    shutdown: Shutdown
    scratch: Path
    clock: Clock = utc_now
    attempts: Attempts = field(init=False)
    _copies: Copies = field(init=False)
    _fan_out: FanOut = field(init=False)
    _chunks: ChunkProcessor = field(init=False)

    def __post_init__(self) -> None:
        self.attempts = Attempts(
            settings=self.settings,
            queue=self.queue,
            dispatch=self.dispatch,
            sandbox=self.sandbox,
            shutdown=self.shutdown,
            scratch=self.scratch,
        )
        self._copies = Copies(jobs=self.store, documents=self.documents)
        self._fan_out = FanOut(
            settings=self.settings,
            jobs=self.store,
            chunks=self.store.chunks,
            queue=self.queue,
            documents=self.documents,
            recogniser=self.recogniser,
            sandbox=self.sandbox,
        )
        self._chunks = ChunkProcessor(
            jobs=self.store,
            chunks=self.store.chunks,
            queue=self.queue,
            documents=self.documents,
            recogniser=self.recogniser,
            attempts=self.attempts,
            fan_out=self._fan_out,
            give_way=self._give_way,
            clock=self.clock,
        )

    def process(self, message: ReceivedMessage) -> None:
        """Do what the message's job needs.

        Raises:
            Unavailable: a part of AWS is away. The job was given back, or will be by ``recover``, or the message comes
                back by itself; until ``recover`` succeeds no other message must be taken.
        """
        try:
            work = message.work()
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
        job_id = work.job if isinstance(work, ChunkId) else work
        with fresh_log_context(job_id=job_id.job_id), trace.span(message.traceparent):
            try:
                if isinstance(work, ChunkId):
                    self._chunks.process(work, message)
                else:
                    self._look_at(work, message)
            except NewerSchema as newer:
                _log.info("Left to a newer worker: %s.", newer, extra={"action": "job_newer"})
                self.queue.hide(message, _jittered(_NEWER_RETRY_SECONDS))
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
        self.attempts.settle()

    def _look_at(self, job_id: JobId, message: ReceivedMessage) -> None:
        try:
            job, lease = self.store.claim(job_id)
        except JobFinished as finished:
            # A redelivery, or a crash between terminal write and delete: nothing is left to do.
            failure = finished.job.failure
            if failure is not None and failure.code == "out_of_attempts":
                # But whoever gave it up may have died before the letter; one too many is harmless.
                self.queue.send_to_dead_letters(message, job=job_id, reason=failure.message)
            self.dispatch.ended(finished.job.ended)
            self.queue.delete(message)
        except JobErased as erased:
            self.dispatch.ended(erased.ended)
            self.queue.delete(message)
        except ChunksOut:
            # What waits for its chunks is brought back by the last of them, or by the sweeper.
            self.queue.delete(message)
        except LeaseHeld as held:
            self.queue.hide(message, rest_of(held.until, self.clock()))
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
            claim = JobClaim(store=self.store, lease=lease)
            self.attempts.run(claim, message, partial(self._recognise, job, lease))

    def _recognise(self, job: Job, lease: Lease, heartbeat: Heartbeat, directory: Path) -> Ended | None:
        """Bring the job to DONE, or leave it to its chunks."""
        if job.leader is not None and job.split is None:
            end = self._copies.copy(job, lease, heartbeat, directory)
            if end is not None:
                return end
        with metrics.stage("fetch"):
            self.documents.get_source(job, directory / "source", self.sandbox.still_wanted)
        plan = self.recogniser.survey(job, directory)
        if job.split is None and self._fan_out.is_worth_it(plan):
            self._fan_out.split(job, lease, plan)
            return None
        drawing = self.recogniser.drawing(job, plan)
        if job.split is None:
            self._read(job, lease, drawing, heartbeat)
        else:
            self._fan_out.collect(job, drawing)
        end = self._complete(job, lease, drawing, heartbeat)
        if job.split is not None:
            self._fan_out.tidy(job)
        return end

    def _give_way(self, lane: Lane) -> None:
        """Between two pages: an urgent job waits for the page in hand, and not for the whole document.

        The document in hand stays ours, for its heartbeat goes on. It has its turn again afterwards: one page at least
        before the next urgent job.
        """
        if lane is Lane.HIGH or self.shutdown.requested.is_set():
            return
        message = self.intake.urgent()
        if message is not None:
            self.process(message)

    def _read(self, job: Job, lease: Lease, drawing: Drawing, heartbeat: Heartbeat) -> None:
        plan = drawing.plan
        failed: list[int] = []
        for done, number in enumerate(plan.numbers):
            if done:
                self._give_way(job.lane)
            progress = Progress(pages_done=done, pages_total=len(plan.numbers))
            heartbeat.tell(partial(self.store.renew, lease, progress, plan.document))
            # The page before is drawn while this one is read.
            if not self.recogniser.read_page(plan, number, meanwhile=drawing.next_page if done else nothing):
                failed.append(number)
                # At once: a document of bad pages only would take an hour.
                self.recogniser.refuse_if_too_many(plan, failed)

    def _complete(self, job: Job, lease: Lease, drawing: Drawing, heartbeat: Heartbeat) -> Ended:
        found = self.recogniser.draw(drawing)
        with metrics.stage("upload"):
            for output, path in found.files.items():
                # Asked at every block: what is sent after the job was erased must end before its prefix is purged for
                # good.
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
            failed_pages=found.failed_pages,
        )
        return self.store.complete(lease, found.document, result)

    def _give_up(self, job: Job, message: ReceivedMessage) -> None:
        try:
            failure, end = self.store.exhaust(job)
        except LeaseLost:
            return  # claimed or redriven at this very moment; the message comes back
        # A crash here leaves a FAILED job without its dead letter: the redelivered message becomes it. After the copy,
        # a crash leaves a harmless second copy.
        self.queue.send_to_dead_letters(message, job=job.id, reason=failure.message)
        self.dispatch.ended(end)
        self.queue.delete(message)
        _log.error("Gave up on a job.", extra={"action": "job_failed", "code": failure.code})


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - not cryptography
