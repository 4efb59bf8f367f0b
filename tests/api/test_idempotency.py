"""Idempotency-Key: the same request again is the same job, another one is refused, and of many at once one counts."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_api.settings import RetentionSettings
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import IdempotencyMismatch, KeyUsed
from hybrid_ocr_core.idempotency import KEPT, IdempotencyKeys, KeyedRequest
from hybrid_ocr_core.job import JobId, Retention
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import START, FakeClock, Unread, a_document, a_job, a_result
from tests.conftest import KEY
from tests.faults import away, lost_response
from tests.observed import code_of, sent_jobs, stored

_PDF = b"%PDF-1.7 not parsed here"
_CLIENTS = 8


def _post(client: FlaskClient, key: str | None = "order-7", content: bytes = _PDF, **fields: Any) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    name = fields.pop("name", "invoice.pdf")
    return client.post("/jobs", data={"file": (io.BytesIO(content), name), **fields}, headers=headers)


def _post_batch(client: FlaskClient, key: str = "order-7", *contents: bytes, **fields: Any) -> TestResponse:
    files = [(io.BytesIO(content), f"{number}.pdf") for number, content in enumerate(contents or (_PDF, _PDF + b"2"))]
    return client.post("/batches", data={"file": files, **fields}, headers={"Idempotency-Key": key})


@pytest.mark.failure(5)
def test_the_same_request_again_is_the_same_job(client: FlaskClient, clients: AwsClients, queue: JobQueue) -> None:
    first = _post(client, mode="force", client_reference="order 7")
    again = _post(client, mode="force", client_reference="order 7")

    assert (first.status_code, again.status_code) == (202, 202)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.get_json() == first.get_json()
    job_id = first.get_json()["job_id"]
    assert list(stored(clients)) == [f"jobs/default/{job_id}/source"]
    assert sent_jobs(queue) == [job_id]


@pytest.mark.failure(7)
def test_what_is_compared_are_fields_and_contents_and_not_the_body(client: FlaskClient) -> None:
    def body(boundary: str) -> bytes:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        return head.encode() + _PDF + f"\r\n--{boundary}--\r\n".encode()

    answers = [
        client.post(
            "/jobs",
            data=body(boundary),
            content_type=f"multipart/form-data; boundary={boundary}",
            headers={"Idempotency-Key": "order-7"},
        )
        for boundary in ("one", "another")
    ]
    # A field that is as good as none, and another name of the file.
    answers.append(_post(client, mode="", name="b.pdf"))

    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.get_json()["job_id"] for answer in answers}) == 1


@pytest.mark.failure(7)
def test_a_deployment_with_other_defaults_makes_it_no_other_request(app: Flask, client: FlaskClient) -> None:
    job, batch = _post(client, priority="high"), _post_batch(client)

    parts = app.extensions["hybrid_ocr"]
    other = RetentionSettings(usual=Retention(days=7, source_days=3), most_days=365)
    settings = replace(parts.settings, languages=("deu", "eng"), retention=other)
    app.extensions["hybrid_ocr"] = replace(parts, settings=settings)

    assert _post(client, priority="high").get_json()["job_id"] == job.get_json()["job_id"]
    assert _post_batch(client).get_json()["batch_id"] == batch.get_json()["batch_id"]


def test_a_replay_shows_the_job_as_it_is_now(client: FlaskClient, store: JobStore) -> None:
    job_id = _post(client).get_json()["job_id"]
    store.complete(store.claim(JobId(tenant="default", job_id=job_id))[1], a_document(pages=2), a_result())

    again = _post(client)

    assert (again.status_code, again.get_json()["job_id"], again.get_json()["status"]) == (202, job_id, "DONE")
    assert "Retry-After" not in again.headers


@pytest.mark.failure(7)
@pytest.mark.parametrize(
    "changes",
    [
        {"content": _PDF + b"!"},
        {"mode": "force"},
        {"languages": "deu"},
        {"pages": "1"},
        {"outputs": "txt"},
        {"priority": "high"},
        {"client_reference": "another"},
        {"webhook_url": "https://example.com/hook"},
        {"retention_days": "7"},
        {"source_retention_days": "7"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_request_with_the_same_key_is_refused_and_leaves_nothing(
    client: FlaskClient, clients: AwsClients, queue: JobQueue, changes: dict[str, Any]
) -> None:
    job_id = _post(client).get_json()["job_id"]

    assert code_of(_post(client, **changes)) == (422, "idempotency_mismatch")
    assert list(stored(clients)) == [f"jobs/default/{job_id}/source"]
    assert sent_jobs(queue) == [job_id]
    assert _post(client).get_json()["job_id"] == job_id


def test_quotation_marks_around_a_key_do_not_matter(client: FlaskClient) -> None:
    assert _post(client, '"order-7"').get_json()["job_id"] == _post(client, "order-7").get_json()["job_id"]


@pytest.mark.parametrize("key", ["x" * 255, "a_B.9:-", '"' + "x" * 255 + '"'])
def test_a_key_of_the_known_characters_is_taken(client: FlaskClient, key: str) -> None:
    assert _post(client, key).status_code == 202


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "two words", "a,b", 'a"b', '"open', "\xe4", "a#b", "a;b=1", "?1"])
@pytest.mark.parametrize("path", ["/jobs", "/batches"])
def test_a_malformed_key_is_refused_before_the_body_is_read(client: FlaskClient, path: str, key: str) -> None:
    response = client.post(
        path,
        input_stream=Unread(),
        environ_overrides={"CONTENT_LENGTH": "1000"},
        content_type="multipart/form-data; boundary=x",
        headers={"Idempotency-Key": key},
    )

    assert code_of(response) == (400, "bad_request")


def test_without_a_key_each_request_is_a_job(client: FlaskClient) -> None:
    assert _post(client, None).get_json()["job_id"] != _post(client, None).get_json()["job_id"]


def test_a_key_belongs_to_its_operation(client: FlaskClient) -> None:
    job, batch = _post(client), _post_batch(client, "order-7", _PDF)

    assert (job.status_code, batch.status_code) == (202, 202)
    assert "Idempotent-Replayed" not in batch.headers


def test_a_key_belongs_to_its_tenant(store: JobStore, clients: AwsClients, aws_settings: AwsSettings) -> None:
    def asked_by(tenant: str) -> KeyedRequest:
        return KeyedRequest(tenant=tenant, operation="jobs", key="k", fingerprint="f", at=START)

    store.create(a_job(tenant="a"), asked_by("a"))
    store.create(a_job(tenant="b"), asked_by("b"))

    with pytest.raises(KeyUsed):
        IdempotencyKeys(clients.dynamodb, aws_settings.table).check(asked_by("a"))


def test_two_tenants_may_use_one_key(client: FlaskClient, other_client: FlaskClient) -> None:
    answers = [_post(client), _post(other_client), _post_batch(client), _post_batch(other_client)]

    assert [answer.status_code for answer in answers] == [202] * 4
    assert not any("Idempotent-Replayed" in answer.headers for answer in answers)
    assert _post(other_client).get_json()["job_id"] == answers[1].get_json()["job_id"]


def test_a_key_is_kept_for_a_week_whatever_the_ttl_does(client: FlaskClient, clock: FakeClock) -> None:
    first = _post(client).get_json()["job_id"]
    clock.advance(KEPT.total_seconds() - 1)
    within = _post(client).get_json()["job_id"]
    clock.advance(1)
    after = _post(client, content=_PDF + b"another")
    at_last = _post(client, content=_PDF + b"another")

    assert dt.timedelta(days=7) == KEPT
    assert within == first
    assert after.status_code == 202
    assert after.get_json()["job_id"] != first
    assert at_last.get_json()["job_id"] == after.get_json()["job_id"]


def test_what_was_refused_or_met_an_outage_has_not_used_the_key(client: FlaskClient, clients: AwsClients) -> None:
    assert code_of(_post(client, content=b"plain text"))[0] == 415
    assert code_of(_post(client, mode="fast"))[0] == 400
    for part in (clients.s3, clients.dynamodb):
        with away(part):
            assert code_of(_post(client))[0] == 503

    accepted = _post(client)

    assert accepted.status_code == 202
    assert "Idempotent-Replayed" not in accepted.headers


def test_the_job_of_a_key_that_was_erased_is_not_found_and_not_made_again(client: FlaskClient) -> None:
    client.delete(_post(client).headers["Location"])

    assert code_of(_post(client)) == (404, "not_found")


@pytest.mark.failure(18)
def test_a_lost_response_to_the_transaction_is_no_replay(client: FlaskClient, clients: AwsClients) -> None:
    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        response = _post(client)

    assert len(lost) == 1
    assert response.status_code == 202
    assert "Idempotent-Replayed" not in response.headers
    assert list(stored(clients)) == [f"jobs/default/{response.get_json()['job_id']}/source"]


@pytest.fixture
def all_at_once(
    app: Flask, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[FlaskClient, int], Any]], list[Any]]:
    """Calls from many threads, each of which has found the key free and stored its source before the first commits.

    DynamoDB's writes are atomic; moto's are not, and a transaction that fails there undoes whatever was written
    meanwhile. So the test lets one call after the other through.
    """
    call_dynamodb = clients.dynamodb._make_api_call  # type: ignore[attr-defined]  # what every operation goes through
    barrier, one_after_the_other = threading.Barrier(_CLIENTS), threading.Lock()

    def guarded(operation: str, arguments: Any) -> Any:
        if operation == "TransactWriteItems":
            barrier.wait(20)
        with one_after_the_other:
            return call_dynamodb(operation, arguments)

    monkeypatch.setattr(clients.dynamodb, "_make_api_call", guarded)

    def run(call: Callable[[FlaskClient, int], Any]) -> list[Any]:
        def one(number: int) -> Any:
            client = app.test_client()
            client.environ_base["HTTP_X_API_KEY"] = KEY
            return call(client, number)

        with ThreadPoolExecutor(_CLIENTS) as pool:
            return list(pool.map(one, range(_CLIENTS)))

    return run


@pytest.mark.failure(6)
def test_of_clients_that_race_with_one_key_all_get_the_one_job(
    all_at_once: Callable[..., list[Any]], clients: AwsClients, queue: JobQueue
) -> None:
    answers = all_at_once(lambda client, _: _post(client))

    assert [answer.status_code for answer in answers] == [202] * _CLIENTS
    (job_id,) = {answer.get_json()["job_id"] for answer in answers}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == _CLIENTS - 1
    assert list(stored(clients)) == [f"jobs/default/{job_id}/source"]
    assert sent_jobs(queue) == [job_id]
    (holders,) = (item["holders"]["SS"] for item in _rows(clients) if item["sk"]["S"] == "PLACES")
    assert holders == [job_id]


@pytest.mark.failure(6, 7)
def test_of_other_requests_that_race_with_one_key_one_is_accepted(
    all_at_once: Callable[..., list[Any]], clients: AwsClients, queue: JobQueue
) -> None:
    answers = all_at_once(lambda client, number: _post(client, client_reference=str(number)))

    assert sorted(answer.status_code for answer in answers) == [202] + [422] * (_CLIENTS - 1)
    (job_id,) = (answer.get_json()["job_id"] for answer in answers if answer.status_code == 202)
    assert list(stored(clients)) == [f"jobs/default/{job_id}/source"]
    assert sent_jobs(queue) == [job_id]


@pytest.mark.failure(6)
def test_of_batches_that_race_with_one_key_one_counts_and_the_jobs_of_the_others_are_erased(
    all_at_once: Callable[..., list[Any]], clients: AwsClients, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid_ocr_api.batch_submission._AT_A_TIME", 1)
    answers = all_at_once(lambda client, _: _post_batch(client))

    assert [answer.status_code for answer in answers] == [202] * _CLIENTS
    (batch_id,) = {answer.get_json()["batch_id"] for answer in answers}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == _CLIENTS - 1
    jobs = sorted(file["job_id"] for file in answers[0].get_json()["files"])
    assert list(stored(clients)) == [f"jobs/default/{job_id}/source" for job_id in jobs]
    assert sorted(sent_jobs(queue)) == jobs
    living = [item for item in _rows(clients) if "job_id" in item and "erased_at" not in item]
    assert sorted(item["job_id"]["S"] for item in living) == jobs
    assert {item["batch_id"]["S"] for item in living} == {batch_id}


def _rows(clients: AwsClients) -> list[Any]:
    return clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]


def test_the_same_batch_again_is_the_same_batch(client: FlaskClient, clients: AwsClients, queue: JobQueue) -> None:
    first, again = _post_batch(client), _post_batch(client)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.get_json() == first.get_json()
    assert len(stored(clients)) == len(sent_jobs(queue)) == 2


@pytest.mark.failure(7)
def test_another_batch_with_the_same_key_is_refused(client: FlaskClient, clients: AwsClients) -> None:
    _post_batch(client)

    for other in (_post_batch(client, "order-7", _PDF), _post_batch(client, "order-7", _PDF + b"2", _PDF)):
        assert code_of(other) == (422, "idempotency_mismatch")
    assert code_of(_post_batch(client, priority="low")) == (422, "idempotency_mismatch")
    # What is refused belongs to a batch as well.
    assert code_of(_post_batch(client, "order-7", _PDF, _PDF + b"2", b"plain text")) == (422, "idempotency_mismatch")
    assert len(stored(clients)) == 2


@pytest.mark.failure(18)
def test_a_lost_response_to_the_transaction_of_a_batch_is_no_replay(client: FlaskClient, clients: AwsClients) -> None:
    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        response = _post_batch(client)

    assert len(lost) == 1
    assert response.get_json()["counts"]["queued"] == 2
    assert "Idempotent-Replayed" not in response.headers


@pytest.mark.failure(18)
def test_a_batch_that_is_there_though_no_answer_came_is_found_by_its_key_with_all_its_jobs(
    client: FlaskClient, clients: AwsClients
) -> None:
    with contextlib.ExitStack() as all_lost:
        for _ in range(3):
            all_lost.enter_context(lost_response(clients.dynamodb, "TransactWriteItems"))
        assert code_of(_post_batch(client)) == (503, "unavailable")

    again = _post_batch(client)

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.get_json()["counts"]["queued"] == 2
    assert len(stored(clients)) == 2


def test_a_record_that_is_refused_shows_whose_it_is(store: JobStore) -> None:
    job = a_job()
    request = KeyedRequest(tenant="default", operation="jobs", key="k", fingerprint="f", at=START)
    other = KeyedRequest(tenant="default", operation="jobs", key="k", fingerprint="g", at=START)
    store.create(job, request)

    store.create(job, request)  # sent again
    with pytest.raises(KeyUsed) as used:
        store.create(a_job(), request)
    with pytest.raises(IdempotencyMismatch):
        store.create(a_job(), other)
    assert used.value.made == job.job_id
