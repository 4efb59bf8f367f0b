"""An urgent job waits for the page in hand, and not for the document; the document is gone on with afterwards."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Job, JobStatus, Lane
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker import intake as intake_module
from hybrid_ocr_worker.processing import Processor
from tests.builders import a_document, a_job
from tests.recognisers import ScriptedRecogniser

_CONTENT = b"%PDF-1.7 stub"


@pytest.fixture(autouse=True)
def _at_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "_URGENT_SECONDS", 0)


@pytest.fixture
def submit(store: JobStore, queue: JobQueue, documents: DocumentStore) -> Callable[[Lane], Job]:
    def submit(lane: Lane) -> Job:
        job = a_job(lane=lane, document=a_document(_CONTENT))
        documents.put_source(job.id, io.BytesIO(_CONTENT), "application/pdf")
        store.create(job)
        queue.send(job.id, lane)
        return job

    return submit


def _process(processor: Processor, queue: JobQueue, lane: Lane) -> None:
    message = queue.receive(lane, visibility_seconds=60, wait_seconds=0)
    assert message is not None
    processor.process(message)


def _statuses(store: JobStore, *jobs: Job) -> list[JobStatus]:
    return [store.get(job.id).status for job in jobs]


@pytest.mark.parametrize("lane", [Lane.NORMAL, Lane.LOW])
@pytest.mark.parametrize("pages", [3, 30])
def test_a_high_job_is_done_after_the_page_in_hand(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    submit: Callable[[Lane], Job],
    lane: Lane,
    pages: int,
) -> None:
    """With 30 pages it comes while a chunk is read."""
    recogniser.pages = pages
    long = submit(lane)
    if pages > 10:
        _process(processor, queue, lane)  # cut up
    urgent: list[Job] = []
    done_before_page: list[JobStatus] = []

    def come() -> None:
        recogniser.pages = 1
        urgent.append(submit(Lane.HIGH))

    def look() -> None:
        recogniser.pages = pages
        done_before_page.extend(_statuses(store, *urgent))

    # Page 1; it comes while page 2 is read; then its own page; and back to page 3.
    recogniser.script = [lambda: None, come, lambda: None, look]
    _process(processor, queue, lane)

    assert done_before_page == [JobStatus.DONE]
    while message := queue.receive(lane, visibility_seconds=60, wait_seconds=0):
        processor.process(message)
    assert _statuses(store, long) == [JobStatus.DONE]
    assert recogniser.read.count(2) == 1  # no page was read twice for it


def test_between_two_high_jobs_the_document_in_hand_has_a_page(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    submit: Callable[[Lane], Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recogniser.pages = 4
    low = submit(Lane.LOW)
    high = [submit(Lane.HIGH) for _ in range(10)]
    monkeypatch.setattr(store, "renew", lambda *_: None)
    done: list[int] = []
    recogniser.act = lambda: done.append(sum(store.get(job.id).status is JobStatus.DONE for job in high))
    _process(processor, queue, Lane.LOW)

    # Page 1 of the low one; then by turns a whole high one, of four pages, and a page of the low one.
    assert done == [0, *([0] * 4 + [1]), *([1] * 4 + [2]), *([2] * 4 + [3])]
    assert _statuses(store, low) == [JobStatus.DONE]


@pytest.mark.parametrize("lane", [Lane.NORMAL, Lane.LOW])
def test_a_high_document_is_not_interrupted(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    submit: Callable[[Lane], Job],
    lane: Lane,
) -> None:
    recogniser.pages = 4
    first, second, other = submit(Lane.HIGH), submit(Lane.HIGH), submit(lane)
    _process(processor, queue, Lane.HIGH)

    assert sorted(_statuses(store, first, second)) == [JobStatus.DONE, JobStatus.QUEUED]
    assert _statuses(store, other) == [JobStatus.QUEUED]


def test_an_outage_during_the_urgent_job_gives_both_back(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    submit: Callable[[Lane], Job],
) -> None:
    recogniser.pages = 2
    low, high = submit(Lane.LOW), submit(Lane.HIGH)

    def fail() -> None:
        raise Unavailable("S3", "away")

    recogniser.script = [lambda: None, fail]
    with pytest.raises(Unavailable):
        _process(processor, queue, Lane.LOW)

    assert _statuses(store, low, high) == [JobStatus.QUEUED] * 2
    assert [store.get(job.id).budget_used for job in (low, high)] == [0, 0]


def test_a_worker_that_is_told_to_stop_takes_nothing_urgent_on(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    submit: Callable[[Lane], Job],
) -> None:
    recogniser.pages = 2
    low, high = submit(Lane.LOW), submit(Lane.HIGH)
    recogniser.script = [processor.shutdown.requested.set]
    _process(processor, queue, Lane.LOW)

    assert _statuses(store, low, high) == [JobStatus.DONE, JobStatus.QUEUED]


def test_what_a_chunk_sends_goes_into_the_lane_of_its_job(
    processor: Processor,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    store: JobStore,
    submit: Callable[[Lane], Job],
) -> None:
    recogniser.pages = 200  # more chunks than the lane holds at a time
    job = submit(Lane.LOW)
    while message := queue.receive(Lane.LOW, visibility_seconds=60, wait_seconds=0):
        processor.process(message)

    assert _statuses(store, job) == [JobStatus.DONE]
