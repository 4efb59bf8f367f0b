"""Large documents: POST /uploads, the client's own POST to S3, and POST /jobs by the upload's id."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_core.aws import AwsClients
from tests.builders import START, Unread
from tests.conftest import MAX_DIRECT_UPLOAD_BYTES, MAX_UPLOAD_BYTES
from tests.faults import away

_PDF = b"%PDF-1.7 not parsed here"
_ANNOUNCED = {"filename": "scan.pdf", "bytes": len(_PDF), "media_type": "application/pdf"}


def _announce(client: FlaskClient, **changes: Any) -> TestResponse:
    return client.post("/uploads", json={**_ANNOUNCED, **changes})


def _code(response: TestResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.get_json()["code"]


def test_an_upload_is_a_form_for_a_key_of_the_tenants_own(client: FlaskClient) -> None:
    response = _announce(client)

    body = response.get_json()
    assert response.status_code == 201
    assert list(body) == ["upload_id", "url", "fields", "expires_at"]
    assert body["fields"]["key"] == f"uploads/default/{body['upload_id']}"
    assert body["fields"]["Content-Type"] == "application/pdf"
    assert body["url"].endswith("/hybrid-ocr")
    assert dt.datetime.fromisoformat(body["expires_at"]) == START + dt.timedelta(hours=1)


def test_each_upload_has_a_key_of_its_own(client: FlaskClient) -> None:
    ids = {_announce(client).get_json()["upload_id"] for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"bytes": 0}, 400, "file_empty"),
        ({"bytes": -1}, 400, "bad_request"),
        ({"bytes": "17"}, 400, "bad_request"),
        ({"bytes": True}, 400, "bad_request"),
        ({"bytes": 1.5}, 400, "bad_request"),
        ({"bytes": MAX_DIRECT_UPLOAD_BYTES + 1}, 413, "file_too_large"),
        ({"filename": None}, 400, "bad_request"),
        ({"media_type": "text/html"}, 415, "unsupported_media_type"),
        ({"media_type": ["application/pdf"]}, 415, "unsupported_media_type"),
        ({"languages": "eng"}, 400, "bad_request"),
    ],
)
def test_what_would_be_refused_later_is_refused_now(
    client: FlaskClient, clients: AwsClients, changes: dict[str, Any], status: int, code: str
) -> None:
    assert _code(_announce(client, **changes)) == (status, code)
    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []


def test_it_may_be_larger_than_what_the_api_takes_itself(client: FlaskClient) -> None:
    assert MAX_DIRECT_UPLOAD_BYTES > MAX_UPLOAD_BYTES
    assert _announce(client, bytes=MAX_DIRECT_UPLOAD_BYTES).status_code == 201


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '{"filename":"a"}'])
def test_anything_but_such_an_object_is_refused(client: FlaskClient, body: str) -> None:
    assert _code(client.post("/uploads", data=body, content_type="application/json")) == (400, "bad_request")
    assert _code(client.post("/uploads", data=body)) == (400, "bad_request")


def test_a_body_that_is_too_long_is_not_read(client: FlaskClient) -> None:
    response = client.post(
        "/uploads",
        input_stream=Unread(),
        environ_overrides={"CONTENT_LENGTH": str(1 << 20)},
        content_type="application/json",
    )

    assert _code(response) == (413, "file_too_large")


@pytest.mark.failure(41)
def test_with_the_table_away_there_is_no_upload(client: FlaskClient, clients: AwsClients) -> None:
    with away(clients.dynamodb):
        assert _code(_announce(client)) == (503, "unavailable")
