"""GET and DELETE of jobs, results and pages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import Job, JobStatus, Progress
from hybrid_ocr_core.job_store import JobStore
from tests.builders import a_document, a_failure, a_job, a_page, a_result
from tests.faults import away

_PAGES = [a_page(1, text="one"), a_page(12, text="twelve")]
_LINES = ",\n".join(json.dumps(page, separators=(",", ":")) for page in _PAGES)
_JSON = f'{{"schema":"hybrid-ocr/1","pages":[\n{_LINES}\n]}}\n'.encode()


@pytest.fixture
def done(store: JobStore, documents: DocumentStore, tmp_path: Path) -> Job:
    job = a_job(client_reference="order 7")
    documents.put_source(job.id, io.BytesIO(b"x"), "application/pdf")
    store.create(job)
    _, lease = store.claim(job.id)
    (tmp_path / "json").write_bytes(_JSON)
    documents.put_result(job.id, attempt=1, revision=0, output="json", path=tmp_path / "json")
    store.complete(lease, a_document(pages=2), a_result())
    return store.get(job.id)


def test_a_queued_job_says_when_to_ask_again(client: FlaskClient, store: JobStore) -> None:
    job = a_job()
    store.create(job)

    response = client.get(f"/jobs/{job.job_id}")

    body = response.get_json()
    assert (response.status_code, body["status"], body["result_url"], body["triage"]) == (200, "QUEUED", None, None)
    assert response.headers["Retry-After"].isdigit()


def test_a_running_job_shows_its_progress(client: FlaskClient, store: JobStore) -> None:
    job = a_job()
    store.create(job)
    _, lease = store.claim(job.id)
    store.renew(lease, Progress(pages_done=3, pages_total=9), a_document(pages=9))

    body = client.get(f"/jobs/{job.job_id}").get_json()

    assert (body["status"], body["attempt"], body["document"]["pages"]) == ("PROCESSING", 1, 9)
    assert body["progress"] == {"pages_done": 3, "pages_total": 9}


def test_a_done_job_shows_everything(client: FlaskClient, done: Job) -> None:
    response = client.get(f"/jobs/{done.job_id}")

    body = response.get_json()
    assert "Retry-After" not in response.headers
    assert (body["status"], body["client_reference"], body["expires_in"]) == ("DONE", "order 7", 900)
    assert body["confidence"] == {"mean": 96.12, "p10": 91.0, "lowest_page": 2}
    assert (body["triage"], body["warnings"], body["failed_pages"]) == ("review", ["repaired"], [])
    assert set(body["results"]) == {"json", "txt"}
    assert body["result_url"].startswith("https://")
    assert body["error"] is None


def test_a_failed_job_shows_its_error(client: FlaskClient, store: JobStore) -> None:
    job = a_job()
    store.create(job)
    store.fail(store.claim(job.id)[1], a_failure())

    body = client.get(f"/jobs/{job.job_id}").get_json()

    assert body["status"] == JobStatus.FAILED
    assert body["error"] == {"code": "corrupt_document", "message": "broken", "retryable": False, "page": 3}


@pytest.mark.parametrize("job_id", ["0" * 32, "nonsense", "0" * 31, "A" * 32, "%00", "..%2F.."])
@pytest.mark.parametrize("suffix", ["", "/result.json", "/pages/1"])
def test_an_unknown_job_is_not_found(client: FlaskClient, job_id: str, suffix: str) -> None:
    response = client.get(f"/jobs/{job_id}{suffix}")

    assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


def test_a_result_redirects_to_a_fresh_url(client: FlaskClient, done: Job) -> None:
    response = client.get(f"/jobs/{done.job_id}/result.txt")

    assert response.status_code == 303
    assert f"{done.job_id}/1/0/result.txt" in response.headers["Location"]
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize("output", ["pdf", "docx", "json.bak"])
def test_a_result_that_was_not_made_is_not_found(client: FlaskClient, done: Job, output: str) -> None:
    response = client.get(f"/jobs/{done.job_id}/result.{output}")

    assert response.status_code == 404
    assert "json, txt" in response.get_json()["detail"]


def test_one_page_of_the_result_is_given_as_the_json_has_it(client: FlaskClient, done: Job) -> None:
    assert client.get(f"/jobs/{done.job_id}/pages/12").get_json() == _PAGES[1]
    assert client.get(f"/jobs/{done.job_id}/pages/2").status_code == 404
    assert client.get(f"/jobs/{done.job_id}/pages/0").status_code == 404


def test_an_unfinished_job_has_no_result_yet(client: FlaskClient, store: JobStore) -> None:
    job = a_job()
    store.create(job)

    response = client.get(f"/jobs/{job.job_id}/result.json")

    assert response.status_code == 404
    assert "QUEUED" in response.get_json()["detail"]


def test_an_erased_job_is_gone_with_its_bytes(client: FlaskClient, done: Job, clients: AwsClients) -> None:
    assert client.delete(f"/jobs/{done.job_id}").status_code == 204

    assert client.get(f"/jobs/{done.job_id}").status_code == 404
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="hybrid-ocr")
    assert client.delete(f"/jobs/{done.job_id}").status_code == 204


@pytest.mark.failure(49)
def test_erasing_with_the_bucket_away_still_takes_the_job_out_of_sight(
    client: FlaskClient, done: Job, clients: AwsClients
) -> None:
    with away(clients.s3):
        assert client.delete(f"/jobs/{done.job_id}").status_code == 204

    assert client.get(f"/jobs/{done.job_id}").status_code == 404


@pytest.mark.failure(41)
def test_with_the_table_away_asking_is_unavailable_and_not_unknown(
    client: FlaskClient, done: Job, clients: AwsClients
) -> None:
    with away(clients.dynamodb):
        response = client.get(f"/jobs/{done.job_id}")

    assert (response.status_code, response.get_json()["code"]) == (503, "unavailable")
