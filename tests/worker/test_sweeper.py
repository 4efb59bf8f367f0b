"""What a crash left is healed, once, by whoever comes first."""

from __future__ import annotations

import io

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker.sweeper import Sweeper
from tests.builders import FakeClock, a_document, a_job, a_result


@pytest.mark.failure(3)
def test_a_job_that_nobody_took_for_a_minute_is_sent_again_once(
    store: JobStore, queue: JobQueue, documents: DocumentStore, dispatch: Dispatch, clock: FakeClock
) -> None:
    job = a_job()
    store.create(job)
    sweepers = [Sweeper(store, queue, documents, dispatch, clock=clock) for _ in range(2)]
    assert [sweeper.sweep() for sweeper in sweepers] == [0, 0]
    clock.advance(61)

    assert [sweeper.sweep() for sweeper in sweepers] == [1, 0]

    message = queue.receive(visibility_seconds=30, wait_seconds=0)
    assert message is not None
    assert message.work() == job.id
    assert queue.receive(visibility_seconds=30, wait_seconds=0) is None


@pytest.mark.failure(14, 35)
def test_a_running_job_is_left_alone_until_its_lease_has_long_ended(
    store: JobStore, queue: JobQueue, documents: DocumentStore, dispatch: Dispatch, clock: FakeClock
) -> None:
    job = a_job()
    store.create(job)
    store.claim(job.id)
    clock.advance(61)
    sweeper = Sweeper(store, queue, documents, dispatch, clock=clock)
    assert sweeper.sweep() == 0
    clock.advance(61)

    assert sweeper.sweep() == 1

    message = queue.receive(visibility_seconds=30, wait_seconds=0)
    assert message is not None
    assert message.work() == job.id
    assert store.claim(job.id)[1].attempt == 2


@pytest.mark.failure(49)
def test_an_erased_job_is_purged_again_after_the_lease_that_may_still_have_run(
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clients: AwsClients,
    clock: FakeClock,
) -> None:
    job = a_job(webhook_url="https://hooks.example/")
    store.create(job)
    store.complete(store.claim(job.id)[1], a_document(pages=2), a_result())
    store.erase(job.id)
    documents.put_source(job.id, io.BytesIO(b"late"), "application/pdf")
    sweeper = Sweeper(store, queue, documents, dispatch, clock=clock)
    assert sweeper.sweep() == 0
    clock.advance(61)

    assert sweeper.sweep() == 1

    assert "Contents" not in clients.s3.list_objects_v2(Bucket="hybrid-ocr")
    assert store.events.of(job.id) == []
    assert sweeper.sweep() == 0
