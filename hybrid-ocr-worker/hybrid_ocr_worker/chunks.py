"""The way of one chunk of a long document. The order of the steps is the design.

1. claim      DynamoDB: QUEUED or lapsed -> PROCESSING, attempt + 1, if the job still waits for it
2. fetch      S3: the chunk's own pages
3. recognise  page by page; each is stored in S3 as it is read, so a later attempt reads only what is missing
4. home       DynamoDB, one transaction: the chunk DONE, and the job waits for one less
5. send       SQS: the chunk that is next in the lane, or the job itself when this was the last
6. delete     SQS: the chunk's message
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hybrid_ocr_core.chunk import Chunk, ChunkId, ChunkLease
from hybrid_ocr_core.chunk_store import ChunkStore
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import (
    ChunkExhausted,
    ChunkHome,
    JobNotFound,
    LeaseHeld,
)
from hybrid_ocr_core.job import Clock, Ended, Job, JobFailure, JobStatus, Lane, utc_now
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.metrics import job_failed
from hybrid_ocr_worker.attempts import Attempts, rest_of
from hybrid_ocr_worker.fan_out import FanOut
from hybrid_ocr_worker.heartbeat import Heartbeat
from hybrid_ocr_worker.metrics import page_read, stage
from hybrid_ocr_worker.ocr.page_file import page_path, write_page
from hybrid_ocr_worker.ocr.result import UNKNOWN_SIZE, Source, failed_page
from hybrid_ocr_worker.recognition import Recogniser
from hybrid_ocr_worker.sandbox.warm import nothing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkClaim:
    """A chunk that is ours."""

    jobs: JobStore
    store: ChunkStore
    lease: ChunkLease
    has_webhook: bool
    kind = "chunk"

    @property
    def names(self) -> dict[str, str | int]:
        """For the log."""
        return {"chunk": self.lease.chunk.number, "attempt": self.lease.attempt}

    def renew(self) -> None:
        """Move the lease's expiry on. Raises LeaseLost, Unavailable."""
        self.store.renew(self.lease)

    def fail(self, failure: JobFailure) -> Ended:
        """The job -> FAILED. Raises LeaseLost, Unavailable."""
        self.store.fail_job(self.lease, failure, has_webhook=self.has_webhook)
        # A transaction does not tell what it made.
        job = self.jobs.get(self.lease.chunk.job)
        job_failed("fail", job)
        return job.ended

    def release(self, *, reason: str, spend_budget: bool, retry_in: dt.timedelta) -> None:  # noqa: ARG002 - one face
        """PROCESSING -> QUEUED. Raises LeaseLost, Unavailable."""
        self.store.release(self.lease, spend_budget=spend_budget)


class Taken(NamedTuple):
    """A chunk in hand."""

    chunk: Chunk
    lease: ChunkLease
    #: The first page it lacks has failed too often.
    gives_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkProcessor:
    """Everything a message about a chunk needs."""

    jobs: JobStore
    chunks: ChunkStore
    queue: JobQueue
    documents: DocumentStore
    recogniser: Recogniser
    attempts: Attempts
    fan_out: FanOut
    #: Asked between two pages, with the lane of the chunk in hand.
    give_way: Callable[[Lane], None]
    clock: Clock = utc_now

    def process(self, chunk_id: ChunkId, message: ReceivedMessage) -> None:
        """Do what the message's chunk needs.

        Raises:
            Unavailable: as ``Processor.process``.
        """
        job = self._job_of(chunk_id)
        if job is None or not _waits_for(job, chunk_id):
            # Erased, finished, failed, or split anew: nothing of this chunk will be asked for.
            if job is not None and job.status.is_terminal:
                # Perhaps a chunk failed it, and its worker died before it told those who wait for the end.
                self.attempts.dispatch.ended(job.ended)
            self.queue.delete(message)
            return
        try:
            taken = self._claim(chunk_id)
        except ChunkHome:
            # A redelivery, or a crash between home and delete. Perhaps it came before the send of the job, too.
            self._wake_if_all_are_home(chunk_id)
            self.queue.delete(message)
        except LeaseHeld as held:
            self.queue.hide(message, rest_of(held.until, self.clock()))
        except ChunkExhausted:
            # Another worker takes it over from those that failed, at this very moment.
            self.queue.hide(message, rest_of(self.clock(), self.clock()))
        except JobNotFound:
            _log.warning("A message names a chunk that does not exist.", extra={"action": "chunk_unknown"})
            self.queue.delete(message)
        else:
            # A crash from here to home leaves PROCESSING with a lease that ends, and the pages that were stored.
            has_webhook = job.webhook_url is not None
            claim = ChunkClaim(jobs=self.jobs, store=self.chunks, lease=taken.lease, has_webhook=has_webhook)
            self.attempts.run(claim, message, partial(self._work, job, taken))

    def _job_of(self, chunk: ChunkId) -> Job | None:
        try:
            return self.jobs.get(chunk.job)
        except JobNotFound:
            return None

    def _claim(self, chunk_id: ChunkId) -> Taken:
        try:
            return Taken(*self.chunks.claim(chunk_id), gives_up=False)
        except ChunkExhausted as exhausted:
            # So many workers died or failed over the same page, the first that is not stored.
            return Taken(*self.chunks.skip(chunk_id, seen=exhausted.attempt), gives_up=True)

    def _work(self, job: Job, taken: Taken, heartbeat: Heartbeat, directory: Path) -> None:
        """Bring the chunk home. Its job is not over by that: somebody has to assemble it."""
        chunk = taken.chunk
        self._read(job, taken, heartbeat, directory)
        self.chunks.home(taken.lease, pages=len(chunk.pages))
        # A crash here leaves the next chunk, or the job, without its message: the sweeper sends it after a lease, or a
        # redelivery of this message the job's.
        self.fan_out.send_next(chunk.id, of=job)
        self._wake_if_all_are_home(chunk.id)

    def _read(self, job: Job, taken: Taken, heartbeat: Heartbeat, directory: Path) -> None:
        chunk = taken.chunk
        stored = self.documents.stored_pages(job.id, chunk.id.split, first=min(chunk.pages), last=max(chunk.pages))
        missing = [number for number in chunk.pages if number not in stored]
        failed: list[int] = []
        if taken.gives_up and missing:
            # Before anything that may have killed the others is touched: each time some page less is missing.
            failed.append(missing.pop(0))
            _log.warning("A page was given up.", extra={"action": "page_failed", "page": failed[0]})
            write_page(directory, failed_page(failed[0], *UNKNOWN_SIZE, "engine_crashed"))
            page_read(Source.FAILED)
            self._store(taken, directory, failed[0], is_first=True)
        if not missing:
            return
        with stage("fetch"):
            self.documents.get_chunk(chunk.id, directory / "source", self.attempts.sandbox.still_wanted)
        plan = self.recogniser.survey(job, directory, numbers=chunk.pages)
        store: Callable[[], None] = nothing
        for done, number in enumerate(missing):
            if done:
                self.give_way(job.lane)
            # The page before is stored while this one is read. A crash before that costs one page more.
            if not self.recogniser.read_page(plan, number, meanwhile=store):
                failed.append(number)
            if failed:
                self.recogniser.refuse_if_too_many(plan, failed)
            heartbeat.check()
            store = partial(self._store, taken, directory, number, is_first=done == 0)
        store()

    def _store(self, taken: Taken, directory: Path, number: int, *, is_first: bool) -> None:
        chunk = taken.chunk.id
        self.documents.put_page(chunk.job, chunk.split, number, page_path(directory, number))
        if is_first:
            # Something new is stored: the attempts before this one do not count any more.
            self.chunks.renew(taken.lease, has_stored=True)

    def _wake_if_all_are_home(self, chunk: ChunkId) -> None:
        """The last one home sends the job's own message: whoever claims it assembles the document."""
        job = self._job_of(chunk)
        if job is not None and _waits_for(job, chunk) and job.chunks_left == 0 and job.lease_expires_at is None:
            self.queue.send(job.id, job.lane)


def _waits_for(job: Job, chunk: ChunkId) -> bool:
    return job.status is JobStatus.PROCESSING and job.split == chunk.split
