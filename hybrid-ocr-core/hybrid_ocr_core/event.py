"""The event that a job has ended, and how its ``webhook_url`` is told. Pure; the wire format is Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hybrid_ocr_core.job import EventId, Job, JobStatus
from hybrid_ocr_core.job_item import stamp

#: Before each try, since the one before it.
SCHEDULE = (
    dt.timedelta(),
    dt.timedelta(seconds=5),
    dt.timedelta(minutes=5),
    dt.timedelta(minutes=30),
    dt.timedelta(hours=2),
    dt.timedelta(hours=5),
    dt.timedelta(hours=10),
    dt.timedelta(hours=14),
    dt.timedelta(hours=20),
    dt.timedelta(hours=24),
)
#: The schedule takes 76 hours. Whatever delays it beyond that, a receiver that asks for patience included, ends here.
PATIENCE = dt.timedelta(days=5)
#: A receiver may ask us to wait (``Retry-After``), but not for longer than this.
LONGEST_WAIT = dt.timedelta(hours=24)
#: What a receiver gets that is overloaded and does not say for how long, or that says nothing at all.
BREATHER = dt.timedelta(minutes=1)
#: Pauses in a row double, up to this one: who does not come back is asked less and less often.
LONGEST_BREATHER = dt.timedelta(hours=1)

_GONE = 410
#: The receiver, or what stands before it, has too much to do.
_OVERLOADED = {429, 502, 503, 504}
#: Who fails and takes so long for it has too much to do, whatever it answers; and it holds up a sender.
_SLOW_SECONDS = 5.0


class Delivery(StrEnum):
    """How far an event is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    #: All tries are used up.
    FAILED = "failed"
    #: The receiver said 410: it wants to hear nothing any more.
    DISABLED = "disabled"


class TryError(StrEnum):
    """Why a try got no answer."""

    URL_DENIED = "url_denied"
    ADDRESS_DENIED = "address_denied"
    NAME_NOT_FOUND = "name_not_found"
    NOT_CONNECTED = "not_connected"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    BROKEN_ANSWER = "broken_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One POST and what came of it; of the answer's body only the SHA-256 of the first 64 KiB is kept."""

    at: dt.datetime
    seconds: float
    status: int | None = None
    error: TryError | None = None
    body_sha256: str | None = None
    #: As the answer's ``Retry-After`` said; not kept.
    retry_after: dt.timedelta | None = None

    @property
    def is_success(self) -> bool:
        """2xx and nothing else: a redirect is not followed, so it has told nobody."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """The receiver wants to hear nothing any more."""
        return self.status == _GONE

    @property
    def is_overloaded(self) -> bool:
        """The receiver needs a pause."""
        is_slow = self.seconds >= _SLOW_SECONDS and not (self.is_success or self.is_gone)
        return is_slow or self.status in _OVERLOADED or self.error is TryError.TIMEOUT

    def pause(self, pauses: int) -> dt.timedelta | None:
        """For how long nothing more is to be sent to this receiver, whatever the event; it had so many in a row."""
        if not self.is_overloaded:
            return None
        breather = min(BREATHER * 2 ** min(pauses, 10), LONGEST_BREATHER)
        return min(self.retry_after or breather, LONGEST_WAIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A job has ended. ``tries`` are the last ones, oldest first; ``tried`` counts those of the current schedule."""

    id: EventId
    status: JobStatus
    error_code: str | None
    occurred_at: dt.datetime
    delivery: Delivery
    tried: int
    give_up_at: dt.datetime
    next_at: dt.datetime | None
    tries: tuple[Try, ...] = ()

    @property
    def type(self) -> Literal["job.done", "job.failed"]:
        """What is told."""
        return "job.done" if self.status is JobStatus.DONE else "job.failed"

    def next_try(self, last: Try, pause: dt.timedelta | None, now: dt.datetime) -> dt.datetime | None:
        """When to try again after ``last``; None: never. Jitter spreads what failed together."""
        if self.tried >= len(SCHEDULE):
            return None
        wait = SCHEDULE[self.tried] * random.uniform(1.0, 1.1)  # noqa: S311 - not cryptography
        asked_for = min(last.retry_after or dt.timedelta(), LONGEST_WAIT)
        at = now + max(wait, asked_for, pause or dt.timedelta())
        return at if at < self.give_up_at else None


def body(event: Event, job: Job) -> str:
    """What is sent: the same at each try, and little. Who wants more asks for the job, with a key."""
    return json.dumps(
        {
            "type": event.type,
            "timestamp": stamp(event.occurred_at),
            "data": {
                "job_id": job.job_id,
                "batch_id": job.batch_id,
                "client_reference": job.client_reference,
                "status": event.status.value,
                "error_code": event.error_code,
            },
        }
    )
