"""Each transition, its guard, and what a lost response makes of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import (
    AttemptsExhausted,
    JobErased,
    JobFinished,
    JobNotFound,
    LeaseHeld,
    LeaseLost,
    Unavailable,
)
from hybrid_ocr_core.job import Job, JobId, JobStatus, Lease, Progress
from hybrid_ocr_core.job_store import JobStore
from tests.builders import FakeClock, a_document, a_failure, a_job, a_result, due_jobs
from tests.faults import away, lost_response

_NOW = dt.timedelta()


def _queued(store: JobStore) -> Job:
    job = a_job()
    store.create(job)
    return job


def _claimed(store: JobStore) -> tuple[Job, Lease]:
    return store.claim(_queued(store).id)


def _release(store: JobStore, lease: Lease, *, spend_budget: bool = True) -> None:
    store.release(lease, reason="because", spend_budget=spend_budget, retry_in=_NOW)


def test_a_created_job_reads_back_as_it_was(store: JobStore) -> None:
    job = a_job(client_reference="order 7")
    store.create(job)

    assert store.get(job.id) == job


def test_an_unknown_job_is_not_found(store: JobStore) -> None:
    with pytest.raises(JobNotFound):
        store.get(JobId(tenant="default", job_id="0" * 32))


def test_a_claim_takes_the_job_and_raises_the_attempt(store: JobStore, clock: FakeClock) -> None:
    job = _queued(store)

    claimed, lease = store.claim(job.id)

    assert (claimed.status, claimed.attempt, claimed.budget_used) == (JobStatus.PROCESSING, 1, 1)
    assert (lease.attempt, lease.expires_at) == (1, clock.now + dt.timedelta(seconds=60))


@pytest.mark.failure(22)
def test_a_second_worker_is_refused_while_the_lease_lives(store: JobStore, clock: FakeClock) -> None:
    job, lease = _claimed(store)
    clock.advance(59)

    with pytest.raises(LeaseHeld) as held:
        store.claim(job.id)

    assert held.value.until == lease.expires_at


@pytest.mark.failure(14, 26)
def test_a_lapsed_lease_is_taken_over_and_the_stale_worker_is_fenced_off(store: JobStore, clock: FakeClock) -> None:
    job, stale = _claimed(store)
    clock.advance(61)
    _, fresh = store.claim(job.id)

    for write in _writes_of(store, stale):
        with pytest.raises(LeaseLost):
            write()

    assert fresh.attempt == 2
    assert store.get(job.id).status is JobStatus.PROCESSING


def test_a_lapsed_lease_that_nobody_took_may_still_complete(store: JobStore, clock: FakeClock) -> None:
    job, lease = _claimed(store)
    clock.advance(3600)

    store.complete(lease, a_document(pages=2), a_result())

    assert store.get(job.id).status is JobStatus.DONE


def test_renewing_moves_the_lease_and_carries_the_progress(store: JobStore, clock: FakeClock) -> None:
    job, lease = _claimed(store)
    clock.advance(30)

    renewed = store.renew(lease, Progress(pages_done=1, pages_total=9), a_document(pages=9))

    shown = store.get(job.id)
    assert renewed.expires_at == shown.lease_expires_at == clock.now + dt.timedelta(seconds=60)
    assert (shown.progress, shown.document.pages) == (Progress(pages_done=1, pages_total=9), 9)


def test_a_done_job_shows_its_result_and_cannot_be_claimed(store: JobStore) -> None:
    job, lease = _claimed(store)
    result = a_result()

    store.complete(lease, a_document(pages=2), result)

    shown = store.get(job.id)
    assert (shown.status, shown.result, shown.lease_expires_at) == (JobStatus.DONE, result, None)
    with pytest.raises(JobFinished):
        store.claim(job.id)


def test_a_failed_job_shows_why_and_cannot_be_claimed(store: JobStore) -> None:
    job, lease = _claimed(store)

    store.fail(lease, a_failure())

    assert store.get(job.id).failure == a_failure()
    with pytest.raises(JobFinished):
        store.claim(job.id)


@pytest.mark.failure(33)
def test_a_released_job_is_free_at_once(store: JobStore) -> None:
    job, lease = _claimed(store)

    _release(store, lease)

    assert store.claim(job.id)[1].attempt == 2


@pytest.mark.parametrize(("spend_budget", "used"), [(True, 1), (False, 0)])
def test_a_release_spends_the_budget_only_where_the_document_is_to_blame(
    store: JobStore, spend_budget: bool, used: int
) -> None:
    job, lease = _claimed(store)

    _release(store, lease, spend_budget=spend_budget)

    assert store.get(job.id).budget_used == used


@pytest.mark.failure(30)
def test_a_job_without_budget_left_is_exhausted_and_ends_failed(store: JobStore) -> None:
    job = _queued(store)
    for _ in range(3):
        _release(store, store.claim(job.id)[1])

    with pytest.raises(AttemptsExhausted) as exhausted:
        store.claim(job.id)
    store.exhaust(exhausted.value.job)

    failure = store.get(job.id).failure
    assert failure is not None
    assert (failure.code, "because" in failure.message) == ("out_of_attempts", True)


def test_a_job_that_was_claimed_meanwhile_cannot_be_exhausted(store: JobStore) -> None:
    job, _ = _claimed(store)

    with pytest.raises(LeaseLost):
        store.exhaust(job)


@pytest.mark.failure(48, 49)
def test_an_erased_job_is_gone_and_its_worker_is_fenced_off(store: JobStore) -> None:
    job, lease = _claimed(store)

    store.erase(job.id)

    with pytest.raises(JobNotFound):
        store.get(job.id)
    with pytest.raises(JobErased):
        store.claim(job.id)
    for write in _writes_of(store, lease):
        with pytest.raises(LeaseLost):
            write()


def test_erasing_twice_is_no_error_and_erasing_nothing_is_not_found(store: JobStore) -> None:
    job = _queued(store)
    store.erase(job.id)

    store.erase(job.id)

    with pytest.raises(JobNotFound):
        store.erase(JobId(tenant="default", job_id="f" * 32))


def test_a_tombstone_holds_nothing_of_the_document(store: JobStore, clients: AwsClients) -> None:
    job = a_job(client_reference="canary-reference", document=a_document(filename="canary-name.pdf"))
    store.create(job)

    store.erase(job.id)

    items = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    assert len(items) == 1
    assert "canary" not in str(items)


def test_the_open_index_lists_what_is_due_and_resending_moves_it_on(store: JobStore, clock: FakeClock) -> None:
    job = _queued(store)
    assert list(due_jobs(store, before=clock.now + dt.timedelta(seconds=60), limit=10)) == []
    clock.advance(61)

    (entry,) = due_jobs(store, before=clock.now, limit=10)

    assert (entry.job, entry.is_erased) == (job.id, False)
    assert store.resend(entry)
    assert not store.resend(entry)
    assert list(due_jobs(store, before=clock.now, limit=10)) == []


def test_each_resend_waits_longer_than_the_one_before(store: JobStore, clock: FakeClock) -> None:
    _queued(store)
    waits = []
    for _ in range(4):
        (entry,) = due_jobs(store, before=clock.now + dt.timedelta(days=1), limit=10)
        store.resend(entry)
        (moved,) = due_jobs(store, before=clock.now + dt.timedelta(days=1), limit=10)
        waits.append(moved.sweep_at - clock.now.timestamp() * 1000)

    assert waits == sorted(waits)
    assert waits[3] > 3 * waits[0]


def test_a_terminal_job_leaves_the_open_index(store: JobStore, clock: FakeClock) -> None:
    _, lease = _claimed(store)
    store.complete(lease, a_document(pages=2), a_result())

    assert list(due_jobs(store, before=clock.now + dt.timedelta(days=1), limit=10)) == []


def test_a_purged_tombstone_leaves_the_open_index(store: JobStore, clock: FakeClock) -> None:
    job = _queued(store)
    store.erase(job.id)
    (entry,) = due_jobs(store, before=clock.now + dt.timedelta(seconds=61), limit=10)

    store.purged(entry)

    assert entry.is_erased
    assert list(due_jobs(store, before=clock.now + dt.timedelta(days=1), limit=10)) == []


@pytest.mark.failure(18)
@pytest.mark.parametrize("transition", ["claim", "complete", "fail", "release", "renew"])
def test_a_write_whose_response_was_lost_counts_as_done(store: JobStore, clients: AwsClients, transition: str) -> None:
    job = _queued(store)
    lease = Lease(job=job.id, attempt=1, owner="", expires_at=job.created_at)
    if transition != "claim":
        _, lease = store.claim(job.id)
    act: dict[str, Callable[[], object]] = {
        "claim": lambda: store.claim(job.id),
        "renew": lambda: store.renew(lease),
        "complete": lambda: store.complete(lease, a_document(pages=2), a_result()),
        "fail": lambda: store.fail(lease, a_failure()),
        "release": lambda: _release(store, lease),
    }

    with lost_response(clients.dynamodb, "UpdateItem") as lost:
        act[transition]()

    assert lost
    assert store.get(job.id).attempt == 1


@pytest.mark.failure(18)
def test_a_lost_response_to_create_leaves_one_job(store: JobStore, clients: AwsClients) -> None:
    job = a_job()
    with lost_response(clients.dynamodb, "PutItem") as lost:
        store.create(job)

    assert lost
    assert store.get(job.id) == job


@pytest.mark.failure(18)
def test_a_lost_response_to_exhaust_or_erase_counts_as_done(store: JobStore, clients: AwsClients) -> None:
    job = _queued(store)
    for _ in range(3):
        _release(store, store.claim(job.id)[1])
    with lost_response(clients.dynamodb, "UpdateItem") as lost_exhaust:
        store.exhaust(store.get(job.id))
    with lost_response(clients.dynamodb, "UpdateItem") as lost_erase:
        store.erase(job.id)

    assert lost_exhaust
    assert lost_erase
    with pytest.raises(JobErased):
        store.claim(job.id)


@pytest.mark.failure(41)
def test_every_method_says_unavailable_when_the_table_is_away(store: JobStore, clients: AwsClients) -> None:
    job, lease = _claimed(store)
    with away(clients.dynamodb):
        for call in (lambda: store.get(job.id), lambda: store.claim(job.id), store.ping, *_writes_of(store, lease)):
            with pytest.raises(Unavailable):
                call()


def _writes_of(store: JobStore, lease: Lease) -> tuple[Callable[[], object], ...]:
    return (
        lambda: store.renew(lease),
        lambda: store.complete(lease, a_document(pages=2), a_result()),
        lambda: store.fail(lease, a_failure()),
        lambda: _release(store, lease),
    )
