"""Waiting for a job: ETag, If-None-Match, wait; and the one thread that looks for all who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_api import long_poll
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.waiting import Waiting, _Waiter
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Job, JobId, JobStatus, Standing
from hybrid_ocr_core.job_store import JobStore
from tests.builders import a_document, a_job, a_result
from tests.conftest import KEY
from tests.faults import away
from tests.observed import requests_of, until

#: A test that needs it to pass has failed.
_FOR_EVER = 3600
_PATIENCE_SECONDS = 30


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(200) as pool:
        yield pool


@pytest.fixture
def waiting(store: JobStore) -> Iterator[Waiting]:
    waiting = Waiting(store.standings)
    yield waiting
    waiting.close()


@pytest.fixture
def job(store: JobStore) -> Job:
    job = a_job()
    store.create(job)
    return job


def _end(store: JobStore, job: JobId) -> None:
    store.complete(store.claim(job)[1], a_document(pages=2), a_result())


class Looks:
    """What was asked of the table; ``fail`` is raised instead of asking."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.asked: list[list[JobId]] = []
        self.fail: Exception | None = None

    def __call__(self, jobs: Sequence[JobId]) -> Mapping[JobId, Standing]:
        self.asked.append(list(jobs))
        if self.fail is not None:
            raise self.fail
        return self._store.standings(jobs)


def _wait(
    waiting: Waiting, pool: ThreadPoolExecutor, job: JobId, known: int | None, seconds: float = _FOR_EVER
) -> Future[Standing | None]:
    knows = None if known is None else lambda version: version == known
    return pool.submit(waiting.wait, job, knows, seconds)


@pytest.mark.parametrize("known", [1, None])
def test_a_wait_ends_when_the_job_changes(
    store: JobStore, pool: ThreadPoolExecutor, job: Job, known: int | None
) -> None:
    looks = Looks(store)
    found = _wait(Waiting(looks), pool, job.id, known)
    until(lambda: len(looks.asked) > 1)

    store.claim(job.id)

    assert found.result(_PATIENCE_SECONDS) is None


def test_a_version_that_the_client_does_not_know_is_not_waited_for(waiting: Waiting, job: Job) -> None:
    assert waiting.wait(job.id, lambda version: version == 7, _FOR_EVER) is None


def test_a_job_that_has_ended_is_not_waited_for(waiting: Waiting, store: JobStore, job: Job) -> None:
    _end(store, job.id)

    assert waiting.wait(job.id, None, _FOR_EVER) is None


def test_of_a_job_that_has_ended_another_change_may_be_waited_for(
    store: JobStore, pool: ThreadPoolExecutor, job: Job
) -> None:
    _end(store, job.id)
    looks = Looks(store)
    found = _wait(Waiting(looks), pool, job.id, store.get(job.id).version)
    until(lambda: len(looks.asked) > 1)

    store.erase(job.id)

    assert found.result(_PATIENCE_SECONDS) is None


def test_a_job_that_is_not_there_is_not_waited_for(waiting: Waiting, job: Job, store: JobStore) -> None:
    store.erase(job.id)

    assert waiting.wait(job.id, None, _FOR_EVER) is None
    assert waiting.wait(a_job().id, lambda _: True, _FOR_EVER) is None


def test_a_wait_that_is_over_tells_where_the_job_stands_if_the_client_knows_that(waiting: Waiting, job: Job) -> None:
    assert waiting.wait(job.id, lambda version: version == 1, 0.1) == job.standing
    assert waiting.wait(job.id, None, 0.1) is None


def test_all_who_wait_share_the_looks(store: JobStore, pool: ThreadPoolExecutor) -> None:
    jobs = [a_job() for _ in range(120)]
    for job in jobs:
        store.create(job)
    looks = Looks(store)
    waiting = Waiting(looks)
    found = [_wait(waiting, pool, job.id, 1) for job in [*jobs, *jobs[:40]]]
    until(lambda: waiting._count == 160)
    looks.asked.clear()
    until(lambda: len(looks.asked) >= 4)

    asked = looks.asked[:4]

    assert [len(each) for each in asked] == [100] * 4
    assert {job for each in asked[:2] for job in each} == {job.id for job in jobs}
    waiting.close()
    assert [each.result(_PATIENCE_SECONDS) for each in found] == [None] * 160


class FakeTime(threading.Condition):
    """A condition whose waits take no time, and the clock that they move on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += timeout
        self.release()
        time.sleep(0)  # others may have the lock
        return self.acquire()


def test_there_are_four_looks_a_second(
    store: JobStore, pool: ThreadPoolExecutor, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, fake = Looks(store), FakeTime()
    waiting = Waiting(looks)
    monkeypatch.setattr(waiting, "_changed", fake)
    monkeypatch.setattr("hybrid_ocr_api.waiting.time", fake)
    found = [_wait(waiting, pool, job.id, 1) for _ in range(3)]

    until(lambda: fake.now > 10)
    waiting.close()

    assert [each.result(_PATIENCE_SECONDS) for each in found] == [None] * 3
    until(lambda: not waiting._is_running)
    # The clients that come while few are waiting are looked for at once, which is a look each at most.
    assert 4 * fake.now - 1 <= len(looks.asked) <= 4 * fake.now + len(found) + 1


@pytest.mark.failure(41)
@pytest.mark.parametrize("error", [Unavailable("DynamoDB", "away"), RuntimeError("a defect")])
def test_an_outage_ends_no_wait_and_a_change_is_seen_after_it(
    store: JobStore, pool: ThreadPoolExecutor, job: Job, error: Exception
) -> None:
    looks = Looks(store)
    looks.fail = error
    waiting = Waiting(looks)
    found = _wait(waiting, pool, job.id, 1)
    until(lambda: len(looks.asked) > 1)
    looks.fail = None
    until(lambda: len(looks.asked) > 3)
    assert not found.done()

    store.claim(job.id)

    assert found.result(_PATIENCE_SECONDS) is None


def test_what_the_last_look_could_not_tell_is_not_claimed(store: JobStore, job: Job) -> None:
    looks = Looks(store)
    looks.fail = Unavailable("DynamoDB", "away")

    assert Waiting(looks).wait(job.id, lambda version: version == 1, 0.1) is None


def test_when_the_process_stops_all_waits_end_and_there_are_no_more(
    waiting: Waiting, pool: ThreadPoolExecutor, job: Job
) -> None:
    found = [_wait(waiting, pool, job.id, 1) for _ in range(20)]
    until(lambda: waiting._count == 20)

    waiting.close()

    assert [each.result(_PATIENCE_SECONDS) for each in found] == [None] * 20
    assert waiting.wait(job.id, lambda version: version == 1, _FOR_EVER) is None


def test_a_look_that_was_under_way_when_the_process_stops_changes_nothing(job: Job) -> None:
    waiter = _Waiter(lambda version: version == 1)
    waiter.is_over.set()

    waiter.see(job.standing)

    assert waiter.known is None


def test_who_comes_beyond_the_limit_is_answered_at_once(store: JobStore, pool: ThreadPoolExecutor, job: Job) -> None:
    waiting = Waiting(store.standings, most=4)
    found = [_wait(waiting, pool, job.id, 1) for _ in range(2)]
    until(lambda: waiting._count == 2)

    assert waiting.wait(job.id, lambda version: version == 1, _FOR_EVER) is None

    waiting.close()
    assert [each.result(_PATIENCE_SECONDS) for each in found] == [None] * 2


def test_a_tenant_leaves_half_of_the_places_to_the_others(store: JobStore, pool: ThreadPoolExecutor, job: Job) -> None:
    waiting = Waiting(store.standings, most=4)
    other = a_job(tenant="globex")
    store.create(other)
    found = [_wait(waiting, pool, job.id, 1) for _ in range(2)]
    until(lambda: waiting._count == 2)

    assert waiting.wait(job.id, lambda version: version == 1, _FOR_EVER) is None
    found.append(_wait(waiting, pool, other.id, 1))
    until(lambda: waiting._count == 3)

    waiting.close()
    assert [each.result(_PATIENCE_SECONDS) for each in found] == [None] * 3
    assert not waiting._of_tenant


def test_the_thread_ends_after_the_last_wait_and_comes_back(waiting: Waiting, job: Job) -> None:
    for _ in range(2):
        waiting.wait(job.id, lambda version: version == 1, 0.01)
        until(lambda: not waiting._is_running)
    assert not waiting._waiters


# --- over HTTP


@pytest.fixture
def parts(app: Flask) -> Iterator[Services]:
    parts: Services = app.extensions["hybrid_ocr"]
    yield parts
    parts.waiting.close()


def _get(app: Flask, job: Job, **headers: str) -> TestResponse:
    """From a thread of its own."""
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = KEY
    return client.get(
        f"/jobs/{job.job_id}?wait={_FOR_EVER}", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@pytest.fixture
def without_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "MOST_SECONDS", _FOR_EVER)


@pytest.mark.usefixtures("without_cap")
@pytest.mark.parametrize("headers", [{}, {"If_None_Match": '"1"'}])
def test_a_client_that_waits_is_answered_when_its_job_changes(
    app: Flask,
    parts: Services,
    store: JobStore,
    pool: ThreadPoolExecutor,
    job: Job,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = Looks(store)
    monkeypatch.setattr(parts.waiting, "_standings", looks)
    answer = pool.submit(lambda: _get(app, job, **headers))
    until(lambda: parts.waiting._count == 1)
    # The first look may be yet to come, and would count as where it stood.
    until(lambda: len(looks.asked) > 1)

    store.claim(job.id)

    response = answer.result(_PATIENCE_SECONDS)
    assert (response.status_code, response.get_json()["status"]) == (200, "PROCESSING")
    assert response.headers["ETag"] == '"2"'


@pytest.mark.usefixtures("without_cap")
def test_a_job_that_is_erased_while_its_client_waits_is_not_found(
    app: Flask, parts: Services, store: JobStore, pool: ThreadPoolExecutor, job: Job
) -> None:
    answer = pool.submit(lambda: _get(app, job, If_None_Match='"1"'))
    until(lambda: parts.waiting._count == 1)

    store.erase(job.id)

    assert answer.result(_PATIENCE_SECONDS).status_code == 404


@pytest.mark.usefixtures("without_cap")
def test_who_waits_takes_nothing_from_those_who_work(
    app: Flask,
    client: FlaskClient,
    parts: Services,
    pool: ThreadPoolExecutor,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts.slots, "_free", threading.BoundedSemaphore(1))
    answers = [pool.submit(lambda: _get(app, job, If_None_Match='"1"')) for _ in range(20)]
    until(lambda: parts.waiting._count == 20)

    assert client.get(f"/jobs/{job.job_id}").status_code == 200

    parts.waiting.close()
    assert [answer.result(_PATIENCE_SECONDS).status_code for answer in answers] == [304] * 20
    assert parts.slots._free.acquire(blocking=False)


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_is_answered_while_all_slots_are_taken(
    client: FlaskClient, parts: Services, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(parts.slots, "_free", threading.Semaphore(0))

    assert client.get(path).status_code == 200


def test_a_slot_is_left_whatever_becomes_of_the_request(
    client: FlaskClient, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.slots, "_free", threading.BoundedSemaphore(1))

    def explode(*_: object) -> None:
        raise RuntimeError("a defect")

    assert client.get("/nothing").status_code == 404
    assert client.get("/jobs/x", headers={"x-api-key": "wrong"}).status_code == 401
    monkeypatch.setattr(JobStore, "get", explode)
    assert client.get(f"/jobs/{'0' * 32}").status_code == 500
    assert parts.slots._free.acquire(blocking=False)


def test_the_tag_is_the_version(client: FlaskClient, store: JobStore, job: Job) -> None:
    first = client.get(f"/jobs/{job.job_id}")
    store.claim(job.id)
    second = client.get(f"/jobs/{job.job_id}")

    assert (first.headers["ETag"], second.headers["ETag"]) == ('"1"', '"2"')


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_what_the_client_knows_already_is_not_sent_again(client: FlaskClient, job: Job, tags: str) -> None:
    response = client.get(f"/jobs/{job.job_id}", headers={"If-None-Match": tags})

    assert (response.status_code, response.data) == (304, b"")
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Retry-After"].isdigit()


def test_what_the_client_does_not_know_is_sent(client: FlaskClient, job: Job) -> None:
    assert client.get(f"/jobs/{job.job_id}", headers={"If-None-Match": '"2"'}).status_code == 200
    assert client.get(f"/jobs/{job.job_id}?wait=20", headers={"If-None-Match": '"2"'}).status_code == 200


def test_who_waits_in_vain_is_told_so_without_reading_the_job(
    client: FlaskClient, clients: AwsClients, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_poll, "MOST_SECONDS", 0.3)

    with requests_of(clients.dynamodb) as sent:
        response = client.get(f"/jobs/{job.job_id}?wait=20", headers={"If-None-Match": '"1"'})

    assert (response.status_code, response.headers["ETag"]) == (304, '"1"')
    assert set(sent) == {"BatchGetItem"}


def test_a_job_that_has_ended_is_shown_at_once(client: FlaskClient, store: JobStore, job: Job) -> None:
    _end(store, job.id)

    response = client.get(f"/jobs/{job.job_id}?wait=25")

    assert response.get_json()["status"] == "DONE"
    assert "Retry-After" not in response.headers


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long requests wanted to wait."""
    asked: list[float] = []

    def note(_waiting: Waiting, _job: JobId, _knows: Any, seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(Waiting, "wait", note)
    return asked


@pytest.mark.parametrize(
    ("query", "prefer", "seconds", "applied"),
    [
        ("?wait=20", None, [20], None),
        ("?wait=26", None, [25], None),
        ("?wait=0", None, [], None),
        ("", None, [], None),
        ("", "wait=20", [20], "wait=20"),
        ("", 'respond-async, Wait = "99"; x=y', [25], "wait=25"),
        ("", "wait=soon", [], None),
        ("", "waiting=3, handling=lenient", [], None),
        ("?wait=3", "wait=20", [3], None),
        ("?wait=3&wait=soon", None, [3], None),
        ("?wait=3&other=1&other=2", None, [3], None),
    ],
)
def test_how_long_to_wait_is_said_in_the_query_or_as_a_preference(
    client: FlaskClient,
    job: Job,
    asked: list[float],
    query: str,
    prefer: str | None,
    seconds: list[float],
    applied: str | None,
) -> None:
    headers = {} if prefer is None else {"Prefer": prefer}

    response = client.get(f"/jobs/{job.job_id}{query}", headers=headers)

    assert response.status_code == 200
    assert asked == seconds
    assert response.headers.get("Preference-Applied") == applied


@pytest.mark.parametrize("wait", ["", "soon", "-1", "1.5", "1" * 30])
def test_a_wait_that_is_no_number_is_refused(client: FlaskClient, job: Job, wait: str) -> None:
    response = client.get(f"/jobs/{job.job_id}?wait={wait}")

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")


@pytest.mark.failure(41)
def test_who_waits_while_the_table_is_away_is_told_so(
    client: FlaskClient, clients: AwsClients, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_poll, "MOST_SECONDS", 0.1)
    with away(clients.dynamodb):
        response = client.get(f"/jobs/{job.job_id}?wait=20", headers={"If-None-Match": '"1"'})

    assert (response.status_code, response.get_json()["code"]) == (503, "unavailable")


def test_where_a_job_stands_says_nothing_of_those_that_are_gone(store: JobStore, job: Job) -> None:
    erased = a_job()
    store.create(erased)
    store.erase(erased.id)

    assert store.standings([job.id, erased.id, a_job().id]) == {
        job.id: Standing(version=1, status=JobStatus.QUEUED, lane=job.lane)
    }
