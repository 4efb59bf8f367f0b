"""An event is there if and only if its job has ended, and one sender at a time has it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.chunk import Chunk, ChunkId
from hybrid_ocr_core.errors import JobNotFound, LeaseLost, Unavailable
from hybrid_ocr_core.event import PATIENCE, Delivery, Try, TryError
from hybrid_ocr_core.event_store import _TRIES_KEPT, SEND_LEASE
from hybrid_ocr_core.job import Ended, EventId, Job, JobStatus, Lease
from hybrid_ocr_core.job_store import JobStore
from tests.builders import FakeClock, a_document, a_failure, a_job, a_result, due_jobs
from tests.faults import away, lost_response

_URL = "https://hooks.example/ocr"
_NOW = dt.timedelta()


def _claimed(store: JobStore, url: str | None = _URL) -> tuple[Job, Lease]:
    job = a_job(webhook_url=url)
    store.create(job)
    return store.claim(job.id)


def _complete(store: JobStore, url: str | None) -> Ended:
    return store.complete(_claimed(store, url)[1], a_document(pages=2), a_result())


def _fail(store: JobStore, url: str | None) -> Ended:
    return store.fail(_claimed(store, url)[1], a_failure())


def _exhaust(store: JobStore, url: str | None) -> Ended:
    job, lease = _claimed(store, url)
    for _ in range(2):
        store.release(lease, reason="again", spend_budget=True, retry_in=_NOW)
        job, lease = store.claim(job.id)
    store.release(lease, reason="again", spend_budget=True, retry_in=_NOW)
    return store.exhaust(store.get(job.id))[1]


def _fail_by_a_chunk(store: JobStore, url: str | None) -> Ended:
    job, lease = _claimed(store, url)
    store.split(lease, a_document(pages=2), chunks=1, pages=2)
    chunk = ChunkId(job=job.id, split=lease.attempt, number=1)
    store.chunks.create([Chunk(id=chunk, pages=(1, 2))])
    store.chunks.fail_job(store.chunks.claim(chunk)[1], a_failure(), has_webhook=url is not None)
    return store.get(job.id).ended


_ENDS: list[tuple[Callable[[JobStore, str | None], Ended], JobStatus, str | None]] = [
    (_complete, JobStatus.DONE, None),
    (_fail, JobStatus.FAILED, "corrupt_document"),
    (_exhaust, JobStatus.FAILED, "out_of_attempts"),
    (_fail_by_a_chunk, JobStatus.FAILED, "corrupt_document"),
]


@pytest.mark.failure(47)
@pytest.mark.parametrize(("end", "status", "code"), _ENDS)
def test_every_end_of_a_job_writes_its_event(
    store: JobStore,
    clock: FakeClock,
    end: Callable[[JobStore, str | None], Ended],
    status: JobStatus,
    code: str | None,
) -> None:
    ended = end(store, _URL)

    (event,) = store.events.of(ended.job)
    assert ended.event == event.id == EventId(job=ended.job, attempt=store.get(ended.job).attempt)
    assert (event.status, event.error_code, event.occurred_at) == (status, code, clock.now)
    assert (event.delivery, event.tried, event.next_at, event.tries) == (Delivery.PENDING, 0, clock.now, ())
    assert store.events.due(limit=9) == [event.id]


@pytest.mark.parametrize(("end", "status", "code"), _ENDS)
def test_a_job_that_nobody_is_to_be_told_of_writes_none(
    store: JobStore,
    clients: AwsClients,
    end: Callable[[JobStore, str | None], Ended],
    status: JobStatus,
    code: str | None,
) -> None:
    ended = end(store, None)

    assert (ended.event, store.events.due(limit=9)) == (None, [])
    assert not [item for item in _items(clients) if item["sk"]["S"].startswith("E#")]


@pytest.mark.failure(18, 47)
@pytest.mark.parametrize(("end", "status", "code"), _ENDS)
def test_an_end_whose_answer_was_lost_counts_and_there_is_one_event(
    store: JobStore,
    clients: AwsClients,
    end: Callable[[JobStore, str | None], Ended],
    status: JobStatus,
    code: str | None,
) -> None:
    """moto knows nothing of ClientRequestToken: the second send meets the condition, as it does after ten minutes."""
    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        ended = end(store, _URL)

    assert lost
    (event,) = store.events.of(ended.job)
    assert (store.get(ended.job).status, event.status, ended.event) == (status, status, event.id)


@pytest.mark.failure(47)
def test_an_attempt_that_was_fenced_off_leaves_no_event(store: JobStore, clock: FakeClock) -> None:
    job, stale = _claimed(store)
    clock.advance(61)
    store.claim(job.id)

    with pytest.raises(LeaseLost):
        store.complete(stale, a_document(pages=2), a_result())
    with pytest.raises(LeaseLost):
        store.fail(stale, a_failure())

    assert store.events.of(job.id) == []


def test_who_erases_a_job_the_moment_it_ended_has_taken_it_over(store: JobStore, clients: AwsClients) -> None:
    """The transaction does not tell what it made, so the job is read after it: that finds a tombstone."""
    job, lease = _claimed(store)

    def erase(**_: object) -> None:
        store.erase(job.id)

    clients.dynamodb.meta.events.register("after-call.dynamodb.TransactWriteItems", erase)

    with pytest.raises(LeaseLost):
        store.complete(lease, a_document(pages=2), a_result())

    with pytest.raises(JobNotFound):
        store.get(job.id)


@pytest.mark.failure(47)
def test_with_the_table_away_there_is_neither_end_nor_event(store: JobStore, clients: AwsClients) -> None:
    job, lease = _claimed(store)

    with away(clients.dynamodb), pytest.raises(Unavailable):
        store.complete(lease, a_document(pages=2), a_result())

    assert (store.get(job.id).status, store.events.of(job.id)) == (JobStatus.PROCESSING, [])


def test_a_renewed_lease_still_knows_that_somebody_is_to_be_told(store: JobStore) -> None:
    _, lease = _claimed(store)

    assert store.complete(store.renew(lease), a_document(pages=2), a_result()).event


def test_a_job_that_is_redriven_has_an_event_for_each_end(store: JobStore) -> None:
    failed = _fail(store, _URL)
    store.redrive(failed.job)
    done = store.complete(store.claim(failed.job)[1], a_document(pages=2), a_result())

    first, second = store.events.of(failed.job)
    assert (first.id, second.id) == (failed.event, done.event)
    assert first.id.webhook_id != second.id.webhook_id
    assert (first.type, second.type) == ("job.failed", "job.done")


def test_events_are_no_jobs_to_be_swept(store: JobStore, clock: FakeClock) -> None:
    _complete(store, _URL)
    clock.advance(10**6)

    assert list(due_jobs(store, before=clock.now, limit=9)) == []


def test_one_sender_has_an_event_until_its_lease_lapses(store: JobStore, clock: FakeClock) -> None:
    event = _complete(store, _URL).event
    assert event is not None
    first = store.events.claim(event)
    assert first is not None

    assert store.events.claim(event) is None
    assert store.events.due(limit=9) == []
    clock.now += SEND_LEASE
    second = store.events.claim(event)

    assert second is not None
    assert second.event.tried == 2
    made = Try(at=clock.now, seconds=1.0, status=200)
    assert not store.events.report(first, made, None)
    assert not store.events.postpone(first, clock.now)
    assert store.events.report(second, made, None)
    assert store.events.of(event.job)[0].tries == (made,)


def test_a_try_reads_back_as_it_was(store: JobStore, clock: FakeClock) -> None:
    event = _complete(store, _URL).event
    assert event is not None
    claim = store.events.claim(event)
    assert claim is not None
    made = Try(at=clock.now, seconds=0.123, error=TryError.TLS_FAILED)

    store.events.report(claim, made, clock.now + dt.timedelta(seconds=5))

    (found,) = store.events.of(event.job)
    assert (found.tries, found.delivery, found.tried) == ((made,), Delivery.PENDING, 1)
    assert found.next_at == clock.now + dt.timedelta(seconds=5)
    assert store.events.claim(event) is None
    clock.advance(5)
    assert store.events.claim(event) is not None


@pytest.mark.parametrize("status", [200, 410, 500])
def test_redelivery_begins_anew_under_the_same_id(store: JobStore, clock: FakeClock, status: int) -> None:
    event = _complete(store, _URL).event
    assert event is not None
    claim = store.events.claim(event)
    assert claim is not None
    assert not store.events.redeliver(event)  # it is being sent
    store.events.report(claim, Try(at=clock.now, seconds=1.0, status=status), None)
    clock.now += PATIENCE

    assert store.events.redeliver(event)

    (found,) = store.events.of(event.job)
    assert (found.delivery, found.tried, len(found.tries)) == (Delivery.PENDING, 0, 1)
    assert found.give_up_at == clock.now + PATIENCE
    assert store.events.due(limit=9) == [event]
    assert store.events.claim(event) is not None


def test_redelivery_whose_answer_was_lost_counts(store: JobStore, clients: AwsClients) -> None:
    event = _complete(store, _URL).event
    assert event is not None

    with lost_response(clients.dynamodb, "UpdateItem") as lost:
        assert store.events.redeliver(event)

    assert lost


def test_there_is_no_redelivery_of_what_is_no_event(store: JobStore, clients: AwsClients) -> None:
    job = a_job()

    assert not store.events.redeliver(EventId(job=job.id, attempt=1))

    assert _items(clients) == []


def test_the_last_tries_are_kept(store: JobStore, clock: FakeClock) -> None:
    event = _complete(store, _URL).event
    assert event is not None
    for number in range(_TRIES_KEPT + 2):
        claim = store.events.claim(event)
        assert claim is not None
        store.events.report(claim, Try(at=clock.now, seconds=float(number), status=500), clock.now)

    tries = store.events.of(event.job)[0].tries
    assert [made.seconds for made in tries] == [float(number) for number in range(2, _TRIES_KEPT + 2)]


def _items(clients: AwsClients) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]  # type: ignore[assignment]
    return found
