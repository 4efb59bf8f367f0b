"""Documents that go to S3 past the API: by a real POST of a form, against a store that enforces it."""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import requests

from hybrid_ocr_core.direct_upload import UploadId
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import UploadIncomplete
from hybrid_ocr_core.job import JobId
from tests.make_documents import GENERATED
from tests.system.stack import Stack

_GOOD = GENERATED["born-digital.pdf"]()
_LARGE_BYTES = 64 << 20


def _send(upload: dict[str, Any], content: bytes, **changes: str) -> requests.Response:
    """The POST of a client that has nothing but the form."""
    fields = {**upload["fields"], **changes}
    return requests.post(upload["url"], data=fields, files={"file": ("scan.pdf", content)}, timeout=60)


def test_a_document_that_its_client_sent_to_s3_is_read(stack: Stack) -> None:
    upload = stack.announce(len(_GOOD), "scan.pdf")
    assert _send(upload, _GOOD).status_code == 201

    accepted = stack.post("/jobs", files={"upload_id": (None, upload["upload_id"]), "outputs": (None, "txt")})

    assert accepted.status_code == 202, accepted.text
    job = stack.finish(accepted.json()["job_id"])
    assert (job["status"], job["document"]["filename"]) == ("DONE", "scan.pdf")
    assert job["document"]["sha256"] == hashlib.sha256(_GOOD).hexdigest()
    assert b"Invoice" in stack.result(job["job_id"], "txt")
    assert stack.post("/jobs", json={"upload_id": upload["upload_id"]}).json()["code"] == "upload_used"


def test_s3_refuses_every_other_size_type_and_place(stack: Stack) -> None:
    upload = stack.announce(len(_GOOD))
    key = upload["fields"]["key"]

    refused = [
        _send(upload, _GOOD + b"\n"),
        _send(upload, _GOOD[:-1]),
        _send(upload, _GOOD, **{"Content-Type": "text/html"}),
        _send(upload, _GOOD, key=key.replace("uploads/default/", "uploads/globex/")),
        _send(upload, _GOOD, key="jobs/default/0/source"),
    ]

    assert [response.status_code for response in refused] == [400, 400, 403, 403, 403]
    assert stack.post("/jobs", json={"upload_id": upload["upload_id"]}).json()["code"] == "upload_incomplete"
    assert _send(upload, _GOOD).status_code == 201
    assert stack.post("/jobs", json={"upload_id": upload["upload_id"]}).status_code == 202


@pytest.mark.failure(39)
def test_what_is_sent_by_the_same_form_after_the_submission_changes_nothing(stack: Stack) -> None:
    other = _GOOD.replace(b"%PDF-1.", b"%pdf-1.", 1)
    upload = stack.announce(len(_GOOD))
    _send(upload, _GOOD)
    job_id = stack.post("/jobs", json={"upload_id": upload["upload_id"]}).json()["job_id"]

    assert _send(upload, other).status_code == 201

    job = stack.finish(job_id)
    source = stack.aws("s3").get_object(Bucket="hybrid-ocr", Key=f"jobs/default/{job_id}/source")["Body"].read()
    assert (job["status"], source) == ("DONE", _GOOD)


@pytest.mark.failure(39)
def test_what_was_replaced_between_the_look_and_the_copy_is_not_taken(stack: Stack) -> None:
    s3 = stack.aws("s3")
    documents = DocumentStore(s3, "hybrid-ocr")
    upload = UploadId(tenant="default", upload_id=uuid.uuid4().hex)
    job = JobId(tenant="default", job_id=uuid.uuid4().hex)
    key = f"uploads/default/{upload.upload_id}"
    s3.put_object(Bucket="hybrid-ocr", Key=key, Body=_GOOD)
    seen = documents.look_at_upload(upload)

    s3.put_object(Bucket="hybrid-ocr", Key=key, Body=b"<html>")
    with pytest.raises(UploadIncomplete):
        documents.pin_upload(upload, seen, job, "application/pdf")

    assert "Contents" not in s3.list_objects_v2(Bucket="hybrid-ocr", Prefix=f"jobs/default/{job.job_id}/")
    documents.delete_upload(upload)


def test_a_document_larger_than_any_request_is_read_and_the_api_does_not_grow(tmp_path: Path) -> None:
    content = _padded(_GOOD, _LARGE_BYTES)
    with Stack(tmp_path / "data", OCR_MAX_UPLOAD_MB="1") as stack:
        stack.finish(stack.submit_upload(_GOOD))  # all is loaded
        before = _memory(stack)

        assert stack.post("/jobs", files={"file": ("large.pdf", content)}).status_code == 413
        job = stack.finish(stack.submit_upload(content))

        assert (job["status"], job["document"]["bytes"]) == ("DONE", len(content))
        assert b"Invoice" in stack.result(job["job_id"], "txt")
        assert _memory(stack) - before < 16 << 20


def _padded(document: bytes, size: int) -> bytes:
    """The same pages, and a stream that nothing points to from them."""
    padded = io.BytesIO()
    with pikepdf.open(io.BytesIO(document)) as pdf:
        pdf.Root.Padding = pdf.make_stream(os.urandom(size))
        pdf.save(padded)
    return padded.getvalue()


def _memory(stack: Stack) -> int:
    """Peak resident bytes of the API's largest process."""
    peaks = []
    for pid in stack.pids("gunicorn"):
        status = Path(f"/proc/{pid}/status").read_text()
        peaks.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10)
    return max(peaks)
