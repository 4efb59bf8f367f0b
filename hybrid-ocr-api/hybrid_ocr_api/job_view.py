"""Job -> the JSON object of the contract."""

from __future__ import annotations

from hybrid_ocr_api.schemas import JobEntry, JobError, JobState, JobView
from hybrid_ocr_api.services import Services
from hybrid_ocr_core.job import Job
from hybrid_ocr_core.job_item import stamp


def render(job: Job, parts: Services) -> JobView:
    """Everything a client may know of its job. Result URLs are signed afresh at each call."""
    seconds = parts.settings.result_url_seconds
    result = job.result
    urls = {
        output: parts.documents.presign_result(job, output, seconds=seconds)
        for output in (result.outputs if result else ())
    }
    return {
        **_state(job),
        "result_url": urls.get("json"),
        "results": urls,
        "expires_in": seconds if urls else None,
    }


def entry(job: Job, location: str) -> JobEntry:
    """The job in a list: without URLs, for to sign those of a hundred jobs would take longer than to find the jobs."""
    return {**_state(job), "location": location}


def _state(job: Job) -> JobState:
    result = job.result
    options = job.options.spelled()
    return {
        "job_id": job.job_id,
        "status": job.status,
        "created_at": stamp(job.created_at),
        "updated_at": stamp(job.updated_at),
        "attempt": job.attempt,
        "priority": job.lane,
        "client_reference": job.client_reference,
        "batch_id": job.batch_id,
        "rerun_of": job.rerun_of,
        "options": {**options, "pages": options["pages"] or None},
        "retention": {
            "days": job.retention.days,
            "source_days": job.retention.source_days,
            "expires_at": stamp(job.expires_at) if job.expires_at else None,
            "source_expires_at": stamp(job.source_expires_at) if job.source_expires_at else None,
        },
        "document": {
            "filename": job.document.filename,
            "media_type": job.document.media_type,
            "bytes": job.document.bytes,
            "sha256": job.document.sha256,
            "pages": job.document.pages,
        },
        "progress": {
            "pages_done": job.progress.pages_done if job.progress else 0,
            "pages_total": job.progress.pages_total if job.progress else None,
        },
        "failed_pages": list(result.failed_pages) if result else [],
        "warnings": list(result.warnings) if result else [],
        "confidence": {
            "mean": result.confidence.mean,
            "p10": result.confidence.p10,
            "lowest_page": result.confidence.lowest_page,
        }
        if result and result.confidence
        else None,
        "deduplicated_from": result.deduplicated_from if result else None,
        "triage": result.triage if result else None,
        "error": error(job),
    }


def error(job: Job) -> JobError | None:
    """Why it is FAILED."""
    failure = job.failure
    if failure is None:
        return None
    return {
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "page": failure.page,
    }
