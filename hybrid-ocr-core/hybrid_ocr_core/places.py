"""DynamoDB: which jobs of a tenant have a place in a lane, and which wait for one.

One partition for each tenant and lane, ``pk = T#<tenant>#L#<lane>``:

    sk = PLACES               ``holders``, the ids of the jobs that have a place
    sk = W#<time>#<job_id>    a ticket of a job that waits; the first come first

    method    guard in the ConditionExpression      change
    take      room for one, or it has one already   the job is among the holders
    leave     it has one                            it is not
    watch     -                                     the places are in the index ``open``, with a new ``watch``
    inspect   sweep_at = :seen                      sweep_at moves on
    rest      watch = :seen                         the places leave the index

The holders are a set and no counter: a job has one place or none, however often a write is sent. While jobs wait, the
places stand in the index ``open``, so that the sweeper sees to them; nobody else does after a crash.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core.job import Clock, Job, JobId, Lane, utc_now
from hybrid_ocr_core.job_item import OPEN_SHARD, Item, milliseconds
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PLACES = "PLACES"
_TICKET = "W#"
#: No job waits for so long; one that does gets a new ticket.
_TICKET_KEPT = dt.timedelta(days=15)

CONDITIONS = {
    "take": "attribute_not_exists(holders) OR size(holders) < :most OR contains(holders, :job)",
    "leave": "contains(holders, :job)",
    "inspect": "sweep_at = :seen",
    "rest": "watch = :seen",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLane:
    """What the places are counted for."""

    tenant: str
    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A job that waits for a place."""

    job: JobId
    key: str

    def age(self, now: dt.datetime) -> dt.timedelta:
        """Since it was written."""
        return now - dt.datetime.fromtimestamp(int(self.key.split("#")[1]) / 1000, dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a sweeper found: who has a place, and the ``watch`` at that moment."""

    holders: frozenset[str]
    watch: str


class Places:
    """The places of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, most: int, lease: dt.timedelta, clock: Clock = utc_now
    ) -> None:
        self._table = Table(client, table)
        self._most = most
        self._lease = lease
        self._clock = clock

    def take(self, job: JobId, lane: Lane) -> bool:
        """Give the job a place; False when there is none. A job that has one keeps it."""
        written, _ = self._table.update(
            Write(
                key=_key(TenantLane(tenant=job.tenant, lane=lane)),
                condition=CONDITIONS["take"],
                update="ADD holders :jobs",
                values={":jobs": {job.job_id}, ":job": job.job_id, ":most": self._most},
            )
        )
        return written

    def leave(self, job: JobId, lane: Lane) -> bool:
        """Take the job's place away, if it has one. True when others are waiting for it."""
        _, item = self._table.update(
            Write(
                key=_key(TenantLane(tenant=job.tenant, lane=lane)),
                condition=CONDITIONS["leave"],
                update="DELETE holders :jobs",
                values={":jobs": {job.job_id}, ":job": job.job_id},
            )
        )
        return "watch" in item

    def wait(self, job: Job) -> None:
        """Give the job a ticket, and have the sweeper watch."""
        where = TenantLane(tenant=job.tenant, lane=job.lane)
        key = f"{_TICKET}{milliseconds(job.created_at):015d}#{job.job_id}"
        expires_at = int((self._clock() + _TICKET_KEPT).timestamp())
        self._table.put({**_key(where), "sk": key, "expires_at": expires_at}, condition="attribute_not_exists(pk)")
        # A crash here leaves a ticket of a job that does not exist yet, and never will: the next to leave the lane when
        # it is crowded tears it up, or the TTL.
        self._table.update(
            Write(
                key=_key(where),
                # A new value each time, so that nobody ends the watch who looked before there was this ticket.
                update="SET open_shard = :shard, sweep_at = if_not_exists(sweep_at, :soon), watch = :watch",
                values={
                    ":shard": OPEN_SHARD,
                    ":soon": milliseconds(self._clock() + self._lease),
                    ":watch": uuid.uuid4().hex,
                },
            )
        )

    def waiting(self, where: TenantLane, *, most: int) -> list[Ticket]:
        """The first tickets, in the order of their jobs' creation."""
        items, _ = self._table.query(
            "pk = :pk AND begins_with(sk, :prefix)",
            {":pk": _key(where)["pk"], ":prefix": _TICKET},
            Limit=most,
            ConsistentRead=True,
        )
        keys = [item["sk"] for item in items]
        return [Ticket(job=JobId(tenant=where.tenant, job_id=key.rpartition("#")[2]), key=key) for key in keys]

    def tear_up(self, ticket: Ticket, lane: Lane) -> None:
        """The job does not wait any more."""
        self._table.delete({**_key(TenantLane(tenant=ticket.job.tenant, lane=lane)), "sk": ticket.key})

    def inspect(self, where: TenantLane, *, seen: int) -> Inspection | None:
        """Take the right to see to these places; None when someone else has it. The next may in a lease."""
        # Jitter makes the value this call's own, should its response be lost.
        sweep_at = milliseconds(self._clock() + self._lease * random.uniform(1.0, 1.2))  # noqa: S311 - not cryptography
        written, item = self._table.update(
            Write(
                key=_key(where),
                condition=CONDITIONS["inspect"],
                update="SET sweep_at = :sweep_at",
                values={":seen": seen, ":sweep_at": sweep_at},
            )
        )
        if not written and item.get("sweep_at") != sweep_at:
            return None
        return Inspection(holders=frozenset(item.get("holders", ())), watch=item["watch"])

    def rest(self, where: TenantLane, inspection: Inspection) -> None:
        """Nobody waits: end the watch, unless someone came since the inspection."""
        self._table.update(
            Write(
                key=_key(where),
                condition=CONDITIONS["rest"],
                update="REMOVE open_shard, sweep_at, watch",
                values={":seen": inspection.watch},
            )
        )


def where_of(item: Item) -> TenantLane:
    """The tenant and lane that an item, or a row of an index, belongs to."""
    _, tenant, _, lane = item["pk"].split("#")
    return TenantLane(tenant=tenant, lane=Lane(lane))


def _key(where: TenantLane) -> Item:
    return {"pk": f"T#{where.tenant}#L#{where.lane}", "sk": PLACES}
