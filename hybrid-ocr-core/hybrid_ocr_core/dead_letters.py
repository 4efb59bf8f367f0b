"""The dead-letter queue: copies of messages whose job was given up, and what SQS put there by its own policy.

A letter of ours carries ``job_id``, ``tenant`` and ``reason`` as message attributes; one that SQS moved after
``maxReceiveCount`` deliveries carries the message's body only.

IAM: sqs:ReceiveMessage, DeleteMessage on the dead-letter queue.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core.aws import unavailable_on_error
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import MalformedMessage, parse_body, stale_handle_is_fine

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_PART = "SQS"
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
_MOST_PER_RECEIVE = 10
#: Empty answers before a queue counts as read through: a short poll asks only some of SQS's servers.
_EMPTY_ANSWERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One letter. ``job`` is None where nobody can tell whose it is."""

    message_id: str
    receipt_handle: str
    job: JobId | None
    reason: str
    sent_at: dt.datetime


class DeadLetterQueue:
    """Read through it, and delete from it. Raises ``Unavailable`` when SQS is away."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def letters(self, *, hide_seconds: int, most: int | None = None) -> Iterator[DeadLetter]:
        """Each letter once, hidden from other readers for so long. It stays in the queue until it is deleted."""
        seen: set[str] = set()
        empty = 0
        while empty < _EMPTY_ANSWERS and (most is None or len(seen) < most):
            fresh = [letter for letter in self._receive(hide_seconds) if letter.message_id not in seen]
            empty = 0 if fresh else empty + 1
            seen.update(letter.message_id for letter in fresh)
            yield from fresh
            if most is not None:
                return

    def delete(self, letter: DeadLetter) -> None:
        """The letter has done its work."""
        with unavailable_on_error(_PART), stale_handle_is_fine("delete"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt_handle)

    def _receive(self, hide_seconds: int) -> list[DeadLetter]:
        with unavailable_on_error(_PART):
            response = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_MOST_PER_RECEIVE,
                VisibilityTimeout=hide_seconds,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [_to_letter(message) for message in response.get("Messages", [])]


def _to_letter(message: MessageTypeDef) -> DeadLetter:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    try:
        work = parse_body(message.get("Body", ""))
        job = work.job if isinstance(work, ChunkId) else work
    except MalformedMessage:
        job = None
    return DeadLetter(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        job=job,
        reason=attributes.get("reason") or "delivered too often without being deleted",
        sent_at=dt.datetime.fromtimestamp(int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000, dt.UTC),
    )
