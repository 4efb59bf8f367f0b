"""The queue: what goes in comes out, and what SQS may do to a receipt handle is no error."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import JobQueue, MalformedMessage, ReceivedMessage, parse_body
from hybrid_ocr_core.settings import AwsSettings
from tests.faults import away, changed_answer

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


def _jobs(count: int) -> list[JobId]:
    return [JobId(tenant="default", job_id=f"{number:032x}") for number in range(count)]


def _received(queue: JobQueue) -> list[JobId | ChunkId]:
    found = []
    while (message := queue.receive(visibility_seconds=30, wait_seconds=0)) is not None:
        found.append(message.work())
    return found


def test_many_messages_are_sent_ten_a_request(queue: JobQueue, clients: AwsClients) -> None:
    works: list[JobId | ChunkId] = [*_jobs(22), ChunkId(job=_JOB, split=1, number=2)]

    with changed_answer(clients.sqs, "SendMessageBatch", lambda _: None) as asked:
        assert queue.send_all(works) == []

    assert [len(call["Entries"]) for call in asked] == [10, 10, 3]
    assert set(_received(queue)) == set(works)
    assert queue.send_all([]) == []


@pytest.mark.failure(9)
def test_what_a_batch_fails_to_send_is_sent_once_more_and_only_that(queue: JobQueue, clients: AwsClients) -> None:
    jobs = _jobs(12)
    # Of the first ten the third and the last fail, of those two the last again; the other two go through.
    failures = [["2", "9"], ["1"], []]

    with changed_answer(clients.sqs, "SendMessageBatch", lambda answer: _fail(answer, failures.pop(0))) as asked:
        unsent = queue.send_all(jobs)

    assert unsent == [jobs[9]]
    assert [[parse_body(entry["MessageBody"]) for entry in call["Entries"]] for call in asked] == [
        jobs[:10],
        [jobs[2], jobs[9]],
        jobs[10:],
    ]


@pytest.mark.failure(9, 42)
def test_with_the_queue_away_all_that_was_not_sent_is_told(queue: JobQueue, clients: AwsClients) -> None:
    with away(clients.sqs):
        assert queue.send_all(_jobs(25)) == _jobs(25)

    assert _received(queue) == []


def _fail(answer: dict[str, Any], ids: list[str]) -> None:
    answer["Failed"] = [{"Id": each, "SenderFault": False, "Code": "InternalError"} for each in ids]
    answer["Successful"] = [entry for entry in answer["Successful"] if entry["Id"] not in ids]
