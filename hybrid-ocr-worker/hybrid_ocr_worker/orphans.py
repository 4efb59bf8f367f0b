"""Objects that no job points to: uploads that never became jobs, and files of attempts that were not the last word.

What clients sent to S3 themselves goes when it cannot be submitted any more. So it is never asked for whether it became
a job: if it did, its job has a copy.

Looks at every key of the bucket, so it is a command (``aws_worker.py sweep --orphans``) and not a timer.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from itertools import groupby

from hybrid_ocr_core import direct_upload
from hybrid_ocr_core.document_store import DocumentStore, StoredObject
from hybrid_ocr_core.errors import JobNotFound, NewerSchema
from hybrid_ocr_core.job import Clock, Job, utc_now
from hybrid_ocr_core.job_store import JobStore

_log = logging.getLogger(__name__)

#: Younger objects may belong to a job that is being submitted or completed this very moment.
LEAST_AGE = dt.timedelta(hours=1)


def remove_orphans(
    store: JobStore,
    documents: DocumentStore,
    *,
    least_age: dt.timedelta = LEAST_AGE,
    least_upload_age: dt.timedelta = direct_upload.USABLE,
    clock: Clock = utc_now,
) -> int:
    """Delete them; returns how many.

    Raises:
        Unavailable: the rest is for the next run.
    """
    removed = 0
    for job_id, objects in groupby(documents.objects(), key=lambda found: found.job):
        try:
            job = store.get(job_id)
        except JobNotFound:
            job = None
        except NewerSchema:
            continue  # for an orphan run of that version
        for orphan in _orphans(job, objects):
            if clock() - orphan.stored_at >= least_age:
                documents.delete(orphan)
                removed += 1
    for upload in documents.uploads():
        # Stored after it was announced, so by then nobody can submit it.
        if clock() - upload.stored_at >= least_upload_age:
            documents.delete(upload)
            removed += 1
    _log.info("Removed %s orphaned objects.", removed, extra={"action": "orphans_removed"})
    return removed


def _orphans(job: Job | None, objects: Iterator[StoredObject]) -> Iterator[StoredObject]:
    for found in objects:
        if job is None:
            yield found  # never submitted, or erased
        elif found.attempt is not None and job.status.is_terminal:
            shown = job.result.attempt if job.result else None
            if found.attempt != shown:
                yield found
