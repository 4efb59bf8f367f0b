"""What is counted of jobs, told by the stores where a transition is committed.

What a worker writes under its lease counts once, also when the response was lost; what anybody may write (exhaust,
redrive, erase) counts for who heard that it was written. Whoever dies in between counts nothing: these are numbers to
watch a service by, not to bill by. Labels are of closed lists: never a tenant, a job, a name.
"""

from __future__ import annotations

import datetime as dt

from prometheus_client import Counter, Histogram

from hybrid_ocr_core.errors import DOCUMENT_CODES
from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.job import Job, JobStatus, Lane, Triage

#: Transition -> the state it leads to.
_STATES = {
    "create": JobStatus.QUEUED,
    "admit": JobStatus.QUEUED,
    "claim": JobStatus.PROCESSING,
    "complete": JobStatus.DONE,
    "fail": JobStatus.FAILED,
    "release": JobStatus.QUEUED,
    "split": JobStatus.PROCESSING,
    "exhaust": JobStatus.FAILED,
    "resend": "unchanged",
    "redrive": JobStatus.QUEUED,
    "forget": "unchanged",
    "expire": "erased",
    "erase": "erased",
}
_WAITS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600)

_transitions = Counter(
    "hybrid_ocr_job_transitions",
    "Transitions of jobs that were committed, and the state each led to.",
    ("transition", "state", "lane"),
    registry=REGISTRY,
)
_failures = Counter("hybrid_ocr_job_failures", "Jobs that ended FAILED, by code.", ("code",), registry=REGISTRY)
_retries = Counter(
    "hybrid_ocr_job_retries", "Claims of jobs that an earlier attempt did not finish.", ("lane",), registry=REGISTRY
)
_triage = Counter("hybrid_ocr_jobs_triaged", "Jobs that ended DONE, by triage.", ("triage",), registry=REGISTRY)
_waited = Histogram(
    "hybrid_ocr_queue_wait_seconds",
    "From acceptance to the first claim, being held included.",
    ("lane",),
    buckets=_WAITS,
    registry=REGISTRY,
)
_took = Histogram(
    "hybrid_ocr_job_seconds", "From acceptance to DONE or FAILED.", ("lane",), buckets=_WAITS, registry=REGISTRY
)
_submitted = Histogram(
    "hybrid_ocr_submitted_bytes",
    "Sizes of accepted documents.",
    buckets=tuple(float(1 << power) for power in range(14, 31, 2)),
    registry=REGISTRY,
)

# A rate needs a number to begin with: what may happen stands at 0 before it does.
for _lane in Lane:
    _retries.labels(_lane)
    _waited.labels(_lane)
    _took.labels(_lane)
    for _transition, _state in _STATES.items():
        _transitions.labels(_transition, _state, _lane)
for _code in DOCUMENT_CODES:
    _failures.labels(_code)
for _band in Triage:
    _triage.labels(_band)


def job_moved(transition: str, lane: Lane) -> None:
    """A transition that ``job_store`` names was committed."""
    _transitions.labels(transition, _STATES[transition], lane).inc()


def job_created(job: Job) -> None:
    """Accepted."""
    job_moved("create", job.lane)
    _submitted.observe(job.document.bytes)


def job_claimed(job: Job, now: dt.datetime) -> None:
    """Claimed, at this moment."""
    job_moved("claim", job.lane)
    if job.attempt == 1:
        _waited.labels(job.lane).observe(_seconds(job.created_at, now))
    elif job.budget_used > 1 or job.last_error is not None:
        _retries.labels(job.lane).inc()


def job_done(job: Job) -> None:
    """DONE."""
    job_moved("complete", job.lane)
    assert job.result is not None
    _triage.labels(job.result.triage).inc()
    _took.labels(job.lane).observe(_seconds(job.created_at, job.updated_at))


def job_failed(transition: str, job: Job) -> None:
    """FAILED, by one of the transitions that lead there."""
    job_moved(transition, job.lane)
    assert job.failure is not None
    _failures.labels(job.failure.code).inc()
    _took.labels(job.lane).observe(_seconds(job.created_at, job.updated_at))


def _seconds(start: dt.datetime, end: dt.datetime) -> float:
    """Clocks of two machines may differ by more than a job takes."""
    return max(0.0, (end - start).total_seconds())
