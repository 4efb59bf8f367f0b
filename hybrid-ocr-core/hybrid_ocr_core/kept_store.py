"""DynamoDB: jobs that have ended, until their days are over. The state table of ``job_store`` has these transitions.

The sparse index ``kept`` (``kept_shard``, ``kept_next``) holds them; the write that ends a job puts it there. Reads
from it are hints; each action is a conditional write on the job. Where a job runs again there is no ``kept_until``.

IAM: dynamodb:UpdateItem on the table, Query on its index ``kept``.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core import job_item, metrics
from hybrid_ocr_core.job import Clock, JobId, utc_now
from hybrid_ocr_core.job_item import BURY, KEPT_SHARD, bury_values, key_of, milliseconds
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT_INDEX = "kept"
#: The guards of the transitions, as in ``job_store.CONDITIONS``.
CONDITIONS = {
    "forget": "attribute_not_exists(erased_at) AND kept_next = :seen AND source_until <= :now AND kept_until > :now",
    "forgotten": "attribute_exists(source_gone_at) AND attribute_exists(kept_until)",
    "expire": "attribute_not_exists(erased_at) AND kept_until <= :now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """An entry of the index ``kept``: possibly stale, so act by condition only."""

    job: JobId
    kept_next: int


class KeptStore:
    """Raises ``Unavailable`` from every method when DynamoDB is away. ``lease``: see ``JobStore``."""

    def __init__(self, client: DynamoDBClient, table: str, *, lease: dt.timedelta, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._lease = lease
        self._clock = clock

    def due(self, *, before: dt.datetime, limit: int) -> list[KeptJob]:
        """Jobs of which something has been kept for long enough, the oldest first; a hint, for it may lag.

        And for a lease longer, for until then a worker that was fenced off may still be writing objects.
        """
        due, _ = self._table.query(
            "kept_shard = :shard AND kept_next < :before",
            {":shard": KEPT_SHARD, ":before": milliseconds(before - self._lease)},
            IndexName=_KEPT_INDEX,
            Limit=limit,
        )
        return [KeptJob(job=job_item.id_of(item), kept_next=int(item["kept_next"])) for item in due]

    def forget(self, entry: KeptJob) -> bool:
        """Take the right to delete what was submitted, which nobody reads from here on. False when it is not the time.

        A crash between this write and the deletion leaves it to a later sweep, after a lease.
        """
        now = self._clock()
        # Jitter makes the value this call's own.
        again = milliseconds(now + self._lease * random.uniform(1.0, 1.2))  # noqa: S311 - not cryptography
        forgotten = Write(
            key=key_of(entry.job),
            condition=CONDITIONS["forget"],
            update="SET source_gone_at = :stamp, kept_next = :again, updated_at = :stamp ADD version :one",
            values={
                ":seen": entry.kept_next,
                ":now": milliseconds(now),
                ":again": again,
                ":stamp": job_item.stamp(now),
                ":one": 1,
            },
        )
        written, item = self._table.update(forgotten)
        if written:
            metrics.job_moved("forget", job_item.to_lane(item))
        return written or item.get("kept_next") == again

    def forgotten(self, entry: KeptJob) -> None:
        """What was submitted is deleted: the rest is kept until the job expires."""
        update = "SET kept_next = kept_until"
        self._table.update(Write(key=key_of(entry.job), condition=CONDITIONS["forgotten"], update=update))

    def expire(self, entry: KeptJob) -> bool:
        """Its days are over: leave a tombstone, as ``erase`` does, that says so. False when they are not."""
        now = self._clock()
        expired = Write(
            key=key_of(entry.job),
            condition=CONDITIONS["expire"],
            update=f"SET expired = :true, {BURY}",
            values={":true": True, ":now": milliseconds(now), **bury_values(now, self._lease)},
        )
        written, item = self._table.update(expired)
        if written:
            metrics.job_moved("expire", job_item.to_lane(item))
        return written or "expired" in item
