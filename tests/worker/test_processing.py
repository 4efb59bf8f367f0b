"""The way of one message, with everything real but the recognition."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import DocumentRejected, JobNotFound, Unavailable
from hybrid_ocr_core.job import JobId, JobStatus, Lane
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.shutdown import ShuttingDown
from tests.builders import FakeClock
from tests.faults import away
from tests.recognisers import ScriptedRecogniser
from tests.worker.conftest import CONTENT


def _receive(queue: JobQueue) -> ReceivedMessage:
    message = queue.receive(visibility_seconds=300, wait_seconds=0)
    assert message is not None
    return message


def _depths(clients: AwsClients, url: str) -> tuple[int, int]:
    """Messages visible and in flight."""
    attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]), int(attributes["ApproximateNumberOfMessagesNotVisible"])


def _fail_with(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_job_is_read_stored_committed_and_its_message_deleted(
    processor: Processor, job: JobId, store: JobStore, queue: JobQueue, clients: AwsClients, aws_settings: AwsSettings
) -> None:
    processor.process(_receive(queue))

    done = store.get(job)
    assert (done.status, done.attempt, done.document.pages) == (JobStatus.DONE, 1, 1)
    assert json.loads(b"".join(processor.documents.result_lines(done)))["read"] == CONTENT.decode()
    assert _depths(clients, aws_settings.queue_urls[Lane.NORMAL]) == (0, 0)
    assert list(processor.scratch.iterdir()) == []


@pytest.mark.failure(16)
def test_a_finished_job_is_deleted_from_the_queue_without_work(
    processor: Processor,
    job: JobId,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
) -> None:
    processor.process(_receive(queue))
    queue.send(job)

    processor.process(_receive(queue))

    assert recogniser.calls == 1
    assert _depths(clients, aws_settings.queue_urls[Lane.NORMAL]) == (0, 0)


@pytest.mark.failure(22, 23)
def test_a_live_lease_of_another_hides_the_message_for_the_rest_of_it(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
) -> None:
    store.claim(job)
    clock.advance(20)
    hidden: list[float] = []
    monkeypatch.setattr(JobQueue, "hide", lambda _self, _message, seconds: hidden.append(seconds))

    processor.process(_receive(queue))

    assert recogniser.calls == 0
    assert 40 < hidden[0] <= 43


def test_a_document_at_fault_ends_failed_at_once_with_its_code(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
) -> None:
    recogniser.act = _fail_with(DocumentRejected("page_timeout", "too slow", 7))

    processor.process(_receive(queue))

    failure = store.get(job).failure
    assert failure is not None
    assert (failure.code, failure.retryable, failure.page) == ("page_timeout", True, 7)
    assert _depths(clients, aws_settings.queue_urls[Lane.NORMAL]) == (0, 0)
    assert _depths(clients, aws_settings.dead_letter_queue_url) == (0, 0)


@pytest.mark.failure(11, 33)
@pytest.mark.parametrize(
    ("error", "budget_used"),
    [(Unavailable("S3", "SlowDown"), 0), (ShuttingDown("stop"), 0), (RuntimeError("a defect"), 1)],
)
def test_what_may_pass_gives_the_job_back_and_keeps_the_message(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
    error: Exception,
    budget_used: int,
) -> None:
    recogniser.act = _fail_with(error)

    with contextlib.suppress(Unavailable):  # for the consumer, which then takes no other
        processor.process(_receive(queue))

    given_back = store.get(job)
    assert (given_back.status, given_back.budget_used, given_back.attempt) == (JobStatus.QUEUED, budget_used, 1)
    assert sum(_depths(clients, aws_settings.queue_urls[Lane.NORMAL])) == 1


@pytest.mark.failure(30)
def test_a_job_that_fails_every_time_ends_out_of_attempts_with_a_dead_letter(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
) -> None:
    recogniser.act = _fail_with(RuntimeError("a defect"))
    message = _receive(queue)
    for _ in range(4):
        processor.process(message)

    failure = store.get(job).failure
    assert failure is not None
    assert (failure.code, recogniser.calls) == ("out_of_attempts", 3)
    assert "RuntimeError" in failure.message
    assert _depths(clients, aws_settings.queue_urls[Lane.NORMAL]) == (0, 0)
    assert _depths(clients, aws_settings.dead_letter_queue_url) == (1, 0)


@pytest.mark.failure(26)
def test_a_worker_that_was_fenced_off_writes_nothing_and_deletes_nothing(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
    clock: FakeClock,
) -> None:
    def lose_the_lease() -> None:
        clock.advance(61)
        store.claim(job)

    recogniser.act = lose_the_lease
    processor.process(_receive(queue))

    assert (store.get(job).status, store.get(job).attempt) == (JobStatus.PROCESSING, 2)
    assert sum(_depths(clients, aws_settings.queue_urls[Lane.NORMAL])) == 1


@pytest.mark.failure(49)
def test_an_erased_job_stops_its_worker_and_its_message_goes(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
) -> None:
    def erase() -> None:
        store.erase(job)

    recogniser.act = erase
    message = _receive(queue)
    processor.process(message)
    processor.process(message)

    with pytest.raises(JobNotFound):
        store.get(job)
    assert recogniser.calls == 1
    assert _depths(clients, aws_settings.queue_urls[Lane.NORMAL]) == (0, 0)


@pytest.mark.failure(39)
def test_a_source_that_was_swapped_ends_the_job(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    recogniser: ScriptedRecogniser,
) -> None:
    documents.put_source(job, io.BytesIO(b"%PDF-1.7 other"), "application/pdf")

    processor.process(_receive(queue))

    failure = store.get(job).failure
    assert failure is not None
    assert (failure.code, recogniser.calls) == ("internal", 0)


@pytest.mark.failure(31)
def test_a_message_that_nobody_can_read_becomes_a_dead_letter(
    processor: Processor, clients: AwsClients, queue: JobQueue, aws_settings: AwsSettings
) -> None:
    clients.sqs.send_message(QueueUrl=aws_settings.queue_urls[Lane.NORMAL], MessageBody='{"v":0}')

    processor.process(_receive(queue))

    assert _depths(clients, aws_settings.queue_urls[Lane.NORMAL]) == (0, 0)
    assert _depths(clients, aws_settings.dead_letter_queue_url) == (1, 0)


@pytest.mark.failure(4)
def test_a_message_of_an_unknown_job_is_kept_while_it_is_young(
    processor: Processor, queue: JobQueue, clients: AwsClients, aws_settings: AwsSettings
) -> None:
    queue.send(JobId(tenant="default", job_id="f" * 32))
    message = _receive(queue)

    processor.process(message)
    assert sum(_depths(clients, aws_settings.queue_urls[Lane.NORMAL])) == 1

    old = ReceivedMessage(body=message.body, receipt_handle=message.receipt_handle, receive_count=1, sent_at=0)
    processor.process(old)
    assert sum(_depths(clients, aws_settings.queue_urls[Lane.NORMAL])) == 0


@pytest.mark.failure(41)
def test_with_the_table_away_after_the_work_the_message_stays(
    processor: Processor,
    job: JobId,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    aws_settings: AwsSettings,
    store: JobStore,
) -> None:
    with contextlib.ExitStack() as outage:
        recogniser.act = lambda: outage.enter_context(away(clients.dynamodb))
        with pytest.raises(Unavailable):
            processor.process(_receive(queue))

    assert store.get(job).status is JobStatus.PROCESSING
    assert sum(_depths(clients, aws_settings.queue_urls[Lane.NORMAL])) == 1
