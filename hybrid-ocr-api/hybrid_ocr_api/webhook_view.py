"""What was told to a job's ``webhook_url`` -> the JSON object of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_ocr_core.event import Event, Try
from hybrid_ocr_core.job import Job
from hybrid_ocr_core.job_item import stamp


def render(job: Job, events: Sequence[Event]) -> dict[str, Any]:
    """Every event of the job: none before it has ended, more than one only if it was redriven."""
    return {
        "job_id": job.job_id,
        "webhook_url": job.webhook_url,
        "events": [_event(event) for event in events],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "webhook_id": event.id.webhook_id,
        "type": event.type,
        "occurred_at": stamp(event.occurred_at),
        "delivery": event.delivery.value,
        "next_try_at": stamp(event.next_at) if event.next_at else None,
        "tries": [_try(made) for made in event.tries],
    }


def _try(made: Try) -> dict[str, Any]:
    return {
        "at": stamp(made.at),
        "status": made.status,
        "error": made.error.value if made.error else None,
        "seconds": made.seconds,
        "body_sha256": made.body_sha256,
    }
