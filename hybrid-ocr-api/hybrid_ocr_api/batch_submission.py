"""How a batch is accepted: the three steps of ``submission.py``, each for all of its files, and then the next.

1. S3        the bytes of each file, under fresh random ids
2. DynamoDB  the jobs, QUEUED, and then the batch, with the record of its Idempotency-Key: from here on it is accepted
3. SQS       the hints to look at them, ten a request
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hybrid_ocr_api import idempotency
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.submission import queued_job
from hybrid_ocr_api.uploads import Upload, Wishes
from hybrid_ocr_core.batch import Batch, BatchId, Refusal
from hybrid_ocr_core.errors import JobNotFound, Unavailable
from hybrid_ocr_core.idempotency import KeyedRequest
from hybrid_ocr_core.job import Job, JobId
from hybrid_ocr_core.logs import log_context

_log = logging.getLogger(__name__)

_AT_A_TIME = 8
#: The days of a batch are those of its jobs, which count them from their ends.
_JOBS_TAKE = dt.timedelta(days=30)
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def submit(
    parts: Services,
    *,
    tenant: str,
    files: Sequence[Upload | Refusal],
    wishes: Wishes,
    key: str | None = None,
) -> tuple[Batch, dict[JobId, Job]]:
    """Accept a batch, with a job for each file that is not refused. ``key`` is its client's Idempotency-Key, if any.

    Raises:
        Unavailable: S3 or DynamoDB is away; nothing was accepted.
        KeyUsed: it was accepted before, under this key.
        IdempotencyMismatch: another request was.
    """
    request = None
    if key is not None:
        contents = (file.document.sha256 if isinstance(file, Upload) else file for file in files)
        request = idempotency.keyed(key, wishes.fields, contents, tenant=tenant, operation="batches", at=parts.clock())
        parts.keys.check(request)
    batch_id = BatchId(tenant=tenant, batch_id=uuid.uuid4().hex)
    ids = [JobId(tenant=tenant, job_id=uuid.uuid4().hex) for _ in files]
    uploads = {job: file for job, file in zip(ids, files, strict=True) if isinstance(file, Upload)}
    with log_context(batch_id=batch_id.batch_id):
        jobs, now = _commit_jobs(parts, uploads, wishes, batch_id)
        # A crash here leaves jobs without a batch: the sweeper sends them, they run, and nobody asks for them.
        batch = Batch(
            id=batch_id,
            created_at=now,
            client_reference=wishes.client_reference,
            expires_at=now + dt.timedelta(days=wishes.retention.days) + _JOBS_TAKE,
            files=tuple(file if isinstance(file, Refusal) else job for job, file in zip(ids, files, strict=True)),
        )
        _commit(parts, batch, request)
        # A crash here, or SQS away, leaves QUEUED jobs without messages: the items are the outbox, and the sweeper
        # sends them after a lease.
        parts.dispatch.send(list(jobs.values()))
        # A crash here leaves an accepted batch whose client got no answer: it runs, and nobody asks for it.
        _log.info("Accepted a batch.", extra={"action": "batch_accepted"})
    return batch, jobs


def _commit_jobs(
    parts: Services, uploads: Mapping[JobId, Upload], wishes: Wishes, batch: BatchId
) -> tuple[dict[JobId, Job], dt.datetime]:
    """Bytes first, then the jobs, which are of one moment; all of them, or none that stays."""
    try:
        _for_each(uploads, lambda job: _store(parts, job, uploads[job]))
        # A crash here leaves objects that no job knows; the client got no answer and submits again. The sweeper's
        # orphan run removes them.
        now = parts.clock()
        jobs = [
            queued_job(job, now=now, document=upload.document, wishes=wishes, batch_id=batch.batch_id)
            for job, upload in uploads.items()
        ]
        return {job.id: job for job in _for_each(jobs, parts.dispatch.commit)}, now
    except Exception:
        _take_back(parts, uploads)
        raise


def _commit(parts: Services, batch: Batch, request: KeyedRequest | None) -> None:
    try:
        parts.batches.create(batch, request)
    except Exception as error:
        # The answer may be all that was lost: then the batch is there, and is what the next request with this key
        # gets, so its jobs have to stay. Else they are as after a crash. Without a key nobody could find it.
        if request is None or not isinstance(error, Unavailable):
            _take_back(parts, batch.jobs)
        raise


def _store(parts: Services, job: JobId, upload: Upload) -> None:
    parts.documents.put_source(job, upload.stream, upload.document.media_type)


def _take_back(parts: Services, jobs: Iterable[JobId]) -> None:
    """Erase what there is of these jobs, as far as S3 and DynamoDB let us.

    What an outage leaves of them heals as after a crash: objects without a job go with the orphan run, and jobs run
    without anybody asking. Erased ones, the sweeper purges once more.
    """

    def erase(job: JobId) -> None:
        # Also where creating it seemed to fail: the response may be all that was lost.
        with contextlib.suppress(JobNotFound):
            parts.dispatch.ended(parts.jobs.erase(job))
        parts.documents.purge(job)

    with contextlib.suppress(Unavailable):
        _for_each(jobs, erase)


def _for_each(items: Iterable[_Item], action: Callable[[_Item], _Made]) -> list[_Made]:
    """Some at a time, in order, until the first error; nothing runs any more when this returns."""
    pool = ThreadPoolExecutor(_AT_A_TIME)
    try:
        return list(pool.map(action, items))
    finally:
        pool.shutdown(cancel_futures=True)
