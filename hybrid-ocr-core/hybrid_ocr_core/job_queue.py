"""SQS: "look at this job". A message is a hint; the job's item decides.

Facts that shape this class:
* At least once, in no order, and once more even after a delete: the receiver must be idempotent.
* A receipt handle belongs to one receive. A stale one may or may not work, and may be refused with an error: then
  the message comes back, and the item says that nothing is left to do. So such errors are logged, never raised.
* ``MessageGroupId`` on a standard queue is no order, but the tenant for SQS's fair queues: where one tenant has most of
  the messages in flight, those of the others are handed out first.
  https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
* A message carries the ``traceparent`` of the span that sends it, as an attribute; whoever needs none sees none.
* ``maxReceiveCount`` is a backstop for what no worker can read, not a retry budget: a busy job hides its message for
  the rest of the lease instead of letting it bounce.

IAM: sqs:SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility, GetQueueAttributes; on the dead-letter
queue SendMessage and GetQueueAttributes.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from botocore.exceptions import ClientError

from hybrid_ocr_core import trace
from hybrid_ocr_core.aws import unavailable_on_error
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import ID, JobId, Lane

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef, MessageTypeDef

_log = logging.getLogger(__name__)

_PART = "SQS"
_TRACEPARENT = "traceparent"
_VERSION = 1
#: Messages about a chunk: workers that know no chunks leave them to newer ones.
_CHUNK_VERSION = 2
_MOST = 1_000_000
_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_NOT_SENDABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_SENDS_A_BATCH = 10
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
LONG_POLL_SECONDS = 20
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
MAX_VISIBILITY_SECONDS = 12 * 3600
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
_WAITING: Final = "ApproximateNumberOfMessages"
_IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
_STALE_HANDLE = {
    "ReceiptHandleIsInvalid",
    "AWS.SimpleQueueService.ReceiptHandleIsInvalid",
    "InvalidParameterValue",
    "MessageNotInflight",
    "AWS.SimpleQueueService.MessageNotInflight",
}


class MalformedMessage(ValueError):
    """The body is not one that this version understands."""


class NewerMessage(MalformedMessage):
    """The body is of a later version: in a rolling deployment a newer worker will read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """One delivery, from one lane. ``receipt_handle`` is good for this receive only and is never stored."""

    body: str
    receipt_handle: str
    receive_count: int
    sent_at: float
    lane: Lane = Lane.NORMAL
    #: As it came: it may be anything. See ``trace``.
    traceparent: str | None = None

    @property
    def age_seconds(self) -> float:
        """Since it was first sent."""
        return max(0.0, time.time() - self.sent_at)

    def work(self) -> JobId | ChunkId:
        """Which job, or chunk of one, to look at.

        Raises:
            NewerMessage: our JSON, of a later version.
            MalformedMessage: anything else.
        """
        return parse_body(self.body)


def parse_body(body: str) -> JobId | ChunkId:
    """Which job or chunk a message is about. Only what can name one goes on to the table, which refuses some strings.

    Raises:
        NewerMessage: our JSON, of a later version.
        MalformedMessage: anything else.
    """
    try:
        fields = json.loads(body)
        version = fields["v"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedMessage(f"no JSON with a version: {type(error).__name__}") from error
    if type(version) is not int or version < _VERSION:
        raise MalformedMessage("the version is none of ours")
    if version > _CHUNK_VERSION:
        raise NewerMessage(f"version {version} is later than {_CHUNK_VERSION}")
    tenant, job_id = fields.get("tenant"), fields.get("job_id")
    if not (isinstance(tenant, str) and _TENANT.fullmatch(tenant)):
        raise MalformedMessage("there is no tenant")
    if not (isinstance(job_id, str) and ID.fullmatch(job_id)):
        raise MalformedMessage("there is no job_id")
    job = JobId(tenant=tenant, job_id=job_id)
    if version == _VERSION:
        return job
    split, number = fields.get("split"), fields.get("chunk")
    if not (type(split) is int and type(number) is int and 0 < split < _MOST and 0 < number < _MOST):
        raise MalformedMessage("there is no chunk")
    return ChunkId(job=job, split=split, number=number)


class Depth(NamedTuple):
    """Messages to be had, and messages that somebody has."""

    waiting: int
    in_flight: int


class JobQueue:
    """The lanes and their dead-letter queue. ``long_poll`` is the client that may wait for messages."""

    def __init__(
        self, client: SQSClient, urls: Mapping[Lane, str], dead_letter_url: str, *, long_poll: SQSClient | None = None
    ) -> None:
        self._client = client
        self._long_poll = long_poll or client
        self._urls = urls
        self._dead_letter_url = dead_letter_url
        #: Those to receive from, the most urgent first. Lanes that share a queue are one.
        self.lanes = tuple(lane for lane in Lane if lane is Lane.NORMAL or urls[lane] != urls[Lane.NORMAL])

    def send(self, work: JobId | ChunkId, lane: Lane = Lane.NORMAL) -> None:
        """Raises Unavailable."""
        with unavailable_on_error(_PART):
            self._client.send_message(
                QueueUrl=self._urls[lane],
                MessageBody=_body(work),
                MessageGroupId=_job_of(work).tenant,
                MessageAttributes=_carried(),
            )

    def send_all(self, works: Sequence[JobId | ChunkId], lane: Lane = Lane.NORMAL) -> list[JobId | ChunkId]:
        """Send many, ten a request; returns those that were not sent, which are the sweeper's. Raises nothing.

        A request may succeed in part: its answer then names what failed, which is sent once more, and only that.
        """
        unsent: list[JobId | ChunkId] = []
        for start in range(0, len(works), _SENDS_A_BATCH):
            left = list(works[start : start + _SENDS_A_BATCH])
            try:
                left = self._send_some(left, lane)
                left = self._send_some(left, lane) if left else []
            except Unavailable as error:
                # The others would each wait for the same time-outs.
                _log.warning("%s; the sweeper will send the messages.", error, extra={"action": "send_postponed"})
                return [*unsent, *left, *works[start + _SENDS_A_BATCH :]]
            unsent += left
        if unsent:
            _log.warning("SQS refused some messages; the sweeper will send them.", extra={"action": "send_postponed"})
        return unsent

    def _send_some(self, works: Sequence[JobId | ChunkId], lane: Lane) -> list[JobId | ChunkId]:
        """One request; returns what it failed to send."""
        with unavailable_on_error(_PART):
            response = self._client.send_message_batch(
                QueueUrl=self._urls[lane],
                Entries=[
                    {
                        "Id": str(number),
                        "MessageBody": _body(work),
                        "MessageGroupId": _job_of(work).tenant,
                        "MessageAttributes": _carried(),
                    }
                    for number, work in enumerate(works)
                ],
            )
        return [works[int(failed["Id"])] for failed in response.get("Failed", [])]

    def receive(
        self, lane: Lane = Lane.NORMAL, *, visibility_seconds: int, wait_seconds: int = LONG_POLL_SECONDS
    ) -> ReceivedMessage | None:
        """Wait for one message; None when none came. Raises Unavailable.

        Without a wait SQS asks only some of its servers, and may overlook a message.
        """
        client = self._long_poll if wait_seconds else self._client
        with unavailable_on_error(_PART):
            response = client.receive_message(
                QueueUrl=self._urls[lane],
                MaxNumberOfMessages=1,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=[_TRACEPARENT],
            )
        for message in response.get("Messages", []):
            attributes = message.get("Attributes", {})
            return ReceivedMessage(
                body=message.get("Body", ""),
                receipt_handle=message["ReceiptHandle"],
                receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
                sent_at=int(attributes.get("SentTimestamp", 0)) / 1000,
                lane=lane,
                traceparent=_traceparent_of(message),
            )
        return None

    def hide(self, message: ReceivedMessage, seconds: float) -> None:
        """Make the message invisible for so long from now; 0 shows it at once. Raises Unavailable."""
        timeout = max(0, min(MAX_VISIBILITY_SECONDS, int(seconds)))
        with unavailable_on_error(_PART), stale_handle_is_fine("hide"):
            self._client.change_message_visibility(
                QueueUrl=self._urls[message.lane],
                ReceiptHandle=message.receipt_handle,
                VisibilityTimeout=timeout,
            )

    def delete(self, message: ReceivedMessage) -> None:
        """Only after the terminal state is committed. Raises Unavailable."""
        with unavailable_on_error(_PART), stale_handle_is_fine("delete"):
            self._client.delete_message(QueueUrl=self._urls[message.lane], ReceiptHandle=message.receipt_handle)

    def send_to_dead_letters(self, message: ReceivedMessage, *, job: JobId | None, reason: str) -> None:
        """Put a copy of a message into the dead-letter queue, with job id and reason. Raises Unavailable."""
        if not self._dead_letter_url:
            return
        attributes = {"reason": reason[:256] or "unknown"}
        if job is not None:
            attributes |= {"tenant": job.tenant, "job_id": job.job_id}
        sender = trace.parse(message.traceparent)
        if sender is not None:
            attributes |= {_TRACEPARENT: sender.traceparent}
        with unavailable_on_error(_PART):
            self._client.send_message(
                QueueUrl=self._dead_letter_url,
                MessageBody=_sendable(message.body) or "{}",
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": _sendable(value)} for name, value in attributes.items()
                },
            )

    def ping(self) -> None:
        """Raises Unavailable unless every lane answers."""
        for lane in self.lanes:
            with unavailable_on_error(_PART):
                self._client.get_queue_attributes(QueueUrl=self._urls[lane], AttributeNames=["QueueArn"])

    def depth(self, lane: Lane) -> Depth:
        """How many messages a lane has, about. Raises Unavailable."""
        return self._depth(self._urls[lane])

    def dead_letters(self) -> int:
        """How many dead letters there are, about; those that somebody reads just now as well. Raises Unavailable."""
        if not self._dead_letter_url:
            return 0
        depth = self._depth(self._dead_letter_url)
        return depth.waiting + depth.in_flight

    def _depth(self, url: str) -> Depth:
        with unavailable_on_error(_PART):
            found = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=[_WAITING, _IN_FLIGHT])["Attributes"]
        return Depth(waiting=int(found[_WAITING]), in_flight=int(found[_IN_FLIGHT]))


def _job_of(work: JobId | ChunkId) -> JobId:
    return work.job if isinstance(work, ChunkId) else work


def _body(work: JobId | ChunkId) -> str:
    job, rest = _job_of(work), {"v": _VERSION}
    if isinstance(work, ChunkId):
        rest = {"v": _CHUNK_VERSION, "split": work.split, "chunk": work.number}
    return json.dumps({**rest, "tenant": job.tenant, "job_id": job.job_id})


def _carried() -> dict[str, MessageAttributeValueTypeDef]:
    traceparent = trace.traceparent()
    return {_TRACEPARENT: {"DataType": "String", "StringValue": traceparent}} if traceparent else {}


def _traceparent_of(message: MessageTypeDef) -> str | None:
    carried = message.get("MessageAttributes", {}).get(_TRACEPARENT)
    return carried.get("StringValue") if carried else None


def _sendable(text: str) -> str:
    """SQS refuses some characters; a copy that cannot be sent would keep its message for ever."""
    return _NOT_SENDABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class stale_handle_is_fine:  # noqa: N801 - reads as a phrase in a with statement
    """Swallows SQS's refusal of an old receipt handle, which says only that someone else has the message now."""

    def __init__(self, verb: str) -> None:
        self._verb = verb

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, ClientError):
            return False
        code = error.response.get("Error", {}).get("Code", "")
        if code not in _STALE_HANDLE:
            return False
        _log.info("Could not %s a message: %s.", self._verb, code, extra={"action": "stale_receipt_handle"})
        return True
