"""How long things are kept: what was submitted and the job itself, each for its own days after the end."""

from __future__ import annotations

import datetime as dt
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.chunk import Chunk, ChunkId
from hybrid_ocr_core.dead_letters import DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import DocumentRejected, JobExpired, JobNotFound, SourceGone
from hybrid_ocr_core.job import JobId, JobStatus, Retention
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import sweeper as sweeper_module
from hybrid_ocr_worker.dead_letters import DeadLetterOffice
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.sweeper import TURN, Sweeper, sweep_forever
from tests.builders import LEASE, START, FakeClock, a_document, a_failure, a_job, a_result
from tests.faults import away, lost_response
from tests.recognisers import ScriptedRecogniser

_DAY = 24 * 3600
_LEASE = LEASE.total_seconds()
_PDF = b"%PDF-1.7 the bytes"


@pytest.fixture
def sweeper(
    store: JobStore, queue: JobQueue, documents: DocumentStore, dispatch: Dispatch, clock: FakeClock
) -> Sweeper:
    return Sweeper(store, queue, documents, dispatch, clock=clock)


@pytest.fixture
def sweep(sweeper: Sweeper) -> Callable[[], None]:
    """Until everything has had its turn, at this very moment."""

    def sweep() -> None:
        for _ in range(2 * sweeper_module._KEPT_EVERY_SWEEPS):
            sweeper.sweep()

    return sweep


@pytest.fixture
def drain(processor: Processor, queue: JobQueue) -> Callable[[], None]:
    def drain() -> None:
        while message := queue.receive(visibility_seconds=60, wait_seconds=0):
            processor.process(message)

    return drain


def _submit(client: FlaskClient, **fields: str) -> JobId:
    answer = client.post("/jobs", data={"file": (io.BytesIO(_PDF), "a.pdf"), **fields})
    assert answer.status_code == 202, answer.get_json()
    return JobId(tenant="default", job_id=answer.get_json()["job_id"])


@pytest.fixture
def done(client: FlaskClient, drain: Callable[[], None]) -> JobId:
    """Kept for ten days, and what was submitted for three."""
    job = _submit(client, retention_days="10", source_retention_days="3")
    drain()
    return job


def _keys(clients: AwsClients) -> list[str]:
    found = clients.s3.list_objects_v2(Bucket="hybrid-ocr").get("Contents", [])
    return [entry["Key"].split("/", 3)[3] for entry in found]


def _answer(client: FlaskClient, job: JobId, rest: str = "") -> tuple[int, str | None]:
    answer = client.get(f"/jobs/{job.job_id}{rest}")
    return answer.status_code, (answer.get_json(silent=True) or {}).get("code")


def _item(clients: AwsClients, job: JobId) -> dict[str, Any]:
    key = {"pk": {"S": f"T#default#J#{job.job_id}"}, "sk": {"S": "META"}}
    found: dict[str, Any] = clients.dynamodb.get_item(TableName="hybrid-ocr", Key=key)["Item"]
    return found


def test_what_was_submitted_goes_first_and_the_job_later(
    client: FlaskClient, done: JobId, clients: AwsClients, clock: FakeClock, sweep: Callable[[], None]
) -> None:
    clock.advance(3 * _DAY - 1)
    sweep()
    assert _keys(clients) == ["1/0/result.json", "source"]

    clock.advance(_LEASE + 2)
    sweep()
    assert _keys(clients) == ["1/0/result.json"]
    assert _answer(client, done) == (200, None)

    clock.advance(7 * _DAY - _LEASE - 3)
    sweep()
    assert _keys(clients) == ["1/0/result.json"]

    clock.advance(_LEASE + 3)
    sweep()
    clock.advance(_LEASE + 1)
    sweep()
    assert _keys(clients) == []
    assert _answer(client, done) == (410, "job_expired")


@pytest.mark.failure(28)
def test_from_that_moment_on_nobody_sees_the_job_whether_or_not_a_sweeper_has_come_by(
    client: FlaskClient, done: JobId, clock: FakeClock, store: JobStore
) -> None:
    clock.advance(10 * _DAY)

    for rest in ("", "/result.json", "/pages/1"):
        assert _answer(client, done, rest) == (410, "job_expired")
    assert client.post(f"/jobs/{done.job_id}/rerun").status_code == 410
    assert client.get("/jobs").get_json()["jobs"] == []
    assert store.get_all([done]) == {}


def test_what_is_left_of_it_is_a_tombstone_with_an_end(
    client: FlaskClient, done: JobId, clients: AwsClients, clock: FakeClock, sweep: Callable[[], None]
) -> None:
    clock.advance(10 * _DAY + _LEASE + 1)
    sweep()

    left = _item(clients, done)
    assert not {"document", "options", "result", "listed_at", "kept_next", "kept_shard"} & left.keys()
    assert int(left["expires_at"]["N"]) == int((clock.now + dt.timedelta(days=15)).timestamp())
    clock.advance(61)
    sweep()
    assert "open_shard" not in _item(clients, done)


def test_a_client_is_told_when(client: FlaskClient, done: JobId) -> None:
    retention = client.get(f"/jobs/{done.job_id}").get_json()["retention"]

    assert retention == {
        "days": 10,
        "source_days": 3,
        "expires_at": "2026-11-30T12:00:00.000Z",
        "source_expires_at": "2026-11-23T12:00:00.000Z",
    }


def test_days_are_counted_from_the_end(
    client: FlaskClient,
    drain: Callable[[], None],
    clock: FakeClock,
    sweep: Callable[[], None],
) -> None:
    job = _submit(client, retention_days="1")
    clock.advance(5 * _DAY)
    sweep()
    retention = client.get(f"/jobs/{job.job_id}").get_json()["retention"]
    assert (retention["expires_at"], retention["source_expires_at"]) == (None, None)
    drain()
    clock.advance(_DAY - 1)

    assert _answer(client, job) == (200, None)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, Retention(days=30, source_days=14)),
        ({"retention_days": "7"}, Retention(days=7, source_days=7)),
        ({"retention_days": "90"}, Retention(days=90, source_days=14)),
        ({"source_retention_days": "0"}, Retention(days=30, source_days=0)),
        ({"retention_days": "365", "source_retention_days": "365"}, Retention(days=365, source_days=365)),
        ({"retention_days": "", "source_retention_days": ""}, Retention(days=30, source_days=14)),
    ],
)
def test_what_is_not_said_is_as_usual(
    client: FlaskClient, store: JobStore, fields: dict[str, str], kept: Retention
) -> None:
    assert store.get(_submit(client, **fields)).retention == kept


@pytest.mark.parametrize(
    "fields",
    [
        {"retention_days": "0"},
        {"retention_days": "366"},
        {"retention_days": "-1"},
        {"retention_days": "1.5"},
        {"retention_days": "forever"},
        {"source_retention_days": "31"},
        {"retention_days": "5", "source_retention_days": "6"},
        {"source_retention_days": "²"},
    ],
)
def test_what_cannot_be_promised_is_refused(client: FlaskClient, fields: dict[str, str]) -> None:
    answer = client.post("/jobs", data={"file": (io.BytesIO(_PDF), "a.pdf"), **fields})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_a_batch_is_kept_as_its_files_are(client: FlaskClient, store: JobStore) -> None:
    answer = client.post("/batches", data={"file": [(io.BytesIO(_PDF), "a.pdf")], "retention_days": "2"})

    (file,) = answer.get_json()["files"]
    assert store.get(JobId(tenant="default", job_id=file["job_id"])).retention == Retention(days=2, source_days=2)


def test_a_rerun_is_kept_as_long_counted_from_its_own_end(
    client: FlaskClient, done: JobId, clock: FakeClock, drain: Callable[[], None], sweep: Callable[[], None]
) -> None:
    clock.advance(2 * _DAY)
    answer = client.post(f"/jobs/{done.job_id}/rerun", json={"retention_days": 20})
    rerun = JobId(tenant="default", job_id=answer.get_json()["job_id"])
    drain()
    clock.advance(19 * _DAY)
    sweep()

    retention = client.get(f"/jobs/{rerun.job_id}").get_json()["retention"]
    assert (retention["days"], retention["source_days"]) == (20, 3)
    assert retention["expires_at"] == "2026-12-12T12:00:00.000Z"
    assert _answer(client, done) == (410, "job_expired")


def _rerun_days(client: FlaskClient, job: JobId, **asked: int | None) -> Any:
    answer = client.post(f"/jobs/{job.job_id}/rerun", json=asked).get_json()
    return (answer["retention"]["days"], answer["retention"]["source_days"]) if "retention" in answer else answer


def test_days_of_a_rerun_that_are_not_named_are_no_reason_to_refuse_it(app: Flask, client: FlaskClient) -> None:
    job = _submit(client, retention_days="60", source_retention_days="60")

    assert _rerun_days(client, job, retention_days=None) == (30, 30)
    assert _rerun_days(client, job, source_retention_days=None) == (60, 14)
    assert _rerun_days(client, job, retention_days=None, source_retention_days=None) == (30, 14)

    parts = app.extensions["hybrid_ocr"]
    settings = replace(parts.settings, retention=replace(parts.settings.retention, most_days=45))
    app.extensions["hybrid_ocr"] = replace(parts, settings=settings)

    assert _rerun_days(client, job) == (45, 45)
    assert _rerun_days(client, job, source_retention_days=40) == (45, 40)
    assert _rerun_days(client, job, retention_days=20) == (20, 20)
    assert _rerun_days(client, job, retention_days=60)["detail"] == "retention_days: 45 at most"
    assert _rerun_days(client, job, source_retention_days=46)["detail"] == "source_retention_days: 45 at most"


def test_the_days_of_a_failed_job_are_counted_too(
    client: FlaskClient,
    recogniser: ScriptedRecogniser,
    drain: Callable[[], None],
    clients: AwsClients,
    clock: FakeClock,
    sweep: Callable[[], None],
) -> None:
    def refuse() -> None:
        raise DocumentRejected("corrupt_document", "broken")

    recogniser.script = [refuse]
    job = _submit(client, retention_days="2", source_retention_days="0")
    drain()
    clock.advance(_LEASE + 1)
    sweep()
    assert (_keys(clients), _answer(client, job)) == ([], (200, None))
    clock.advance(2 * _DAY)

    assert _answer(client, job) == (410, "job_expired")


def test_no_piece_of_a_split_document_outlives_it_whoever_was_writing(
    client: FlaskClient,
    recogniser: ScriptedRecogniser,
    processor: Processor,
    queue: JobQueue,
    documents: DocumentStore,
    drain: Callable[[], None],
    clients: AwsClients,
    clock: FakeClock,
    sweep: Callable[[], None],
    tmp_path: Path,
) -> None:
    def read() -> None:
        pass

    def refuse() -> None:
        raise DocumentRejected("image_too_large", "a page is too large", 1)

    recogniser.pages, recogniser.script = 25, [*[read] * 7, refuse]
    job = _submit(client, source_retention_days="0")
    drain()
    assert client.get(f"/jobs/{job.job_id}").get_json()["status"] == "FAILED"
    left = _keys(clients)
    assert {"source", "1/chunks/9", "1/pages/000001.json"} <= set(left)
    clock.advance(1)
    sweep()
    (tmp_path / "page").write_text("{}")
    documents.put_page(job, 1, 25, tmp_path / "page")  # by a worker that has not heard yet
    clock.advance(_LEASE)
    sweep()

    assert _keys(clients) == []
    assert _answer(client, job) == (200, None)


def _give_up(store: JobStore, job: JobId) -> None:
    for _ in range(3):
        _, lease = store.claim(job)
        store.release(lease, reason="again", spend_budget=True, retry_in=dt.timedelta())
    store.exhaust(store.get(job))


def _fail_by_a_chunk(store: JobStore, job: JobId) -> None:
    _, lease = store.claim(job)
    store.split(lease, a_document(pages=2), chunks=1, pages=2)
    chunk = ChunkId(job=job, split=lease.attempt, number=1)
    store.chunks.create([Chunk(id=chunk, pages=(1, 2))])
    store.chunks.fail_job(store.chunks.claim(chunk)[1], a_failure())


@pytest.mark.parametrize(
    "end",
    [
        lambda store, job: store.complete(store.claim(job)[1], a_document(pages=2), a_result()),
        lambda store, job: store.fail(store.claim(job)[1], a_failure()),
        _give_up,
        _fail_by_a_chunk,
    ],
    ids=["complete", "fail", "exhaust", "fail by a chunk"],
)
@pytest.mark.parametrize("is_old", [False, True])
def test_however_a_job_ends_its_days_begin(
    store: JobStore, clients: AwsClients, clock: FakeClock, end: Callable[[JobStore, JobId], None], is_old: bool
) -> None:
    job = a_job(retention=Retention(days=10, source_days=3))
    store.create(job)
    if is_old:  # submitted before there was a choice
        key = {"pk": {"S": f"T#default#J#{job.job_id}"}, "sk": {"S": "META"}}
        clients.dynamodb.update_item(
            TableName="hybrid-ocr", Key=key, UpdateExpression="REMOVE kept_for, source_kept_for"
        )
    end(store, job.id)

    found = store.get(job.id)
    days = (365, 365) if is_old else (10, 3)
    assert (found.expires_at, found.source_expires_at) == tuple(clock.now + dt.timedelta(days=day) for day in days)
    (entry,) = store.kept.due(before=dt.datetime.max.replace(tzinfo=dt.UTC), limit=9)
    assert entry.job == job.id


def test_a_job_that_runs_again_is_kept_until_it_has_ended_again(
    store: JobStore, clock: FakeClock, sweep: Callable[[], None]
) -> None:
    job = a_job(retention=Retention(days=10, source_days=3))
    store.create(job)
    store.fail(store.claim(job.id)[1], a_failure())
    entry = store.kept.due(before=START + dt.timedelta(days=99), limit=9)[0]
    clock.advance(11 * _DAY)
    store.redrive(job.id)
    sweep()

    assert store.get(job.id).status is JobStatus.QUEUED
    assert (store.kept.forget(entry), store.kept.expire(entry)) == (False, False)
    assert store.kept.due(before=START + dt.timedelta(days=99), limit=9) == []


def test_what_cannot_be_read_again_is_not_redriven(
    store: JobStore,
    dispatch: Dispatch,
    queue: JobQueue,
    clients: AwsClients,
    aws_settings: AwsSettings,
    clock: FakeClock,
    sweep: Callable[[], None],
) -> None:
    job = a_job(retention=Retention(days=10, source_days=3))
    store.create(job)
    store.fail(store.claim(job.id)[1], a_failure())
    queue.send(job.id)
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    queue.send_to_dead_letters(message, job=job.id, reason="why")
    clock.advance(4 * _DAY)
    sweep()

    with pytest.raises(SourceGone):
        store.redrive(job.id)
    letters = DeadLetterQueue(clients.sqs, aws_settings.dead_letter_queue_url)
    office = DeadLetterOffice(store=store, dispatch=dispatch, letters=letters)
    assert [outcome for _, outcome in office.redrive([])] == ["deleted: the document is not kept any more"]


def test_a_crash_before_the_deletion_leaves_it_to_a_later_sweep(
    store: JobStore, done: JobId, clients: AwsClients, clock: FakeClock, sweep: Callable[[], None], client: FlaskClient
) -> None:
    clock.advance(3 * _DAY + _LEASE + 1)
    with away(clients.s3), pytest.raises(Exception, match="S3"):
        sweep()
    assert "source" in _keys(clients)
    clock.advance(2.2 * _LEASE + 1)
    sweep()

    assert _keys(clients) == ["1/0/result.json"]
    (entry,) = store.kept.due(before=START + dt.timedelta(days=99), limit=9)
    assert entry.kept_next == int((START + dt.timedelta(days=10)).timestamp() * 1000)


def test_a_lost_response_to_forget_or_expire_counts_as_done(
    store: JobStore, clients: AwsClients, clock: FakeClock, done: JobId
) -> None:
    clock.advance(4 * _DAY)
    (entry,) = store.kept.due(before=clock.now, limit=9)
    with lost_response(clients.dynamodb, "UpdateItem") as lost_forget:
        assert store.kept.forget(entry)
    clock.advance(7 * _DAY)
    with lost_response(clients.dynamodb, "UpdateItem") as lost_expire:
        assert store.kept.expire(entry)

    assert lost_forget
    assert lost_expire
    with pytest.raises(JobExpired):
        store.get(done)


def test_of_two_sweepers_one_deletes(store: JobStore, done: JobId, clock: FakeClock) -> None:
    clock.advance(4 * _DAY)
    (entry,) = store.kept.due(before=clock.now, limit=9)

    assert [store.kept.forget(entry), store.kept.forget(entry)] == [True, False]


def test_many_are_let_go_in_sweeps_that_follow_at_once(
    store: JobStore, sweeper: Sweeper, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "MOST_PER_TURN", 4)
    for _ in range(10):
        job = a_job(retention=Retention(days=1, source_days=1))
        store.create(job)
        store.fail(store.claim(job.id)[1], a_failure())
    sweeper.sweep()  # the first of ten
    clock.advance(_DAY + _LEASE + 1)
    for _ in range(sweeper_module._KEPT_EVERY_SWEEPS - 1):
        assert sweeper.sweep() == 0

    counts = []
    for _ in range(4):
        counts.append((sweeper.sweep(), sweeper.has_more))
        clock.advance(TURN.total_seconds())
    assert counts == [(4, True), (4, True), (2, False), (0, False)]


def test_a_backlog_goes_turn_after_turn_and_of_a_fleet_one_takes_them(
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper_module, "MOST_PER_TURN", 4)
    for _ in range(10):
        job = a_job(retention=Retention(days=1, source_days=1))
        store.create(job)
        store.fail(store.claim(job.id)[1], a_failure())
    clock.advance(_DAY + _LEASE + 1)
    first, second = (Sweeper(store, queue, documents, dispatch, clock=clock) for _ in range(2))
    waits: list[float] = []
    others: list[tuple[int, bool]] = []

    class Stop:
        def wait(self, seconds: float) -> bool:
            if len(waits) == 1:
                others.append((second.sweep(), second.has_more))  # in between, and it is not its turn
            waits.append(seconds)
            clock.advance(seconds)
            return len(waits) > 1 and seconds > TURN.total_seconds()

    sweep_forever(first, every_seconds=30, stop=Stop())  # type: ignore[arg-type]

    assert waits[1:-1] == [TURN.total_seconds()] * 2
    assert others == [(0, False)]
    assert store.kept.due(before=clock.now, limit=9) == []


def test_when_it_is_time_to_stop_a_backlog_waits(sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, sweeps = threading.Event(), 0

    def sweep() -> None:
        nonlocal sweeps
        sweeps += 1
        stop.set()

    monkeypatch.setattr(Sweeper, "has_more", True)
    monkeypatch.setattr(sweeper, "sweep", sweep)

    sweep_forever(sweeper, every_seconds=0.001, stop=stop)

    assert sweeps == 1


def test_what_is_erased_is_not_expired(
    client: FlaskClient, done: JobId, store: JobStore, clock: FakeClock, sweep: Callable[[], None]
) -> None:
    client.delete(f"/jobs/{done.job_id}")
    clock.advance(11 * _DAY)
    sweep()

    assert _answer(client, done) == (404, "not_found")
    with pytest.raises(JobNotFound):
        store.redrive(done)


def test_erasing_what_has_expired_is_no_error(
    client: FlaskClient, done: JobId, clock: FakeClock, sweep: Callable[[], None]
) -> None:
    clock.advance(11 * _DAY)
    sweep()

    assert client.delete(f"/jobs/{done.job_id}").status_code == 204
    assert _answer(client, done) == (410, "job_expired")


def test_strangers_are_not_told_that_it_was_there(
    client: FlaskClient, done: JobId, store: JobStore, clock: FakeClock
) -> None:
    clock.advance(11 * _DAY)

    with pytest.raises(JobNotFound) as raised:
        store.get(JobId(tenant="other", job_id=done.job_id))
    assert raised.value.code == "not_found"


def test_who_waits_for_an_erased_job_is_told_by_the_sweeper_if_nobody_else_did(
    store: JobStore, queue: JobQueue, dispatch: Dispatch, clock: FakeClock, sweep: Callable[[], None]
) -> None:
    leader = a_job()
    follower = a_job(is_held=True, leader=leader.job_id)
    store.create(leader)
    store.create(follower)
    assert store.follow(leader.id, follower.id)
    store.erase(leader.id)  # and whoever did so dies
    clock.advance(61)
    sweep()

    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    assert message.work() == follower.id
