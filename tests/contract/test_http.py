"""Rules that hold for every route, read from the route table."""

from __future__ import annotations

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
