"""The Job and its parts. Frozen, pure, no boto3: a change is a conditional write in ``job_store``, then a new Job."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from hybrid_ocr_core.options import JobOptions

Clock = Callable[[], dt.datetime]

#: An id of a job, a batch or an upload, as ``uuid4().hex`` makes it.
ID = re.compile("[0-9a-f]{32}")

DEFAULT_TENANT = "default"
#: No job is kept for longer after its end.
LONGEST_RETENTION_DAYS = 365


def utc_now() -> dt.datetime:
    """The production Clock."""
    return dt.datetime.now(dt.UTC)


class JobStatus(StrEnum):
    """The public vocabulary: there is no other word."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        """Is there no way out of it?"""
        return self in {JobStatus.DONE, JobStatus.FAILED}


class Lane(StrEnum):
    """How urgent a job is; each lane is a queue of its own. The words of ``priority``, the most urgent first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Triage(StrEnum):
    """What a person has to do with a finished job, by its lowest page."""

    APPROVED = "approved"
    REVIEW = "review"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobId:
    """Names a job; also what a queue message carries."""

    tenant: str
    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a job stands: it has changed when its version has."""

    version: int
    status: JobStatus
    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class EventId:
    """Names the event that a job has ended; ``attempt`` is the job's own at that moment, and ends a job once."""

    job: JobId
    attempt: int

    @property
    def webhook_id(self) -> str:
        """What a receiver tells copies by: the same for every try."""
        return f"evt_{self.job.job_id}_{self.attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job that is DONE, FAILED or erased, and who is to hear of that."""

    job: JobId
    lane: Lane
    #: Jobs with the same content, held until this one ends.
    followers: frozenset[str]
    #: That were read for it: none if it is not DONE, or if its result is a copy.
    pages: int = 0
    #: What its ``webhook_url`` is to be told.
    event: EventId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What was submitted. ``pages`` is known after the worker's preflight."""

    filename: str
    media_type: str
    bytes: int
    sha256: str
    pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how many days after its end a job is kept, and for how many of them what was submitted."""

    days: int = LONGEST_RETENTION_DAYS
    source_days: int = LONGEST_RETENTION_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Pages finished, of the pages asked for."""

    pages_done: int
    pages_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job is FAILED. ``code`` is one of ``errors.DOCUMENT_CODES``; ``page`` counts from 1."""

    code: str
    message: str
    retryable: bool
    page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """0 to 100, over the pages that hold words; a page read from its text layer counts as 100."""

    mean: float
    p10: float
    lowest_page: int
    lowest: float

    @property
    def triage(self) -> Triage:
        """Bands of the lowest page: >= 90, 50 to 90, < 50."""
        if self.lowest >= 90:
            return Triage.APPROVED
        return Triage.REVIEW if self.lowest >= 50 else Triage.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a DONE job made. ``attempt`` and ``revision`` are the directory of its files in S3."""

    attempt: int
    revision: int
    outputs: tuple[str, ...]
    pages: int
    confidence: Confidence | None
    triage: Triage
    warnings: tuple[str, ...] = ()
    failed_pages: tuple[int, ...] = ()
    #: The job whose files these are copies of.
    deduplicated_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may write until when.

    The expiry is a wall clock and decides liveness only: whether another worker may claim. What guards every
    write is ``attempt``, the fencing token, which is raised by each claim and never reset. So a clock that is
    wrong costs work done twice, never a stale write.
    """

    job: JobId
    attempt: int
    owner: str
    expires_at: dt.datetime
    #: Does the job have a ``webhook_url``? Then the write that ends it writes an event, too.
    has_webhook: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One document to recognise: the DynamoDB item as seen by code."""

    tenant: str
    job_id: str
    status: JobStatus
    version: int
    attempt: int
    budget_used: int
    created_at: dt.datetime
    updated_at: dt.datetime
    document: Document
    options: JobOptions
    client_reference: str | None = None
    webhook_url: str | None = None
    lane: Lane = Lane.NORMAL
    #: Its tenant has no place for it in the lane yet: there is no message.
    is_held: bool = False
    #: A job with the same content and options: its result will do, if it comes to one.
    leader: str | None = None
    followers: frozenset[str] = frozenset()
    #: The batch that it was submitted in, if any.
    batch_id: str | None = None
    #: The job whose document this one reads again, if it does.
    rerun_of: str | None = None
    retention: Retention = Retention()
    #: Set with its end: when it is gone, and when what was submitted is.
    expires_at: dt.datetime | None = None
    source_expires_at: dt.datetime | None = None
    #: The request that submitted it; see ``trace``.
    traceparent: str | None = None
    #: When it was claimed last, if it was.
    started_at: dt.datetime | None = None
    lease_expires_at: dt.datetime | None = None
    progress: Progress | None = None
    result: Result | None = None
    failure: JobFailure | None = None
    last_error: str | None = None
    resends: int = 0
    #: The attempt that cut the document up, how many chunks that made, and how many are not home yet.
    split: int | None = None
    chunks: int = 0
    chunks_left: int = 0

    @property
    def id(self) -> JobId:
        """What names this job."""
        return JobId(tenant=self.tenant, job_id=self.job_id)

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return Standing(version=self.version, status=self.status, lane=self.lane)

    @property
    def ended(self) -> Ended:
        """What to tell of it when it is over."""
        pages = self.result.pages if self.result and self.result.deduplicated_from is None else 0
        event = EventId(job=self.id, attempt=self.attempt) if self.webhook_url and self.status.is_terminal else None
        return Ended(job=self.id, lane=self.lane, followers=self.followers, pages=pages, event=event)
