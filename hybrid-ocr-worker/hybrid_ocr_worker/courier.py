"""The way of one event. The order of the steps is the design.

1. claim    DynamoDB: due -> ours for a lease, one try used
2. ask      DynamoDB: the job, for URL and label; what the receiver asked for; what to sign with
3. send     the POST, under the event's own id
4. report   DynamoDB: the try, and when the next one is

Told at least once: a crash between 3 and 4 leaves an event that was told and does not know it. Its lease ends, and it
is told again, under the same ``webhook-id``.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time

from standardwebhooks import Webhook

from hybrid_ocr_core.endpoint_store import Endpoint, EndpointStore
from hybrid_ocr_core.errors import JobNotFound, NewerSchema
from hybrid_ocr_core.event import Delivery, Try, TryError, body
from hybrid_ocr_core.event_store import EventClaim
from hybrid_ocr_core.job import Clock, EventId, Job, utc_now
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.logs import fresh_log_context
from hybrid_ocr_worker import metrics
from hybrid_ocr_worker.webhook_post import Poster

_log = logging.getLogger(__name__)

#: What lacks a secret, or a version that can read it, waits for an operator.
_HOPE = dt.timedelta(minutes=10)
#: Events that a paused receiver has waiting come back spread over so long.
_SPREAD_SECONDS = 30.0


class Courier:
    """Tells one event at a time; any number of threads may share one."""

    def __init__(self, jobs: JobStore, endpoints: EndpointStore, poster: Poster, *, clock: Clock = utc_now) -> None:
        self._jobs = jobs
        self._events = jobs.events
        self._endpoints = endpoints
        self._poster = poster
        self._clock = clock

    def deliver(self, event: EventId) -> dt.datetime | None:
        """Try once, if it is due and nobody else is at it. Returns when it is due again, if it is.

        Raises:
            Unavailable: DynamoDB is away; the event is due again after its lease.
        """
        with fresh_log_context(job_id=event.job.job_id):
            claim = self._events.claim(event)
            if claim is None:
                return None
            # A crash from here on leaves an event whose lease ends: due again, one try used.
            try:
                job = self._jobs.get(event.job)
            except JobNotFound:
                # Erased, or over its days: nobody is told. A crash here leaves it to who claims it next, or the purge.
                self._events.remove(event.job)
                return None
            except NewerSchema:
                return self._put_off(claim, self._clock() + _HOPE)
            return self._tell(claim, job)

    def _tell(self, claim: EventClaim, job: Job) -> dt.datetime | None:
        assert job.webhook_url is not None
        now = self._clock()
        endpoint = self._endpoints.get(job.tenant, job.webhook_url)
        if endpoint.is_gone:
            if self._events.disable(claim):
                metrics.webhook_moved(Delivery.DISABLED)
            return None
        if now >= claim.event.give_up_at:
            if self._events.give_up(claim):
                _gave_up()
            return None
        if endpoint.paused_until is not None:
            return self._put_off(claim, endpoint.paused_until)
        secrets = self._endpoints.secrets(job.tenant)
        if not secrets:
            _log.error("A webhook waits: there is no secret to sign it with.", extra={"action": "webhook_unsigned"})
            return self._put_off(claim, now + _HOPE)
        text = body(claim.event, job)
        made = self._post(job.webhook_url, headers(claim.event.id, text, secrets, now), text.encode())
        # A crash here leaves an event that was told and does not know it: it is told again, under the same id.
        return self._report(claim, job, endpoint, made)

    def _post(self, url: str, headers: dict[str, str], content: bytes) -> Try:
        """A defect of ours counts as a try, too, lest an event that meets it is told again with each lease."""
        at, started = self._clock(), time.monotonic()
        try:
            return self._poster.post(url, headers, content)
        except Exception as error:  # noqa: BLE001 - whatever it is, the try is to be noted
            # Without its words: they may hold a URL.
            _log.error("Telling an event failed: %s.", type(error).__name__, extra={"action": "webhook_broken"})
            return Try(at=at, seconds=time.monotonic() - started, error=TryError.BROKEN_ANSWER)

    def _report(self, claim: EventClaim, job: Job, endpoint: Endpoint, made: Try) -> dt.datetime | None:
        assert job.webhook_url is not None
        now = self._clock()
        next_at = None
        if made.is_gone:
            self._endpoints.disable(job.tenant, job.webhook_url)
            # A crash here leaves an event of a receiver that is gone: nothing is sent, the next look disables it.
        elif not made.is_success:
            pause = made.pause(endpoint.pauses)
            next_at = claim.event.next_try(made, pause, now)
            if pause is not None:
                self._endpoints.pause(job.tenant, job.webhook_url, now + pause, pauses=endpoint.pauses + 1)
        if not self._events.report(claim, made, next_at):
            _log.info("Someone else tells this event now.", extra={"action": "webhook_lost"})
        elif made.is_success or made.is_gone:
            metrics.webhook_moved(Delivery.DELIVERED if made.is_success else Delivery.DISABLED)
        elif next_at is not None:
            metrics.webhook_moved(Delivery.PENDING)
        else:
            _gave_up()
        _log.info(
            "Told a webhook." if made.is_success else "A webhook was not told: %s.",
            *(() if made.is_success else (made.error or "the answer was no success",)),
            extra={
                "action": "webhook_sent" if made.is_success else "webhook_failed",
                "status": made.status,
                "seconds": round(made.seconds, 3),
            },
        )
        if made.is_success and endpoint.pauses:
            # A crash here leaves a receiver whose next pause is a long one.
            self._endpoints.recovered(job.tenant, job.webhook_url)
        return next_at

    def _put_off(self, claim: EventClaim, until: dt.datetime) -> dt.datetime:
        until += dt.timedelta(seconds=random.uniform(0, _SPREAD_SECONDS))  # noqa: S311 - not cryptography
        self._events.postpone(claim, until)
        return until


def _gave_up() -> None:
    metrics.webhook_moved(Delivery.FAILED)
    _log.warning("Gave up on a webhook.", extra={"action": "webhook_given_up"})


def headers(event: EventId, text: str, secrets: tuple[str, ...], now: dt.datetime) -> dict[str, str]:
    """Those of Standard Webhooks; signed with every secret, so that a receiver may still have the old one."""
    # The library takes any time zone for UTC.
    now = now.astimezone(dt.UTC).replace(microsecond=0)
    return {
        "Content-Type": "application/json",
        "User-Agent": "hybrid-ocr",
        "webhook-id": event.webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event.webhook_id, now, text) for secret in secrets),
    }
