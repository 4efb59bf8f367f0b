"""DynamoDB: what a tenant uses of the service, for quotas: its jobs in flight, and the pages read for it each day.

Jobs in flight are counted, by a query of the index ``tenant``, and are kept nowhere: the index holds a job as long as
its item says ``open_shard``, which the writes of ``job_store`` that create and end a job set and remove anyway. So no
crash and no redelivery can make the number wrong, and nobody has to heal it. The index lags by a moment.

The pages of a day are a counter, ``pk = T#<tenant>#U#<day>`` (UTC), in parts ``sk = <0..f>`` by the job's id, so that
workers that end jobs at the same time seldom meet at one. A job is counted in one transaction with a mark on its own
item, so once, however often it is told that it is over.

IAM: as ``job_store``, and dynamodb:Query on the table and its index ``tenant``.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hybrid_ocr_core.job import Clock, Ended, utc_now
from hybrid_ocr_core.job_item import OPEN_SHARD, key_of
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_INDEX = "tenant"
_KEPT = dt.timedelta(days=35)

CONDITIONS = {
    "count": "attribute_exists(pk) AND attribute_not_exists(pages_counted)",
}


class Usage:
    """That of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def jobs_in_flight(self, tenant: str, *, most: int) -> int:
        """Jobs that are QUEUED or PROCESSING; beyond ``most`` it need not count them all."""
        return self._table.count(
            "tenant = :tenant AND open_shard = :open",
            {":tenant": tenant, ":open": OPEN_SHARD},
            most=most,
            IndexName=_INDEX,
            # What is erased stays open until its objects are gone.
            FilterExpression="attribute_not_exists(erased_at)",
        )

    def pages_today(self, tenant: str) -> int:
        """Pages of the jobs that were counted since midnight, UTC."""
        parts, _ = self._table.query("pk = :pk", {":pk": self._today(tenant)}, ConsistentRead=True)
        return sum(int(part["pages"]) for part in parts)

    def count(self, end: Ended) -> None:
        """Count the pages that were read for a job, to the day of this moment. Told again, it changes nothing."""
        if end.pages:
            mark = Write(
                key=key_of(end.job),
                condition=CONDITIONS["count"],
                update="SET pages_counted = :pages",
                values={":pages": end.pages},
            )
            counter = Write(
                key={"pk": self._today(end.job.tenant), "sk": end.job.job_id[0]},
                update="SET expires_at = :expires ADD pages :pages",
                values={":pages": end.pages, ":expires": int((self._clock() + _KEPT).timestamp())},
            )
            self._table.transact([mark, counter])

    def _today(self, tenant: str) -> str:
        return f"T#{tenant}#U#{self._clock().astimezone(dt.UTC):%Y-%m-%d}"
