"""Clocks that are wrong cost time, never a result; what the index or the TTL shows too long does no harm."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import JobErased, JobNotFound, LeaseHeld, LeaseLost
from hybrid_ocr_core.job import JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore, OpenJob
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.sweeper import TURN, Sweeper
from tests.builders import LEASE, FakeClock, a_document, a_failure, a_job, a_result, due_jobs

_SKEW = dt.timedelta(minutes=10)

Open = Callable[[dt.timedelta], JobStore]


@pytest.fixture
def store_of(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> Open:
    """The store as a machine sees it whose clock is wrong by so much."""

    def open_store(skew: dt.timedelta) -> JobStore:
        return JobStore(
            clients.dynamodb, aws_settings.table, lease=LEASE, attempt_budget=9, clock=lambda: clock.now + skew
        )

    return open_store


@pytest.mark.failure(27)
@pytest.mark.parametrize("skew", [_SKEW, -_SKEW], ids=["fast", "slow"])
def test_a_worker_with_a_wrong_clock_may_take_a_job_but_never_overwrites_a_result(
    store_of: Open, skew: dt.timedelta
) -> None:
    right, wrong = store_of(dt.timedelta()), store_of(skew)
    first, second = (wrong, right) if skew < dt.timedelta() else (right, wrong)
    job = a_job()
    first.create(job)
    _, stale = first.claim(job.id)

    _, lease = second.claim(job.id)  # to its clock the living lease of the first has ended

    for write in (
        lambda: first.renew(stale),
        lambda: first.complete(stale, a_document(pages=1), a_result(attempt=1)),
        lambda: first.fail(stale, a_failure()),
        lambda: first.release(stale, reason="r", spend_budget=True, retry_in=LEASE),
    ):
        with pytest.raises(LeaseLost):
            write()
    second.complete(lease, a_document(pages=2), a_result(attempt=2))
    with pytest.raises(LeaseLost):
        first.complete(stale, a_document(pages=1), a_result(attempt=1))
    done = right.get(job.id)
    assert done.result is not None
    assert (done.status, done.result.attempt) == (JobStatus.DONE, 2)


@pytest.mark.failure(27)
def test_a_lease_of_a_fast_clock_is_waited_for_and_then_taken(store_of: Open, clock: FakeClock) -> None:
    right, fast = store_of(dt.timedelta()), store_of(_SKEW)
    job = a_job()
    right.create(job)
    fast.claim(job.id)

    with pytest.raises(LeaseHeld) as held:
        right.claim(job.id)
    clock.advance((held.value.until - clock.now).total_seconds() + 1)

    assert right.claim(job.id)[1].attempt == 2


@pytest.mark.failure(27, 41)
@pytest.mark.parametrize("skew", [_SKEW, -_SKEW], ids=["fast", "slow"])
def test_a_wrong_clock_cannot_keep_the_fleet_from_sweeping(
    store_of: Open, clock: FakeClock, skew: dt.timedelta
) -> None:
    right, wrong = store_of(dt.timedelta()), store_of(skew)
    assert wrong.take_turn(TURN)

    assert right.take_turn(TURN)
    assert not right.take_turn(TURN)
    clock.advance(TURN.total_seconds())
    assert right.take_turn(TURN)


@pytest.mark.failure(28)
def test_a_tombstone_that_has_expired_and_is_still_there_stays_erased(store: JobStore, clock: FakeClock) -> None:
    job = a_job()
    store.create(job)
    store.erase(job.id)
    clock.advance(dt.timedelta(days=30).total_seconds())  # DynamoDB may take days to delete what has expired

    with pytest.raises(JobNotFound):
        store.get(job.id)
    with pytest.raises(JobErased):
        store.claim(job.id)
    with pytest.raises(JobNotFound):
        store.redrive(job.id)


@pytest.mark.failure(29)
def test_an_index_that_lags_moves_no_job_that_has_ended(
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, failed, erased, running = jobs = [a_job() for _ in range(4)]
    for job in jobs:
        store.create(job)
    clock.advance(61)
    stale: list[OpenJob] = list(due_jobs(store, before=clock.now, limit=10))
    store.complete(store.claim(done.id)[1], a_document(pages=2), a_result())
    store.fail(store.claim(failed.id)[1], a_failure())
    store.erase(erased.id)
    store.claim(running.id)
    before = {job.id: store.get(job.id) for job in (done, failed, running)}
    monkeypatch.setattr(store, "due", lambda **_: stale)

    assert len(stale) == 4
    assert Sweeper(store, queue, documents, dispatch, clock=clock).sweep() == 0

    assert queue.receive(visibility_seconds=1, wait_seconds=0) is None
    assert {job: store.get(job) for job in before} == before
