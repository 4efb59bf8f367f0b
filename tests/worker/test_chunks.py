"""One document, many workers: split, read in chunks, counted home once, assembled once."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import ChunkHome, DocumentRejected, LeaseLost, Unavailable
from hybrid_ocr_core.job import Job, JobId, JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker import fan_out
from hybrid_ocr_worker.fan_out import chunks_of
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.recognition import Plan
from hybrid_ocr_worker.sweeper import Sweeper
from tests.builders import FakeClock, a_document, a_job
from tests.faults import away_after, lost_response
from tests.recognisers import ScriptedRecogniser

CONTENT = b"%PDF-1.7 a long one"
PAGES = 25
#: Of 7, 5, 4, 3, 2, 1, 1, 1 and 1 pages.
CHUNKS = 9


@pytest.fixture
def recogniser() -> ScriptedRecogniser:
    return ScriptedRecogniser(pages=PAGES)


@pytest.fixture
def job(store: JobStore, queue: JobQueue, documents: DocumentStore) -> JobId:
    job = a_job(document=a_document(CONTENT))
    documents.put_source(job.id, io.BytesIO(CONTENT), "application/pdf")
    store.create(job)
    queue.send(job.id)
    return job.id


def _work(processor: Processor, queue: JobQueue) -> bool:
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    if message is None:
        return False
    processor.process(message)
    return True


def _drain(processor: Processor, queue: JobQueue) -> int:
    count = 0
    while _work(processor, queue):
        count += 1
    return count


def _keys(clients: AwsClients) -> list[str]:
    found = clients.s3.list_objects_v2(Bucket="hybrid-ocr").get("Contents", [])
    return sorted(entry["Key"].split("/", 3)[3] for entry in found)


def test_a_long_document_is_split_read_and_assembled(
    processor: Processor,
    queue: JobQueue,
    store: JobStore,
    documents: DocumentStore,
    recogniser: ScriptedRecogniser,
    job: JobId,
    clients: AwsClients,
) -> None:
    _work(processor, queue)

    split = store.get(job)
    assert (split.status, split.split, split.chunks, split.chunks_left) == (JobStatus.PROCESSING, 1, CHUNKS, CHUNKS)
    assert (split.budget_used, split.lease_expires_at) == (0, None)
    assert recogniser.read == []

    messages = _drain(processor, queue)

    done = store.get(job)
    assert messages == CHUNKS + 1  # and the job again
    assert (done.status, done.attempt, done.document.pages) == (JobStatus.DONE, 3, PAGES)
    assert done.progress is not None
    assert done.progress.pages_done == PAGES
    assert sorted(recogniser.read) == list(range(1, PAGES + 1))
    assert json.loads(b"".join(documents.result_lines(done)))["read"] == CONTENT.decode()
    assert _keys(clients) == ["3/0/result.json", "source"]


def test_chunks_hold_every_page_once_and_grow_smaller_towards_the_end() -> None:
    for pages in (11, 25, 117, 3000):
        parts = list(chunks_of(range(1, pages + 1), most=10))

        assert [page for part in parts for page in part] == list(range(1, pages + 1))
        sizes = [len(part) for part in parts]
        assert sizes == sorted(sizes, reverse=True)
        assert (max(sizes), sizes[-1]) == (min(10, -(-pages // 4)), 1)


def test_a_chunk_is_counted_home_once_though_its_response_is_lost(
    processor: Processor, queue: JobQueue, store: JobStore, job: JobId, clients: AwsClients
) -> None:
    _work(processor, queue)
    _, lease = store.chunks.claim(ChunkId(job=job, split=1, number=2))

    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        store.chunks.home(lease, pages=5)
    store.chunks.home(lease, pages=5)  # and said twice

    assert lost
    assert store.get(job).chunks_left == CHUNKS - 1
    with pytest.raises(ChunkHome):
        store.chunks.claim(ChunkId(job=job, split=1, number=2))


def test_a_chunk_that_was_broken_off_is_read_on_from_its_next_page(
    processor: Processor,
    queue: JobQueue,
    dispatch: Dispatch,
    store: JobStore,
    recogniser: ScriptedRecogniser,
    job: JobId,
    clock: FakeClock,
) -> None:
    _work(processor, queue)

    def die() -> None:
        raise RuntimeError("a defect")

    recogniser.script = [lambda: None] * 4 + [die]
    _drain(processor, queue)
    queue_again = [message for message in [queue.receive(visibility_seconds=0, wait_seconds=0)] if message]
    assert not queue_again  # hidden
    assert recogniser.read.count(4) == 1

    clock.advance(3600)
    Sweeper(store, queue, processor.documents, dispatch, clock=clock).sweep()
    _drain(processor, queue)

    assert store.get(job).status is JobStatus.DONE
    assert [recogniser.read.count(page) for page in (1, 4, 5, 6)] == [1, 1, 2, 1]


def test_a_stale_worker_brings_no_chunk_home(
    processor: Processor, queue: JobQueue, store: JobStore, job: JobId, clock: FakeClock
) -> None:
    _work(processor, queue)
    chunk = ChunkId(job=job, split=1, number=1)
    _, stale = store.chunks.claim(chunk)
    clock.advance(61)
    _, fresh = store.chunks.claim(chunk)

    with pytest.raises(LeaseLost):
        store.chunks.home(stale, pages=7)
    with pytest.raises(LeaseLost):
        store.chunks.renew(stale)
    store.chunks.home(fresh, pages=7)

    assert store.get(job).chunks_left == CHUNKS - 1


def test_an_erased_job_stops_its_chunks(
    processor: Processor, queue: JobQueue, store: JobStore, recogniser: ScriptedRecogniser, job: JobId
) -> None:
    _work(processor, queue)
    _, lease = store.chunks.claim(ChunkId(job=job, split=1, number=1))
    store.erase(job)

    with pytest.raises(LeaseLost):
        store.chunks.renew(lease)
    with pytest.raises(LeaseLost):
        store.chunks.home(lease, pages=7)
    _drain(processor, queue)

    assert recogniser.read == []


def test_lost_messages_of_chunks_are_sent_again_so_many_at_a_time(
    processor: Processor,
    queue: JobQueue,
    store: JobStore,
    documents: DocumentStore,
    dispatch: Dispatch,
    job: JobId,
    clock: FakeClock,
) -> None:
    _work(processor, queue)
    while message := queue.receive(visibility_seconds=60, wait_seconds=0):
        queue.delete(message)
    sweeper = Sweeper(store, queue, documents, dispatch, chunks_in_lane=2, clock=clock)
    assert sweeper.sweep() == 0

    clock.advance(61)

    assert sweeper.sweep() == 2
    _drain(processor, queue)
    assert store.get(job).chunks_left == CHUNKS - 2


def test_a_page_that_kills_worker_after_worker_is_given_up_and_the_chunk_goes_on(
    processor: Processor, queue: JobQueue, store: JobStore, recogniser: ScriptedRecogniser, job: JobId, clock: FakeClock
) -> None:
    _work(processor, queue)
    chunk = ChunkId(job=job, split=1, number=2)
    for _ in range(3):  # the budget of these tests: three workers took it and were never heard of again
        store.chunks.claim(chunk)
        clock.advance(61)

    _drain(processor, queue)

    done = store.get(job)
    assert (done.status, done.result and done.result.failed_pages) == (JobStatus.DONE, (8,))
    assert 8 not in recogniser.read


def test_a_chunk_that_nobody_can_even_open_ends_all_the_same(
    processor: Processor,
    queue: JobQueue,
    store: JobStore,
    documents: DocumentStore,
    dispatch: Dispatch,
    recogniser: ScriptedRecogniser,
    job: JobId,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _work(processor, queue)
    survey = recogniser.survey

    def fail_in_chunks(job: Job, directory: Path, *, numbers: Sequence[int] | None = None) -> Plan:
        if numbers is not None and 8 in numbers:
            raise RuntimeError("a defect of ours")
        return survey(job, directory, numbers=numbers)

    monkeypatch.setattr(recogniser, "survey", fail_in_chunks)
    sweeper = Sweeper(store, queue, documents, dispatch, clock=clock)
    for _ in range(60):
        _drain(processor, queue)
        clock.advance(3601)
        sweeper.sweep()

    done = store.get(job)
    assert (done.status, done.result and done.result.failed_pages) == (JobStatus.DONE, (8, 9, 10, 11, 12))


def test_a_document_that_is_at_fault_fails_as_a_whole(
    processor: Processor, queue: JobQueue, store: JobStore, recogniser: ScriptedRecogniser, job: JobId
) -> None:
    def refuse() -> None:
        raise DocumentRejected("corrupt_document", "broken", 3)

    _work(processor, queue)
    recogniser.script = [refuse]

    _drain(processor, queue)

    failed = store.get(job)
    assert failed.failure is not None
    assert (failed.status, failed.failure.code, failed.failure.page) == (JobStatus.FAILED, "corrupt_document", 3)
    assert queue.receive(visibility_seconds=60, wait_seconds=0) is None


@pytest.mark.failure(16)
def test_who_waits_for_a_job_that_a_chunk_failed_is_told_though_its_worker_could_not(
    processor: Processor,
    queue: JobQueue,
    store: JobStore,
    dispatch: Dispatch,
    recogniser: ScriptedRecogniser,
    job: JobId,
    clients: AwsClients,
) -> None:
    def refuse() -> None:
        raise DocumentRejected("corrupt_document", "broken", 3)

    follower = a_job(is_held=True, leader=job.job_id)
    store.follow(job, follower.id)
    store.create(follower)
    _work(processor, queue)
    recogniser.script = [refuse]
    with away_after(clients.dynamodb, "GetItem", 1), pytest.raises(Unavailable):
        _work(processor, queue)  # failed, and whoever did so cannot read what is to be told
    assert (store.get(job).status, store.get(follower.id).is_held) == (JobStatus.FAILED, True)
    while (message := queue.receive(visibility_seconds=60, wait_seconds=0)) is not None:
        if message.work() == follower.id:
            break
        processor.process(message)

    assert message is not None
    assert not store.get(follower.id).is_held


def test_with_the_bucket_away_no_thousand_pages_are_asked_for(
    processor: Processor, queue: JobQueue, store: JobStore, job: JobId, monkeypatch: pytest.MonkeyPatch
) -> None:
    _work(processor, queue)
    for _ in range(CHUNKS):
        _work(processor, queue)
    asked: list[int] = []
    given_up = threading.Event()

    class Pool(ThreadPoolExecutor):
        """What is under way when the pages are given up ends after that, as time-outs would."""

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            given_up.set()
            super().shutdown(wait)

    def away(_self: DocumentStore, _job: JobId, _split: int, number: int, _path: Path) -> None:
        asked.append(number)
        assert number == 1 or given_up.wait(30)
        raise Unavailable("S3", "away")

    monkeypatch.setattr(fan_out, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(DocumentStore, "get_page", away)
    with pytest.raises(Unavailable):
        _work(processor, queue)

    assert len(asked) <= 9 < PAGES  # eight at a time, and one in the place of the first
    assert (store.get(job).status, store.get(job).chunks_left) == (JobStatus.QUEUED, 0)
