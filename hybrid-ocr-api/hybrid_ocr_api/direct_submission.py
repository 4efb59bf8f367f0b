"""How a document is accepted that its client has sent to S3 itself. The order of the steps is the design.

1. S3        a look at what lies there: its size, its first bytes, and the ETag that names them
2. S3        a copy of these very bytes, under a fresh random id: the client cannot change that
3. DynamoDB  the job, QUEUED, and with it that the upload is used: from here on it is accepted
4. SQS       the hint to look at it
5. S3        the upload goes

The bytes do not pass through here: S3 copies them, and tells their SHA-256.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid

from hybrid_ocr_api import submission, uploads
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.uploads import Wishes
from hybrid_ocr_core.direct_upload import Arrived, DirectUpload, UploadId
from hybrid_ocr_core.direct_upload_store import UploadUse
from hybrid_ocr_core.errors import (
    FileTooLarge,
    Unavailable,
    UploadExpired,
    UploadIncomplete,
    UploadNotFound,
    UploadUsed,
)
from hybrid_ocr_core.job import ID, Document, Job, JobId
from hybrid_ocr_core.logs import log_context


def submit(parts: Services, *, tenant: str, upload_id: str, wishes: Wishes, key: str | None = None) -> Job:
    """Accept an upload. ``key`` is its client's Idempotency-Key, if there is one.

    Raises:
        UploadNotFound, UploadIncomplete, UploadExpired, UploadUsed: there is nothing that could be accepted.
        FileTooLarge, UnsupportedMediaType: as of a file that comes by the API.
        Unavailable: S3 or DynamoDB is away; nothing was accepted.
        KeyUsed: it was accepted before, under this key.
        IdempotencyMismatch: another request was.
    """
    now = parts.clock()
    if not ID.fullmatch(upload_id):
        raise UploadNotFound("there is no such upload")
    upload = parts.uploads.get(UploadId(tenant=tenant, upload_id=upload_id))
    _refuse_used(parts, upload, wishes, key, now)
    if upload.is_over(now):
        raise UploadExpired("it was to be submitted within a day; send the file anew, to a new upload")
    job = JobId(tenant=tenant, job_id=uuid.uuid4().hex)
    with log_context(job_id=job.job_id):
        try:
            document = _pin(parts, upload, job)
        except UploadIncomplete:
            # Perhaps it is not there any more: another request made a job of it since we looked.
            _refuse_used(parts, parts.uploads.get(upload.id), wishes, key, now)
            raise
        # A crash here leaves a copy that no job knows, for the sweeper's orphan run. The upload is as it was: the
        # client got no answer and submits it again. Nothing that is sent by its form can change the copy.
        accepted = submission.accept(
            parts,
            submission.queued_job(job, now=now, document=document, wishes=wishes),
            None if key is None else submission.keyed(key, wishes, document.sha256, tenant=tenant, at=now),
            UploadUse(upload=upload.id, sha256=document.sha256, at=now),
        )
        # A crash here, or S3 away, leaves an object that nobody can submit any more: the bucket's lifecycle rule
        # removes it, or the orphan run. So it is with what is sent later, by a form that is still good.
        with contextlib.suppress(Unavailable):
            parts.documents.delete_upload(upload.id)
    return accepted


def _refuse_used(parts: Services, upload: DirectUpload, wishes: Wishes, key: str | None, now: dt.datetime) -> None:
    """Perhaps it was used by this very request, whose client heard no answer."""
    if upload.use is None:
        return
    if key is not None:
        parts.keys.check(submission.keyed(key, wishes, upload.use.sha256, tenant=upload.id.tenant, at=now))
    raise UploadUsed(upload.use.job_id)


def _pin(parts: Services, upload: DirectUpload, job: JobId) -> Document:
    """Look at what lies there, and copy these very bytes."""
    arrived = parts.documents.look_at_upload(upload.id)
    _refuse_other_sizes(upload, arrived)
    media_type = uploads.kind_of(arrived.head)
    sha256 = parts.documents.pin_upload(upload.id, arrived, job, media_type)
    return Document(filename=upload.filename, media_type=media_type, bytes=arrived.bytes, sha256=sha256)


def _refuse_other_sizes(upload: DirectUpload, arrived: Arrived) -> None:
    """S3 does that, by the form. Not every store that speaks its language does."""
    if arrived.bytes > upload.bytes:
        raise FileTooLarge(f"the file has {arrived.bytes} bytes; {upload.bytes} were announced")
    if arrived.bytes < upload.bytes:
        raise UploadIncomplete(f"{arrived.bytes} bytes have arrived; {upload.bytes} were announced")
