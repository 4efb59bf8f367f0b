"""Objects that no job points to are removed, and no others."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest

from hybrid_ocr_core import direct_upload
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import utc_now
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker.orphans import remove_orphans
from tests.builders import a_document, a_failure, a_job, a_result


def _later() -> dt.datetime:
    return utc_now() + dt.timedelta(hours=2)


def _keys(clients: AwsClients) -> set[str]:
    return {item["Key"] for item in clients.s3.list_objects_v2(Bucket="hybrid-ocr").get("Contents", [])}


@pytest.mark.failure(2, 15)
def test_uploads_without_a_job_and_files_of_lost_attempts_go(
    store: JobStore, documents: DocumentStore, clients: AwsClients, tmp_path: Path
) -> None:
    done, failed, queued, erased, never = (a_job() for _ in range(5))
    (tmp_path / "file").write_text("x")
    for job in (done, failed, queued, erased, never):
        documents.put_source(job.id, io.BytesIO(b"x"), "application/pdf")
        for attempt in (1, 2):
            documents.put_result(job.id, attempt=attempt, revision=0, output="json", path=tmp_path / "file")
        if job is not never:
            store.create(job)
    store.complete(store.claim(done.id)[1], a_document(pages=2), a_result(attempt=1))
    store.fail(store.claim(failed.id)[1], a_failure())
    store.erase(erased.id)

    removed = remove_orphans(store, documents, clock=_later)

    prefix = "jobs/default/"
    assert _keys(clients) == {
        f"{prefix}{done.job_id}/source",
        f"{prefix}{done.job_id}/1/0/result.json",
        f"{prefix}{failed.job_id}/source",
        f"{prefix}{queued.job_id}/source",
        f"{prefix}{queued.job_id}/1/0/result.json",
        f"{prefix}{queued.job_id}/2/0/result.json",
    }
    assert removed == 9


def test_what_is_young_may_belong_to_a_job_that_is_being_submitted(
    store: JobStore, documents: DocumentStore, clients: AwsClients
) -> None:
    documents.put_source(a_job().id, io.BytesIO(b"x"), "application/pdf")

    assert remove_orphans(store, documents) == 0
    assert len(_keys(clients)) == 1


@pytest.mark.failure(2)
def test_what_clients_sent_themselves_goes_when_nobody_can_submit_it_any_more(
    store: JobStore, documents: DocumentStore, clients: AwsClients
) -> None:
    clients.s3.put_object(Bucket="hybrid-ocr", Key="uploads/default/abandoned", Body=b"x")
    young = utc_now() + direct_upload.USABLE - dt.timedelta(minutes=5)
    old = utc_now() + direct_upload.USABLE + dt.timedelta(minutes=5)

    assert remove_orphans(store, documents, clock=lambda: young) == 0
    assert remove_orphans(store, documents, clock=lambda: old) == 1
    assert _keys(clients) == set()
