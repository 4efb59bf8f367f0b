"""AWS by moto, in this process: its conditions are real, and hold between threads as DynamoDB takes one call at a time.

Races of several processes are in tests/system.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from flask import Flask
from flask.testing import FlaskClient
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from hybrid_ocr_api import create_app, identities, quotas
from hybrid_ocr_api.access import Scope
from hybrid_ocr_api.key_office import KeyOffice
from hybrid_ocr_api.key_store import KeyStore
from hybrid_ocr_api.patience import Patience
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.settings import ApiSettings, RetentionSettings, TenantLimits
from hybrid_ocr_api.token_settings import TokenSettings
from hybrid_ocr_api.waiting import Waiting
from hybrid_ocr_core import aws
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.batch_store import BatchStore
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.direct_upload_store import DirectUploadStore
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.idempotency import IdempotencyKeys
from hybrid_ocr_core.job import Lane, Retention
from hybrid_ocr_core.job_list import JobList
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.settings import AwsSettings, WebhookSettings
from tests.builders import LEASE, FakeClock
from tests.conformance import CheckedClient
from tests.receiver import Receiver, receiving

ROOT = Path(__file__).resolve().parent.parent
# Every test, whichever way it comes by an application.
Flask.test_client_class = CheckedClient

_REGION = "eu-central-1"
KEY = "a-key-of-the-tests"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()
MAX_UPLOAD_BYTES = 1 << 20
MAX_DIRECT_UPLOAD_BYTES = 2 << 20
MAX_BATCH_BYTES = 3 << 20
MAX_BATCH_FILES = 30
#: Jobs of a tenant in a lane.
PLACES = 100


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For pytest-xdist: a file's tests share a process, as they share fixtures; those of minutes each fill the gaps."""
    for item in items:
        if item.path.parent.name != "every_call":
            item.add_marker(pytest.mark.xdist_group(item.location[0]))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC))


@pytest.fixture
def one_call_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's tables know nothing of threads: two could win one condition, or change a dictionary that is being read."""
    process, lock = BotocoreStubber.process_request, threading.Lock()

    def in_turn(self: BotocoreStubber, request: AWSPreparedRequest) -> Any:
        with lock if "//dynamodb." in request.url else contextlib.nullcontext():
            return process(self, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", in_turn)


@pytest.fixture
def aws_settings(monkeypatch: pytest.MonkeyPatch, one_call_at_a_time: None) -> Iterator[AwsSettings]:
    """The real template, deployed to moto."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        formation = boto3.client("cloudformation", region_name=_REGION)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Tried to parse AWS::S3::BucketPolicy")  # moto knows none
            formation.create_stack(
                StackName="hybrid-ocr",
                TemplateBody=(ROOT / "infra" / "data-plane.yaml").read_text(),
                Parameters=[{"ParameterKey": "BucketName", "ParameterValue": "hybrid-ocr"}],
            )
        stack = formation.describe_stacks(StackName="hybrid-ocr")["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield AwsSettings(
            region=_REGION,
            bucket=outputs["BucketName"],
            table=outputs["TableName"],
            queue_urls={
                Lane.HIGH: outputs["HighQueueUrl"],
                Lane.NORMAL: outputs["QueueUrl"],
                Lane.LOW: outputs["LowQueueUrl"],
            },
            dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
            public_endpoint_url=None,
        )


@pytest.fixture
def clients(aws_settings: AwsSettings) -> AwsClients:
    return aws.connect(aws_settings)


@pytest.fixture
def store(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> JobStore:
    return JobStore(clients.dynamodb, aws_settings.table, lease=LEASE, attempt_budget=3, clock=clock)


@pytest.fixture
def queue(clients: AwsClients, aws_settings: AwsSettings) -> JobQueue:
    return JobQueue(clients.sqs, aws_settings.queue_urls, aws_settings.dead_letter_queue_url)


@pytest.fixture
def documents(clients: AwsClients, aws_settings: AwsSettings) -> DocumentStore:
    return DocumentStore(clients.s3, aws_settings.bucket)


@pytest.fixture
def places(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> Places:
    return Places(clients.dynamodb, aws_settings.table, most=PLACES, lease=LEASE, clock=clock)


@pytest.fixture
def contents() -> Contents | None:
    """None: most tests send the same bytes again and again, and mean it."""
    return None


@pytest.fixture
def dispatch(store: JobStore, queue: JobQueue, places: Places, contents: Contents | None, clock: FakeClock) -> Dispatch:
    return Dispatch(store, queue, places, contents, clock)


@pytest.fixture
def batches(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> BatchStore:
    return BatchStore(clients.dynamodb, aws_settings.table, clock)


@pytest.fixture
def tenant_limits() -> TenantLimits:
    return TenantLimits()


@pytest.fixture
def token_settings() -> TokenSettings | None:
    return None


@pytest.fixture
def endpoints(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> EndpointStore:
    return EndpointStore(clients.dynamodb, aws_settings.table, default_secrets=(WEBHOOK_SECRET,), clock=clock)


@pytest.fixture
def app(
    aws_settings: AwsSettings,
    clients: AwsClients,
    tenant_limits: TenantLimits,
    token_settings: TokenSettings | None,
    store: JobStore,
    batches: BatchStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    endpoints: EndpointStore,
    clock: FakeClock,
) -> Flask:
    settings = ApiSettings(
        aws=aws_settings,
        api_key=KEY,
        key_cache_seconds=30,
        tokens=token_settings,
        languages=("eng", "deu"),
        max_upload_bytes=MAX_UPLOAD_BYTES,
        max_direct_upload_bytes=MAX_DIRECT_UPLOAD_BYTES,
        upload_url_seconds=3600,
        max_batch_bytes=MAX_BATCH_BYTES,
        max_batch_files=MAX_BATCH_FILES,
        result_url_seconds=900,
        retention=RetentionSettings(usual=Retention(days=30, source_days=14), most_days=365),
        lease_seconds=60,
        tenant_jobs_in_lane=PLACES,
        tenant_limits=tenant_limits,
        deduplicate=False,
        webhooks=WebhookSettings(secrets=(WEBHOOK_SECRET,)),
        log_level="INFO",
    )
    services = Services(
        settings=settings,
        identities=identities(settings, clients.dynamodb, clock),
        quotas=quotas(settings, clients.dynamodb, clock),
        jobs=store,
        uploads=DirectUploadStore(clients.dynamodb, aws_settings.table),
        list=JobList(clients.dynamodb, aws_settings.table, store),
        batches=batches,
        keys=IdempotencyKeys(clients.dynamodb, aws_settings.table),
        queue=queue,
        documents=documents,
        dispatch=dispatch,
        endpoints=endpoints,
        waiting=Waiting(store.standings),
        patience=Patience(queue.depth, clock, run=lambda call: call()),
        clock=clock,
    )
    return create_app(settings, services)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Sends the right key with each request."""
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = KEY
    return client


@pytest.fixture
def other_client(app: Flask, clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> FlaskClient:
    """That of another tenant, with a key of the table."""
    office = KeyOffice(store=KeyStore(clients.dynamodb, aws_settings.table, clock), clock=clock)
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"], _ = office.create(tenant="globex", scopes=frozenset({Scope.ADMIN}), label="")
    return client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Of webhooks, on this machine."""
    with receiving() as found:
        yield found
