"""Many files of one request, under one id."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from hybrid_ocr_core.job import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchId:
    """Names a batch."""

    tenant: str
    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A file of a batch that became no job. ``code`` is one of ``errors.REQUEST_CODES`` or ``DOCUMENT_CODES``."""

    filename: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What became of each file, in the order in which they came.

    A batch never changes. How far its jobs are, the jobs say; so do their files' names, which go with an erased job.
    """

    id: BatchId
    created_at: dt.datetime
    client_reference: str | None
    files: tuple[JobId | Refusal, ...]
    #: When it is gone, if ever; its jobs have days of their own. Batches of earlier versions have no end.
    expires_at: dt.datetime | None

    @property
    def jobs(self) -> list[JobId]:
        """Those of the files that were accepted."""
        return [file for file in self.files if isinstance(file, JobId)]
