"""How a document is accepted. The order of the three steps is the design.

1. S3        the bytes, under a fresh random id
2. DynamoDB  the job, QUEUED, and with it the record of its Idempotency-Key: from here on it is accepted
3. SQS       the hint to look at it

The last two are ``dispatch``'s, for a tenant has so many messages in a lane and no more.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace

from hybrid_ocr_api import idempotency, rerunning, uploads
from hybrid_ocr_api.forms import JobForm
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.uploads import Upload, Wishes
from hybrid_ocr_core import trace
from hybrid_ocr_core.document_store import SourceMissing
from hybrid_ocr_core.errors import SourceGone, Unavailable, WebhookUrlDenied
from hybrid_ocr_core.idempotency import KeyedRequest
from hybrid_ocr_core.job import Document, Job, JobId, JobStatus
from hybrid_ocr_core.logs import log_context
from hybrid_ocr_core.once import REFUSED, Once

_log = logging.getLogger(__name__)


def submit(parts: Services, *, tenant: str, upload: Upload, wishes: Wishes, key: str | None = None) -> Job:
    """Accept a document. ``key`` is its client's Idempotency-Key, if there is one.

    Raises:
        Unavailable: S3 or DynamoDB is away; nothing was accepted.
        KeyUsed: it was accepted before, under this key.
        IdempotencyMismatch: another request was.
    """
    now = parts.clock()
    request = None
    if key is not None:
        request = keyed(key, wishes, upload.document.sha256, tenant=tenant, at=now)
        parts.keys.check(request)
    job = queued_job(
        JobId(tenant=tenant, job_id=uuid.uuid4().hex),
        now=now,
        document=upload.document,
        wishes=wishes,
    )
    return _store_and_accept(
        parts, job, request, lambda: parts.documents.put_source(job.id, upload.stream, upload.document.media_type)
    )


def rerun(parts: Services, *, of: JobId, named: JobForm, key: str | None = None) -> Job:
    """Accept the document of a job once more, as a job with a copy of it: erasing one leaves the other.

    Raises:
        JobNotFound: there is no such job, or not any more.
        SourceGone: its document is not kept any more.
        RequestError: as ``read_wishes``.
        Unavailable, KeyUsed, IdempotencyMismatch: as ``submit``.
    """
    now = parts.clock()
    request = None
    if key is not None:
        # Here an empty field is not as good as none.
        fields = named.model_dump(exclude_unset=True)
        request = idempotency.keyed(key, fields, [of.job_id], tenant=of.tenant, operation="reruns", at=now)
        # The first job may be gone by now: who heard no answer is to learn of the second all the same.
        parts.keys.check(request)
    first = parts.jobs.get(of)
    job = queued_job(
        JobId(tenant=of.tenant, job_id=uuid.uuid4().hex),
        now=now,
        document=replace(first.document, pages=None),
        wishes=read_wishes(parts, of.tenant, rerunning.form_of(first, named, parts.settings.retention)),
        rerun_of=of.job_id,
    )

    def copy() -> None:
        try:
            parts.documents.copy_source(first, job.id)
        except SourceMissing as error:
            parts.jobs.get(of)
            raise SourceGone("the document of that job is not kept any more; submit it again") from error

    return _store_and_accept(parts, job, request, copy)


def _store_and_accept(parts: Services, job: Job, request: KeyedRequest | None, store_source: Callable[[], None]) -> Job:
    with log_context(job_id=job.job_id):
        store_source()
        # A crash here leaves an object that no job knows; the client got no answer and submits again. The sweeper's
        # orphan run removes the object.
        return accept(parts, job, request)


def keyed(key: str, wishes: Wishes, sha256: str, *, tenant: str, at: dt.datetime) -> KeyedRequest:
    """The request for a job under a key. However its document comes, it is the same request."""
    return idempotency.keyed(key, wishes.fields, [sha256], tenant=tenant, operation="jobs", at=at)


def accept(parts: Services, job: Job, *once: Once | None) -> Job:
    """Accept a job whose source is stored, together with what it may be made of once only.

    Raises:
        Unavailable: DynamoDB is away; nothing was accepted.
        One of ``once.REFUSED``: another job was made of that, and the source of this one is gone.
    """
    try:
        job = parts.dispatch.accept(job, *filter(None, once))
    except REFUSED:
        # Requests for one job came at once, and this is not the first. A crash here leaves the object, as above.
        with contextlib.suppress(Unavailable):
            parts.documents.purge(job.id)
        raise
    # A crash here leaves an accepted job whose client got no answer: it runs, and nobody asks for it.
    _log.info(
        "Accepted a document.",
        extra={"action": "job_accepted", "bytes": job.document.bytes, "status": job.status},
    )
    return job


def read_wishes(parts: Services, tenant: str, asked: JobForm) -> Wishes:
    """What a client asks for, as far as it can be had here.

    Raises:
        RequestError: as ``uploads.read_wishes``; WebhookUrlDenied also where there is nothing to sign a webhook with.
        Unavailable: DynamoDB is away.
    """
    settings = parts.settings
    wishes = uploads.read_wishes(
        asked,
        languages=settings.languages,
        retention=settings.retention,
        allow_private_webhooks=settings.webhooks.allow_private,
    )
    if wishes.webhook_url is not None and not parts.endpoints.secrets(tenant):
        raise WebhookUrlDenied("webhooks are not set up here: there is no secret to sign them with")
    return wishes


def queued_job(
    job: JobId,
    *,
    now: dt.datetime,
    document: Document,
    wishes: Wishes,
    batch_id: str | None = None,
    rerun_of: str | None = None,
) -> Job:
    """A job as it is accepted."""
    return Job(
        tenant=job.tenant,
        job_id=job.job_id,
        status=JobStatus.QUEUED,
        version=1,
        attempt=0,
        budget_used=0,
        created_at=now,
        updated_at=now,
        document=document,
        options=wishes.options,
        lane=wishes.lane,
        client_reference=wishes.client_reference,
        retention=wishes.retention,
        webhook_url=wishes.webhook_url,
        batch_id=batch_id,
        rerun_of=rerun_of,
        traceparent=trace.traceparent(),
    )
