"""GET /jobs: newest first, by filters, page by page, and nobody else's."""

from __future__ import annotations

import base64
import datetime as dt
import io
import random
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_core import job_list
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.job import Job, JobId, JobStatus, Lane, Triage
from hybrid_ocr_core.job_list import JobList, Selection
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import START, a_document, a_failure, a_job, a_result
from tests.faults import away

_BATCH = "b" * 32


def _create(store: JobStore, minute: int = 0, **changes: Any) -> Job:
    created_at = START + dt.timedelta(minutes=minute)
    job = a_job(created_at=created_at, updated_at=created_at, **changes)
    store.create(job)
    return job


def _ids(client: FlaskClient, query: str = "") -> list[str]:
    response = client.get(f"/jobs{query}")
    assert response.status_code == 200, response.get_json()
    return [job["job_id"] for job in response.get_json()["jobs"]]


def _pages(client: FlaskClient, query: str) -> Iterator[list[str]]:
    cursor = ""
    while cursor is not None:
        body = client.get(f"/jobs?{query}{cursor and '&cursor='}{cursor}").get_json()
        yield [job["job_id"] for job in body["jobs"]]
        cursor = body["next_cursor"]


def test_without_jobs_the_list_is_empty(client: FlaskClient) -> None:
    assert client.get("/jobs").get_json() == {"jobs": [], "next_cursor": None}


def test_the_newest_comes_first_and_a_submitted_job_is_in_the_list(client: FlaskClient, store: JobStore) -> None:
    old, new = _create(store, -2), _create(store, -1)
    answer = client.post("/jobs", data={"file": (io.BytesIO(b"%PDF-1.7"), "a.pdf"), "client_reference": "order 7"})

    body = client.get("/jobs").get_json()

    newest = answer.get_json()["job_id"]
    assert [job["job_id"] for job in body["jobs"]] == [newest, new.job_id, old.job_id]
    first = body["jobs"][0]
    assert (first["status"], first["client_reference"], first["location"]) == ("QUEUED", "order 7", f"/jobs/{newest}")


def test_an_entry_says_what_the_job_says_but_for_its_urls(client: FlaskClient, store: JobStore) -> None:
    job = _create(store)
    store.complete(store.claim(job.id)[1], a_document(pages=2), a_result())

    (entry,) = client.get("/jobs").get_json()["jobs"]
    view = client.get(f"/jobs/{job.job_id}").get_json()

    assert set(view) - set(entry) == {"results", "result_url", "expires_in"}
    assert entry == {name: value for name, value in view.items() if name in entry} | {"location": entry["location"]}


@pytest.fixture
def many(store: JobStore) -> dict[str, str]:
    """One job of each kind: name -> id, the newest first."""
    jobs = {
        "waits": _create(store, 5, client_reference="order 7"),
        "urgent": _create(store, 4, lane=Lane.HIGH, batch_id=_BATCH),
        "runs": _create(store, 3),
        "approved": _create(store, 2, batch_id=_BATCH),
        "doubtful": _create(store, 1),
        "failed": _create(store, 0, client_reference="order 7", lane=Lane.LOW),
    }
    store.claim(jobs["runs"].id)
    for name, triage in (("approved", Triage.APPROVED), ("doubtful", Triage.REVIEW)):
        store.complete(store.claim(jobs[name].id)[1], a_document(pages=2), a_result(triage=triage))
    store.fail(store.claim(jobs["failed"].id)[1], a_failure())
    return {name: job.job_id for name, job in jobs.items()}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=QUEUED", ["waits", "urgent"]),
        ("status=DONE,FAILED", ["approved", "doubtful", "failed"]),
        ("priority=high", ["urgent"]),
        ("priority=low,high", ["urgent", "failed"]),
        ("triage=review", ["doubtful"]),
        ("error=corrupt_document", ["failed"]),
        ("error=out_of_attempts", []),
        ("status=FAILED&error=corrupt_document,internal", ["failed"]),
        ("client_reference=order+7", ["waits", "failed"]),
        ("client_reference=order", []),
        (f"batch_id={_BATCH}", ["urgent", "approved"]),
        (f"batch_id={_BATCH}&status=DONE", ["approved"]),
        ("created_after=2026-11-20T12:04:00Z", ["waits", "urgent"]),
        ("created_before=2026-11-20T12:01:00Z", ["failed"]),
        ("created_after=2026-11-20T13:01:00%2B01:00&created_before=2026-11-20T12:03:00Z", ["approved", "doubtful"]),
        ("created_after=2026-11-21", []),
        ("created_before=2026-11-20", []),
        ("created_after=2026-11-20T12:05:00Z&created_before=2026-11-20T12:00:00Z", []),
        ("created_after=1815-12-10", ["waits", "urgent", "runs", "approved", "doubtful", "failed"]),
    ],
)
def test_filters_choose(client: FlaskClient, many: dict[str, str], query: str, names: list[str]) -> None:
    assert _ids(client, f"?{query}") == [many[name] for name in names]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=-1",
        "limit=",
        "status=RUNNING",
        "status=",
        "status=QUEUED,",
        "status=DONE&status=FAILED",
        "state=DONE",
        "priority=urgent",
        "triage=maybe",
        "error=oops",
        "client_reference=",
        f"client_reference={'x' * 257}",
        "batch_id=7",
        "created_after=yesterday",
        "created_after=2026-11-20T12:00:00",
        "created_before=2026-11-20T12:00:00+01:00",
        "created_before=9999-12-31T23:59:59-23:00",
    ],
)
def test_what_is_malformed_is_refused_and_not_ignored(client: FlaskClient, query: str) -> None:
    response = client.get(f"/jobs?{query}")

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("query", ["", "status=QUEUED&", "client_reference=even&"])
def test_pages_follow_one_another_without_gap_or_double(
    client: FlaskClient, store: JobStore, limit: int, query: str
) -> None:
    # Some of them in the same moment.
    jobs = [_create(store, number // 3, client_reference="odd" if number % 2 else "even") for number in range(14)]
    expected = sorted((job for job in jobs if "odd" not in query), key=lambda job: (job.created_at, job.job_id))
    if "even" in query:
        expected = [job for job in expected if job.client_reference == "even"]

    pages = list(_pages(client, f"{query}limit={limit}"))

    assert [job for page in pages for job in page] == [job.job_id for job in reversed(expected)]
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1]


def test_what_comes_and_goes_meanwhile_moves_nothing(client: FlaskClient, store: JobStore) -> None:
    jobs = [_create(store, number) for number in range(9)]
    pages = _pages(client, "limit=3")
    seen = next(pages)
    for minute in (4, 20, 21):
        _create(store, minute)
    for gone in (jobs[6], jobs[5], jobs[1]):  # the one that the cursor names among them
        store.erase(gone.id)
    seen += [job for page in pages for job in page]

    old = {job.job_id for job in jobs}
    assert [job for job in seen if job in old] == [jobs[number].job_id for number in (8, 7, 6, 4, 3, 2, 0)]
    assert len(seen) == len(set(seen))


def test_an_erased_job_is_out_of_the_list_at_once(
    client: FlaskClient, store: JobStore, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, erased = _create(store, 0), _create(store, 1)
    stale = clients.dynamodb.query
    with monkeypatch.context() as patch:
        old = stale(
            TableName="hybrid-ocr",
            IndexName="listed",
            KeyConditionExpression="tenant = :tenant",
            ExpressionAttributeValues={":tenant": {"S": "default"}},
            ScanIndexForward=False,
        )
        store.erase(erased.id)
        patch.setattr(clients.dynamodb, "query", lambda **_: old)  # the index lags behind

        assert _ids(client) == [kept.job_id]


def test_a_job_that_has_gone_on_is_not_shown_as_what_it_was(
    client: FlaskClient, store: JobStore, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _create(store)
    old = clients.dynamodb.query(
        TableName="hybrid-ocr",
        IndexName="listed",
        KeyConditionExpression="tenant = :tenant",
        ExpressionAttributeValues={":tenant": {"S": "default"}},
    )
    store.claim(job.id)
    with monkeypatch.context() as patch:
        patch.setattr(clients.dynamodb, "query", lambda **_: old)

        assert _ids(client, "?status=QUEUED") == []


def _cursor(client: FlaskClient, query: str = "limit=1") -> str:
    found: str = client.get(f"/jobs?{query}").get_json()["next_cursor"]
    return found


def test_a_cursor_of_another_list_is_refused(client: FlaskClient, many: dict[str, str]) -> None:
    cursor = _cursor(client, "limit=1&status=DONE")

    assert _ids(client, f"?limit=1&status=DONE&cursor={cursor}") == [many["doubtful"]]
    assert _ids(client, f"?limit=9&status=DONE&cursor={cursor}") == [many["doubtful"]]
    for query in ("", "status=FAILED&", "status=DONE&triage=review&", "client_reference=DONE&"):
        response = client.get(f"/jobs?{query}cursor={cursor}")
        assert (response.status_code, response.get_json()["code"]) == (400, "invalid_cursor")


def test_the_same_filters_in_other_words_are_the_same_list(client: FlaskClient, many: dict[str, str]) -> None:
    cursor = _cursor(client, "limit=1&status=FAILED,DONE&created_after=2026-11-20T12:00:00Z")

    query = "created_after=2026-11-20T13:00:00%2B01:00&status=DONE,FAILED"
    assert _ids(client, f"?{query}&cursor={cursor}") == [many["doubtful"], many["failed"]]


@pytest.mark.parametrize("query", ["", "status=DONE,FAILED&"])
def test_a_damaged_cursor_is_refused(client: FlaskClient, many: dict[str, str], query: str) -> None:
    cursor = _cursor(client, f"{query}limit=1")
    damaged = {cursor[:at] + letter + cursor[at + 1 :] for at in range(len(cursor) - 1) for letter in "Aq5_"}
    rest = {"", "!", "None", "null", cursor[:-1], cursor[1:], cursor + "A", cursor * 2, "A" * 4000, "é", "%00", "a b"}
    rest |= {base64.urlsafe_b64encode(random.Random(0).randbytes(60)).decode()}

    for wrong in sorted((damaged | rest) - {cursor}):
        response = client.get("/jobs", query_string=f"{query}cursor={wrong}")
        assert (response.status_code, response.get_json()["code"]) == (400, "invalid_cursor"), wrong


def test_each_tenant_has_a_list_of_its_own(client: FlaskClient, store: JobStore) -> None:
    mine = [_create(store, number) for number in range(3)]
    theirs = [_create(store, number, tenant="other") for number in range(3)]

    shown = [job for page in _pages(client, "limit=1") for job in page]

    assert shown == [job.job_id for job in reversed(mine)]
    assert not {job.job_id for job in theirs} & set(shown)


def test_a_cursor_of_another_tenant_is_refused(
    client: FlaskClient, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        _create(store, number)
        _create(store, number, tenant="other")
    with monkeypatch.context() as patch:
        patch.setattr("hybrid_ocr_api.jobs.caller", lambda: JobId(tenant="other", job_id=""))
        cursor = _cursor(client)
        assert _ids(client, f"?cursor={cursor}")

    response = client.get(f"/jobs?cursor={cursor}")

    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_cursor")


def test_a_rare_filter_ends_a_page_early_and_says_where_to_go_on(
    client: FlaskClient, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_list, "MOST_LOOKED_AT", 4)
    monkeypatch.setattr(job_list, "_MOST_AT_A_TIME", 4)
    rare = [_create(store, minute, client_reference="rare") for minute in (0, 17)]
    for minute in range(1, 17):
        _create(store, minute)

    pages = list(_pages(client, "limit=2&client_reference=rare"))

    assert [job for page in pages for job in page] == [rare[1].job_id, rare[0].job_id]
    assert [] in pages
    assert len(pages) < 10


def test_a_page_costs_two_requests_and_reads_no_more_than_it_shows(
    store: JobStore, clients: AwsClients, aws_settings: AwsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        _create(store, number)
    calls: list[Any] = []
    clients.dynamodb.meta.events.register(
        "before-parameter-build.dynamodb", lambda params, model, **_: calls.append((model.name, params.get("Limit")))
    )

    page = JobList(clients.dynamodb, aws_settings.table, store).page("default", Selection(), limit=10)

    assert (len(page.jobs), calls) == (10, [("Query", 12), ("BatchGetItem", None)])


def test_with_the_table_away_the_list_is_unavailable(client: FlaskClient, clients: AwsClients) -> None:
    with away(clients.dynamodb):
        response = client.get("/jobs")

    assert (response.status_code, response.get_json()["code"]) == (503, "unavailable")


def test_every_status_is_a_filter(client: FlaskClient, many: dict[str, str]) -> None:
    assert sum(len(_ids(client, f"?status={status}")) for status in JobStatus) == len(many)
