"""What the API answers with, as types: mypy holds the views to them, and ``openapi.py`` draws the document from them.

Each has all of its members in every answer; what there is not, is null. New ones may come.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic demands this one before Python 3.12

from hybrid_ocr_api.errors import PROBLEMS
from hybrid_ocr_api.forms import ID_PATTERN
from hybrid_ocr_core.errors import DOCUMENT_CODES, REQUEST_CODES
from hybrid_ocr_core.event import Delivery, TryError
from hybrid_ocr_core.job import JobStatus, Lane, Triage
from hybrid_ocr_core.media import MEDIA_TYPES
from hybrid_ocr_core.options import OUTPUTS, Mode


def _one_of(*words: str) -> Any:  # noqa: ANN401 - as pydantic's Field
    return Field(json_schema_extra={"enum": list(words)})


Id = Annotated[str, Field(pattern=ID_PATTERN, examples=["efeb9fe143f54915a162b8e9b2bb7671"])]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="In hex.")]
Time = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        description="RFC 3339, UTC.",
        examples=["2026-11-20T20:18:52.661Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
Count = Annotated[int, Field(ge=0)]
PageNumber = Annotated[int, Field(ge=1, description="Counted from 1.")]
Percent = Annotated[float, Field(ge=0, le=100)]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
Path = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
Output = Annotated[str, _one_of(*OUTPUTS)]
Text = Annotated[str, Field(description="For people; it may change.")]


class Problem(TypedDict):
    """An error, as in RFC 9457."""

    type: Annotated[str, Field(pattern="^urn:hybrid-ocr:problem:[a-z_]+$")]
    title: Annotated[str, Field(description="The same for each error with this code.")]
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Text
    instance: Annotated[str, Field(description="The path that was asked for.")]
    code: Annotated[str, _one_of(*PROBLEMS), Field(description="What programs go by; it never changes.")]
    request_id: Annotated[str, Field(description="The log has the request under it.")]


class JobError(TypedDict):
    """Why a job is FAILED."""

    code: Annotated[str, _one_of(*DOCUMENT_CODES)]
    message: Text
    retryable: Annotated[bool, Field(description="Is it worth submitting the same document again?")]
    page: PageNumber | None


class Options(TypedDict):
    """The options of a job, as they could have been sent."""

    languages: str
    mode: Mode
    outputs: str
    pages: Annotated[str | None, Field(description="null: all.")]


class DocumentView(TypedDict):
    """What was submitted."""

    filename: Annotated[str, Field(examples=["scan.pdf"])]
    media_type: Annotated[str, _one_of(*MEDIA_TYPES)]
    bytes: Count
    sha256: Sha256
    pages: Annotated[int | None, Field(ge=1, description="null until a worker has looked at it.")]


class ProgressView(TypedDict):
    """Pages, of those that were asked for."""

    pages_done: Count
    pages_total: Count | None


class ConfidenceView(TypedDict):
    """Of the pages that hold words."""

    mean: Percent
    p10: Percent
    lowest_page: PageNumber


class RetentionView(TypedDict):
    """How long things are kept, in days from the end of the job."""

    days: Count
    source_days: Annotated[int, Field(ge=0, description="The document itself.")]
    expires_at: Annotated[Time | None, Field(description="null until the job has ended.")]
    source_expires_at: Time | None


class JobState(TypedDict):
    """What is told of a job wherever it is shown."""

    job_id: Id
    status: JobStatus
    created_at: Time
    updated_at: Time
    attempt: Annotated[int, Field(ge=0, description="How often a worker has begun with it.")]
    priority: Lane
    client_reference: str | None
    batch_id: Id | None
    rerun_of: Annotated[Id | None, Field(description="The job whose document it reads again.")]
    options: Options
    retention: RetentionView
    document: DocumentView
    progress: ProgressView
    failed_pages: list[PageNumber]
    warnings: list[Text]
    confidence: Annotated[ConfidenceView | None, Field(description="null until DONE, and without words.")]
    deduplicated_from: Annotated[Id | None, Field(description="The job whose result was copied.")]
    triage: Annotated[Triage | None, Field(description="What a person has to do with it; null until DONE.")]
    error: JobError | None


class JobView(JobState):
    """A job."""

    result_url: Annotated[Url | None, Field(description="That of the json.")]
    results: Annotated[dict[Output, Url], Field(description="A presigned URL for each output.")]
    expires_in: Annotated[int | None, Field(ge=1, description="Seconds for which the URLs hold.")]


class JobEntry(JobState):
    """A job in a list."""

    location: Path


class JobList(TypedDict):
    """A page of a list of jobs."""

    jobs: Annotated[list[JobEntry], Field(description="The newest first.")]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page; null: this is the last.")]


class UploadView(TypedDict):
    """A form by which one file can be sent to S3."""

    upload_id: Id
    url: Annotated[Url, Field(description="Where to send it: a POST, multipart, these fields first, then `file`.")]
    fields: dict[str, str]
    expires_at: Time


class RefusedFile(TypedDict):
    """Why a file of a batch became no job, or why its job is FAILED."""

    code: Annotated[str, _one_of(*sorted(REQUEST_CODES | DOCUMENT_CODES.keys()))]
    message: Text
    retryable: bool
    page: PageNumber | None


class FileView(TypedDict):
    """A file of a batch. ``job_id`` is null if it was refused; only that is there if its job was erased."""

    filename: str | None
    job_id: Id | None
    status: JobStatus | None
    error: RefusedFile | None
    location: Path | None


class Counts(TypedDict):
    """The files of a batch, and what became of them; the others add up to the first."""

    files: Count
    queued: Count
    processing: Count
    done: Count
    failed: Count
    refused: Count
    erased: Count


#: A batch is never FAILED: single jobs may be.
BatchStatus = Literal[JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.DONE]


class BatchView(TypedDict):
    """A batch."""

    batch_id: Id
    status: BatchStatus
    created_at: Time
    client_reference: str | None
    counts: Counts
    files: Annotated[list[FileView], Field(description="In the order in which they came.")]


class TryView(TypedDict):
    """One POST to a receiver, and what came of it."""

    at: Time
    status: Annotated[int | None, Field(description="The HTTP status that it answered with.")]
    error: Annotated[TryError | None, Field(description="Why there was no answer.")]
    seconds: Annotated[float, Field(ge=0)]
    body_sha256: Sha256 | None


class EventView(TypedDict):
    """That a job has ended, and how far telling it is."""

    webhook_id: Annotated[str, Field(pattern=r"^evt_[0-9a-f]{32}_[0-9]+$", description="The same for each try.")]
    type: Literal["job.done", "job.failed"]
    occurred_at: Time
    delivery: Delivery
    next_try_at: Time | None
    tries: Annotated[list[TryView], Field(description="The last ones, oldest first.")]


class WebhookView(TypedDict):
    """What a job's ``webhook_url`` was told."""

    job_id: Id
    webhook_url: Url
    events: list[EventView]


class Word(TypedDict):
    """A word of a page."""

    text: Annotated[str, Field(min_length=1)]
    confidence: Percent
    bbox: Annotated[
        list[float],
        Field(
            min_length=4, max_length=4, description="x0, y0, x1, y1 in points from the top left of the page as shown."
        ),
    ]
    block: Count
    paragraph: Count
    line: Count


class Page(TypedDict):
    """A page of the json; docs/result.schema.json describes the whole of it."""

    page: PageNumber
    width: Annotated[float, Field(gt=0, description="Points, of the page as it is shown.")]
    height: Annotated[float, Field(gt=0)]
    unit: Literal["pt"]
    pixels: Annotated[
        list[Annotated[int, Field(ge=1)]] | None,
        Field(min_length=2, max_length=2, description="Of the raster that was read; null where none was needed."),
    ]
    dpi: Annotated[float | None, Field(gt=0)]
    rotation: Annotated[Literal[0, 90, 180, 270], Field(description="Clockwise degrees that make the text upright.")]
    source: Literal["native", "ocr", "hybrid", "blank", "failed"]
    reason: Annotated[str, Field(pattern="^[a-z_]+$", description="Which rule decided; of a failed page, the code.")]
    evidence: Annotated[dict[str, float], Field(description="The numbers that decided.")]
    confidence: Annotated[float | None, Field(ge=0, le=100, description="Mean of the words.")]
    text: str
    words: list[Word]


class Health(TypedDict):
    """The process lives."""

    status: Literal["ok"]


class Checks(TypedDict):
    """``ok``, or what is wrong."""

    bucket: str
    table: str
    queue: str


class Readiness(TypedDict):
    """Do bucket, table and queue answer?"""

    status: Literal["ready", "unavailable"]
    checks: Checks
