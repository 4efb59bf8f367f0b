"""What was told to a job's ``webhook_url`` -> the JSON object of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_ocr_api.schemas import EventView, TryView, WebhookView
from hybrid_ocr_core.event import Event, Try
from hybrid_ocr_core.job import Job
from hybrid_ocr_core.job_item import stamp


def render(job: Job, events: Sequence[Event]) -> WebhookView:
    """Every event of the job: none before it has ended, more than one only if it was redriven."""
    assert job.webhook_url is not None
    return {
        "job_id": job.job_id,
        "webhook_url": job.webhook_url,
        "events": [_event(event) for event in events],
    }


def _event(event: Event) -> EventView:
    return {
        "webhook_id": event.id.webhook_id,
        "type": event.type,
        "occurred_at": stamp(event.occurred_at),
        "delivery": event.delivery,
        "next_try_at": stamp(event.next_at) if event.next_at else None,
        "tries": [_try(made) for made in event.tries],
    }


def _try(made: Try) -> TryView:
    return {
        "at": stamp(made.at),
        "status": made.status,
        "error": made.error,
        "seconds": made.seconds,
        "body_sha256": made.body_sha256,
    }
