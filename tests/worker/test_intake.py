"""Three lanes: by weight while they are full, at once while they are empty, and no message kept from others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobId, Lane
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import intake as intake_module
from hybrid_ocr_worker.intake import Intake, Turns
from tests.builders import a_job

_WEIGHTS = {Lane.HIGH: 6, Lane.NORMAL: 3, Lane.LOW: 1}


@pytest.fixture
def intake(queue: JobQueue) -> Intake:
    return Intake(queue, weights=_WEIGHTS, visibility_seconds=60)


def _fill(queue: JobQueue, lane: Lane, count: int) -> None:
    for _ in range(count):
        queue.send(a_job().id, lane)


def test_turns_are_by_weight_and_well_mixed() -> None:
    turns = Turns(_WEIGHTS)
    taken = []
    for _ in range(100):
        lane = turns.order()[0]
        turns.took(lane)
        taken.append(lane)

    assert Counter(taken) == {Lane.HIGH: 60, Lane.NORMAL: 30, Lane.LOW: 10}
    assert all(Lane.LOW in taken[start : start + 10] for start in range(0, 100, 10))


def test_a_lane_that_was_empty_has_saved_nothing_up() -> None:
    turns = Turns(_WEIGHTS)
    for _ in range(1000):
        for lane in turns.order():
            if lane is Lane.LOW:
                turns.took(lane)
                break
            turns.found_empty(lane)

    assert turns.order()[-1] is Lane.LOW
    taken = []
    for _ in range(20):
        lane = turns.order()[0]
        turns.took(lane)
        taken.append(lane)
    assert taken.count(Lane.LOW) >= 1


@pytest.mark.failure(43)
def test_a_saturated_high_lane_starves_nobody(intake: Intake, queue: JobQueue) -> None:
    for lane in Lane:
        _fill(queue, lane, 40)

    lanes = Counter(message.lane for _ in range(40) if (message := intake.next()))

    assert lanes == {Lane.HIGH: 24, Lane.NORMAL: 12, Lane.LOW: 4}


def test_a_lane_alone_has_every_turn(intake: Intake, queue: JobQueue) -> None:
    _fill(queue, Lane.LOW, 5)

    assert [message.lane for _ in range(5) if (message := intake.next())] == [Lane.LOW] * 5


def test_lanes_that_share_a_queue_are_one(clients: AwsClients, aws_settings: AwsSettings) -> None:
    shared = JobQueue(clients.sqs, dict.fromkeys(Lane, aws_settings.queue_urls[Lane.NORMAL]), "")
    _fill(shared, Lane.HIGH, 1)
    intake = Intake(shared, weights=_WEIGHTS, visibility_seconds=60)

    message = intake.next()

    assert shared.lanes == (Lane.NORMAL,)
    assert message is not None
    assert message.lane is Lane.NORMAL
    assert intake.urgent() is None


def test_urgent_work_is_looked_for_now_and_then(
    intake: Intake, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Lane] = []
    receive = queue.receive

    def count(lane: Lane, **waits: int) -> ReceivedMessage | None:
        asked.append(lane)
        return receive(lane, **waits)

    monkeypatch.setattr(queue, "receive", count)
    _fill(queue, Lane.HIGH, 2)
    _fill(queue, Lane.NORMAL, 2)

    found = [intake.urgent() for _ in range(100)]
    monkeypatch.setattr(intake_module, "_URGENT_SECONDS", 0)
    found += [intake.urgent() for _ in range(2)]

    assert [message.lane for message in found if message] == [Lane.HIGH] * 2
    assert len(asked) < 20


class _Polls:
    """A queue whose long polls end when told to."""

    def __init__(self) -> None:
        self.lanes = tuple(Lane)
        self.shown_again: list[ReceivedMessage] = []
        self.polled: list[Lane] = []
        self._answers: dict[Lane, ReceivedMessage | Exception | None] = {}
        self._changed = threading.Condition()

    def receive(self, lane: Lane, *, visibility_seconds: int, wait_seconds: int = 20) -> ReceivedMessage | None:
        assert visibility_seconds == 60
        if not wait_seconds:
            return None
        with self._changed:
            self.polled.append(lane)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: lane in self._answers, 30)
            answer = self._answers.pop(lane)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hide(self, message: ReceivedMessage, seconds: float) -> None:
        assert seconds == 0
        with self._changed:
            self.shown_again.append(message)
            self._changed.notify_all()

    def end(self, lane: Lane, answer: ReceivedMessage | Exception | None) -> None:
        with self._changed:
            self._answers[lane] = answer
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, 30)


def _message(lane: Lane) -> ReceivedMessage:
    return ReceivedMessage(body="", receipt_handle=lane, receive_count=1, sent_at=time.time(), lane=lane)


@pytest.fixture
def polls() -> _Polls:
    return _Polls()


@pytest.fixture
def waiting(polls: _Polls) -> Intake:
    return Intake(polls, weights=_WEIGHTS, visibility_seconds=60)  # type: ignore[arg-type]


def _after(step: Callable[[], None], intake: Intake) -> ReceivedMessage | None:
    """What ``next`` gives, with the step done once all lanes are waited for."""
    thread = threading.Thread(target=step)
    thread.start()
    try:
        return intake.next()
    finally:
        thread.join()


@pytest.mark.parametrize("lane", Lane)
def test_an_idle_worker_waits_for_all_lanes_at_once(polls: _Polls, waiting: Intake, lane: Lane) -> None:
    def arrive() -> None:
        polls.until(lambda: len(polls.polled) == 3)
        polls.end(lane, _message(lane))

    found = _after(arrive, waiting)

    assert found is not None
    assert found.lane is lane


def test_what_a_poll_brings_to_a_busy_worker_is_shown_to_others(polls: _Polls, waiting: Intake) -> None:
    def arrive() -> None:
        polls.until(lambda: len(polls.polled) == 3)
        polls.end(Lane.NORMAL, _message(Lane.NORMAL))

    _after(arrive, waiting)
    polls.end(Lane.LOW, _message(Lane.LOW))
    polls.until(lambda: bool(polls.shown_again))

    assert [message.lane for message in polls.shown_again] == [Lane.LOW]


def test_a_lane_is_not_polled_twice(polls: _Polls, waiting: Intake) -> None:
    def arrive() -> None:
        polls.until(lambda: len(polls.polled) == 3)
        polls.end(Lane.NORMAL, _message(Lane.NORMAL))

    def arrive_again() -> None:
        polls.until(lambda: len(polls.polled) == 4)
        polls.end(Lane.HIGH, _message(Lane.HIGH))

    _after(arrive, waiting)
    found = _after(arrive_again, waiting)

    assert found is not None
    assert found.lane is Lane.HIGH
    assert Counter(polls.polled) == {Lane.HIGH: 1, Lane.NORMAL: 2, Lane.LOW: 1}


def test_an_outage_met_by_a_poll_reaches_the_one_who_waits(polls: _Polls, waiting: Intake) -> None:
    def fail() -> None:
        polls.until(lambda: len(polls.polled) == 3)
        polls.end(Lane.LOW, Unavailable("SQS", "away"))

    with pytest.raises(Unavailable):
        _after(fail, waiting)


def test_a_wait_in_vain_ends(polls: _Polls, waiting: Intake) -> None:
    def end() -> None:
        polls.until(lambda: len(polls.polled) == 3)
        polls.end(Lane.HIGH, None)

    assert _after(end, waiting) is None


def test_a_message_names_its_job_whatever_the_lane(intake: Intake, queue: JobQueue) -> None:
    job = JobId(tenant="default", job_id="a" * 32)
    queue.send(job, Lane.HIGH)

    message = intake.next()

    assert message is not None
    assert message.work() == job
    queue.delete(message)
    assert queue.receive(Lane.HIGH, visibility_seconds=0, wait_seconds=0) is None
