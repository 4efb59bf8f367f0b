"""The queue: what goes in comes out, and what SQS may do to a receipt handle is no error."""

from __future__ import annotations

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import JobQueue, MalformedMessage, ReceivedMessage
from hybrid_ocr_core.settings import AwsSettings
from tests.faults import away

_JOB = JobId(tenant="default", job_id="a" * 32)


def _receive(queue: JobQueue) -> ReceivedMessage:
    message = queue.receive(visibility_seconds=30, wait_seconds=0)
    assert message is not None
    return message


def test_a_sent_job_is_received(queue: JobQueue) -> None:
    queue.send(_JOB)

    message = _receive(queue)

    assert message.work() == _JOB
    assert message.receive_count == 1
    assert message.age_seconds < 60


def test_a_received_message_is_hidden_until_it_is_shown_again(queue: JobQueue) -> None:
    queue.send(_JOB)
    message = _receive(queue)
    assert queue.receive(visibility_seconds=30, wait_seconds=0) is None

    queue.hide(message, 0)

    assert _receive(queue).receive_count == 2


@pytest.mark.failure(19)
def test_a_deleted_message_does_not_come_back(queue: JobQueue) -> None:
    queue.send(_JOB)
    message = _receive(queue)

    queue.delete(message)
    queue.delete(message)
    queue.hide(message, 0)

    assert queue.receive(visibility_seconds=30, wait_seconds=0) is None


@pytest.mark.failure(31)
@pytest.mark.parametrize("body", ["", "nonsense", "[]", "null", '{"v":2}', '{"v":1,"tenant":"t"}', '{"v":1}'])
def test_a_body_that_is_not_ours_is_malformed(body: str) -> None:
    message = ReceivedMessage(body=body, receipt_handle="h", receive_count=1, sent_at=0)

    with pytest.raises(MalformedMessage):
        message.work()


def test_a_dead_letter_carries_job_and_reason(queue: JobQueue, clients: AwsClients, aws_settings: AwsSettings) -> None:
    queue.send(_JOB)
    queue.send_to_dead_letters(_receive(queue), job=_JOB, reason="gave up")

    (letter,) = clients.sqs.receive_message(QueueUrl=aws_settings.dead_letter_queue_url, MessageAttributeNames=["All"])[
        "Messages"
    ]

    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes == {"tenant": "default", "job_id": "a" * 32, "reason": "gave up"}


def test_an_absent_queue_is_unavailable(queue: JobQueue, clients: AwsClients) -> None:
    with away(clients.sqs), pytest.raises(Unavailable):
        queue.send(_JOB)
