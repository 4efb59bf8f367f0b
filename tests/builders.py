"""Valid defaults; a test changes the one thing it is about."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import uuid
from collections.abc import Iterator
from typing import Any

from hybrid_ocr_core.job import Confidence, Document, Job, JobFailure, JobStatus, Result, Triage
from hybrid_ocr_core.job_store import JobStore, OpenJob
from hybrid_ocr_core.options import JobOptions

LEASE = dt.timedelta(seconds=60)
START = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


class FakeClock:
    """A Clock that moves when told to."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return 0

    def seek(self, *_: int) -> int:
        return 0

    def readinto(self, _: object) -> int:
        raise AssertionError("the body was read")


def due_jobs(store: JobStore, *, before: dt.datetime, limit: int) -> Iterator[OpenJob]:
    """What the sweeper would find, less the lanes."""
    return (entry for entry in store.due(before=before, limit=limit) if isinstance(entry, OpenJob))


def a_document(content: bytes = b"%PDF-1.7 stub", **changes: Any) -> Document:
    fields: dict[str, Any] = {
        "filename": "invoice.pdf",
        "media_type": "application/pdf",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return Document(**{**fields, **changes})


def a_job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "tenant": "default",
        "job_id": uuid.uuid4().hex,
        "status": JobStatus.QUEUED,
        "version": 1,
        "attempt": 0,
        "budget_used": 0,
        "created_at": START,
        "updated_at": START,
        "document": a_document(),
        "options": JobOptions(),
    }
    return Job(**{**fields, **changes})


def a_result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "attempt": 1,
        "revision": 0,
        "outputs": ("json", "txt"),
        "pages": 2,
        "confidence": Confidence(mean=96.12, p10=91.0, lowest_page=2, lowest=89.5),
        "triage": Triage.REVIEW,
        "warnings": ("repaired",),
    }
    return Result(**{**fields, **changes})


def a_failure(**changes: Any) -> JobFailure:
    fields: dict[str, Any] = {"code": "corrupt_document", "message": "broken", "retryable": False, "page": 3}
    return JobFailure(**{**fields, **changes})


def a_page(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A page of the json, as compact JSON has it: ``page`` first."""
    fields: dict[str, Any] = {
        "page": number,
        "width": 612.0,
        "height": 792.0,
        "unit": "pt",
        "pixels": [2550, 3300],
        "dpi": 300.0,
        "rotation": 0,
        "source": "ocr",
        "reason": "no_text",
        "evidence": {"chars": 0},
        "confidence": 96.4,
        "text": "The",
        "words": [
            {"text": "The", "confidence": 96.4, "bbox": [72.0, 72.0, 90.5, 84.0], "block": 0, "paragraph": 0, "line": 0}
        ],
    }
    return {**fields, **changes}
