"""Rules that hold for every route, read from the route table."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hybrid_ocr_api.errors import PROBLEMS
from hybrid_ocr_core.errors import REQUEST_CODES


def test_an_unknown_path_tells_a_stranger_nothing(app: Flask) -> None:
    assert app.test_client().get("/nothing").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/jobs", 405, "bad_request"),
        ("GET", f"/jobs/{'0' * 32}", 404, "not_found"),
        ("POST", "/jobs", 400, "file_missing"),
    ],
)
def test_every_error_has_the_one_shape(
    client: FlaskClient,
    method: str,
    path: str,
    status: int,
    code: str,
) -> None:
    response = client.open(path, method=method)

    body = response.get_json()
    assert response.content_type == "application/problem+json"
    assert set(body) == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert (body["status"], body["code"], body["instance"]) == (status, code, path)
    assert response.status_code == status
    assert response.headers["X-Request-Id"] == body["request_id"]


_ODD_JSON = (
    "[" * 50_000,
    '{"a":' * 10_000,
    '{"bytes": ' + "9" * 5000 + "}",
    '{"retention_days": true}',
    '{"retention_days": "30"}',
    '{"retention_days": 1e999}',
    '{"client_reference": "\\ud800"}',
    '{"client_reference": 7}',
    '{"pages": NaN}',
    '{"mode": {}}',
    "null",
    "\x00",
)


@pytest.mark.parametrize("path", ["/uploads", "/jobs", "/jobs/{job_id}/rerun"])
def test_odd_json_is_refused_and_breaks_nothing(client: FlaskClient, path: str) -> None:
    sent = client.post("/jobs", data={"file": (io.BytesIO(b"%PDF-1.7 stub"), "a.pdf")}).get_json()["job_id"]

    for body in _ODD_JSON:
        response = client.post(path.format(job_id=sent), data=body, content_type="application/json")
        assert (response.status_code, response.get_json()["code"]) == (400, "bad_request"), body[:24]


def test_json_by_another_name_is_refused(client: FlaskClient) -> None:
    response = client.post("/uploads", data="{}", content_type="text/plain")

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "QUERY", "PROPFIND"])
def test_a_method_that_there_is_not_is_told_with_those_that_there_are(client: FlaskClient, method: str) -> None:
    for path in ("/jobs", "/uploads", "/batches", "/health", "/docs", f"/jobs/{'0' * 32}/rerun"):
        response = client.open(path, method=method)
        assert response.status_code == 405
        assert {"GET", "POST"} & set(response.headers["Allow"].split(", ")), path


def test_an_unexpected_error_shows_nothing_of_the_inside(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(app.extensions["hybrid_ocr"].jobs.__class__, "get", explode)
    response = client.get(f"/jobs/{'0' * 32}")

    assert (response.status_code, response.get_json()["code"]) == (500, "internal")
    assert "canary" not in response.text


def test_every_response_has_the_security_headers(client: FlaskClient) -> None:
    for path in ("/health", "/nothing", "/jobs"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"


def test_the_codes_of_requests_are_those_that_have_a_problem() -> None:
    assert set(PROBLEMS) - {"internal"} == REQUEST_CODES
