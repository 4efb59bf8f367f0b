"""POST and GET of batches: what becomes of each file, what is counted, and what an outage leaves."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import JobFinished, LeaseLost, Unavailable
from hybrid_ocr_core.job import JobId, JobStatus, Lane
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_worker.sweeper import Sweeper
from tests.archives import archive
from tests.builders import FakeClock, Unread, a_document, a_failure, a_result
from tests.conftest import MAX_BATCH_BYTES, MAX_BATCH_FILES, MAX_UPLOAD_BYTES
from tests.faults import away, away_after, changed_answer, lost_response
from tests.observed import code_of, sent_jobs, stored

_PDF = b"%PDF-1.7 not parsed here"


def _post(client: FlaskClient, *files: bytes | tuple[bytes, str], **fields: Any) -> TestResponse:
    named = [(file, f"{number}.pdf") if isinstance(file, bytes) else file for number, file in enumerate(files)]
    return client.post("/batches", data={"file": [(io.BytesIO(content), name) for content, name in named], **fields})


def _get(client: FlaskClient, posted: TestResponse) -> dict[str, Any]:
    found: dict[str, Any] = client.get(posted.headers["Location"]).get_json()
    return found


def _jobs(body: dict[str, Any]) -> list[JobId]:
    return [JobId(tenant="default", job_id=file["job_id"]) for file in body["files"] if file["job_id"]]


def test_every_file_of_a_batch_becomes_a_job(
    client: FlaskClient, clients: AwsClients, store: JobStore, queue: JobQueue, documents: DocumentStore, tmp_path: Any
) -> None:
    contents = [_PDF + bytes([number]) for number in range(25)]

    response = _post(client, *contents, languages="deu", outputs="txt", pages="1-2", client_reference="order 7")

    body = response.get_json()
    jobs = [store.get(job) for job in _jobs(body)]
    assert (response.status_code, body["status"], body["client_reference"]) == (202, "QUEUED", "order 7")
    assert response.headers["Location"] == f"/batches/{body['batch_id']}"
    assert response.headers["Retry-After"].isdigit()
    assert body["counts"] == _counts(files=25, queued=25)
    assert [file["filename"] for file in body["files"]] == [f"{number}.pdf" for number in range(25)]
    assert [file["location"] for file in body["files"]] == [f"/jobs/{job.job_id}" for job in jobs]
    assert {(job.options.languages, job.client_reference, job.batch_id) for job in jobs} == {
        (("deu",), "order 7", body["batch_id"])
    }
    assert len(stored(clients)) == 25
    for job, content in zip(jobs, contents, strict=True):
        documents.get_source(job, tmp_path / "source")
        assert (tmp_path / "source").read_bytes() == content
    assert sorted(sent_jobs(queue)) == sorted(job.job_id for job in jobs)
    assert _get(client, response) == body
    assert client.get(f"/jobs/{jobs[0].job_id}").get_json()["batch_id"] == body["batch_id"]


def test_a_batch_goes_into_the_lane_that_it_asks_for(client: FlaskClient, queue: JobQueue, store: JobStore) -> None:
    (job,) = _jobs(_post(client, _PDF, priority="low").get_json())

    message = queue.receive(Lane.LOW, visibility_seconds=30, wait_seconds=0)
    assert message is not None
    assert (message.work(), store.get(job).lane) == (job, Lane.LOW)


def test_of_a_batch_with_more_jobs_than_places_each_that_ends_sends_the_next(
    client: FlaskClient,
    queue: JobQueue,
    store: JobStore,
    dispatch: Dispatch,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "_most", 2)
    jobs = _jobs(_post(client, *[_PDF] * 5).get_json())
    seen: list[JobId] = []

    while received := [JobId(tenant="default", job_id=job_id) for job_id in sent_jobs(queue)]:
        assert len(received) <= 2
        for job in received:
            dispatch.ended(store.complete(store.claim(job)[1], a_document(pages=2), a_result()))
        seen += received

    assert sorted(job.job_id for job in seen) == sorted(job.job_id for job in jobs)


def test_a_file_that_is_refused_does_not_stop_the_others(client: FlaskClient, clients: AwsClients) -> None:
    response = _post(client, b"", _PDF, b"plain text", b"%PDF-" + bytes(MAX_UPLOAD_BYTES), (_PDF, "../ä\x07/scan.pdf"))

    body = response.get_json()
    assert response.status_code == 202
    assert body["counts"] == _counts(files=5, queued=2, refused=3)
    assert [file["error"] and file["error"]["code"] for file in body["files"]] == [
        "file_empty",
        None,
        "unsupported_media_type",
        "file_too_large",
        None,
    ]
    refused = body["files"][0]
    assert (refused["filename"], refused["job_id"], refused["status"], refused["location"]) == (
        "0.pdf",
        None,
        None,
        None,
    )
    assert body["files"][4]["filename"] == "scan.pdf"
    assert len(stored(clients)) == 2
    assert _get(client, response) == body


def test_a_batch_of_which_every_file_is_refused_says_so_in_each(client: FlaskClient, queue: JobQueue) -> None:
    response = _post(client, b"plain", b"")

    body = _get(client, response)
    assert (response.status_code, body["status"]) == (202, "DONE")
    assert body["counts"] == _counts(files=2, refused=2)
    assert "Retry-After" not in client.get(response.headers["Location"]).headers
    assert sent_jobs(queue) == []


def test_the_status_of_a_batch_is_told_from_its_jobs(client: FlaskClient, store: JobStore) -> None:
    posted = _post(client, _PDF, _PDF, _PDF, _PDF, b"plain")
    first, second, third, fourth = _jobs(posted.get_json())

    _, lease = store.claim(first)
    assert (_get(client, posted)["status"], _get(client, posted)["counts"]) == (
        "PROCESSING",
        _counts(files=5, queued=3, processing=1, refused=1),
    )
    store.complete(lease, a_document(pages=2), a_result())
    assert _get(client, posted)["status"] == "PROCESSING"
    store.fail(store.claim(second)[1], a_failure())
    client.delete(f"/jobs/{third.job_id}")
    store.complete(store.claim(fourth)[1], a_document(pages=2), a_result())

    body = _get(client, posted)
    assert (body["status"], body["counts"]) == ("DONE", _counts(files=5, done=2, failed=1, erased=1, refused=1))
    assert body["files"][1]["error"] == {
        "code": "corrupt_document",
        "message": "broken",
        "retryable": False,
        "page": 3,
    }
    erased = {"filename": None, "job_id": third.job_id, "status": None, "error": None, "location": None}
    assert body["files"][2] == erased


@pytest.mark.failure(9, 18, 21)
def test_what_is_delivered_or_written_twice_is_counted_once(
    client: FlaskClient, clients: AwsClients, store: JobStore, clock: FakeClock
) -> None:
    posted = _post(client, _PDF, _PDF)
    first, second = _jobs(posted.get_json())

    _, stale = store.claim(first)
    clock.advance(61)
    _, lease = store.claim(first)
    with lost_response(clients.dynamodb, "UpdateItem") as lost:
        store.complete(lease, a_document(pages=2), a_result())
    with pytest.raises(LeaseLost):
        store.complete(stale, a_document(pages=2), a_result())
    for _ in range(3):
        with pytest.raises(JobFinished):
            store.claim(first)
    store.claim(second)

    assert lost
    assert _get(client, posted)["counts"] == _counts(files=2, done=1, processing=1)


def test_an_unknown_batch_is_not_found(client: FlaskClient) -> None:
    for batch_id in ("0" * 32, "nonsense", "0" * 31, "A" * 32, "%00", "..%2F.."):
        assert code_of(client.get(f"/batches/{batch_id}")) == (404, "not_found")


def test_a_job_is_no_batch_and_a_batch_no_job(client: FlaskClient) -> None:
    body = _post(client, _PDF).get_json()

    assert client.get(f"/batches/{body['files'][0]['job_id']}").status_code == 404
    assert client.get(f"/jobs/{body['batch_id']}").status_code == 404


def test_no_key_is_unauthorized_before_the_body_is_read(client: FlaskClient) -> None:
    client.environ_base.pop("HTTP_X_API_KEY")

    assert code_of(_post_unread(client, 1000)) == (401, "unauthorized")


def test_a_batch_over_the_limit_is_refused_before_the_body_is_read(client: FlaskClient) -> None:
    assert code_of(_post_unread(client, 2 * MAX_BATCH_BYTES)) == (413, "file_too_large")
    assert code_of(_post_unread(client, MAX_BATCH_BYTES)) == (500, "internal")  # for it was read


def test_a_batch_of_too_many_files_is_refused(client: FlaskClient, clients: AwsClients) -> None:
    many = archive({f"{number}.pdf": _PDF for number in range(MAX_BATCH_FILES)})

    for files in ([_PDF] * (MAX_BATCH_FILES + 1), [many, _PDF], [_PDF, many]):
        response = _post(client, *files)
        assert code_of(response) == (413, "file_too_large")
        assert str(MAX_BATCH_FILES) in response.get_json()["detail"]
    assert stored(clients) == {}
    assert _post(client, *[_PDF] * MAX_BATCH_FILES).status_code == 202


def test_what_is_no_file_is_limited_as_a_whole(client: FlaskClient) -> None:
    fields = {f"field{number}": "x" * 50_000 for number in range(9)}

    response = client.post("/batches", data={"file": (io.BytesIO(_PDF), "a.pdf"), **fields})

    assert code_of(response) == (413, "file_too_large")
    assert "fields" in response.get_json()["detail"]


def test_a_form_of_another_kind_is_not_read(client: FlaskClient) -> None:
    assert code_of(_post_unread(client, 1000, "application/x-www-form-urlencoded")) == (400, "file_missing")


def test_a_request_without_a_file_is_refused(client: FlaskClient) -> None:
    assert code_of(client.post("/batches", data={"languages": "eng"})) == (400, "file_missing")
    assert code_of(client.post("/batches", data=b"raw", content_type="application/zip")) == (400, "file_missing")
    assert code_of(client.post("/batches")) == (400, "file_missing")


def test_a_file_under_another_name_is_refused_and_not_lost(client: FlaskClient) -> None:
    files = {"file": (io.BytesIO(_PDF), "a.pdf"), "files": (io.BytesIO(_PDF), "b.pdf")}

    assert code_of(client.post("/batches", data=files)) == (400, "bad_request")


def test_a_bad_option_refuses_the_batch(client: FlaskClient, clients: AwsClients) -> None:
    assert code_of(_post(client, _PDF, languages="eng+xxx")) == (422, "unsupported_language")
    for field in ("mode", "outputs", "pages", "langauges"):
        assert code_of(_post(client, _PDF, **{field: "nonsense"})) == (400, "bad_request")
    assert code_of(_post(client, _PDF, client_reference="x" * 257)) == (400, "bad_request")

    assert stored(clients) == {}


@pytest.mark.failure(1)
def test_a_batch_that_is_cut_anywhere_leaves_nothing(client: FlaskClient, clients: AwsClients) -> None:
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7\r\n' for _ in range(3)
    )
    body += b"--x--\r\n"
    for sent in range(0, len(body), 11):
        response = client.post(
            "/batches",
            input_stream=io.BytesIO(body[:sent]),
            content_length=len(body),
            content_type="multipart/form-data; boundary=x",
        )
        assert response.status_code == 400, sent

    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []
    assert stored(clients) == {}


_OUTAGES: dict[str, Callable[[AwsClients], AbstractContextManager[None]]] = {
    "the first source": lambda clients: away_after(clients.s3, "PutObject", 0),
    "a source": lambda clients: away_after(clients.s3, "PutObject", 7),
    "a job": lambda clients: away_after(clients.dynamodb, "PutItem", 7),
    "the files of the batch": lambda clients: away_after(clients.dynamodb, "BatchWriteItem", 0),
    "the batch": lambda clients: away_after(clients.dynamodb, "PutItem", 12),
}


@pytest.mark.failure(40, 41)
@pytest.mark.parametrize("what", sorted(_OUTAGES))
def test_an_outage_in_the_middle_of_a_batch_takes_all_of_it_back(
    client: FlaskClient, clients: AwsClients, queue: JobQueue, store: JobStore, clock: FakeClock, what: str
) -> None:
    with _OUTAGES[what](clients):
        response = _post(client, *[_PDF] * 12)

    items = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    jobs = [item for item in items if "#J#" in item["pk"]["S"]]
    assert code_of(response) == (503, "unavailable")
    assert response.headers["Retry-After"].isdigit()
    assert stored(clients) == {}
    assert all("erased_at" in item for item in jobs)
    assert not [item for item in items if item["sk"]["S"] == "META" and item not in jobs]
    assert sent_jobs(queue) == []


@pytest.mark.failure(41)
def test_what_an_outage_keeps_from_being_taken_back_runs_and_nobody_asks(
    client: FlaskClient,
    clients: AwsClients,
    queue: JobQueue,
    store: JobStore,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_job: JobId) -> None:
        raise Unavailable("DynamoDB", "away")

    with monkeypatch.context() as patch, away_after(clients.dynamodb, "PutItem", 3):
        patch.setattr(store, "erase", fail)
        assert code_of(_post(client, *[_PDF] * 9)) == (503, "unavailable")
    clock.advance(61)
    Sweeper(store, queue, documents, dispatch, clock=clock).sweep()

    sent = sent_jobs(queue)
    assert len(sent) == 3
    assert all(store.get(JobId(tenant="default", job_id=job)).status is JobStatus.QUEUED for job in sent)


@pytest.mark.failure(9)
def test_messages_that_sqs_refuses_are_sent_again_and_then_left_to_the_sweeper(
    client: FlaskClient,
    clients: AwsClients,
    queue: JobQueue,
    store: JobStore,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
) -> None:
    def refuse_the_first(answer: dict[str, Any]) -> None:
        answer["Failed"] = [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]

    with changed_answer(clients.sqs, "SendMessageBatch", refuse_the_first) as asked:
        body = _post(client, *[_PDF] * 12).get_json()
    assert [len(call["Entries"]) for call in asked] == [10, 1, 2, 1]
    clients.sqs.purge_queue(QueueUrl=clients.sqs.get_queue_url(QueueName="hybrid-ocr-jobs")["QueueUrl"])
    clock.advance(61)

    Sweeper(store, queue, documents, dispatch, clock=clock).sweep()

    assert sorted(sent_jobs(queue)) == sorted(job.job_id for job in _jobs(body))


@pytest.mark.failure(8, 42)
def test_with_the_queue_away_a_batch_is_accepted_all_the_same(client: FlaskClient, clients: AwsClients) -> None:
    with away(clients.sqs):
        response = _post(client, *[_PDF] * 12)

    assert response.status_code == 202
    assert _get(client, response)["counts"] == _counts(files=12, queued=12)


@pytest.mark.failure(41)
def test_with_the_table_away_asking_for_a_batch_is_unavailable(client: FlaskClient, clients: AwsClients) -> None:
    posted = _post(client, _PDF)

    with away(clients.dynamodb):
        assert code_of(client.get(posted.headers["Location"])) == (503, "unavailable")


def _post_unread(
    client: FlaskClient, length: int, content_type: str = "multipart/form-data; boundary=x"
) -> TestResponse:
    return client.post(
        "/batches",
        input_stream=Unread(),
        environ_overrides={"CONTENT_LENGTH": str(length)},
        content_type=content_type,
    )


def _counts(**changes: int) -> dict[str, int]:
    words = ("files", "queued", "processing", "done", "failed", "refused", "erased")
    return {**dict.fromkeys(words, 0), **changes}
