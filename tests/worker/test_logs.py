"""Nothing of a document, its name, its label, a key or a URL is ever logged: canaries in every field."""

from __future__ import annotations

import io
import json
import logging

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.logs import JsonFormatter
from hybrid_ocr_worker.processing import Processor
from tests import make_documents
from tests.conftest import KEY
from tests.make_documents import GENERATED, LINES


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (GENERATED["scan.pdf"](), "DONE"),
        (GENERATED["born-digital.pdf"](), "DONE"),
        (GENERATED["truncated.pdf"](), "FAILED"),
        (make_documents.turned_pixels(180)[:9000], "FAILED"),
    ],
    ids=["scan", "born-digital", "truncated", "broken-image"],
)
def test_no_log_line_holds_anything_of_the_document_or_the_caller(
    client: FlaskClient,
    queue: JobQueue,
    real_processor: Processor,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
    status: str,
) -> None:
    caplog.set_level(logging.DEBUG, logger="hybrid_ocr_api")
    caplog.set_level(logging.DEBUG, logger="hybrid_ocr_core")
    caplog.set_level(logging.DEBUG, logger="hybrid_ocr_worker")
    accepted = client.post(
        "/jobs",
        data={"file": (io.BytesIO(content), "canary-name.pdf"), "client_reference": "canary-reference"},
        headers={
            "User-Agent": "canary-agent",
            "X-Request-Id": "canary request",
            "traceparent": "canary-trace",
            "Idempotency-Key": "canary-of-idempotency",
        },
    )
    client.post("/jobs", data={"mode": "canary-mode", "canary-field": "1"}, headers={"x-api-key": "canary-key"})
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    real_processor.process(message)
    shown = client.get(f"/jobs/{accepted.get_json()['job_id']}").get_json()

    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("hybrid_ocr")]
    assert shown["status"] == status
    assert any(json.loads(line).get("action") in {"job_finished", "job_failed"} for line in lines)
    for secret in ("canary", KEY, "X-Amz", *LINES):
        assert not any(secret in line for line in lines), secret


def test_a_line_break_in_a_message_forges_no_log_line() -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "one\ntwo %s", ("three\r\n{",), None)

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line)["message"] == "one\ntwo three\r\n{"
