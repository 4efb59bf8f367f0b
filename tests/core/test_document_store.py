"""Bytes in S3: per attempt, checked, presigned safely, purged whole."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore, SourceMissing, attachment
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobStatus
from tests.builders import a_document, a_job, a_result
from tests.faults import away


def test_the_submitted_bytes_come_back(documents: DocumentStore, tmp_path: Path) -> None:
    job = a_job(document=a_document(b"content"))
    documents.put_source(job.id, io.BytesIO(b"content"), "application/pdf")

    documents.get_source(job, tmp_path / "source")

    assert (tmp_path / "source").read_bytes() == b"content"


@pytest.mark.failure(39)
def test_bytes_that_were_swapped_after_submission_are_refused(documents: DocumentStore, tmp_path: Path) -> None:
    job = a_job(document=a_document(b"content"))
    documents.put_source(job.id, io.BytesIO(b"CONTENT"), "application/pdf")

    with pytest.raises(SourceMissing):
        documents.get_source(job, tmp_path / "source")


def test_a_missing_source_is_told(documents: DocumentStore, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        documents.get_source(a_job(), tmp_path / "source")


@pytest.mark.failure(15)
def test_each_attempt_has_its_own_files_and_the_job_points_to_one(documents: DocumentStore, tmp_path: Path) -> None:
    job = a_job(status=JobStatus.DONE, result=a_result(attempt=2))
    for attempt, text in ((1, "stale"), (2, "right")):
        (tmp_path / "file").write_text(text)
        documents.put_result(job.id, attempt=attempt, revision=0, output="json", path=tmp_path / "file")

    assert list(documents.result_lines(job)) == [b"right"]


def test_a_presigned_url_is_v4_short_lived_and_an_attachment(documents: DocumentStore) -> None:
    job = a_job(status=JobStatus.DONE, result=a_result())

    query = parse_qs(urlsplit(documents.presign_result(job, "txt", seconds=900)).query)

    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert query["response-content-disposition"][0].startswith("attachment;")


@pytest.mark.parametrize(
    ("output", "suffix", "media_type"),
    [
        ("json", ".json", "application/json"),
        ("md", ".md", "text/markdown; charset=utf-8"),
        ("hocr", ".hocr", "application/octet-stream"),
        ("alto", ".alto.xml", "application/octet-stream"),
        ("tsv", ".tsv", "text/tab-separated-values; charset=utf-8"),
        ("textract", ".textract.json", "application/json"),
    ],
)
def test_each_format_is_saved_under_a_name_of_its_own(
    documents: DocumentStore, output: str, suffix: str, media_type: str
) -> None:
    job = a_job(status=JobStatus.DONE, result=a_result(), document=a_document(filename="a.b.pdf"))

    query = parse_qs(urlsplit(documents.presign_result(job, output, seconds=900)).query)

    assert f'filename="a.b{suffix}"' in query["response-content-disposition"][0]
    assert query["response-content-type"] == [media_type]


@pytest.mark.parametrize("name", ['a"b\r\nX: y.pdf', "../../etc/passwd", "C:\\x\\y.pdf", "счёт.pdf", "", "…" * 300])
def test_no_file_name_escapes_its_header(name: str) -> None:
    header = attachment(name, ".txt")

    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "/" not in header


def test_purging_removes_the_whole_prefix_and_nothing_else(documents: DocumentStore, clients: AwsClients) -> None:
    job, other = a_job(), a_job()
    for one in (job, other):
        documents.put_source(one.id, io.BytesIO(b"x"), "application/pdf")

    assert documents.purge(job.id) == 1

    (left,) = clients.s3.list_objects_v2(Bucket="hybrid-ocr")["Contents"]
    assert other.job_id in left["Key"]


@pytest.mark.failure(40)
def test_an_absent_bucket_is_unavailable(documents: DocumentStore, clients: AwsClients, tmp_path: Path) -> None:
    with away(clients.s3):
        for call in (
            documents.ping,
            lambda: documents.put_source(a_job().id, io.BytesIO(b"x"), "application/pdf"),
            lambda: documents.get_source(a_job(), tmp_path / "source"),
            lambda: documents.purge(a_job().id),
        ):
            with pytest.raises(Unavailable):
                call()


def test_a_result_of_an_unfinished_job_is_a_mistake_of_the_caller(documents: DocumentStore) -> None:
    with pytest.raises(ValueError, match="DONE"):
        documents.presign_result(dataclasses.replace(a_job(), result=None), "json", seconds=60)
