"""How a document is accepted. The order of the three steps is the design.

1. S3        the bytes, under a fresh random id
2. DynamoDB  the job, QUEUED: from here on it is accepted
3. SQS       the hint to look at it

The last two are ``dispatch``'s, for a tenant has so many messages in a lane and no more.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass

from hybrid_ocr_api.services import Services
from hybrid_ocr_api.uploads import Upload
from hybrid_ocr_core.job import Job, JobStatus, Lane
from hybrid_ocr_core.logs import log_context
from hybrid_ocr_core.options import JobOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a client asks for, beside the document itself."""

    options: JobOptions
    lane: Lane
    client_reference: str | None


def submit(parts: Services, *, tenant: str, upload: Upload, wishes: Wishes) -> Job:
    """Accept a document.

    Raises:
        Unavailable: S3 or DynamoDB is away; nothing was accepted.
    """
    now = parts.clock()
    job = Job(
        tenant=tenant,
        job_id=uuid.uuid4().hex,
        status=JobStatus.QUEUED,
        version=1,
        attempt=0,
        budget_used=0,
        created_at=now,
        updated_at=now,
        document=upload.document,
        options=wishes.options,
        lane=wishes.lane,
        client_reference=wishes.client_reference,
    )
    with log_context(job_id=job.job_id):
        parts.documents.put_source(job.id, upload.stream, upload.document.media_type)
        # A crash here leaves an object that no job knows; the client got no answer and submits again. The sweeper's
        # orphan run removes the object.
        job = parts.dispatch.accept(job)
        # A crash here leaves an accepted job whose client got no answer: it runs, and nobody asks for it.
        _log.info(
            "Accepted a document.",
            extra={"action": "job_accepted", "bytes": upload.document.bytes, "status": job.status},
        )
    return job
