"""POST /jobs: what is accepted, in which order, and what is refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.job import JobId, JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from tests.builders import Unread
from tests.conftest import MAX_UPLOAD_BYTES
from tests.faults import away
from tests.observed import code_of, stored

_PDF = b"%PDF-1.7 not parsed here"


def _post(client: FlaskClient, content: bytes = _PDF, name: str = "invoice.pdf", **fields: Any) -> TestResponse:
    return client.post("/jobs", data={"file": (io.BytesIO(content), name), **fields})


def test_a_document_is_accepted_and_lies_in_bucket_table_and_queue(
    client: FlaskClient, clients: AwsClients, store: JobStore, queue: JobQueue
) -> None:
    response = _post(client, languages="deu+eng", mode="force", outputs="txt", pages="1-2", client_reference="order 7")

    body = response.get_json()
    job_id = JobId(tenant="default", job_id=body["job_id"])
    job = store.get(job_id)
    message = queue.receive(visibility_seconds=30, wait_seconds=0)
    assert (response.status_code, body["status"]) == (202, "QUEUED")
    assert response.headers["Location"] == f"/jobs/{body['job_id']}"
    assert response.headers["Retry-After"].isdigit()
    assert (job.options.languages, job.options.mode, str(job.options.pages)) == (("deu", "eng"), "force", "1-2")
    assert (job.document.filename, job.client_reference) == ("invoice.pdf", "order 7")
    assert list(stored(clients)) == [f"jobs/default/{body['job_id']}/source"]
    assert message is not None
    assert message.work() == job_id


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "wrong"}, {"x-api-key": "\xfc" * 18}])
def test_no_or_a_wrong_key_is_unauthorized(client: FlaskClient, headers: dict[str, str]) -> None:
    client.environ_base.pop("HTTP_X_API_KEY")

    response = client.post("/jobs", data={"file": (io.BytesIO(_PDF), "a.pdf")}, headers=headers)

    assert code_of(response) == (401, "unauthorized")


def test_a_form_of_another_kind_is_not_read_either(client: FlaskClient) -> None:
    response = client.post(
        "/jobs",
        input_stream=Unread(),
        environ_overrides={"CONTENT_LENGTH": "1000"},
        content_type="application/x-www-form-urlencoded",
    )

    assert code_of(response) == (400, "file_missing")


def test_a_request_without_a_file_is_refused(client: FlaskClient) -> None:
    assert code_of(client.post("/jobs", data={"languages": "eng"})) == (400, "file_missing")
    assert code_of(client.post("/jobs", data=b"raw", content_type="application/pdf")) == (400, "file_missing")
    assert code_of(client.post("/jobs")) == (400, "file_missing")


@pytest.mark.parametrize("path", ["/jobs", "/batches"])
def test_a_file_that_came_as_text_is_missing(client: FlaskClient, path: str) -> None:
    response = client.post(path, data={"file": "scan.pdf"}, content_type="multipart/form-data")

    assert code_of(response) == (400, "file_missing")
    assert "came as text" in response.get_json()["detail"]


def test_who_sends_an_unknown_field_learns_of_all_that_are_known(client: FlaskClient) -> None:
    job = _post(client, langauges="eng").get_json()["detail"]
    batch = client.post("/batches", data={"file": (io.BytesIO(_PDF), "a.pdf"), "upload_id": "x"}).get_json()["detail"]

    assert "client_reference, file, languages" in job
    assert "upload_id, webhook_url" in job
    assert "'upload_id' is unknown; known are: client_reference, file, languages" in batch


def test_an_empty_file_is_refused(client: FlaskClient) -> None:
    assert code_of(_post(client, b"")) == (400, "file_empty")


def test_a_file_at_the_limit_is_taken_and_one_byte_more_is_not(client: FlaskClient) -> None:
    at_limit = b"%PDF-" + bytes(MAX_UPLOAD_BYTES - 5)

    assert _post(client, at_limit).status_code == 202
    assert code_of(_post(client, at_limit + b"x")) == (413, "file_too_large")


def test_a_body_far_over_the_limit_is_refused_before_it_is_read(client: FlaskClient) -> None:
    body = b"--x\r\n" + bytes(3 * MAX_UPLOAD_BYTES)

    assert code_of(client.post("/jobs", data=body, content_type="multipart/form-data; boundary=x")) == (
        413,
        "file_too_large",
    )


@pytest.mark.parametrize(
    ("path", "request_", "told"),
    [
        ("/jobs", {"data": bytes(2 * MAX_UPLOAD_BYTES), "content_type": "multipart/form-data; boundary=x"}, "is 1 MB"),
        ("/jobs", {"data": {f"f{n}": "x" for n in range(30)}, "content_type": "multipart/form-data"}, "too many parts"),
        ("/uploads", {"json": {"filename": "x" * (65 << 10)}}, "is 64 kB"),
    ],
)
def test_who_sends_too_much_is_told_what_is_too_much(
    client: FlaskClient, path: str, request_: dict[str, Any], told: str
) -> None:
    response = client.post(path, **request_)

    assert code_of(response) == (413, "file_too_large")
    assert told in response.get_json()["detail"]


@pytest.mark.parametrize("content", [b"plain text", b"PK\x03\x04 office", b"<html></html>", b"\x00"])
def test_content_that_is_no_document_is_refused_whatever_its_name(client: FlaskClient, content: bytes) -> None:
    assert code_of(_post(client, content, "really.pdf")) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("field", "value", "status", "code"),
    [
        ("languages", "eng+xxx", 422, "unsupported_language"),
        ("mode", "fast", 400, "bad_request"),
        ("outputs", "docx", 400, "bad_request"),
        ("pages", "5-1", 400, "bad_request"),
        ("client_reference", "x" * 257, 400, "bad_request"),
        ("client_reference", "a\x00b", 400, "bad_request"),
        ("langauges", "eng", 400, "bad_request"),
    ],
)
def test_a_bad_option_is_refused(client: FlaskClient, field: str, value: str, status: int, code: str) -> None:
    response = _post(client, _PDF, **{field: value})

    assert code_of(response) == (status, code)
    assert field in response.get_json()["detail"] or code == "unsupported_language"


def test_an_option_given_twice_is_refused(client: FlaskClient) -> None:
    assert code_of(_post(client, mode=["auto", "force"])) == (400, "bad_request")


def test_a_refused_document_leaves_nothing(client: FlaskClient, clients: AwsClients, queue: JobQueue) -> None:
    _post(client, b"plain text")
    _post(client, mode="fast")

    assert stored(clients) == {}
    assert queue.receive(visibility_seconds=30, wait_seconds=0) is None


@pytest.mark.failure(40)
def test_with_the_bucket_away_nothing_is_accepted(client: FlaskClient, clients: AwsClients) -> None:
    with away(clients.s3):
        response = _post(client)

    assert code_of(response) == (503, "unavailable")
    assert response.headers["Retry-After"].isdigit()
    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []


@pytest.mark.failure(41)
def test_with_the_table_away_nothing_is_accepted(client: FlaskClient, clients: AwsClients, queue: JobQueue) -> None:
    with away(clients.dynamodb):
        response = _post(client)

    assert code_of(response) == (503, "unavailable")
    assert queue.receive(visibility_seconds=30, wait_seconds=0) is None


@pytest.mark.failure(8, 42)
def test_with_the_queue_away_the_job_is_accepted_all_the_same(
    client: FlaskClient, clients: AwsClients, store: JobStore
) -> None:
    with away(clients.sqs):
        response = _post(client)

    assert response.status_code == 202
    assert store.get(JobId(tenant="default", job_id=response.get_json()["job_id"])).status is JobStatus.QUEUED


@pytest.mark.parametrize("name", ["../../etc/passwd.pdf", "dir/passwd.pdf", "pass\x07wd.pdf", " passwd.pdf "])
def test_a_file_name_keeps_its_last_part_only(client: FlaskClient, name: str) -> None:
    shown = _post(client, name=name).get_json()["document"]["filename"]

    assert shown == "passwd.pdf"
