"""``webhook_url``: which are taken, and what a client sees of their delivery."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.event import Try
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_store import JobStore
from tests.builders import FakeClock, a_document, a_result

_PDF = b"%PDF-1.7 not parsed here"
_URL = "https://hooks.example.com/ocr?x=1"


def _post(client: FlaskClient, route: str = "/jobs", **fields: Any) -> TestResponse:
    return client.post(route, data={"file": (io.BytesIO(_PDF), "a.pdf"), **fields})


@pytest.fixture
def job(client: FlaskClient) -> JobId:
    return JobId(tenant="default", job_id=_post(client, webhook_url=_URL).get_json()["job_id"])


def _finish(store: JobStore, job: JobId) -> None:
    store.complete(store.claim(job)[1], a_document(pages=2), a_result())


def _shown(client: FlaskClient, job: JobId) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/jobs/{job.job_id}/webhook").get_json()
    return found


def test_a_job_keeps_the_url_to_be_told(client: FlaskClient, store: JobStore, job: JobId) -> None:
    assert store.get(job).webhook_url == _URL
    assert _shown(client, job) == {"job_id": job.job_id, "webhook_url": _URL, "events": []}


def test_every_job_of_a_batch_has_its_url(client: FlaskClient, store: JobStore) -> None:
    files = [(io.BytesIO(_PDF), "a.pdf"), (io.BytesIO(_PDF), "b.pdf")]
    batch = client.post("/batches", data={"file": files, "webhook_url": _URL}).get_json()

    for file in batch["files"]:
        assert store.get(JobId(tenant="default", job_id=file["job_id"])).webhook_url == _URL


def test_a_rerun_tells_the_same_url_or_another_or_none(client: FlaskClient, store: JobStore, job: JobId) -> None:
    told = []
    for asked in ({}, {"webhook_url": "https://other.example.com/"}, {"webhook_url": None}):
        answer = client.post(f"/jobs/{job.job_id}/rerun", json=asked)
        told.append(store.get(JobId(tenant="default", job_id=answer.get_json()["job_id"])).webhook_url)
    denied = client.post(f"/jobs/{job.job_id}/rerun", json={"webhook_url": "https://127.0.0.1/"})

    assert told == [_URL, "https://other.example.com/", None]
    assert (denied.status_code, denied.get_json()["code"]) == (422, "webhook_url_denied")


@pytest.mark.parametrize("route", ["/jobs", "/batches"])
@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0x7f000001/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://hooks.example.com./",
        "https://hooks.example.com/\\x",
        "nonsense",
    ],
)
def test_a_url_where_nothing_is_sent_is_refused_and_nothing_is_kept(
    client: FlaskClient, clients: AwsClients, url: str, route: str
) -> None:
    response = _post(client, route, webhook_url=url)

    assert (response.status_code, response.get_json()["code"]) == (422, "webhook_url_denied")
    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="hybrid-ocr")


def test_an_empty_url_is_none(client: FlaskClient, store: JobStore) -> None:
    response = _post(client, webhook_url="")

    assert store.get(JobId(tenant="default", job_id=response.get_json()["job_id"])).webhook_url is None


def test_without_a_secret_a_webhook_is_refused_and_other_jobs_are_not(
    client: FlaskClient, endpoints: EndpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_default_secrets", ())
    refused, taken = _post(client, webhook_url=_URL), _post(client)
    endpoints.rotate("default")

    assert (refused.status_code, refused.get_json()["code"]) == (422, "webhook_url_denied")
    assert (taken.status_code, _post(client, webhook_url=_URL).status_code) == (202, 202)


def test_a_client_sees_every_try_and_the_next(
    client: FlaskClient, store: JobStore, job: JobId, clock: FakeClock
) -> None:
    _finish(store, job)
    (event,) = store.events.due(limit=9)
    claim = store.events.claim(event)
    assert claim is not None
    made = Try(at=clock.now, seconds=0.25, status=500, body_sha256="ab" * 32)
    store.events.report(claim, made, clock.now + dt.timedelta(seconds=5))

    assert _shown(client, job)["events"] == [
        {
            "webhook_id": f"evt_{job.job_id}_1",
            "type": "job.done",
            "occurred_at": "2026-11-20T12:00:00.000Z",
            "delivery": "pending",
            "next_try_at": "2026-11-20T12:00:05.000Z",
            "tries": [
                {
                    "at": "2026-11-20T12:00:00.000Z",
                    "status": 500,
                    "error": None,
                    "seconds": 0.25,
                    "body_sha256": "ab" * 32,
                }
            ],
        }
    ]


def test_redelivery_begins_anew_and_forgets_that_the_receiver_was_gone(
    client: FlaskClient, store: JobStore, endpoints: EndpointStore, job: JobId, clock: FakeClock
) -> None:
    _finish(store, job)
    (event,) = store.events.due(limit=9)
    claim = store.events.claim(event)
    assert claim is not None
    store.events.report(claim, Try(at=clock.now, seconds=0.25, status=410), None)
    endpoints.disable("default", _URL)
    assert _shown(client, job)["events"][0]["delivery"] == "disabled"

    response = client.post(f"/jobs/{job.job_id}/webhook/redeliver")

    (shown,) = response.get_json()["events"]
    assert response.status_code == 202
    assert (shown["delivery"], shown["next_try_at"]) == ("pending", "2026-11-20T12:00:00.000Z")
    assert store.events.due(limit=9) == [event]
    assert not endpoints.get("default", _URL).is_gone


def test_what_is_being_told_at_this_moment_does_not_begin_anew_and_that_is_said(
    client: FlaskClient, store: JobStore, job: JobId, clock: FakeClock
) -> None:
    _finish(store, job)
    (event,) = store.events.due(limit=9)
    claim = store.events.claim(event)
    assert claim is not None

    busy = client.post(f"/jobs/{job.job_id}/webhook/redeliver")
    store.events.report(claim, Try(at=clock.now, seconds=25, status=500), None)
    again = client.post(f"/jobs/{job.job_id}/webhook/redeliver")

    assert (busy.status_code, busy.get_json()["code"]) == (409, "webhook_under_way")
    assert int(busy.headers["Retry-After"]) >= 25
    assert again.status_code == 202
    assert store.events.due(limit=9) == [event]


def test_before_the_end_of_a_job_there_is_nothing_to_deliver_again(client: FlaskClient, job: JobId) -> None:
    response = client.post(f"/jobs/{job.job_id}/webhook/redeliver")

    assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "webhook"), ("POST", "webhook/redeliver")])
def test_a_job_without_webhook_or_of_another_or_erased_has_none(
    client: FlaskClient, job: JobId, method: str, path: str
) -> None:
    without = _post(client).get_json()["job_id"]
    client.delete(f"/jobs/{job.job_id}")

    for job_id in (without, job.job_id, "0" * 32, "nonsense"):
        response = client.open(f"/jobs/{job_id}/{path}", method=method)
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


def test_an_erased_job_leaves_no_url(client: FlaskClient, clients: AwsClients, store: JobStore, job: JobId) -> None:
    _finish(store, job)
    client.delete(f"/jobs/{job.job_id}")

    assert "hooks.example.com" not in str(clients.dynamodb.scan(TableName="hybrid-ocr")["Items"])


def test_in_development_a_receiver_may_be_on_this_machine(app: Flask, client: FlaskClient) -> None:
    settings = app.extensions["hybrid_ocr"].settings
    object.__setattr__(settings.webhooks, "allow_private", True)

    assert _post(client, webhook_url="http://127.0.0.1:5000/ocr").status_code == 202
    assert _post(client, webhook_url="http://169.254.169.254/").status_code == 422
