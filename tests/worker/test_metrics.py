"""What is counted of the work: attempts, stages, pages, and what SQS says of its queues."""

from __future__ import annotations

import io
import threading
import time

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import DocumentRejected, LeaseLost, Unavailable
from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.job import Job, JobId, Lane
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker import metrics
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.lane_watch import count_messages
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.shutdown import ShuttingDown
from hybrid_ocr_worker.sweeper import repeat
from tests.builders import a_document, a_job
from tests.faults import away
from tests.make_documents import GENERATED
from tests.observed import counted, requests_of
from tests.recognisers import ScriptedRecogniser


def _process(processor: Processor, queue: JobQueue) -> None:
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    processor.process(message)


def _submit(content: bytes, store: JobStore, queue: JobQueue, documents: DocumentStore) -> Job:
    job = a_job(document=a_document(content))
    documents.put_source(job.id, io.BytesIO(content), "application/pdf")
    store.create(job)
    queue.send(job.id)
    return job


def _number(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "finished"),
        (DocumentRejected("page_timeout", "too slow"), "finished"),
        (LeaseLost("fenced off"), "lease_lost"),
        (ShuttingDown("the worker is stopping"), "shutdown"),
        (Unavailable("S3", "away"), "unavailable"),
        (KeyError("a defect"), "defect"),
    ],
)
def test_an_attempt_is_counted_by_its_end(
    processor: Processor, recogniser: ScriptedRecogniser, queue: JobQueue, job: JobId, error: Exception, outcome: str
) -> None:
    def act() -> None:
        if error:
            raise error

    recogniser.script = [act]
    with counted("hybrid_ocr_attempts") as grown:
        try:
            _process(processor, queue)
        except Unavailable:
            assert outcome == "unavailable"

    assert grown == {f"hybrid_ocr_attempts_total{{kind=job,outcome={outcome}}}": 1}


def test_the_stages_and_pages_of_a_job(
    real_processor: Processor, store: JobStore, queue: JobQueue, documents: DocumentStore
) -> None:
    _submit(GENERATED["born-digital.pdf"](), store, queue, documents)
    with counted("hybrid_ocr_stage_seconds_count") as stages, counted("hybrid_ocr_pages") as pages:
        _process(real_processor, queue)

    assert stages == {
        f"hybrid_ocr_stage_seconds_count{{stage={stage}}}": count
        for stage, count in {"fetch": 1, "survey": 1, "page": 2, "draw": 1, "upload": 1}.items()
    }
    assert pages == {"hybrid_ocr_pages_total{source=native}": 2}


def test_a_document_that_is_refused_counts_as_failed_with_its_code(
    real_processor: Processor, store: JobStore, queue: JobQueue, documents: DocumentStore
) -> None:
    _submit(GENERATED["truncated.pdf"](), store, queue, documents)
    with counted("hybrid_ocr_") as grown:
        _process(real_processor, queue)

    assert grown["hybrid_ocr_job_failures_total{code=corrupt_document}"] == 1
    assert grown["hybrid_ocr_attempts_total{kind=job,outcome=finished}"] == 1
    assert grown["hybrid_ocr_stage_seconds_count{stage=survey}"] == 1
    assert "hybrid_ocr_stage_seconds_count{stage=page}" not in grown


def test_the_stages_of_a_split_job(
    processor: Processor, recogniser: ScriptedRecogniser, queue: JobQueue, job: JobId
) -> None:
    recogniser.pages = 25
    with counted("hybrid_ocr_") as grown:
        while (message := queue.receive(visibility_seconds=60, wait_seconds=0)) is not None:
            processor.process(message)

    assert grown["hybrid_ocr_attempts_total{kind=job,outcome=finished}"] == 2  # cut up, and assembled
    assert grown["hybrid_ocr_attempts_total{kind=chunk,outcome=finished}"] == 9
    assert grown["hybrid_ocr_stage_seconds_count{stage=fetch}"] == 2 + 9
    assert grown["hybrid_ocr_stage_seconds_count{stage=collect}"] == 1
    assert grown["hybrid_ocr_job_transitions_total{transition=complete,state=DONE,lane=normal}"] == 1


def test_a_job_that_fails_in_a_chunk_is_counted(
    processor: Processor, recogniser: ScriptedRecogniser, queue: JobQueue, job: JobId
) -> None:
    def refuse() -> None:
        raise DocumentRejected("image_too_large", "a page is too large", 1)

    recogniser.pages, recogniser.script = 25, [refuse]
    with counted("hybrid_ocr_job") as grown:
        _process(processor, queue)
        _process(processor, queue)

    assert grown["hybrid_ocr_job_transitions_total{transition=fail,state=FAILED,lane=normal}"] == 1
    assert grown["hybrid_ocr_job_failures_total{code=image_too_large}"] == 1


def test_sqs_is_asked_how_much_waits_one_request_a_queue(queue: JobQueue, clients: AwsClients) -> None:
    for lane, count in ((Lane.HIGH, 1), (Lane.NORMAL, 3)):
        for _ in range(count):
            queue.send(a_job().id, lane)
    message = queue.receive(Lane.NORMAL, visibility_seconds=60, wait_seconds=0)
    assert message is not None
    queue.send_to_dead_letters(message, job=None, reason="for the test")

    with requests_of(clients.sqs) as asked:
        count_messages(queue)

    assert asked == {"GetQueueAttributes": 4}
    depths = {
        (lane, state): _number("hybrid_ocr_lane_messages", lane=lane, state=state)
        for lane in Lane
        for state in ("waiting", "in_flight")
    }
    assert depths == {
        (Lane.HIGH, "waiting"): 1,
        (Lane.HIGH, "in_flight"): 0,
        (Lane.NORMAL, "waiting"): 2,
        (Lane.NORMAL, "in_flight"): 1,
        (Lane.LOW, "waiting"): 0,
        (Lane.LOW, "in_flight"): 0,
    }
    assert _number("hybrid_ocr_dead_letters") == 1


def test_with_sqs_away_the_watch_goes_on_and_says_no_newer_time(queue: JobQueue, clients: AwsClients) -> None:
    count_messages(queue)
    counted_at = _number("hybrid_ocr_lanes_counted_timestamp_seconds")
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        count_messages(queue)

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return looks == 2

    with away(clients.sqs):
        repeat(look, every_seconds=1, stop=Stop())

    assert looks == 2
    assert _number("hybrid_ocr_lanes_counted_timestamp_seconds") == counted_at


class TestHowLongALaneWaits:
    @staticmethod
    def _read_at(lane: Lane) -> float:
        found = _number("hybrid_ocr_lane_read_timestamp_seconds", lane=lane)
        assert found is not None
        return found

    @staticmethod
    def _message(*, age: float, receive_count: int = 1) -> ReceivedMessage:
        sent_at = time.time() - age
        return ReceivedMessage(body="", receipt_handle="h", receive_count=receive_count, sent_at=sent_at, lane=Lane.LOW)

    def test_each_first_receive_counts_though_others_overtake(self) -> None:
        def within(seconds: str) -> float:
            return _number("hybrid_ocr_lane_wait_seconds_bucket", lane=Lane.LOW, le=seconds) or 0

        before = {le: within(le) for le in ("1.0", "3600.0", "14400.0")}
        metrics.message_received(self._message(age=7000))
        metrics.message_received(self._message(age=0))

        assert [within(le) - count for le, count in before.items()] == [1, 1, 2]

    def test_what_was_received_before_counts_as_read_only(self) -> None:
        before = time.time()
        with counted("hybrid_ocr_lane_wait_seconds") as grown:
            metrics.message_received(self._message(age=500, receive_count=2))

        assert grown == {}
        assert self._read_at(Lane.LOW) >= before

    def test_the_intake_tells_of_what_it_takes(self, queue: JobQueue) -> None:
        intake = Intake(queue, weights={Lane.HIGH: 6, Lane.NORMAL: 3, Lane.LOW: 1}, visibility_seconds=60)
        queue.send(a_job().id, Lane.LOW)

        with counted("hybrid_ocr_lane_wait_seconds_count") as grown:
            assert intake.next() is not None

        assert grown == {"hybrid_ocr_lane_wait_seconds_count{lane=low}": 1}

    def test_a_lane_without_anything_counts_as_read_and_one_with_something_does_not(self, queue: JobQueue) -> None:
        queue.send(a_job().id, Lane.NORMAL)
        for lane in Lane:
            metrics._lane_read.labels(lane).set(1000.0)
        before = time.time()

        count_messages(queue)

        assert self._read_at(Lane.NORMAL) == 1000.0
        assert self._read_at(Lane.HIGH) >= before
        assert self._read_at(Lane.LOW) >= before

    def test_a_long_poll_that_was_in_vain_is_a_reading(self) -> None:
        class Empty:
            lanes = (Lane.NORMAL,)

            def receive(self, *_: object, **__: object) -> None:
                return None

        before = time.time()
        intake = Intake(Empty(), weights={Lane.NORMAL: 1}, visibility_seconds=60)  # type: ignore[arg-type]

        assert intake.next() is None
        assert self._read_at(Lane.NORMAL) >= before
