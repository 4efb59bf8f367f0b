"""The tree of exceptions; those that end at the caller of one module stand in that module. Callers branch on the class,
on ``code`` and on ``retryable``, never on text.

HybridOcrError                     code: stable and public; retryable: is another try worth it?
├── SettingsError                  at boot; lists all bad variables; exit code 2
├── RequestError                   the caller must change the request
│   ├── BadRequest · InvalidCursor · FileMissing · FileEmpty · FileTooLarge · UnsupportedLanguage ·
│   │   WebhookUrlDenied
│   ├── UnsupportedMediaType       also ends a job when the worker sees more than the API did
│   └── IdempotencyMismatch        the Idempotency-Key belongs to another request
├── KeyUsed(made)                  an earlier request with this Idempotency-Key made that job or batch
├── JobNotFound                    unknown, or another tenant's
│   ├── JobErased                  there is a tombstone
│   └── JobExpired                 there is one, for the job was kept for as long as it was to be
├── NotToBeFollowed                the other job's result will be of no use
├── SourceGone                     the job is there, but not the document that it read
├── BatchNotFound                  unknown, or another tenant's
├── UploadNotFound                 unknown, or another tenant's
├── UploadIncomplete               its bytes are not there, or not all of them
├── UploadUsed(made)               it became a job before
├── UploadExpired                  nobody submitted it in time
├── WebhookUnderWay(retry_after)    it is being told at this moment, so it cannot begin anew
├── LeaseHeld(until)               another worker's lease is alive; hide the message until it ends
├── LeaseLost                      fenced off: stop, write nothing, delete nothing
├── JobFinished(job)               terminal already; the message can go
├── AttemptsExhausted(job)         the attempt budget is used up
├── ChunksOut                      the job waits for its chunks; the last one home brings it back
├── ChunkHome                      the chunk is done; the message can go
├── ChunkExhausted(attempt)        the chunk's budget is used up: a page of it is to be given up
├── DocumentRejected(code, page)   permanent: ends the job FAILED with this code
└── Unavailable                    S3, DynamoDB or SQS away or throttling after botocore's own retries
    └── NewerSchema                the item was written by a later version; a newer process will read it

The codes of a document (``DocumentRejected``) and of a request are closed lists: ``DOCUMENT_CODES`` and
``REQUEST_CODES``. HTTP status codes are known to ``hybrid_ocr_api.errors`` only.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hybrid_ocr_core.job import Ended, Job

#: code -> is it worth submitting the same document again?
DOCUMENT_CODES: dict[str, bool] = {
    "encrypted_document": False,
    "corrupt_document": False,
    "unsupported_media_type": False,
    "unsupported_language": False,
    "too_many_pages": False,
    "image_too_large": False,
    "page_timeout": True,
    "engine_crashed": True,
    "out_of_attempts": True,
    "internal": True,
}

REQUEST_CODES = frozenset(
    {
        "unauthorized",
        "forbidden",
        "not_found",
        "job_expired",
        "source_gone",
        "bad_request",
        "invalid_cursor",
        "file_missing",
        "file_empty",
        "file_too_large",
        "unsupported_media_type",
        "unsupported_language",
        "webhook_url_denied",
        "idempotency_mismatch",
        "upload_incomplete",
        "upload_used",
        "upload_expired",
        "webhook_under_way",
        "quota_exceeded",
        "rate_limited",
        "unavailable",
    }
)


class HybridOcrError(Exception):
    """Superclass of all errors of this project. Never raised itself."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class SettingsError(HybridOcrError):
    """The environment is not usable; the message lists every bad variable and its remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class RequestError(HybridOcrError):
    """The request cannot be served as it is; the message tells the caller what to change."""


class BadRequest(RequestError):
    """A field is malformed."""

    code = "bad_request"


class InvalidCursor(RequestError):
    """It does not continue the list that is asked for."""

    code = "invalid_cursor"


class FileMissing(RequestError):
    """There is no part named ``file``."""

    code = "file_missing"


class FileEmpty(RequestError):
    """The file has no bytes."""

    code = "file_empty"


class FileTooLarge(RequestError):
    """The body is over the size limit."""

    code = "file_too_large"


class UnsupportedMediaType(RequestError):
    """The content is no document that we read."""

    code = "unsupported_media_type"


class UnsupportedLanguage(RequestError):
    """A requested language is not installed on the workers."""

    code = "unsupported_language"


class IdempotencyMismatch(RequestError):
    """The key was used for another request."""

    code = "idempotency_mismatch"


class KeyUsed(HybridOcrError):
    """The same request came before: ``made`` is the id of the job or batch that it made."""

    def __init__(self, made: str) -> None:
        super().__init__("an earlier request with this Idempotency-Key was accepted")
        self.made = made


class WebhookUrlDenied(RequestError):
    """Nothing is sent there, whatever answers."""

    code = "webhook_url_denied"


class JobNotFound(HybridOcrError):
    """There is no such job for this tenant, or it was erased."""

    code = "not_found"


class JobErased(JobNotFound):
    """There was such a job; it was erased for good."""

    def __init__(self, ended: Ended) -> None:
        super().__init__("the job was erased")
        self.ended = ended


class JobExpired(JobNotFound):
    """There was such a job; it was kept for as long as it was to be."""

    code = "job_expired"


class SourceGone(HybridOcrError):
    """The document of a job is not kept any more, or was deleted past this service."""

    code = "source_gone"


class BatchNotFound(HybridOcrError):
    """There is no such batch for this tenant."""

    code = "not_found"


class UploadNotFound(HybridOcrError):
    """There is no such upload for this tenant."""

    code = "not_found"


class UploadIncomplete(HybridOcrError):
    """The bytes of an upload are not in S3, or not all of them."""

    code = "upload_incomplete"
    retryable = True


class UploadUsed(HybridOcrError):
    """An upload becomes one job, and this one has. ``made`` is the job's id."""

    code = "upload_used"

    def __init__(self, made: str) -> None:
        super().__init__(f"it became the job {made}")
        self.made = made


class UploadExpired(HybridOcrError):
    """An upload was not submitted in time."""

    code = "upload_expired"


class WebhookUnderWay(HybridOcrError):
    """An event is being told at this moment. ``retry_after`` are whole seconds."""

    code = "webhook_under_way"
    retryable = True

    def __init__(self, retry_after: int) -> None:
        super().__init__("it is being told at this moment; ask again when that try is noted")
        self.retry_after = retry_after


class LeaseHeld(HybridOcrError):
    """Another worker holds a live lease; nothing is wrong."""

    retryable = True

    def __init__(self, until: dt.datetime) -> None:
        super().__init__(f"the lease is held until {until.isoformat()}")
        self.until = until


class LeaseLost(HybridOcrError):
    """This attempt was fenced off: the job was taken over, finished or erased by someone else."""


class NotToBeFollowed(HybridOcrError):
    """A job with the same content will bring no result that could be used."""


class JobFinished(HybridOcrError):
    """The job is DONE or FAILED already."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"the job is {job.status}")
        self.job = job


class AttemptsExhausted(HybridOcrError):
    """The attempt budget is used up, and nobody works on the job."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.budget_used} attempts without a result")
        self.job = job


class ChunksOut(HybridOcrError):
    """The job waits for its chunks; the last one home sends its message again."""


class ChunkHome(HybridOcrError):
    """The chunk is done."""


class ChunkExhausted(HybridOcrError):
    """The chunk is free, but its attempt budget is used up: the first page it lacks is to be given up."""

    def __init__(self, attempt: int) -> None:
        super().__init__("the attempt budget of the chunk is used up")
        self.attempt = attempt


class DocumentRejected(HybridOcrError):
    """The document itself cannot be processed; every further try would end the same way."""

    def __init__(self, code: str, message: str, page: int | None = None) -> None:
        if code not in DOCUMENT_CODES:
            message, code = f"unlisted code {code!r}: {message}", "internal"
        super().__init__(message)
        self.document_code = code
        self.page = page


class Unavailable(HybridOcrError):
    """A store or the queue did not answer, throttles or fails; the work is intact and can be tried again."""

    code = "unavailable"
    retryable = True

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part} is unavailable: {reason}")
        self.part = part


class NewerSchema(Unavailable):
    """A job's item was written by a later version of this project: left alone until that version reads it."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__("the job", f"it has schema {found}, and this version knows {known}")
