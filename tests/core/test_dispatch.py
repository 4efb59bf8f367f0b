"""So many jobs of a tenant have a message in a lane; the others are held, and none of them is forgotten."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Job, JobStatus, Lane
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore, OpenJob, OpenLane
from hybrid_ocr_core.places import Places, TenantLane
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import LEASE, FakeClock, a_failure, a_job
from tests.faults import away

_MOST = 2
_LONG = dt.timedelta(days=1)


@pytest.fixture
def places(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> Places:
    return Places(clients.dynamodb, aws_settings.table, most=_MOST, lease=LEASE, clock=clock)


def _accept(dispatch: Dispatch, clock: FakeClock, count: int, **fields: object) -> list[Job]:
    jobs = []
    for _ in range(count):
        clock.advance(0.01)
        jobs.append(dispatch.accept(a_job(created_at=clock.now, **fields)))
    return jobs


def _in_lane(queue: JobQueue, lane: Lane = Lane.NORMAL) -> list[str]:
    """What is in the lane, taken out of it, in no order."""
    return sorted(message.work().job_id for message in _messages(queue, lane))


def _messages(queue: JobQueue, lane: Lane) -> Iterator:  # type: ignore[type-arg]
    while message := queue.receive(lane, visibility_seconds=60, wait_seconds=0):
        yield message
        queue.delete(message)


def _ids(*jobs: Job) -> list[str]:
    return sorted(job.job_id for job in jobs)


def _end(store: JobStore, dispatch: Dispatch, job: Job) -> None:
    dispatch.ended(store.fail(store.claim(job.id)[1], a_failure()))


def _tend(store: JobStore, dispatch: Dispatch, clock: FakeClock) -> int:
    clock.advance(2 * LEASE.total_seconds())
    lanes = [entry for entry in store.due(before=clock.now, limit=100) if isinstance(entry, OpenLane)]
    return sum(dispatch.tend(entry) for entry in lanes)


def test_a_tenant_has_so_many_messages_in_a_lane_and_the_rest_are_held(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 5)

    assert _in_lane(queue) == _ids(*jobs[:_MOST])
    assert [store.get(job.id).is_held for job in jobs] == [False, False, True, True, True]
    assert {store.get(job.id).status for job in jobs} == {JobStatus.QUEUED}


def test_who_ends_a_job_sends_the_one_that_has_waited_longest(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 5)
    _in_lane(queue)

    for ended, following in zip(jobs, [*jobs[2:], None, None], strict=True):
        _end(store, dispatch, ended)
        assert _in_lane(queue) == _ids(*filter(None, [following]))


def test_an_end_that_is_told_again_sends_nobody_twice(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 5)
    _in_lane(queue)
    _end(store, dispatch, jobs[0])
    for _ in range(5):
        dispatch.ended(jobs[0].ended)

    assert _in_lane(queue) == _ids(jobs[2])


@pytest.mark.failure(43)
def test_ten_thousand_jobs_of_one_tenant_do_not_stand_before_the_one_of_another(
    dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    _accept(dispatch, clock, 50, tenant="large")  # the fifty-first differs from the ten-thousandth in nothing
    (lone,) = _accept(dispatch, clock, 1, tenant="small")

    in_lane = _in_lane(queue)

    assert len(in_lane) == _MOST + 1
    assert lone.job_id in in_lane


def test_each_lane_has_places_of_its_own(dispatch: Dispatch, queue: JobQueue, clock: FakeClock) -> None:
    jobs = {lane: _accept(dispatch, clock, 3, lane=lane) for lane in Lane}

    assert {lane: _in_lane(queue, lane) for lane in Lane} == {lane: _ids(*jobs[lane][:_MOST]) for lane in Lane}


def test_an_erased_job_takes_nobodys_place_and_holds_nobody_up(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 4)
    _in_lane(queue)
    dispatch.ended(store.erase(jobs[2].id))

    _end(store, dispatch, jobs[0])

    assert _in_lane(queue) == _ids(jobs[3])


def test_places_of_jobs_that_are_over_are_found_by_the_sweeper(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 4)
    _in_lane(queue)
    store.fail(store.claim(jobs[0].id)[1], a_failure())  # and died before it could give the place away
    store.erase(jobs[1].id)

    assert _tend(store, dispatch, clock) == 2
    assert _in_lane(queue) == _ids(*jobs[2:])


def test_the_watch_ends_when_nobody_waits(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 3)
    for job in jobs:
        _end(store, dispatch, job)
    for _ in range(2):
        _tend(store, dispatch, clock)

    assert list(store.due(before=clock.now + _LONG, limit=100)) == []


def test_a_watch_does_not_end_under_someone_who_has_just_come(
    store: JobStore, dispatch: Dispatch, places: Places, queue: JobQueue, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 3)
    for job in jobs:
        _end(store, dispatch, job)
    clock.advance(2 * LEASE.total_seconds())
    (entry,) = (entry for entry in store.due(before=clock.now, limit=9) if isinstance(entry, OpenLane))
    inspection = places.inspect(entry.where, seen=entry.sweep_at)
    assert inspection is not None
    _accept(dispatch, clock, 3)

    places.rest(entry.where, inspection)

    assert any(isinstance(entry, OpenLane) for entry in store.due(before=clock.now + _LONG, limit=9))


def test_a_ticket_is_kept_while_its_job_may_still_be_on_its_way(
    store: JobStore, dispatch: Dispatch, places: Places, queue: JobQueue, clock: FakeClock
) -> None:
    where = TenantLane(tenant="default", lane=Lane.NORMAL)
    jobs = _accept(dispatch, clock, 2)
    late = a_job(created_at=clock.now, is_held=True)
    places.wait(late)
    _end(store, dispatch, jobs[0])  # finds the ticket, and no job
    store.create(late)

    _end(store, dispatch, jobs[1])

    assert late.job_id in _in_lane(queue)
    assert places.waiting(where, most=9) == []


def test_a_ticket_whose_job_never_came_is_torn_up(
    store: JobStore, dispatch: Dispatch, places: Places, clock: FakeClock
) -> None:
    places.wait(a_job(created_at=clock.now, is_held=True))
    clock.advance(3600)

    _tend(store, dispatch, clock)

    assert places.waiting(TenantLane(tenant="default", lane=Lane.NORMAL), most=9) == []


def test_a_held_job_without_a_ticket_is_found_in_the_end(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clock: FakeClock
) -> None:
    job = a_job(is_held=True)
    store.create(job)
    assert list(store.due(before=clock.now + LEASE, limit=9)) == []
    clock.advance(3601)
    (entry,) = store.due(before=clock.now, limit=9)
    assert isinstance(entry, OpenJob)
    resend = store.resend(entry)

    assert resend is not None
    assert resend.is_held
    dispatch.offer(store.get(job.id))
    assert _in_lane(queue) == [job.job_id]


@pytest.mark.failure(42)
def test_with_the_queue_away_a_held_job_keeps_its_turn(
    store: JobStore, dispatch: Dispatch, queue: JobQueue, clients: AwsClients, clock: FakeClock
) -> None:
    jobs = _accept(dispatch, clock, 3)
    _in_lane(queue)
    with away(clients.sqs), pytest.raises(Unavailable):
        _end(store, dispatch, jobs[0])

    dispatch.ended(jobs[0].ended)
    clock.advance(2 * LEASE.total_seconds())
    due = [entry.job.job_id for entry in store.due(before=clock.now, limit=9) if isinstance(entry, OpenJob)]

    assert jobs[2].job_id in due  # admitted, without a message: the sweeper sends it


def test_the_message_carries_its_tenant_for_fair_queues(
    dispatch: Dispatch, clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock
) -> None:
    _accept(dispatch, clock, 1, tenant="small")

    (message,) = clients.sqs.receive_message(
        QueueUrl=aws_settings.queue_urls[Lane.NORMAL], MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]

    assert message["Attributes"] == {"MessageGroupId": "small"}
