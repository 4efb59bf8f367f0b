"""Retry-After: how full the lane is, and what the workers get through."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_api.patience import Patience
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobStatus, Lane, Standing
from hybrid_ocr_core.job_queue import Depth, JobQueue
from hybrid_ocr_core.job_store import JobStore
from tests.builders import START, FakeClock, a_document, a_job, a_result
from tests.faults import away

_QUEUED = Standing(version=1, status=JobStatus.QUEUED, lane=Lane.NORMAL)


class Lanes:
    """What SQS says, and how often it was asked."""

    def __init__(self, waiting: int, in_flight: int) -> None:
        self.answer: Depth | None = Depth(waiting=waiting, in_flight=in_flight)
        self.asked: list[Lane] = []

    def __call__(self, lane: Lane) -> Depth:
        self.asked.append(lane)
        if self.answer is None:
            raise Unavailable("SQS", "away")
        return self.answer


def _patience(lanes: Callable[[Lane], Depth], clock: FakeClock, usual_seconds: float = 1) -> Patience:
    def run(call: Callable[[], None]) -> None:
        call()

    def monotonic() -> float:
        return (clock.now - START).total_seconds()

    patience = Patience(lanes, clock, run=run, monotonic=monotonic)
    patience._usual_seconds = usual_seconds
    return patience


@pytest.mark.parametrize(
    ("waiting", "in_flight", "usual", "seconds"),
    [(0, 0, 1, 1), (0, 3, 9, 1), (12, 3, 2, 8), (7, 0, 1, 7), (1, 3, 1, 1), (3, 2, 1, 2), (10_000, 3, 2, 60)],
)
def test_the_longer_the_lane_and_the_slower_the_workers_the_later(
    clock: FakeClock, waiting: int, in_flight: int, usual: float, seconds: int
) -> None:
    assert _patience(Lanes(waiting, in_flight), clock, usual).seconds(_QUEUED) == seconds


def test_a_job_that_is_worked_on_is_worth_a_look_each_second(clock: FakeClock) -> None:
    lanes = Lanes(1000, 1)
    running = Standing(version=2, status=JobStatus.PROCESSING, lane=Lane.NORMAL)

    assert _patience(lanes, clock).seconds(running) == 1
    assert lanes.asked == []


def test_a_lane_is_asked_every_few_seconds_and_each_by_itself(clock: FakeClock) -> None:
    lanes = Lanes(5, 1)
    patience = _patience(lanes, clock)

    for _ in range(100):
        patience.seconds(_QUEUED)
        patience.seconds(Standing(version=1, status=JobStatus.QUEUED, lane=Lane.LOW))
    clock.advance(5)
    patience.seconds(_QUEUED)

    assert lanes.asked == [Lane.NORMAL, Lane.LOW, Lane.NORMAL]


def test_with_the_queue_away_what_it_said_before_counts(clock: FakeClock) -> None:
    lanes = Lanes(5, 1)
    patience = _patience(lanes, clock)
    patience.seconds(_QUEUED)
    lanes.answer = None
    clock.advance(60)

    assert patience.seconds(_QUEUED) == 5
    assert len(lanes.asked) == 2


def test_what_was_said_long_ago_does_not_count(clock: FakeClock) -> None:
    patience = _patience(Lanes(5, 1), clock)
    patience.seconds(_QUEUED)

    assert patience.seconds(_QUEUED, may_ask=False) == 5
    clock.advance(61)
    assert patience.seconds(_QUEUED, may_ask=False) == 1


def test_no_answer_waits_for_sqs(clock: FakeClock) -> None:
    later: list[Callable[[], None]] = []
    patience = Patience(Lanes(30, 1), clock, run=later.append)

    assert patience.seconds(_QUEUED) == 1
    for call in later:
        call()
    assert patience.seconds(_QUEUED) == 30


def test_what_is_usual_is_learnt_from_jobs_that_ended_lately(clock: FakeClock) -> None:
    patience = _patience(Lanes(1, 1), clock)
    took = dt.timedelta(seconds=30)
    done = a_job(status=JobStatus.DONE, started_at=START, updated_at=START + took)
    clock.now = START + took

    for unfit in (
        a_job(status=JobStatus.PROCESSING, started_at=START),
        a_job(status=JobStatus.DONE, updated_at=START + took),  # of an earlier version of this project
    ):
        patience.learn(unfit)
    assert patience.seconds(_QUEUED) == 1
    for _ in range(100):
        patience.learn(done)
    assert patience.seconds(_QUEUED) == 4, "one job is learnt from once, however often it is asked for"
    for _ in range(100):
        patience.learn(a_job(status=JobStatus.DONE, started_at=START, updated_at=START + took))
    assert patience.seconds(_QUEUED) == 30
    clock.advance(3600)
    for _ in range(100):
        patience.learn(a_job(status=JobStatus.DONE, started_at=START, updated_at=START))
    assert patience.seconds(_QUEUED) == 30


def test_a_lane_tells_how_many_messages_wait_and_how_many_are_taken(queue: JobQueue) -> None:
    for _ in range(3):
        queue.send(a_job().id, Lane.HIGH)
    queue.receive(Lane.HIGH, visibility_seconds=60, wait_seconds=0)

    assert queue.depth(Lane.HIGH) == Depth(waiting=2, in_flight=1)
    assert queue.depth(Lane.LOW) == Depth(waiting=0, in_flight=0)


def test_a_job_in_a_long_lane_says_so(client: FlaskClient, store: JobStore, queue: JobQueue) -> None:
    job = a_job()
    store.create(job)
    for _ in range(40):
        queue.send(job.id)

    client.get(f"/jobs/{job.job_id}")

    assert client.get(f"/jobs/{job.job_id}").headers["Retry-After"] == "40"


@pytest.mark.failure(42)
def test_with_the_queue_away_a_job_can_be_asked_for(client: FlaskClient, store: JobStore, clients: AwsClients) -> None:
    job = a_job()
    store.create(job)
    with away(clients.sqs):
        response = client.get(f"/jobs/{job.job_id}")

    assert (response.status_code, response.headers["Retry-After"]) == (200, "1")


def test_when_a_job_was_claimed_is_kept(store: JobStore, clock: FakeClock) -> None:
    job = a_job()
    store.create(job)
    clock.advance(5)
    claimed, lease = store.claim(job.id)
    clock.advance(7)
    store.complete(lease, a_document(pages=2), a_result())

    done = store.get(job.id)
    assert claimed.started_at == done.started_at
    assert done.started_at is not None
    assert (done.updated_at - done.started_at).total_seconds() == 7
