"""DynamoDB: which job of a tenant recognised a content first, with the same options. Its result serves the others.

An item for each, ``pk = T#<tenant>#D#<fingerprint>``: a hint, which may be wrong at any time. Whoever follows it looks
at the job itself. It expires after a month, so that it outlives no document for long, nor hides a better engine.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING

from hybrid_ocr_core import job_item
from hybrid_ocr_core.job import Clock, Job, JobId, utc_now
from hybrid_ocr_core.job_item import Item
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT = dt.timedelta(days=30)

CONDITIONS = {
    "lead": "attribute_not_exists(leader)",
    "succeed": "leader = :before",
}


class Contents:
    """Those of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def lead(self, job: Job) -> JobId | None:
        """The job that was first with this content; None if it is this one."""
        leader = self._write(job, CONDITIONS["lead"], {})
        return None if leader == job.job_id else JobId(tenant=job.tenant, job_id=leader)

    def succeed(self, job: Job, before: JobId) -> None:
        """The leader is of no use any more, being FAILED or erased: let this job lead, unless another one does."""
        self._write(job, CONDITIONS["succeed"], {":before": before.job_id})

    def lead_from_now_on(self, job: Job) -> None:
        """What comes later shall have the result of this job, whichever was first."""
        self._write(job, "", {})

    def _write(self, job: Job, condition: str, values: Item) -> str:
        _, item = self._table.update(
            Write(
                key={"pk": f"T#{job.tenant}#D#{fingerprint(job)}", "sk": "LEADER"},
                condition=condition,
                update="SET leader = :leader, expires_at = :expires",
                values={":leader": job.job_id, ":expires": int((self._clock() + _KEPT).timestamp()), **values},
            )
        )
        return str(item["leader"])


def fingerprint(job: Job) -> str:
    """SHA-256 over everything that a result depends on: the content and the options, and not its name or label."""
    options = job_item.from_options(job.options)
    return hashlib.sha256(json.dumps([job.document.sha256, options], sort_keys=True).encode()).hexdigest()
