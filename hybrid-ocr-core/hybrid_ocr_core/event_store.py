"""DynamoDB: the events that jobs have ended, beside their job under ``sk = E#<attempt>``. One method, one write.

    from                 method     guard in the ConditionExpression          to
    -                    (the write that ends the job writes it, too)         pending, due at once
    pending, due         claim      sweep_at <= :now, which others lack       pending, due after a lease, tried + 1
    pending              report     owner = :mine                             delivered, failed, disabled; due later
    pending              postpone   owner = :mine                             pending, due later, tried - 1
    any, not being sent  redeliver  no owner, or its lease has lapsed         pending, due at once, tried = 0

An event is written in the transaction that ends its job, so neither is without the other, and only for a job with a
``webhook_url``. It holds nothing of that: URL and label are the job's, and go when the job is erased. A sender claims
an event before it sends: a sender that dies loses it to the next one after a lease, and who sends it twice sends the
same ``webhook-id``.

Events that are due are in the index ``open`` of the job store, in a partition of their own, where no number of them
stands before a job. Reads from it are hints.

IAM: as ``job_store``, and dynamodb:DeleteItem, and Query on the table itself.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybrid_ocr_core.event import PATIENCE, Delivery, Event, Try, TryError
from hybrid_ocr_core.job import Clock, EventId, JobId, JobStatus, utc_now
from hybrid_ocr_core.job_item import COMMON_SCHEMA, Item, id_of, key_of, milliseconds, stamp
from hybrid_ocr_core.table import Key, Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_log = logging.getLogger(__name__)

_EVENT = "E#"
_OPEN_INDEX = "open"
_DUE_SHARD = "EVENTS"
#: Longer than any try.
SEND_LEASE = dt.timedelta(minutes=2)
#: Redelivery begins the schedule anew, so there may be more of them than it is long.
_TRIES_KEPT = 50

CONDITIONS = {
    # Only what is pending has a sweep_at.
    "claim": "sweep_at <= :now",
    "report": "#owner = :mine",
    "postpone": "#owner = :mine",
    "redeliver": "attribute_exists(pk) AND (attribute_not_exists(#owner) OR sweep_at <= :now)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventClaim:
    """An event that is ours to send, until its lease ends; ``owner`` is its fencing token."""

    event: Event
    owner: str


class EventStore:
    """The events of all jobs. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str, *, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def due(self, *, limit: int) -> list[EventId]:
        """Those to be sent now, oldest first; a hint, for it may lag."""
        return self.due_page(limit=limit)[0]

    def due_page(self, *, limit: int, start: Key | None = None) -> tuple[list[EventId], Key | None]:
        """As ``due``, from ``start`` on; and where the next page starts, None after the last."""
        values = {":shard": _DUE_SHARD, ":now": milliseconds(self._clock())}
        condition = "open_shard = :shard AND sweep_at <= :now"
        items, further = self._table.query(condition, values, start=start, IndexName=_OPEN_INDEX, Limit=limit)
        return [_id_of(item) for item in items], further

    def claim(self, event: EventId) -> EventClaim | None:
        """Take the right to send; None when it is not due, or someone else's."""
        now = self._clock()
        owner = uuid.uuid4().hex  # fresh per call: an item that shows it can only be this call's own write
        written, item = self._table.update(
            Write(
                key=_key(event),
                condition=CONDITIONS["claim"],
                update="SET #owner = :owner, sweep_at = :lapses ADD tried :one",
                values={
                    ":now": milliseconds(now),
                    ":owner": owner,
                    ":lapses": milliseconds(now + SEND_LEASE),
                    ":one": 1,
                },
            )
        )
        if not written and item.get("owner") != owner:
            return None
        return EventClaim(event=_to_event(item), owner=owner)

    def report(self, claim: EventClaim, made: Try, next_at: dt.datetime | None) -> bool:
        """Note a try, and when the next one is; without one the event is at its end. False when it was fenced off."""
        end = Delivery.DELIVERED if made.is_success else Delivery.DISABLED if made.is_gone else Delivery.FAILED
        return self._let_go(claim, "report", end, next_at, made)

    def disable(self, claim: EventClaim) -> bool:
        """Its receiver said before that it wants to hear nothing. False when it was fenced off."""
        return self._let_go(claim, "report", Delivery.DISABLED, None)

    def give_up(self, claim: EventClaim) -> bool:
        """It was put off for too long. False when it was fenced off."""
        return self._let_go(claim, "report", Delivery.FAILED, None)

    def postpone(self, claim: EventClaim, until: dt.datetime) -> bool:
        """Nothing was sent: the try goes back. False when it was fenced off."""
        return self._let_go(claim, "postpone", Delivery.PENDING, until)

    def redeliver(self, event: EventId) -> bool:
        """Begin anew. False when it is being sent at this very moment, or does not exist."""
        now = self._clock()
        written, item = self._table.update(
            Write(
                key=_key(event),
                condition=CONDITIONS["redeliver"],
                update="SET delivery = :pending, tried = :zero, give_up_at = :end, open_shard = :shard,"
                " sweep_at = :now REMOVE #owner",
                values={
                    ":pending": Delivery.PENDING,
                    ":zero": 0,
                    ":end": milliseconds(now + PATIENCE),
                    ":shard": _DUE_SHARD,
                    ":now": milliseconds(now),
                },
            )
        )
        # A response that was lost shows what we wrote, unless a sender has it already.
        return written or item.get("sweep_at") == milliseconds(now)

    def of(self, job: JobId) -> list[Event]:
        """Those of a job, oldest first: more than one only if it was redriven."""
        return [_to_event(item) for item in self._table.items(key_of(job)["pk"], _EVENT)]

    def remove(self, job: JobId) -> None:
        """Delete all events of a job that is erased, or over its days; also those that nobody was told of."""
        for item in self._table.items(key_of(job)["pk"], _EVENT):
            self._table.delete({"pk": item["pk"], "sk": item["sk"]})
            if item["delivery"] == Delivery.PENDING:
                _log.warning("A webhook went untold with its job.", extra={"action": "webhook_dropped"})

    def _let_go(
        self, claim: EventClaim, transition: str, end: Delivery, next_at: dt.datetime | None, made: Try | None = None
    ) -> bool:
        sets, removes = ["delivery = :delivery"], ["#owner"]
        values: dict[str, Any] = {":mine": claim.owner}
        adds = ""
        if next_at is None:
            removes += ["open_shard", "sweep_at"]
            values[":delivery"] = end
        else:
            sets.append("sweep_at = :next")
            values |= {":delivery": Delivery.PENDING, ":next": milliseconds(next_at)}
        if made is None and next_at is not None:
            adds = " ADD tried :less"
            values[":less"] = -1
        if made is not None:
            sets.append("tries = :tries")
            # As a whole: until the claim lapses nobody else changes it.
            values[":tries"] = [_from_try(each) for each in (*claim.event.tries, made)][-_TRIES_KEPT:]
        update = f"SET {', '.join(sets)} REMOVE {', '.join(removes)}{adds}"
        write = Write(key=_key(claim.event.id), condition=CONDITIONS[transition], update=update, values=values)
        written, item = self._table.update(write)
        # A response that was lost shows the owner gone, and this very try as the last.
        is_ours = made is not None and _from_try(made) in item.get("tries", ())[-1:]
        return written or is_ours


def written_with(event: EventId, status: JobStatus, error_code: str | None, now: dt.datetime) -> Write:
    """The write of a new event, for the transaction that ends the job. Its guard is the job's."""
    return Write(
        key=_key(event),
        update="SET v = :v, #status = :status, error_code = :code, occurred_at = :stamp, delivery = :pending,"
        " tried = :zero, tries = :none, give_up_at = :end, open_shard = :shard, sweep_at = :now",
        values={
            ":v": COMMON_SCHEMA,
            ":status": status,
            ":code": error_code,
            ":stamp": stamp(now),
            ":pending": Delivery.PENDING,
            ":zero": 0,
            ":none": [],
            ":end": milliseconds(now + PATIENCE),
            ":shard": _DUE_SHARD,
            ":now": milliseconds(now),
        },
    )


def _key(event: EventId) -> Item:
    return {"pk": key_of(event.job)["pk"], "sk": f"{_EVENT}{event.attempt:06d}"}


def _id_of(item: Item) -> EventId:
    return EventId(job=id_of(item), attempt=int(item["sk"].removeprefix(_EVENT)))


def _to_event(item: Item) -> Event:
    is_open = "sweep_at" in item
    return Event(
        id=_id_of(item),
        status=JobStatus(item["status"]),
        error_code=item["error_code"],
        occurred_at=dt.datetime.fromisoformat(item["occurred_at"]),
        delivery=Delivery(item["delivery"]),
        tried=int(item["tried"]),
        give_up_at=_to_time(item["give_up_at"]),
        next_at=_to_time(item["sweep_at"]) if is_open else None,
        tries=tuple(_to_try(made) for made in item["tries"]),
    )


def _from_try(made: Try) -> Item:
    return {
        "at": stamp(made.at),
        "seconds": Decimal(str(round(made.seconds, 3))),
        "http": made.status,
        "error": made.error,
        "body_sha256": made.body_sha256,
    }


def _to_try(item: Item) -> Try:
    return Try(
        at=dt.datetime.fromisoformat(item["at"]),
        seconds=float(item["seconds"]),
        status=None if item["http"] is None else int(item["http"]),
        error=None if item["error"] is None else TryError(item["error"]),
        body_sha256=item["body_sha256"],
    )


def _to_time(value: Decimal) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(value) / 1000, dt.UTC)
