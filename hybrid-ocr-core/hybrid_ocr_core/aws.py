"""The boto3 clients: region, time-outs, retries. The only place that makes one.

Time-outs are short, because a call that hangs holds a lease: connect 2 s; read 5 s for DynamoDB, 25 s for SQS (it
must exceed the 20 s long poll), 60 s for S3. Retries happen at this one layer: botocore's ``standard`` mode, three
attempts with backoff and jitter; what still fails surfaces as ``errors.Unavailable``.
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

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.settings import AwsSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONNECT_SECONDS = 2
_READ_SECONDS = {"dynamodb": 5, "sqs": 25, "s3": 60}
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsClients:
    """One of each; boto3 clients may be shared between threads. ``s3_public`` only signs URLs for clients."""

    s3: S3Client
    s3_public: S3Client
    dynamodb: DynamoDBClient
    sqs: SQSClient


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
    )


def _config(service: str) -> Config:
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS[service],
        retries={"mode": "standard", "total_max_attempts": 3},
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
        raise Unavailable(part, type(error).__name__) from error
