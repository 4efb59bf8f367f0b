"""The trace of a request reaches every message and every worker's log lines, and none of another job."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from hybrid_ocr_core import trace
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import Job, JobId
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.sweeper import Sweeper
from tests.builders import LEASE, FakeClock, a_job
from tests.observed import log_lines_of
from tests.recognisers import ScriptedRecogniser


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, str]]]:
    caplog.set_level(logging.INFO, logger="hybrid_ocr_worker")
    with log_lines_of("hybrid_ocr_worker") as found:
        yield found


def _traced(number: int) -> str:
    return f"00-{number:032x}-{1:016x}-01"


def _trace_of(message: ReceivedMessage | None) -> str | None:
    assert message is not None
    span = trace.parse(message.traceparent)
    return span.trace_id if span else None


def _receive(queue: JobQueue) -> ReceivedMessage | None:
    return queue.receive(visibility_seconds=60, wait_seconds=0)


def test_a_message_carries_the_span_it_is_sent_in(queue: JobQueue) -> None:
    jobs = [a_job().id for _ in range(3)]
    with trace.span(_traced(7)) as span:
        queue.send(jobs[0])
        queue.send_all(jobs[1:])

    received = [_receive(queue) for _ in jobs]
    assert {message.traceparent for message in received if message} == {span.traceparent}


def test_a_message_without_a_trace_is_read_as_ever_and_begins_one(
    processor: Processor, queue: JobQueue, job: JobId, lines: list[dict[str, str]], store: JobStore
) -> None:
    message = _receive(queue)
    assert message is not None
    assert message.traceparent is None

    processor.process(message)

    assert store.get(job).status == "DONE"
    (trace_id,) = {line["trace_id"] for line in lines}
    assert trace_id.strip("0")


def test_the_lines_of_a_job_and_of_its_chunks_are_in_its_trace(
    processor: Processor,
    recogniser: ScriptedRecogniser,
    queue: JobQueue,
    store: JobStore,
    job: JobId,
    lines: list[dict[str, str]],
) -> None:
    recogniser.pages = 25
    untraced = _receive(queue)
    assert untraced is not None
    queue.delete(untraced)
    with trace.span(_traced(9)):
        queue.send(job)
    spans = []
    while (message := _receive(queue)) is not None:
        spans.append(message.traceparent)
        processor.process(message)

    assert store.get(job).status == "DONE"
    assert len(spans) == 1 + 9 + 1
    assert {line["trace_id"] for line in lines} == {f"{9:032x}"}
    assert {line["job_id"] for line in lines} == {job.job_id}
    assert len({line["span_id"] for line in lines}) == len(spans)  # one for each message


def test_a_job_that_another_one_lets_go_carries_its_own_trace(
    store: JobStore, queue: JobQueue, clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock
) -> None:
    places = Places(clients.dynamodb, aws_settings.table, most=1, lease=LEASE, clock=clock)
    dispatch = Dispatch(store, queue, places, None, clock)
    jobs = []
    for traceparent in (_traced(1), _traced(2), None):
        clock.advance(1)
        jobs.append(dispatch.accept(a_job(traceparent=traceparent, created_at=clock())))
    found = []

    for job in jobs:
        message = _receive(queue)
        found.append(_trace_of(message))
        with trace.span(message.traceparent if message else None):
            _end(store, dispatch, job)

    assert found == [None, f"{2:032x}", None]  # the first was sent outside of a span


def _end(store: JobStore, dispatch: Dispatch, job: Job) -> None:
    dispatch.ended(store.erase(job.id))


def test_what_the_sweeper_sends_again_carries_the_stored_trace(
    store: JobStore, queue: JobQueue, documents: DocumentStore, dispatch: Dispatch, clock: FakeClock
) -> None:
    store.create(a_job(traceparent=_traced(5)))
    clock.advance(61)

    Sweeper(store, queue, documents, dispatch, clock=clock).sweep()

    assert _trace_of(_receive(queue)) == f"{5:032x}"


def test_a_dead_letter_keeps_a_valid_trace_and_nothing_else_that_came_as_one(
    queue: JobQueue, clients: AwsClients, aws_settings: AwsSettings
) -> None:
    for traceparent in (_traced(3), "\x00 anything"):
        message = ReceivedMessage(body="{}", receipt_handle="h", receive_count=1, sent_at=0, traceparent=traceparent)
        queue.send_to_dead_letters(message, job=None, reason="r")

    letters = clients.sqs.receive_message(
        QueueUrl=aws_settings.dead_letter_queue_url, MessageAttributeNames=["All"], MaxNumberOfMessages=10
    )["Messages"]
    carried = [letter["MessageAttributes"].get("traceparent") for letter in letters]
    assert [value["StringValue"] for value in carried if value] == [_traced(3)]
    assert len(carried) == 2


def test_an_erased_job_keeps_no_trace(store: JobStore, clients: AwsClients, aws_settings: AwsSettings) -> None:
    job = a_job(traceparent=_traced(5))
    store.create(job)
    store.erase(job.id)

    (item,) = clients.dynamodb.scan(TableName=aws_settings.table)["Items"]
    assert "traceparent" not in item
