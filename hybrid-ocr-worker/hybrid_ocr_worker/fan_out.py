"""How one long document becomes work for the whole fleet, and its pages one document again."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from hybrid_ocr_core.chunk import Chunk, ChunkId
from hybrid_ocr_core.chunk_store import ChunkStore
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Job, Lease
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.metrics import stage
from hybrid_ocr_worker.ocr.page_file import page_path
from hybrid_ocr_worker.recognition import Drawing, Plan, Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

_FETCHERS = 8
#: A chunk holds at most this part of the pages that are left.
_SHARES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """Splits, and collects."""

    settings: WorkerSettings
    jobs: JobStore
    chunks: ChunkStore
    queue: JobQueue
    documents: DocumentStore
    recogniser: Recogniser
    sandbox: WarmSandbox

    def is_worth_it(self, plan: Plan) -> bool:
        """More pages to recognise than one chunk holds? Text layers are read faster than chunks are sent."""
        facts, mode, asked_for = plan.request["preflight"], plan.request["mode"], len(plan.numbers)
        if mode == Mode.NATIVE_ONLY:
            return False
        return (asked_for if mode == Mode.FORCE else min(facts["scans"], asked_for)) > self.settings.chunk_pages

    def split(self, job: Job, lease: Lease, plan: Plan) -> None:
        """Cut the document up, and leave the job to its chunks.

        Raises:
            DocumentRejected, LeaseLost, Unavailable: as every step of a job.
        """
        parts = list(chunks_of(plan.numbers, most=self.settings.chunk_pages))
        files = self.recogniser.split(plan, parts)
        ids = [ChunkId(job=lease.job, split=lease.attempt, number=number) for number in range(1, len(parts) + 1)]
        for chunk, path in zip(ids, files, strict=True):
            self.documents.put_chunk(chunk, path, self.sandbox.still_wanted)
            path.unlink()
        self.chunks.create([Chunk(id=chunk, pages=tuple(part)) for chunk, part in zip(ids, parts, strict=True)])
        # A crash here leaves chunks that nobody will ask for: the next attempt makes its own, these go with the job.
        self.jobs.split(lease, plan.document, chunks=len(parts), pages=len(plan.numbers))
        # A crash here, or SQS away, leaves chunks without messages: the sweeper sends them after a lease.
        self.queue.send_all(ids[: self.settings.chunks_in_lane], job.lane)
        _log.info("Cut a document up.", extra={"action": "job_split", "pages": len(plan.numbers)})

    def send_next(self, chunk: ChunkId, *, of: Job) -> None:
        """A chunk is home: its place in the lane goes to the one so many places further on, if there is one.

        What cannot be sent is the sweeper's.
        """
        following = replace(chunk, number=chunk.number + self.settings.chunks_in_lane)
        if following.number <= of.chunks:
            self.queue.send_all([following], of.lane)

    @stage("collect")
    def collect(self, job: Job, drawing: Drawing) -> None:
        """Bring the pages that the chunks stored to where the plan's pages are, and draw them as they come.

        Raises:
            SourceMissing, Unavailable: a page is gone, or S3 is away.
        """
        assert job.split is not None
        split, plan = job.split, drawing.plan
        page_path(plan.directory, 1).parent.mkdir(exist_ok=True)

        def fetch(number: int) -> None:
            self.sandbox.still_wanted()
            self.documents.get_page(job.id, split, number, page_path(plan.directory, number))

        pool = ThreadPoolExecutor(_FETCHERS)
        try:
            for _ in pool.map(fetch, plan.numbers):
                drawing.next_page()
        finally:
            # With S3 away, thousands of pages would each wait for its time-outs.
            pool.shutdown(cancel_futures=True)

    def tidy(self, job: Job) -> None:
        """The job is DONE: chunks and pages are of no use any more."""
        assert job.split is not None
        try:
            self.documents.tidy(job.id, job.split)
        except Unavailable as error:
            # As after a crash here: `sweep --orphans` removes them.
            _log.info("Left chunks and pages behind: %s.", error, extra={"action": "tidy_postponed"})


def chunks_of(pages: Sequence[int], *, most: int) -> Iterator[Sequence[int]]:
    """Cut up pages, at most so many a chunk, and fewer towards the end (guided self-scheduling).

    With chunks of one size a worker would be left with a whole one while all others have nothing to do.
    """
    start = 0
    while start < len(pages):
        size = min(most, math.ceil((len(pages) - start) / _SHARES))
        yield pages[start : start + size]
        start += size
