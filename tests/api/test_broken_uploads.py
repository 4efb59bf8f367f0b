"""A client that goes away in the middle, and one that comes again because it got no answer."""

from __future__ import annotations

import io

import pytest
from flask.testing import FlaskClient
from werkzeug.test import encode_multipart

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.job_store import JobStore


@pytest.mark.failure(1)
def test_a_body_that_is_cut_anywhere_leaves_nothing(client: FlaskClient, clients: AwsClients) -> None:
    file = (io.BytesIO(b"%PDF-1.7 " + bytes(200)), "a.pdf")
    boundary, body = encode_multipart({"mode": "auto", "file": file})
    for sent in range(0, len(body), 7):
        response = client.post(
            "/jobs",
            input_stream=io.BytesIO(body[:sent]),
            content_type=f"multipart/form-data; boundary={boundary}",
            content_length=len(body),
        )
        assert response.status_code == 400, sent

    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="hybrid-ocr")


@pytest.mark.failure(5)
def test_a_client_that_got_no_answer_and_submits_again_has_two_jobs(
    client: FlaskClient, clients: AwsClients, store: JobStore
) -> None:
    """Until requests can carry a key of the client's own, nobody can tell this from two wishes."""
    first, second = (
        client.post("/jobs", data={"file": (io.BytesIO(b"%PDF-1.7"), "a.pdf")}).get_json()["job_id"] for _ in range(2)
    )

    assert first != second
    items = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    assert len([item for item in items if item["sk"]["S"] == "META"]) == 2
