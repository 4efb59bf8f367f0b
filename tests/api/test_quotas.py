"""What a tenant may have: jobs in flight, pages a day, requests a minute; held by the table, so across processes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_api import create_app, quotas
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.settings import TenantLimits
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.usage import Usage
from tests.builders import FakeClock, Unread, a_document, a_failure, a_result
from tests.conftest import KEY
from tests.faults import away, lost_response
from tests.observed import requests_of

_PDF = b"%PDF-1.7 not parsed here"
_NOWHERE = f"/jobs/{'0' * 32}"


@pytest.fixture
def tenant_limits(request: pytest.FixtureRequest) -> TenantLimits:
    """Those that a test is marked with by ``_limits``."""
    found = getattr(request, "param", TenantLimits())
    assert isinstance(found, TenantLimits)
    return found


def _limits(**limits: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("tenant_limits", [TenantLimits(**limits)], indirect=True, ids=["limited"])


@pytest.fixture
def calls(clients: AwsClients) -> Iterator[Counter[str]]:
    """Requests to the table from here on, by operation."""
    with requests_of(clients.dynamodb) as sent:
        yield sent


def _another_process(app: Flask, clients: AwsClients, clock: FakeClock) -> FlaskClient:
    """It shares nothing with the first but the table."""
    parts: Services = app.extensions["hybrid_ocr"]
    services = replace(parts, quotas=quotas(parts.settings, clients.dynamodb, clock))
    client = create_app(parts.settings, services).test_client()
    client.environ_base["HTTP_X_API_KEY"] = KEY
    return client


def _submit(client: FlaskClient, *, key: str | None = None) -> TestResponse:
    return client.post("/jobs", data={"file": (io.BytesIO(_PDF), "a.pdf")}, headers=_headers(key))


def _batch(client: FlaskClient, files: int, *, key: str | None = None) -> TestResponse:
    data = {"file": [(io.BytesIO(_PDF), f"{n}.pdf") for n in range(files)]}
    return client.post("/batches", data=data, headers=_headers(key))


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _job(response: TestResponse, tenant: str = "default") -> JobId:
    assert response.status_code == 202, response.text
    return JobId(tenant=tenant, job_id=response.get_json()["job_id"])


def _refused(response: TestResponse, code: str) -> bool:
    return (response.status_code, response.get_json()["code"]) == (429, code)


class TestJobsInFlight:
    @_limits(jobs_in_flight=3)
    def test_a_tenant_has_so_many_and_the_others_have_theirs(
        self, client: FlaskClient, other_client: FlaskClient
    ) -> None:
        for _ in range(3):
            assert _submit(client).status_code == 202
        refused = _submit(client)

        assert _refused(refused, "quota_exceeded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "room for 0 more jobs" in refused.get_json()["detail"]
        assert _submit(other_client).status_code == 202

    @_limits(jobs_in_flight=1)
    def test_what_was_accepted_before_is_told_again_however_full_it_is(self, client: FlaskClient) -> None:
        accepted, again = (_submit(client, key="one") for _ in range(2))
        assert again.status_code == 202
        assert again.headers["Idempotent-Replayed"] == "true"
        assert _job(again) == _job(accepted)
        assert _refused(_submit(client, key="two"), "quota_exceeded")

    @_limits(jobs_in_flight=2)
    def test_a_batch_that_was_accepted_before_is_told_again(self, client: FlaskClient) -> None:
        accepted, again = (_batch(client, 2, key="one") for _ in range(2))
        assert again.status_code == 202
        assert again.get_json()["batch_id"] == accepted.get_json()["batch_id"]
        assert _refused(_batch(client, 2, key="two"), "quota_exceeded")

    @_limits(jobs_in_flight=3)
    def test_it_holds_across_processes(
        self, app: Flask, client: FlaskClient, clients: AwsClients, clock: FakeClock
    ) -> None:
        process = _another_process(app, clients, clock)
        for _ in range(3):
            assert _submit(client).status_code == 202

        assert _refused(_submit(process), "quota_exceeded")

    @_limits(jobs_in_flight=1)
    def test_a_rerun_is_a_job_too(self, client: FlaskClient, clients: AwsClients) -> None:
        job = _job(_submit(client))
        before = clients.s3.list_objects_v2(Bucket="hybrid-ocr")["KeyCount"]

        assert _refused(client.post(f"/jobs/{job.job_id}/rerun", json={"mode": "force"}), "quota_exceeded")
        assert clients.s3.list_objects_v2(Bucket="hybrid-ocr")["KeyCount"] == before

    @_limits(jobs_in_flight=1)
    @pytest.mark.parametrize("end", ["done", "failed", "given up", "erased"])
    def test_each_end_of_a_job_makes_room(
        self, client: FlaskClient, store: JobStore, clock: FakeClock, end: str
    ) -> None:
        job = _job(_submit(client))
        assert _refused(_submit(client), "quota_exceeded")
        if end == "done":
            store.complete(store.claim(job)[1], a_document(pages=1), a_result())
        elif end == "failed":
            store.fail(store.claim(job)[1], a_failure())
        elif end == "given up":
            for _ in range(3):
                store.claim(job)
                clock.advance(61)
            store.exhaust(store.get(job))
        else:
            assert client.delete(f"/jobs/{job.job_id}").status_code == 204

        assert _submit(client).status_code == 202
        assert _refused(_submit(client), "quota_exceeded")

    @_limits(jobs_in_flight=1)
    def test_what_happens_to_a_job_before_its_end_makes_none(
        self, client: FlaskClient, store: JobStore, clock: FakeClock
    ) -> None:
        job = _job(_submit(client))
        _, lease = store.claim(job)
        assert _refused(_submit(client), "quota_exceeded")
        store.renew(lease)
        clock.advance(61)
        _, lease = store.claim(job)
        assert _refused(_submit(client), "quota_exceeded")
        store.split(lease, a_document(pages=20), chunks=2, pages=20)

        assert _refused(_submit(client), "quota_exceeded")

    @_limits(jobs_in_flight=1)
    def test_no_end_that_is_told_twice_makes_room_twice(
        self, client: FlaskClient, store: JobStore, dispatch: Dispatch
    ) -> None:
        end = store.complete(store.claim(_job(_submit(client)))[1], a_document(pages=1), a_result())
        for _ in range(3):
            dispatch.ended(end)

        assert _submit(client).status_code == 202
        assert _refused(_submit(client), "quota_exceeded")

    @_limits(jobs_in_flight=1)
    def test_a_job_that_an_operator_lets_run_again_counts_again(self, client: FlaskClient, store: JobStore) -> None:
        job = _job(_submit(client))
        store.fail(store.claim(job)[1], a_failure())
        store.redrive(job)

        assert _refused(_submit(client), "quota_exceeded")

    @_limits(jobs_in_flight=3)
    def test_a_batch_fits_as_a_whole_or_not_at_all(self, client: FlaskClient, clients: AwsClients) -> None:
        never = _batch(client, 4)
        assert (never.status_code, never.get_json()["code"]) == (413, "file_too_large")
        assert _batch(client, 2).status_code == 202
        refused = _batch(client, 2)

        assert _refused(refused, "quota_exceeded")
        assert "room for 1 more" in refused.get_json()["detail"]
        assert len(clients.s3.list_objects_v2(Bucket="hybrid-ocr")["Contents"]) == 2
        assert _batch(client, 1).status_code == 202

    @_limits(jobs_in_flight=1)
    def test_files_of_a_batch_that_become_no_jobs_do_not_count(self, client: FlaskClient) -> None:
        files = [(io.BytesIO(b"no document"), "a.txt"), (io.BytesIO(_PDF), "b.pdf")]

        assert client.post("/batches", data={"file": files}).status_code == 202

    @_limits(jobs_in_flight=1)
    @pytest.mark.parametrize("path", ["/jobs", "/batches"])
    def test_the_body_of_a_refused_submission_is_not_read(self, client: FlaskClient, path: str) -> None:
        _submit(client)
        response = client.post(
            path,
            input_stream=Unread(),
            environ_overrides={"CONTENT_LENGTH": "1000"},
            content_type="multipart/form-data; boundary=x",
        )

        assert _refused(response, "quota_exceeded")

    def test_thousands_are_counted_over_pages(self, clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
        """DynamoDB counts 1 MB of index at a time."""
        usage = Usage(clients.dynamodb, "hybrid-ocr")
        for number in range(25):
            item = {"pk": f"T#acme#J#{number}", "sk": "META", "tenant": "acme", "open_shard": "OPEN"}
            clients.dynamodb.put_item(TableName="hybrid-ocr", Item={n: {"S": v} for n, v in item.items()})
        query = clients.dynamodb.query
        monkeypatch.setattr(clients.dynamodb, "query", lambda **options: query(**options, Limit=10))

        assert usage.jobs_in_flight("acme", most=1000) == 25
        assert usage.jobs_in_flight("acme", most=12) == 20  # enough is enough


class TestPagesADay:
    @pytest.fixture
    def dispatch(self, dispatch: Dispatch, clients: AwsClients, clock: FakeClock) -> Dispatch:
        """As that of a worker for which the limit is set."""
        dispatch._usage = Usage(clients.dynamodb, "hybrid-ocr", clock)
        return dispatch

    def _read(self, client: FlaskClient, store: JobStore, dispatch: Dispatch, pages: int) -> JobId:
        job = _job(_submit(client))
        dispatch.ended(store.complete(store.claim(job)[1], a_document(pages=pages), a_result(pages=pages)))
        return job

    @_limits(pages_a_day=10)
    def test_pages_are_counted_when_they_were_read_and_asked_for_at_submission(
        self, client: FlaskClient, other_client: FlaskClient, store: JobStore, dispatch: Dispatch, clock: FakeClock
    ) -> None:
        self._read(client, store, dispatch, 4)
        self._read(client, store, dispatch, 5)
        self._read(client, store, dispatch, 5)  # nobody knew its pages when it came
        for refused in (_submit(client), _batch(client, 1)):
            assert _refused(refused, "quota_exceeded")
            assert int(refused.headers["Retry-After"]) == 12 * 3600 + 1
        assert _submit(other_client).status_code == 202

        clock.advance(12 * 3600)
        assert _submit(client).status_code == 202

    @_limits(pages_a_day=10)
    def test_a_job_is_counted_once_however_often_its_end_is_told(
        self, client: FlaskClient, store: JobStore, dispatch: Dispatch, clients: AwsClients, clock: FakeClock
    ) -> None:
        job = self._read(client, store, dispatch, 4)
        for _ in range(3):
            dispatch.ended(store.get(job).ended)  # as a redelivery does
        clock.advance(24 * 3600)
        dispatch.ended(store.get(job).ended)

        assert Usage(clients.dynamodb, "hybrid-ocr", clock).pages_today("default") == 0
        clock.advance(-24 * 3600)
        assert Usage(clients.dynamodb, "hybrid-ocr", clock).pages_today("default") == 4

    @_limits(pages_a_day=10)
    def test_a_response_that_is_lost_counts_once(
        self, client: FlaskClient, store: JobStore, dispatch: Dispatch, clients: AwsClients, clock: FakeClock
    ) -> None:
        with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
            self._read(client, store, dispatch, 4)

        assert lost
        assert Usage(clients.dynamodb, "hybrid-ocr", clock).pages_today("default") == 4

    @_limits(pages_a_day=1)
    def test_what_was_not_read_is_not_counted(self, client: FlaskClient, store: JobStore, dispatch: Dispatch) -> None:
        copied, failed, erased = (_job(_submit(client)) for _ in range(3))
        result = a_result(pages=5, deduplicated_from="1" * 32)
        dispatch.ended(store.complete(store.claim(copied)[1], a_document(pages=5), result))
        dispatch.ended(store.get(copied).ended)
        dispatch.ended(store.fail(store.claim(failed)[1], a_failure()))
        dispatch.ended(store.erase(erased))

        assert _submit(client).status_code == 202

    @_limits(pages_a_day=10)
    def test_an_erased_job_stays_counted(
        self, client: FlaskClient, store: JobStore, dispatch: Dispatch, clients: AwsClients, clock: FakeClock
    ) -> None:
        job = self._read(client, store, dispatch, 4)
        assert client.delete(f"/jobs/{job.job_id}").status_code == 204

        assert Usage(clients.dynamodb, "hybrid-ocr", clock).pages_today("default") == 4


class TestRequestsAMinute:
    @_limits(requests_a_minute=3)
    def test_a_tenant_may_ask_so_often_and_is_told_when_again(
        self, client: FlaskClient, other_client: FlaskClient, clock: FakeClock
    ) -> None:
        clock.advance(15)
        for left in (2, 1, 0):
            response = client.get(_NOWHERE)
            assert response.status_code == 404
            assert response.headers["RateLimit-Policy"] == '"default";q=3;w=60'
            assert response.headers["RateLimit"] == f'"default";r={left};t=45'
        refused = client.get(_NOWHERE)

        assert _refused(refused, "rate_limited")
        assert refused.headers["RateLimit"] == '"default";r=0;t=45'
        assert refused.headers["Retry-After"] == "45"
        assert other_client.get(_NOWHERE).status_code == 404
        clock.advance(45)
        assert client.get(_NOWHERE).headers["RateLimit"] == '"default";r=2;t=60'

    @_limits(requests_a_minute=3)
    def test_it_holds_across_processes(
        self, app: Flask, client: FlaskClient, clients: AwsClients, clock: FakeClock
    ) -> None:
        process = _another_process(app, clients, clock)
        assert [client.get(_NOWHERE).status_code for _ in range(2)] == [404, 404]

        assert [process.get(_NOWHERE).status_code for _ in range(2)] == [404, 429]

    @_limits(requests_a_minute=1)
    def test_a_full_minute_costs_no_more_requests(self, client: FlaskClient, calls: Counter[str]) -> None:
        for _ in range(20):
            client.get(_NOWHERE)

        assert calls == {"UpdateItem": 2, "GetItem": 1}

    @_limits(requests_a_minute=1)
    def test_who_is_refused_in_any_way_has_asked(self, client: FlaskClient) -> None:
        assert client.get("/no-such-path").status_code == 404

        assert _refused(client.get(_NOWHERE), "rate_limited")

    @_limits(requests_a_minute=1)
    def test_a_stranger_uses_up_nobodys_minute_and_health_is_free(self, app: Flask, client: FlaskClient) -> None:
        stranger = app.test_client()
        for _ in range(3):
            assert stranger.get(_NOWHERE).status_code == 401
            assert "RateLimit" not in stranger.get("/health").headers

        assert client.get(_NOWHERE).status_code == 404

    @_limits(requests_a_minute=1)
    def test_nobody_is_told_to_come_back_before_the_minute_is_over(self, client: FlaskClient, clock: FakeClock) -> None:
        clock.advance(10)
        accepted = _submit(client)

        assert accepted.status_code == 202
        assert accepted.headers["Retry-After"] == "50"  # not the usual second

    @_limits(requests_a_minute=100)
    def test_with_the_table_away_nobody_is_let_in_uncounted(self, client: FlaskClient, clients: AwsClients) -> None:
        with away(clients.dynamodb):
            assert client.get(_NOWHERE).status_code == 503

    def test_without_a_limit_there_are_no_headers_and_no_requests(
        self, client: FlaskClient, calls: Counter[str]
    ) -> None:
        response = client.get(_NOWHERE)

        assert "RateLimit" not in response.headers
        assert calls == {"GetItem": 1}
