"""The same document once more: a job of its own, on bytes of its own, that is really read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import DocumentRejected, JobNotFound, KeyUsed, Unavailable
from hybrid_ocr_core.idempotency import KeyedRequest
from hybrid_ocr_core.job import Job, JobId, JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.processing import Processor
from tests.builders import FakeClock, a_job
from tests.faults import away
from tests.recognisers import ScriptedRecogniser

_PDF = b"%PDF-1.7 the same bytes"
_ASKED = {
    "languages": "deu+eng",
    "mode": "force",
    "outputs": "json,pdf",
    "pages": "1-3",
    "priority": "high",
    "client_reference": "order 7",
}


@pytest.fixture
def contents(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> Contents:
    return Contents(clients.dynamodb, aws_settings.table, clock)


@pytest.fixture
def drain(processor: Processor, queue: JobQueue) -> Callable[[], None]:
    def drain() -> None:
        while message := queue.receive(visibility_seconds=60, wait_seconds=0):
            processor.process(message)

    return drain


def _submit(client: FlaskClient, **fields: str) -> JobId:
    answer = client.post("/jobs", data={"file": (io.BytesIO(_PDF), "a.pdf"), **fields})
    assert answer.status_code == 202
    return JobId(tenant="default", job_id=answer.get_json()["job_id"])


def _rerun(client: FlaskClient, job: JobId, **asked: Any) -> JobId:
    answer = client.post(f"/jobs/{job.job_id}/rerun", json=asked)
    assert answer.status_code == 202, answer.get_json()
    return JobId(tenant="default", job_id=answer.get_json()["job_id"])


def _view(client: FlaskClient, job: JobId) -> dict[str, Any]:
    view: dict[str, Any] = client.get(f"/jobs/{job.job_id}").get_json()
    return view


def _refused(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def _keys(clients: AwsClients, job: JobId) -> list[str]:
    found = clients.s3.list_objects_v2(Bucket="hybrid-ocr", Prefix=f"jobs/default/{job.job_id}/")
    return [entry["Key"].removeprefix(f"jobs/default/{job.job_id}/") for entry in found.get("Contents", [])]


def test_a_rerun_is_a_job_of_its_own_that_says_of_which(
    client: FlaskClient, drain: Callable[[], None], recogniser: ScriptedRecogniser
) -> None:
    job = _submit(client)
    drain()

    answer = client.post(f"/jobs/{job.job_id}/rerun", json={"mode": "force"})

    body = answer.get_json()
    assert (answer.status_code, body["status"], body["rerun_of"]) == (202, "QUEUED", job.job_id)
    assert (answer.headers["Location"], answer.headers["Retry-After"]) == (f"/jobs/{body['job_id']}", "1")
    drain()
    rerun = _view(client, JobId(tenant="default", job_id=body["job_id"]))
    assert (rerun["status"], rerun["options"]["mode"], recogniser.calls) == ("DONE", "force", 2)
    assert _view(client, job)["rerun_of"] is None


@pytest.mark.failure(6)
def test_of_reruns_that_race_under_one_key_the_one_that_loses_leads_nobody(
    client: FlaskClient, store: JobStore, dispatch: Dispatch, contents: Contents, drain: Callable[[], None]
) -> None:
    first = store.get(_submit(client))
    drain()
    once = KeyedRequest(tenant="default", operation="jobs", key="k", fingerprint="f", at=first.created_at)
    won, lost = (a_job(document=first.document, options=first.options, rerun_of=first.job_id) for _ in range(2))
    dispatch.commit(won, once)
    with pytest.raises(KeyUsed):
        dispatch.commit(lost, once)

    assert contents.lead(a_job(document=first.document, options=first.options)) == won.id


def test_an_outage_after_a_rerun_is_accepted_is_none_of_it(
    client: FlaskClient, store: JobStore, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outage(_contents: Contents, _job: Job) -> None:
        raise Unavailable("DynamoDB", "away")

    first = store.get(_submit(client))
    monkeypatch.setattr(Contents, "lead_from_now_on", outage)
    rerun = a_job(document=first.document, options=first.options, rerun_of=first.job_id)

    assert dispatch.commit(rerun).id == store.get(rerun.id).id


def test_what_is_not_named_is_as_it_was(client: FlaskClient) -> None:
    job = _submit(client, **_ASKED)

    same, other = _view(client, _rerun(client, job)), _view(client, _rerun(client, job, mode="auto", pages="2"))

    kept = ("options", "priority", "client_reference", "document")
    assert [same[name] for name in kept] == [_view(client, job)[name] for name in kept]
    assert other["options"] == {**same["options"], "mode": "auto", "pages": "2"}


def test_null_is_as_if_it_had_never_been_said(client: FlaskClient) -> None:
    job = _submit(client, **_ASKED)

    view = _view(client, _rerun(client, job, **dict.fromkeys(_ASKED)))

    assert view["options"] == {"languages": "eng", "mode": "auto", "outputs": "json,txt,pdf", "pages": None}
    assert (view["priority"], view["client_reference"]) == ("normal", None)


def test_lists_may_be_arrays(client: FlaskClient) -> None:
    view = _view(client, _rerun(client, _submit(client), languages=["deu", "eng"], outputs=["hocr", "json"]))

    assert (view["options"]["languages"], view["options"]["outputs"]) == ("deu+eng", "json,hocr")


def test_without_a_body_everything_is_as_it_was(client: FlaskClient) -> None:
    job = _submit(client, mode="force")

    answer = client.post(f"/jobs/{job.job_id}/rerun")

    assert (answer.status_code, answer.get_json()["options"]["mode"]) == (202, "force")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"[]", (400, "bad_request")),
        (b'"force"', (400, "bad_request")),
        (b"{", (400, "bad_request")),
        (b'{"mode": "magic"}', (400, "bad_request")),
        (b'{"mode": ["force"]}', (400, "bad_request")),
        (b'{"mode": true}', (400, "bad_request")),
        (b'{"pages": "0"}', (400, "bad_request")),
        (b'{"outputs": [1]}', (400, "bad_request")),
        (b'{"file": "x"}', (400, "bad_request")),
        (b'{"job_id": "x"}', (400, "bad_request")),
        (b'{"languages": "tlh"}', (422, "unsupported_language")),
        (b'{"client_reference": "' + b"x" * (64 << 10) + b'"}', (413, "file_too_large")),
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_leaves_nothing(
    client: FlaskClient, clients: AwsClients, body: bytes, refusal: tuple[int, str]
) -> None:
    job = _submit(client)

    answer = client.post(f"/jobs/{job.job_id}/rerun", data=body, content_type="application/json")

    assert _refused(answer) == refusal
    assert len(clients.s3.list_objects_v2(Bucket="hybrid-ocr")["Contents"]) == 1


def test_a_form_is_no_json(client: FlaskClient) -> None:
    answer = client.post(f"/jobs/{_submit(client).job_id}/rerun", data={"mode": "force"})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_with_the_same_options_it_is_read_again_all_the_same(
    client: FlaskClient, drain: Callable[[], None], recogniser: ScriptedRecogniser
) -> None:
    job = _submit(client)
    drain()
    rerun = _rerun(client, job)
    drain()

    assert recogniser.calls == 2
    assert _view(client, rerun)["deduplicated_from"] is None


def test_even_while_the_first_still_runs(
    client: FlaskClient, drain: Callable[[], None], recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    job = _submit(client)
    made: list[JobId] = []
    recogniser.script = [lambda: made.append(_rerun(client, job))]
    drain()

    assert recogniser.calls == 2
    assert [store.get(found).status for found in (job, *made)] == [JobStatus.DONE] * 2


def test_who_sends_the_document_later_has_the_newer_result(
    client: FlaskClient, drain: Callable[[], None], recogniser: ScriptedRecogniser
) -> None:
    job = _submit(client)
    drain()
    rerun = _rerun(client, job)
    waits, later = _submit(client), None
    drain()
    later = _submit(client)
    drain()

    assert recogniser.calls == 2
    assert [_view(client, copy)["deduplicated_from"] for copy in (waits, later)] == [rerun.job_id] * 2


def test_when_the_rerun_fails_the_document_is_read_by_who_sends_it_next(
    client: FlaskClient, drain: Callable[[], None], recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    def refuse() -> None:
        raise DocumentRejected("page_timeout", "too slow today")

    job = _submit(client)
    drain()
    recogniser.script = [refuse]
    rerun = _rerun(client, job)
    drain()
    later = _submit(client)
    drain()

    assert [store.get(found).status for found in (job, rerun, later)] == [
        JobStatus.DONE,
        JobStatus.FAILED,
        JobStatus.DONE,
    ]


@pytest.mark.parametrize("erased", [0, 1])
def test_erasing_one_leaves_the_other(
    client: FlaskClient, drain: Callable[[], None], clients: AwsClients, erased: int
) -> None:
    jobs = [_submit(client)]
    drain()
    jobs.append(_rerun(client, jobs[0], mode="force"))
    drain()
    gone, kept = jobs[erased], jobs[1 - erased]

    client.delete(f"/jobs/{gone.job_id}")

    assert _keys(clients, gone) == []
    assert _keys(clients, kept) == ["1/0/result.json", "source"]
    assert _view(client, kept)["status"] == "DONE"


def test_erasing_the_first_while_the_rerun_waits_leaves_it_its_bytes(
    client: FlaskClient, drain: Callable[[], None], documents: DocumentStore, store: JobStore
) -> None:
    job = _submit(client)
    drain()
    rerun = _rerun(client, job)
    client.delete(f"/jobs/{job.job_id}")
    drain()

    result = json.loads(b"".join(documents.result_lines(store.get(rerun))))
    assert (result["job_id"], result["read"]) == (rerun.job_id, _PDF.decode())


def test_a_rerun_can_be_run_again(client: FlaskClient, drain: Callable[[], None]) -> None:
    first = _submit(client)
    second = _rerun(client, first)
    third = _rerun(client, second)
    drain()

    assert _view(client, third)["rerun_of"] == second.job_id


@pytest.mark.parametrize("job_id", ["0" * 32, "nonsense"])
def test_what_is_not_there_cannot_be_run_again(client: FlaskClient, job_id: str) -> None:
    assert _refused(client.post(f"/jobs/{job_id}/rerun", json={})) == (404, "not_found")


def test_nor_can_what_was_erased_or_is_anothers(client: FlaskClient, store: JobStore, clients: AwsClients) -> None:
    job = _submit(client)
    client.delete(f"/jobs/{job.job_id}")

    assert _refused(client.post(f"/jobs/{job.job_id}/rerun", json={})) == (404, "not_found")


def test_a_document_that_is_gone_is_gone(client: FlaskClient, documents: DocumentStore, clients: AwsClients) -> None:
    job = _submit(client)
    documents.purge(job)

    assert _refused(client.post(f"/jobs/{job.job_id}/rerun", json={})) == (410, "source_gone")
    assert len(client.get("/jobs").get_json()["jobs"]) == 1


def test_a_document_that_is_erased_at_this_very_moment_was_never_there(
    client: FlaskClient, documents: DocumentStore, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _submit(client)
    copy = documents.copy_source

    def erase_first(*args: Any) -> None:
        client.delete(f"/jobs/{job.job_id}")
        copy(*args)

    monkeypatch.setattr(documents, "copy_source", erase_first)

    assert _refused(client.post(f"/jobs/{job.job_id}/rerun", json={})) == (404, "not_found")


def test_with_the_bucket_away_nothing_is_accepted(client: FlaskClient, clients: AwsClients, store: JobStore) -> None:
    job = _submit(client)
    with away(clients.s3):
        answer = client.post(f"/jobs/{job.job_id}/rerun", json={})

    assert _refused(answer) == (503, "unavailable")
    assert len(client.get("/jobs").get_json()["jobs"]) == 1


def test_the_same_rerun_under_the_same_key_is_the_same_job(client: FlaskClient, clients: AwsClients) -> None:
    job = _submit(client)
    key = {"Idempotency-Key": "again-7"}
    first = client.post(f"/jobs/{job.job_id}/rerun", json={"mode": "force"}, headers=key)
    second = client.post(f"/jobs/{job.job_id}/rerun", json={"mode": "force"}, headers=key)

    assert first.get_json()["job_id"] == second.get_json()["job_id"]
    assert (first.headers.get("Idempotent-Replayed"), second.headers.get("Idempotent-Replayed")) == (None, "true")
    assert len(client.get("/jobs").get_json()["jobs"]) == 2
    assert len(clients.s3.list_objects_v2(Bucket="hybrid-ocr")["Contents"]) == 2


@pytest.mark.failure(5)
def test_who_heard_no_answer_learns_of_the_rerun_though_the_first_job_is_gone(
    client: FlaskClient, clock: FakeClock, drain: Callable[[], None]
) -> None:
    erased, expired = _submit(client), _submit(client, retention_days="1")
    drain()
    headers = [{"Idempotency-Key": "again-7"}, {"Idempotency-Key": "again-8"}]
    made = [
        client.post(f"/jobs/{job.job_id}/rerun", json={"retention_days": 9}, headers=key).get_json()["job_id"]
        for job, key in zip((erased, expired), headers, strict=True)
    ]

    client.delete(f"/jobs/{erased.job_id}")
    clock.advance(2 * 24 * 3600)

    assert client.get(f"/jobs/{expired.job_id}").status_code == 410
    for job, key, job_id in zip((erased, expired), headers, made, strict=True):
        again = client.post(f"/jobs/{job.job_id}/rerun", json={"retention_days": 9}, headers=key)
        assert (again.status_code, again.get_json()["job_id"]) == (202, job_id)
        other = client.post(f"/jobs/{job.job_id}/rerun", json={"retention_days": None}, headers=key)
        assert _refused(other) == (422, "idempotency_mismatch")


def test_another_rerun_under_the_same_key_is_refused(client: FlaskClient) -> None:
    jobs = [_submit(client), _submit(client)]
    key = {"Idempotency-Key": "again-7"}
    assert client.post(f"/jobs/{jobs[0].job_id}/rerun", json={"mode": "force"}, headers=key).status_code == 202

    for job, mode in ((jobs[0], "auto"), (jobs[1], "force")):
        answer = client.post(f"/jobs/{job.job_id}/rerun", json={"mode": mode}, headers=key)
        assert _refused(answer) == (422, "idempotency_mismatch")


def test_a_rerun_that_is_erased_says_nothing_of_the_other(
    client: FlaskClient, clients: AwsClients, store: JobStore
) -> None:
    job = _submit(client)
    rerun = _rerun(client, job)
    client.delete(f"/jobs/{rerun.job_id}")

    with pytest.raises(JobNotFound):
        store.get(rerun)
    key = {"pk": {"S": f"T#default#J#{rerun.job_id}"}, "sk": {"S": "META"}}
    tombstone = clients.dynamodb.get_item(TableName="hybrid-ocr", Key=key)["Item"]
    assert not {"rerun_of", "listed_at", "document", "options"} & tombstone.keys()
