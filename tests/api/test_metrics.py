"""What is counted of requests, and who may see it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from hybrid_ocr_api import create_app
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import JobQueue
from tests.make_documents import GENERATED
from tests.observed import counted

_HTTP = "hybrid_ocr_http_requests_total"


def _answered(grown: dict[str, float]) -> dict[str, float]:
    """Less the sums, which are times."""
    return {name: value for name, value in grown.items() if "_sum{" not in name}


def test_a_submission_is_counted_with_its_bytes(client: FlaskClient) -> None:
    content = GENERATED["born-digital.pdf"]()
    with counted("hybrid_ocr") as grown:
        client.post("/jobs", data={"file": (io.BytesIO(content), "a.pdf"), "priority": "high"})

    assert grown.pop("hybrid_ocr_submitted_bytes_sum{}") == len(content)
    assert _answered(grown) == {
        _HTTP + "{route=/jobs,method=POST,status=202}": 1,
        "hybrid_ocr_http_request_seconds_count{route=/jobs,method=POST}": 1,
        "hybrid_ocr_job_transitions_total{transition=create,state=QUEUED,lane=high}": 1,
        "hybrid_ocr_submitted_bytes_count{}": 1,
    }


def test_requests_are_counted_by_the_pattern_of_their_route(client: FlaskClient) -> None:
    with counted(_HTTP) as grown:
        for number in range(3):
            client.get(f"/jobs/{number:032x}")

    assert grown == {_HTTP + "{route=/jobs/<job_id>,method=GET,status=404}": 3}


def test_what_a_client_makes_up_is_no_label(app: Flask, client: FlaskClient) -> None:
    with counted(_HTTP) as grown:
        client.get("/canary")
        client.open("/jobs", method="CANARY")
        app.test_client().get("/canary")

    assert grown == {
        _HTTP + "{route=other,method=GET,status=404}": 1,
        _HTTP + "{route=other,method=other,status=405}": 1,
        _HTTP + "{route=other,method=GET,status=401}": 1,
    }


def test_a_defect_is_counted(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(app.extensions["hybrid_ocr"].jobs.__class__, "get", explode)
    with counted(_HTTP) as grown:
        client.get(f"/jobs/{'0' * 32}")

    assert grown == {_HTTP + "{route=/jobs/<job_id>,method=GET,status=500}": 1}


def test_the_metrics_need_the_key_unless_they_are_open(app: Flask, client: FlaskClient) -> None:
    services = app.extensions["hybrid_ocr"]
    opened = create_app(replace(services.settings, metrics_open=True), services)
    opened.extensions["hybrid_ocr"] = replace(services, settings=replace(services.settings, metrics_open=True))

    assert app.test_client().get("/metrics").status_code == 401
    assert client.get("/metrics").status_code == 200
    assert opened.test_client().get("/metrics").status_code == 200
    assert opened.test_client().get("/jobs").status_code == 401
    for whose, security in ((app, [{"apiKey": ["admin"]}]), (opened, [])):
        document = whose.test_client().get("/openapi.json").get_json()
        assert document["paths"]["/metrics"]["get"]["security"] == security


def test_the_metrics_are_in_the_format_of_prometheus_and_name_nobody(client: FlaskClient) -> None:
    accepted = client.post(
        "/jobs",
        data={"file": (io.BytesIO(GENERATED["born-digital.pdf"]()), "canary.pdf"), "client_reference": "canary"},
    )
    job_id = accepted.get_json()["job_id"]
    client.get(f"/jobs/{job_id}")
    answer = client.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert answer.content_type.startswith("text/plain")
    assert families["hybrid_ocr_http_requests"].type == "counter"
    assert families["hybrid_ocr_http_request_seconds"].type == "histogram"
    assert all(name.startswith("hybrid_ocr_") for name in families)
    assert job_id not in answer.text
    assert "canary" not in answer.text


def test_an_accepted_job_keeps_the_trace_of_its_request_and_its_message_carries_it(
    app: Flask, client: FlaskClient, queue: JobQueue
) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = f"00-{trace_id}-00f067aa0ba902b7-01"

    accepted = client.post(
        "/jobs",
        data={"file": (io.BytesIO(GENERATED["born-digital.pdf"]()), "a.pdf")},
        headers={"traceparent": header},
    )
    message = queue.receive(visibility_seconds=60, wait_seconds=0)

    job = app.extensions["hybrid_ocr"].jobs.get(JobId(tenant="default", job_id=accepted.get_json()["job_id"]))
    assert message is not None
    assert message.traceparent == job.traceparent
    assert job.traceparent.startswith(f"00-{trace_id}-")
    assert job.traceparent.endswith("-01")
    assert job.traceparent != header
