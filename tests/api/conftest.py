"""The API on moto."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hybrid_ocr_api import create_app
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import FakeClock

KEY = "a-key-of-the-tests"
MAX_UPLOAD_BYTES = 1 << 20


@pytest.fixture
def app(
    aws_settings: AwsSettings, store: JobStore, queue: JobQueue, documents: DocumentStore, clock: FakeClock
) -> Flask:
    settings = ApiSettings(
        aws=aws_settings,
        api_key=KEY,
        languages=("eng", "deu"),
        max_upload_bytes=MAX_UPLOAD_BYTES,
        result_url_seconds=900,
        lease_seconds=60,
        log_level="INFO",
    )
    services = Services(settings=settings, jobs=store, queue=queue, documents=documents, clock=clock)
    return create_app(settings, services)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Sends the right key with each request."""
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = KEY
    return client
