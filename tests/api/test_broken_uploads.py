"""A client that goes away in the middle, and one that comes again because it got no answer."""

from __future__ import annotations

import io
import socket
import time

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from hybrid_ocr_api import slow_clients
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.job_store import JobStore


def _file(content: bytes) -> FileStorage:
    return FileStorage(io.BytesIO(content), filename="a.pdf")


@pytest.mark.failure(1)
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")  # Werkzeug leaves the part's to the interpreter
def test_a_body_that_is_cut_anywhere_leaves_nothing(client: FlaskClient, clients: AwsClients) -> None:
    boundary, body = encode_multipart({"mode": "auto", "file": _file(b"%PDF-1.7 " + bytes(200))})
    # What lacks but the end of the last line is whole.
    for sent in range(0, len(body) - len(b"\r\n"), 7):
        response = client.post(
            "/jobs",
            input_stream=io.BytesIO(body[:sent]),
            content_type=f"multipart/form-data; boundary={boundary}",
            content_length=len(body),
        )
        assert response.status_code == 400, sent

    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="hybrid-ocr")


@pytest.mark.failure(1)
@pytest.mark.parametrize("name", ["IDLE_SECONDS", "GRACE_SECONDS"])
def test_a_client_that_stops_in_the_middle_of_its_body_keeps_nobody_waiting(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By the time in which nothing comes, or by that of the whole."""
    monkeypatch.setattr(slow_clients, name, 0.1)
    here, there = socket.socketpair()
    with here, there, here.makefile("rb", buffering=0) as body:
        there.sendall(b"--x\r\n")
        response = client.post(
            "/jobs",
            environ_overrides={"gunicorn.socket": here, "wsgi.input": body},
            content_type="multipart/form-data; boundary=x",
            content_length=1000,
        )

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")


def test_a_client_that_is_done_is_not_cut(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "GRACE_SECONDS", 0.1)
    boundary, body = encode_multipart({"file": _file(b"%PDF-1.7")})
    here, there = socket.socketpair()
    with here, there:
        response = client.post(
            "/jobs",
            environ_overrides={"gunicorn.socket": here},
            input_stream=io.BytesIO(body),
            content_type=f"multipart/form-data; boundary={boundary}",
            content_length=len(body),
        )
        time.sleep(0.3)
        there.sendall(b"the next request")
        assert here.recv(99) == b"the next request"

    assert response.status_code == 202


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
