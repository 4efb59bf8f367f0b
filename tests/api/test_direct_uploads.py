"""Large documents: POST /uploads, the client's own POST to S3, and POST /jobs by the upload's id."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_api.settings import TenantLimits
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.direct_upload import USABLE, DirectUpload, UploadId
from hybrid_ocr_core.direct_upload_store import DirectUploadStore
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from tests.builders import START, FakeClock, Unread
from tests.conftest import KEY, MAX_DIRECT_UPLOAD_BYTES, MAX_UPLOAD_BYTES
from tests.faults import away, away_after, lost_response
from tests.observed import code_of, sent_jobs, stored

_PDF = b"%PDF-1.7 not parsed here"
_ANNOUNCED = {"filename": "scan.pdf", "bytes": len(_PDF), "media_type": "application/pdf"}


def _announce(client: FlaskClient, **changes: Any) -> TestResponse:
    return client.post("/uploads", json={**_ANNOUNCED, **changes})


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
        ({"media_type": ["application/pdf"]}, 400, "bad_request"),
        ({"languages": "eng"}, 400, "bad_request"),
    ],
)
def test_what_would_be_refused_later_is_refused_now(
    client: FlaskClient, clients: AwsClients, changes: dict[str, Any], status: int, code: str
) -> None:
    assert code_of(_announce(client, **changes)) == (status, code)
    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []


def test_it_may_be_larger_than_what_the_api_takes_itself(client: FlaskClient) -> None:
    assert MAX_DIRECT_UPLOAD_BYTES > MAX_UPLOAD_BYTES
    assert _announce(client, bytes=MAX_DIRECT_UPLOAD_BYTES).status_code == 201


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '{"filename":"a"}'])
def test_anything_but_such_an_object_is_refused(client: FlaskClient, body: str) -> None:
    assert code_of(client.post("/uploads", data=body, content_type="application/json")) == (400, "bad_request")
    assert code_of(client.post("/uploads", data=body)) == (400, "bad_request")


def test_a_body_that_is_too_long_is_not_read(client: FlaskClient) -> None:
    response = client.post(
        "/uploads",
        input_stream=Unread(),
        environ_overrides={"CONTENT_LENGTH": str(1 << 20)},
        content_type="application/json",
    )

    assert code_of(response) == (413, "file_too_large")


@pytest.mark.failure(41)
def test_with_the_table_away_there_is_no_upload(client: FlaskClient, clients: AwsClients) -> None:
    with away(clients.dynamodb):
        assert code_of(_announce(client)) == (503, "unavailable")


# --- submitting it


@pytest.fixture
def sent(client: FlaskClient, clients: AwsClients) -> str:
    """The id of an upload whose file is in S3."""
    return _send(client, clients, _PDF)


def _send(client: FlaskClient, clients: AwsClients, content: bytes, **announced: Any) -> str:
    body = _announce(client, **{"bytes": len(content), **announced}).get_json()
    _put(clients, body["fields"]["key"], content)
    return str(body["upload_id"])


def _put(clients: AwsClients, key: str, content: bytes) -> None:
    """As the client's POST; tests/system sends one."""
    clients.s3.put_object(Bucket="hybrid-ocr", Key=key, Body=content)


def _submit(client: FlaskClient, upload_id: str, key: str | None = None, **fields: Any) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    form = {"upload_id": upload_id, **fields}
    return client.post("/jobs", data=form, headers=headers, content_type="multipart/form-data")


def _jobs(clients: AwsClients) -> list[str]:
    items = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    return [item["job_id"]["S"] for item in items if item["sk"]["S"] == "META"]


def test_an_upload_is_accepted_as_the_file_itself_would_be(
    client: FlaskClient, clients: AwsClients, queue: JobQueue, sent: str
) -> None:
    response = _submit(client, sent, languages="deu", client_reference="order 7")

    job = response.get_json()
    document = {"filename": "scan.pdf", "media_type": "application/pdf", "bytes": len(_PDF), "pages": None}
    assert (response.status_code, job["status"], job["client_reference"]) == (202, "QUEUED", "order 7")
    assert job["options"]["languages"] == "deu"
    assert job["document"] == {**document, "sha256": hashlib.sha256(_PDF).hexdigest()}
    assert response.headers["Location"] == f"/jobs/{job['job_id']}"
    assert stored(clients) == {f"jobs/default/{job['job_id']}/source": _PDF}
    assert sent_jobs(queue) == [job["job_id"]]


def test_it_may_be_submitted_in_json(client: FlaskClient, clients: AwsClients, store: JobStore, sent: str) -> None:
    body = {"upload_id": sent, "languages": ["deu", "eng"], "outputs": ["txt"], "pages": "1-2", "webhook_url": None}
    response = client.post("/jobs", json=body)

    assert response.status_code == 202, response.text
    job = store.get(JobId(tenant="default", job_id=response.get_json()["job_id"]))
    assert (job.options.languages, job.options.outputs, str(job.options.pages)) == (
        ("deu", "eng"),
        ("json", "txt"),
        "1-2",
    )


@pytest.mark.parametrize("body", ["{", "[]", '{"upload_id": {}}', '{"upload_id": "x", "mode": true}'])
def test_json_that_says_nothing_is_refused(client: FlaskClient, body: str) -> None:
    assert code_of(client.post("/jobs", data=body, content_type="application/json")) == (400, "bad_request")


def test_there_is_a_file_or_an_upload_and_not_both_or_neither(
    client: FlaskClient, clients: AwsClients, sent: str
) -> None:
    both = client.post("/jobs", data={"file": (io.BytesIO(_PDF), "a.pdf"), "upload_id": sent})
    neither = client.post("/jobs", json={"mode": "force"})
    twice = client.post("/jobs", data={"upload_id": [sent, sent]}, content_type="multipart/form-data")

    assert code_of(both) == code_of(twice) == (400, "bad_request")
    assert code_of(neither) == (400, "file_missing")
    assert _jobs(clients) == []
    assert _submit(client, sent).status_code == 202


def test_a_batch_takes_files_only(client: FlaskClient, sent: str) -> None:
    form = {"file": (io.BytesIO(_PDF), "a.pdf"), "upload_id": sent}

    assert code_of(client.post("/batches", data=form)) == (400, "bad_request")


@pytest.mark.parametrize("upload_id", ["0" * 32, "", "x", "../../jobs/x", "a#b"])
def test_an_unknown_upload_is_not_found(client: FlaskClient, upload_id: str) -> None:
    assert code_of(_submit(client, upload_id)) == (404, "not_found")


def test_another_tenants_upload_is_not_found_and_stays_theirs(
    client: FlaskClient, other_client: FlaskClient, sent: str
) -> None:
    assert code_of(_submit(other_client, sent)) == (404, "not_found")
    assert _submit(client, sent).status_code == 202


def test_what_has_not_arrived_can_be_submitted_when_it_has(client: FlaskClient, clients: AwsClients) -> None:
    announced = _announce(client).get_json()

    assert code_of(_submit(client, announced["upload_id"])) == (409, "upload_incomplete")
    _put(clients, announced["fields"]["key"], _PDF)
    assert _submit(client, announced["upload_id"]).status_code == 202


@pytest.mark.parametrize(
    ("size", "status", "code"), [(len(_PDF) - 1, 413, "file_too_large"), (len(_PDF) + 1, 409, "upload_incomplete")]
)
def test_a_size_that_was_not_announced_is_refused_where_s3_let_it_in(
    client: FlaskClient, clients: AwsClients, size: int, status: int, code: str
) -> None:
    upload_id = _send(client, clients, _PDF, bytes=size)

    assert code_of(_submit(client, upload_id)) == (status, code)
    assert _jobs(clients) == []


@pytest.mark.parametrize("content", [b"plain text", b"PK\x03\x04 office", b"\x00"])
def test_what_is_no_document_is_refused_whatever_was_announced(
    client: FlaskClient, clients: AwsClients, content: bytes
) -> None:
    upload_id = _send(client, clients, content)

    assert code_of(_submit(client, upload_id)) == (415, "unsupported_media_type")
    assert list(stored(clients)) == [f"uploads/default/{upload_id}"]  # no copy of it


def test_the_content_tells_what_it_is(client: FlaskClient, clients: AwsClients) -> None:
    upload_id = _send(client, clients, b"\x89PNG\r\n\x1a\n picture")

    assert _submit(client, upload_id).get_json()["document"]["media_type"] == "image/png"


def test_an_upload_is_used_once(client: FlaskClient, clients: AwsClients, queue: JobQueue, sent: str) -> None:
    job = _submit(client, sent).get_json()["job_id"]

    again = _submit(client, sent)

    assert code_of(again) == (409, "upload_used")
    assert job in again.get_json()["detail"]
    assert _jobs(clients) == sent_jobs(queue) == [job]


def test_a_day_later_it_is_over(client: FlaskClient, clients: AwsClients, clock: FakeClock, sent: str) -> None:
    clock.advance(USABLE.total_seconds())

    assert code_of(_submit(client, sent)) == (410, "upload_expired")
    assert _jobs(clients) == []


@pytest.mark.failure(39)
def test_what_is_sent_after_the_submission_changes_nothing(client: FlaskClient, clients: AwsClients, sent: str) -> None:
    job = _submit(client, sent).get_json()["job_id"]

    _put(clients, f"uploads/default/{sent}", b"%PDF-1.7 something other")

    assert stored(clients)[f"jobs/default/{job}/source"] == _PDF
    assert code_of(_submit(client, sent)) == (409, "upload_used")


def test_requests_that_race_for_an_upload_get_one_job(
    app: Flask, client: FlaskClient, clients: AwsClients, queue: JobQueue, sent: str, one_call_at_a_time: None
) -> None:
    at_once = threading.Barrier(4)

    def submit(_: int) -> int:
        mine = app.test_client()
        mine.environ_base["HTTP_X_API_KEY"] = KEY
        at_once.wait()
        return _submit(mine, sent).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(submit, range(4)))

    (job,) = _jobs(clients)
    assert statuses == [202, 409, 409, 409]
    assert sent_jobs(queue) == [job]
    assert list(stored(clients)) == [f"jobs/default/{job}/source"]


class _Racing(DirectUploadStore):
    """Shows the upload as it was before another request used it: both have looked before either has written."""

    def get(self, upload: UploadId) -> DirectUpload:
        return replace(super().get(upload), use=None, filename="scan.pdf")


def test_of_two_that_have_looked_before_either_wrote_one_wins_and_the_other_leaves_nothing(
    app: Flask, client: FlaskClient, clients: AwsClients, sent: str
) -> None:
    job = _submit(client, sent).get_json()["job_id"]
    _put(clients, f"uploads/default/{sent}", _PDF)
    services = app.extensions["hybrid_ocr"]
    app.extensions["hybrid_ocr"] = replace(services, uploads=_Racing(clients.dynamodb, "hybrid-ocr"))

    assert code_of(_submit(client, sent)) == (409, "upload_used")
    assert _jobs(clients) == [job]
    assert set(stored(clients)) == {f"jobs/default/{job}/source", f"uploads/default/{sent}"}


class _RacingOnce(DirectUploadStore):
    """Shows it so at the first look; by the next step the other request is through, and the object gone."""

    _has_looked = False

    def get(self, upload: UploadId) -> DirectUpload:
        found = super().get(upload)
        if self._has_looked:
            return found
        self._has_looked = True
        return replace(found, use=None, filename="scan.pdf")


@pytest.mark.parametrize(("key", "code"), [("order-7", None), ("order-8", "upload_used"), (None, "upload_used")])
def test_who_finds_the_upload_gone_is_told_that_it_became_a_job(
    app: Flask, client: FlaskClient, clients: AwsClients, sent: str, key: str | None, code: str | None
) -> None:
    job = _submit(client, sent, "order-7").get_json()["job_id"]
    services = app.extensions["hybrid_ocr"]
    app.extensions["hybrid_ocr"] = replace(services, uploads=_RacingOnce(clients.dynamodb, "hybrid-ocr"))

    response = _submit(client, sent, key)

    assert response.get_json().get("code") == code
    if code is None:
        assert (response.status_code, response.get_json()["job_id"]) == (202, job)
        assert response.headers["Idempotent-Replayed"] == "true"
    assert _jobs(clients) == [job]


# --- and again, under a key


@pytest.mark.failure(5)
def test_under_a_key_the_same_upload_again_is_the_same_job(
    client: FlaskClient, clients: AwsClients, queue: JobQueue, sent: str
) -> None:
    first, again = _submit(client, sent, "order-7"), _submit(client, sent, "order-7")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    assert sent_jobs(queue) == [first.get_json()["job_id"]]


def test_under_a_key_the_content_counts_and_not_the_way_it_came(
    client: FlaskClient, clients: AwsClients, sent: str
) -> None:
    job = _submit(client, sent, "order-7").get_json()["job_id"]
    anew = _submit(client, _send(client, clients, _PDF), "order-7")
    direct = client.post("/jobs", data={"file": (io.BytesIO(_PDF), "b.pdf")}, headers={"Idempotency-Key": "order-7"})
    other = _submit(client, _send(client, clients, _PDF + b"other"), "order-7")

    assert [found.get_json()["job_id"] for found in (anew, direct)] == [job, job]
    assert anew.headers["Idempotent-Replayed"] == direct.headers["Idempotent-Replayed"] == "true"
    assert code_of(other) == (422, "idempotency_mismatch")
    assert _jobs(clients) == [job]
    assert [key for key in stored(clients) if key.startswith("jobs/")] == [f"jobs/default/{job}/source"]


def test_a_used_upload_under_another_key_or_with_other_fields_is_refused(client: FlaskClient, sent: str) -> None:
    _submit(client, sent, "order-7")

    assert code_of(_submit(client, sent, "order-8")) == (409, "upload_used")
    assert code_of(_submit(client, sent, "order-7", mode="force")) == (422, "idempotency_mismatch")


@pytest.mark.failure(18)
def test_a_lost_response_to_the_transaction_is_no_second_use(
    client: FlaskClient, clients: AwsClients, sent: str
) -> None:
    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        response = _submit(client, sent)

    assert (len(lost), response.status_code) == (1, 202)
    assert _jobs(clients) == [response.get_json()["job_id"]]


@pytest.mark.failure(41)
def test_what_met_an_outage_is_submitted_again(client: FlaskClient, clients: AwsClients, sent: str) -> None:
    with away_after(clients.dynamodb, "TransactWriteItems", 0):
        assert code_of(_submit(client, sent)) == (503, "unavailable")

    assert _submit(client, sent).status_code == 202


def test_an_upload_that_cannot_be_removed_is_accepted_all_the_same(
    client: FlaskClient, clients: AwsClients, sent: str
) -> None:
    with away_after(clients.s3, "DeleteObject", 0):
        response = _submit(client, sent)

    assert response.status_code == 202
    assert len(stored(clients)) == 2


def test_nothing_of_an_erased_job_stays_but_that_the_upload_was_used(
    client: FlaskClient, clients: AwsClients, sent: str
) -> None:
    job = _submit(client, sent).get_json()["job_id"]
    client.delete(f"/jobs/{job}")

    assert stored(clients) == {}
    assert "scan.pdf" not in str(clients.dynamodb.scan(TableName="hybrid-ocr")["Items"])
    assert code_of(_submit(client, sent)) == (409, "upload_used")


class TestQuotas:
    """Those of other submissions."""

    @pytest.fixture
    def tenant_limits(self) -> TenantLimits:
        return TenantLimits(jobs_in_flight=1)

    def test_hold_before_anything_is_sent(self, client: FlaskClient, clients: AwsClients) -> None:
        first, second = (_send(client, clients, _PDF) for _ in range(2))
        assert _submit(client, first).status_code == 202

        assert code_of(_submit(client, second)) == (429, "quota_exceeded")
        assert code_of(_announce(client)) == (429, "quota_exceeded")
