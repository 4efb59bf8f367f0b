"""The boto3 clients: region, time-outs, retries. The only place that makes one.

Time-outs are short, because a call that hangs holds a lease or a client: connect 2 s (which is also the longest that
one block of an upload may take), read 5 s for DynamoDB and SQS, 10 s for S3. Only the long poll waits longer, through a
client of its own. What a time-out cannot see, bytes that trickle, ``transfer`` ends.

Each call is tried again at one layer only. For all but the long poll that is botocore's ``standard`` mode: three
sends in all, full jitter over a window that doubles (50 ms at first, 25 ms for DynamoDB, 1 s where the service
throttles), and a quota that ends retries altogether in a long outage. So a silent DynamoDB or SQS is told in 15 s, a
silent S3 in 30 s. The long poll is sent once, for the consumer's loop is its retry. What still fails surfaces as
``errors.Unavailable``: the work is given back, and nothing above calls again in place.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from hybrid_ocr_core.errors import HybridOcrError, Unavailable
from hybrid_ocr_core.settings import AwsSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONNECT_SECONDS = 2
_READ_SECONDS = {"dynamodb": 5, "sqs": 5, "s3": 10}
#: Longer than ``job_queue.LONG_POLL_SECONDS``.
_LONG_POLL_READ_SECONDS = 25
_SENDS = 3
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsClients:
    """One of each; boto3 clients may be shared between threads.

    ``s3_public`` only signs URLs for clients; ``sqs_long_poll`` only waits for messages.
    """

    s3: S3Client
    s3_public: S3Client
    dynamodb: DynamoDBClient
    sqs: SQSClient
    sqs_long_poll: SQSClient


def connect(settings: AwsSettings) -> AwsClients:
    """Make the clients; nothing is sent yet."""
    session = boto3.session.Session(region_name=settings.region)
    s3 = session.client("s3", config=_config("s3"))
    public = settings.public_endpoint_url
    return AwsClients(
        s3=s3,
        s3_public=session.client("s3", config=_config("s3"), endpoint_url=public) if public else s3,
        dynamodb=session.client("dynamodb", config=_config("dynamodb")),
        sqs=session.client("sqs", config=_config("sqs")),
        sqs_long_poll=session.client("sqs", config=_config("sqs", read_seconds=_LONG_POLL_READ_SECONDS, sends=1)),
    )


def _config(service: str, *, read_seconds: float | None = None, sends: int = _SENDS) -> Config:
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds or _READ_SECONDS[service],
        retries={"mode": "standard", "total_max_attempts": sends},
        max_pool_connections=_CONNECTIONS,
        # SigV4: the default for presigned S3 URLs is SigV2 in some regions, which leaves headers unsigned.
        signature_version="s3v4" if service == "s3" else None,
        # Path style is understood by AWS and by every emulator; a virtual host needs DNS for each bucket.
        s3={"addressing_style": "path"} if service == "s3" else None,
    )


@contextmanager
def unavailable_on_error(part: str) -> Iterator[None]:
    """Turn what botocore raises after its own retries into ``Unavailable``.

    A caller that knows a particular ClientError (a failed condition, a missing key) handles it inside the block.
    Everything else, a refused signature or a missing table included, is a matter of the installation and not of
    the document, so the work is kept and tried again.
    """
    try:
        yield
    except ClientError as error:
        raise Unavailable(part, error.response.get("Error", {}).get("Code", "ClientError")) from error
    except BotoCoreError as error:
        # What a body raised while it was sent (too slow, or not wanted any more) comes wrapped.
        cause = error.kwargs.get("error")
        if isinstance(cause, HybridOcrError):
            raise cause from error
        raise Unavailable(part, type(error).__name__) from error
    except HTTPError as error:
        # From reading a body as it arrives, which botocore does not watch.
        raise Unavailable(part, type(error).__name__) from error
