"""What each route takes and gives: a line for each in ``OPERATIONS``, from which ``openapi.py`` draws the document.

Who may call it, ``access.py`` says; what it does, the docstring of its view. A test walks the routes, and another holds
every response of every test to what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from hybrid_ocr_api import forms, schemas
from hybrid_ocr_api.forms import Form
from hybrid_ocr_api.settings import ApiSettings

JSON = "application/json"
MULTIPART = "multipart/form-data"

#: Of every route: what went wrong here, and what is malformed before any route looks at it.
ALWAYS = ("bad_request", "internal")
#: Of every route that is not open.
WHO_CALLS = ("unauthorized", "forbidden", "rate_limited", "unavailable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status of a route. ``headers`` are always there, ``at_times`` are not; no ``body``: there is none."""

    meaning: str
    #: Media type -> a type that pydantic knows.
    body: Mapping[str, Any] | None = None
    headers: tuple[str, ...] = ()
    at_times: tuple[str, ...] = ()
    #: The member of its body that names the thing, for the paths of other routes.
    names: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a route takes."""

    #: By media type.
    shapes: Mapping[str, type[Form]]
    #: Says how much of it.
    limit: Callable[[ApiSettings], str]
    #: Without one, the defaults of all members hold.
    is_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route. ``refusals`` are the codes of its errors beyond those that all have."""

    tag: str
    answers: Mapping[HTTPStatus, Answer]
    refusals: tuple[str, ...] = ()
    body: Body | None = None
    query: type[Form] | None = None
    #: By their aliases.
    headers: type[Form] | None = None


def _megabytes(count: int) -> str:
    return f"At most {count >> 20} MB."


#: JSON is taken into memory as a whole.
_SMALL = "At most 64 kB."
_JOB = {JSON: schemas.JobView}
_BATCH = {JSON: schemas.BatchView}
_WEBHOOK = {JSON: schemas.WebhookView}
#: Of one job.
_ABSENT = ("not_found", "job_expired")
#: Of a request for jobs. The same may have come before, and what it made was erased.
_WISHES = ("unsupported_language", "webhook_url_denied", "quota_exceeded", "idempotency_mismatch", *_ABSENT)
#: Of one that brings documents.
_FILES = ("file_missing", "file_empty", "file_too_large", "unsupported_media_type")
_SUBMITTED = Answer(
    meaning="Accepted.",
    body=_JOB,
    headers=("Location",),
    at_times=("Retry-After", "Idempotent-Replayed"),
    names="job_id",
)

#: By endpoint, as Flask calls it.
OPERATIONS = {
    "jobs.create": Operation(
        tag="jobs",
        headers=forms.SubmissionHeaders,
        body=Body(
            shapes={MULTIPART: forms.JobSubmission, JSON: forms.UploadSubmission},
            limit=lambda settings: (
                f"{_megabytes(settings.max_upload_bytes)} In a form, too, `upload_id` may stand in the place of `file`."
            ),
        ),
        answers={HTTPStatus.ACCEPTED: _SUBMITTED},
        refusals=(*_FILES, *_WISHES, "upload_incomplete", "upload_used", "upload_expired"),
    ),
    "jobs.index": Operation(
        tag="jobs",
        query=forms.ListQuery,
        answers={HTTPStatus.OK: Answer(meaning="A page of the list.", body={JSON: schemas.JobList})},
        refusals=("invalid_cursor",),
    ),
    "jobs.show": Operation(
        tag="jobs",
        query=forms.JobQuery,
        headers=forms.JobHeaders,
        answers={
            HTTPStatus.OK: Answer(
                meaning="The job.", body=_JOB, headers=("ETag",), at_times=("Retry-After", "Preference-Applied")
            ),
            HTTPStatus.NOT_MODIFIED: Answer(
                meaning="It is still as the client knows it.",
                headers=("ETag",),
                at_times=("Retry-After", "Preference-Applied"),
            ),
        },
        refusals=_ABSENT,
    ),
    "jobs.rerun": Operation(
        tag="jobs",
        headers=forms.SubmissionHeaders,
        body=Body(shapes={JSON: forms.JobOptions}, limit=lambda _: _SMALL, is_required=False),
        answers={HTTPStatus.ACCEPTED: _SUBMITTED},
        refusals=(*_WISHES, "source_gone", "file_too_large"),
    ),
    "jobs.erase": Operation(
        tag="jobs",
        answers={HTTPStatus.NO_CONTENT: Answer(meaning="Erased.")},
        refusals=_ABSENT,
    ),
    "jobs.result": Operation(
        tag="results",
        answers={
            HTTPStatus.SEE_OTHER: Answer(
                meaning="Where the file is, for some minutes; no key is needed there.",
                body={"text/html": str},
                headers=("Location",),
            )
        },
        refusals=_ABSENT,
    ),
    "jobs.page": Operation(
        tag="results",
        answers={HTTPStatus.OK: Answer(meaning="The page.", body={JSON: schemas.Page})},
        refusals=_ABSENT,
    ),
    "jobs.webhook": Operation(
        tag="webhooks",
        answers={HTTPStatus.OK: Answer(meaning="Each event, each try.", body=_WEBHOOK)},
        refusals=_ABSENT,
    ),
    "jobs.redeliver": Operation(
        tag="webhooks",
        answers={HTTPStatus.ACCEPTED: Answer(meaning="It is told again, soon.", body=_WEBHOOK)},
        refusals=(*_ABSENT, "webhook_under_way"),
    ),
    "uploads.create": Operation(
        tag="uploads",
        body=Body(shapes={JSON: forms.UploadAnnouncement}, limit=lambda _: _SMALL),
        answers={HTTPStatus.CREATED: Answer(meaning="A form to send the file by.", body={JSON: schemas.UploadView})},
        refusals=("file_empty", "file_too_large", "unsupported_media_type", "quota_exceeded"),
    ),
    "batches.create": Operation(
        tag="batches",
        headers=forms.SubmissionHeaders,
        body=Body(
            shapes={MULTIPART: forms.BatchSubmission},
            limit=lambda settings: (
                f"{_megabytes(settings.max_batch_bytes)[:-1]}, and {settings.max_batch_files} files."
            ),
        ),
        answers={
            HTTPStatus.ACCEPTED: Answer(
                meaning="Accepted, whatever became of single files.",
                body=_BATCH,
                headers=("Location",),
                at_times=("Retry-After", "Idempotent-Replayed"),
                names="batch_id",
            )
        },
        refusals=(*_FILES, *_WISHES),
    ),
    "batches.show": Operation(
        tag="batches",
        answers={HTTPStatus.OK: Answer(meaning="The batch.", body=_BATCH, at_times=("Retry-After",))},
        refusals=("not_found",),
    ),
    "health.health": Operation(
        tag="operation",
        answers={HTTPStatus.OK: Answer(meaning="It lives.", body={JSON: schemas.Health})},
    ),
    "health.ready": Operation(
        tag="operation",
        answers={
            HTTPStatus.OK: Answer(meaning="All of them answer.", body={JSON: schemas.Readiness}),
            HTTPStatus.SERVICE_UNAVAILABLE: Answer(meaning="One does not.", body={JSON: schemas.Readiness}),
        },
    ),
    "metrics.show": Operation(
        tag="operation",
        answers={
            HTTPStatus.OK: Answer(
                meaning="In the format that Accept asks for.",
                body={"text/plain": str, "application/openmetrics-text": str},
            )
        },
    ),
    "reference.document": Operation(
        tag="operation",
        answers={HTTPStatus.OK: Answer(meaning="OpenAPI 3.1.", body={JSON: dict[str, Any]})},
    ),
    "reference.page": Operation(
        tag="operation",
        answers={HTTPStatus.OK: Answer(meaning="This document, for people.", body={"text/html": str})},
    ),
}
