"""Batch and its jobs -> the JSON object of the contract. Everything is counted afresh; there is no counter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from flask import url_for

from hybrid_ocr_api import job_view
from hybrid_ocr_api.schemas import BatchStatus, BatchView, Counts, FileView, RefusedFile
from hybrid_ocr_core.batch import Batch, Refusal
from hybrid_ocr_core.job import Job, JobId, JobStatus
from hybrid_ocr_core.job_item import stamp


def render(batch: Batch, jobs: Mapping[JobId, Job]) -> BatchView:
    """``jobs`` are those that are still there: one that is missing was erased."""
    return {
        "batch_id": batch.id.batch_id,
        "status": status(jobs),
        "created_at": stamp(batch.created_at),
        "client_reference": batch.client_reference,
        "counts": _counts(batch, jobs),
        "files": [_file(file, jobs) for file in batch.files],
    }


def status(jobs: Mapping[JobId, Job]) -> BatchStatus:
    """QUEUED until a job was started, DONE when all have ended, one way or another; FAILED is for jobs."""
    found = {job.status for job in jobs.values()}
    if all(each.is_terminal for each in found):
        return JobStatus.DONE
    return JobStatus.QUEUED if found == {JobStatus.QUEUED} else JobStatus.PROCESSING


def _counts(batch: Batch, jobs: Mapping[JobId, Job]) -> Counts:
    """The files, and what became of them; the others add up to the first."""
    by_status = Counter(job.status for job in jobs.values())
    return {
        "files": len(batch.files),
        "queued": by_status[JobStatus.QUEUED],
        "processing": by_status[JobStatus.PROCESSING],
        "done": by_status[JobStatus.DONE],
        "failed": by_status[JobStatus.FAILED],
        "refused": len(batch.files) - len(batch.jobs),
        "erased": len(batch.jobs) - len(jobs),
    }


def _file(file: JobId | Refusal, jobs: Mapping[JobId, Job]) -> FileView:
    if isinstance(file, Refusal):
        error: RefusedFile = {"code": file.code, "message": file.message, "retryable": False, "page": None}
        return {"filename": file.filename, "job_id": None, "status": None, "error": error, "location": None}
    job = jobs.get(file)
    if job is None:
        return {"filename": None, "job_id": file.job_id, "status": None, "error": None, "location": None}
    return {
        "filename": job.document.filename,
        "job_id": job.job_id,
        "status": job.status,
        "error": job_view.error(job),
        "location": url_for("jobs.show", job_id=job.job_id),
    }
