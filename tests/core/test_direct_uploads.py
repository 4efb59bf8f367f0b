"""Documents that clients send to S3 themselves: bound by their form, pinned when they are submitted, used once."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybrid_ocr_core import aws
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.direct_upload import USABLE, Arrived, DirectUpload, UploadId, Use
from hybrid_ocr_core.direct_upload_store import DirectUploadStore, UploadUse
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import Unavailable, UploadIncomplete, UploadNotFound, UploadUsed
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_core.table import Table
from tests.builders import START, a_document, a_job
from tests.faults import away, changed_answer

_CONTENT = b"%PDF-1.7 sent by its client"
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


@pytest.fixture
def uploads(clients: AwsClients) -> DirectUploadStore:
    return DirectUploadStore(clients.dynamodb, "hybrid-ocr")


def _an_upload(**changes: Any) -> DirectUpload:
    fields: dict[str, Any] = {
        "id": UploadId(tenant="acme", upload_id="0" * 32),
        "filename": "scan.pdf",
        "media_type": "application/pdf",
        "bytes": len(_CONTENT),
        "created_at": START,
    }
    return DirectUpload(**{**fields, **changes})


def _send(clients: AwsClients, upload: UploadId, content: bytes = _CONTENT) -> None:
    clients.s3.put_object(Bucket="hybrid-ocr", Key=f"uploads/{upload.tenant}/{upload.upload_id}", Body=content)


def _use(clients: AwsClients, use: UploadUse, made: str) -> None:
    """What ``JobStore.create`` does with it."""
    written, refused = Table(clients.dynamodb, "hybrid-ocr").transact([use.record(made)])
    if not written:
        use.check(refused[0], made=made)


def test_the_form_binds_key_type_and_the_very_size(documents: DocumentStore) -> None:
    form = documents.presign_upload(_an_upload(), seconds=600)

    policy = json.loads(base64.b64decode(form.fields["policy"]))
    key = f"uploads/acme/{'0' * 32}"
    assert {"key": key} in policy["conditions"]
    assert {"Content-Type": "application/pdf"} in policy["conditions"]
    assert ["content-length-range", len(_CONTENT), len(_CONTENT)] in policy["conditions"]
    assert (form.fields["key"], form.fields["Content-Type"]) == (key, "application/pdf")
    assert form.fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    # S3 refuses a field that the policy does not know.
    known = {"policy", "x-amz-signature"}.union(*(c for c in policy["conditions"] if isinstance(c, dict)))
    assert form.fields.keys() <= known


def test_a_form_points_to_where_clients_reach_s3(aws_settings: AwsSettings) -> None:
    clients = aws.connect(replace(aws_settings, public_endpoint_url="https://files.example"))
    documents = DocumentStore(clients.s3, "hybrid-ocr", clients.s3_public)

    assert documents.presign_upload(_an_upload(), seconds=600).url == "https://files.example/hybrid-ocr"


def test_what_has_arrived_is_told_by_its_first_bytes(documents: DocumentStore, clients: AwsClients) -> None:
    upload = _an_upload()
    with pytest.raises(UploadIncomplete):
        documents.look_at_upload(upload.id)
    _send(clients, upload.id, b"")
    with pytest.raises(UploadIncomplete):
        documents.look_at_upload(upload.id)
    _send(clients, upload.id, _CONTENT * 100)

    arrived = documents.look_at_upload(upload.id)

    assert arrived.head == (_CONTENT * 100)[:1024]
    assert arrived.bytes == len(_CONTENT) * 100


@pytest.mark.failure(39)
def test_what_was_pinned_stays_whatever_is_sent_afterwards(
    documents: DocumentStore, clients: AwsClients, tmp_path: Path
) -> None:
    upload, job = _an_upload(), a_job(document=a_document(_CONTENT))
    _send(clients, upload.id)

    sha256 = documents.pin_upload(upload.id, documents.look_at_upload(upload.id), job.id, "application/pdf")
    _send(clients, upload.id, b"%PDF-1.7 something other")

    documents.get_source(job, tmp_path / "source")
    assert sha256 == _SHA256
    assert (tmp_path / "source").read_bytes() == _CONTENT
    assert clients.s3.head_object(Bucket="hybrid-ocr", Key=_source(job.id))["ContentType"] == "application/pdf"


def test_a_store_that_does_not_hash_what_it_copies_is_read_instead(
    documents: DocumentStore, clients: AwsClients
) -> None:
    upload, job = _an_upload(), a_job()
    _send(clients, upload.id)

    with changed_answer(clients.s3, "CopyObject", lambda answer: answer["CopyObjectResult"].pop("ChecksumSHA256")):
        sha256 = documents.pin_upload(upload.id, documents.look_at_upload(upload.id), job.id, "application/pdf")

    assert sha256 == _SHA256


def test_what_vanished_before_it_was_pinned_is_incomplete(documents: DocumentStore) -> None:
    seen = Arrived(head=_CONTENT, bytes=len(_CONTENT), etag='"0"')

    with pytest.raises(UploadIncomplete):
        documents.pin_upload(_an_upload().id, seen, a_job().id, "application/pdf")


def test_an_upload_is_read_back_as_it_was_announced(uploads: DirectUploadStore) -> None:
    upload = _an_upload()
    uploads.create(upload)

    assert uploads.get(upload.id) == upload
    for other in (UploadId(tenant="globex", upload_id="0" * 32), UploadId(tenant="acme", upload_id="1" * 32)):
        with pytest.raises(UploadNotFound):
            uploads.get(other)


def test_an_upload_is_usable_for_a_day() -> None:
    upload = _an_upload()

    assert not upload.is_over(START + USABLE - dt.timedelta(seconds=1))
    assert upload.is_over(START + USABLE)


def test_an_upload_becomes_one_job(uploads: DirectUploadStore, clients: AwsClients) -> None:
    upload = _an_upload()
    uploads.create(upload)
    use = UploadUse(upload=upload.id, sha256=_SHA256, at=START)

    _use(clients, use, "first")
    _use(clients, use, "first")  # sent again by botocore, say
    with pytest.raises(UploadUsed) as refused:
        _use(clients, use, "second")

    found = uploads.get(upload.id)
    assert refused.value.made == "first"
    assert found.use == Use(job_id="first", sha256=_SHA256)
    assert found.filename == ""  # it is the job's now, and goes with it


def test_an_upload_that_is_gone_cannot_be_used(uploads: DirectUploadStore, clients: AwsClients) -> None:
    use = UploadUse(upload=_an_upload().id, sha256=_SHA256, at=START)

    with pytest.raises(UploadNotFound):
        _use(clients, use, "job")
    with pytest.raises(UploadNotFound):
        uploads.get(use.upload)


def test_items_of_uploads_end_by_themselves(uploads: DirectUploadStore, clients: AwsClients) -> None:
    upload = _an_upload()
    uploads.create(upload)

    assert _expires_at(clients) > START + USABLE
    _use(clients, UploadUse(upload=upload.id, sha256=_SHA256, at=START), "job")
    assert _expires_at(clients) == START + dt.timedelta(days=7)


@pytest.mark.failure(40)
def test_with_s3_away_no_upload_is_called_incomplete(documents: DocumentStore, clients: AwsClients) -> None:
    seen = Arrived(head=_CONTENT, bytes=len(_CONTENT), etag='"0"')
    with away(clients.s3):
        for call in (
            lambda: documents.look_at_upload(_an_upload().id),
            lambda: documents.pin_upload(_an_upload().id, seen, a_job().id, "application/pdf"),
            lambda: documents.delete_upload(_an_upload().id),
            lambda: list(documents.uploads()),
        ):
            with pytest.raises(Unavailable):
                call()


def _expires_at(clients: AwsClients) -> dt.datetime:
    (item,) = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    return dt.datetime.fromtimestamp(int(item["expires_at"]["N"]), dt.UTC)


def _source(job: Any) -> str:
    return f"jobs/{job.tenant}/{job.job_id}/source"
