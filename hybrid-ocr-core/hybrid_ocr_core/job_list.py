"""DynamoDB: the jobs of a tenant, newest first, by the index ``listed``.

The index has an entry for each job that is not erased: ``tenant``, and ``listed_at``, which is the time of its creation
and its id, so no two jobs have the same. A page starts below such a value and not at a number, so what is submitted
meanwhile neither shifts nor doubles anything. What the filters ask for is projected, and sorted out by DynamoDB. The
index lags by a moment, and so is a hint: the jobs themselves are read from the table, where an erased one is gone at
once, and one that has gone on to another status is left out.

IAM: dynamodb:Query on the index ``listed``, and as ``job_store``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from hybrid_ocr_core.job import Job, JobStatus, Lane, Triage
from hybrid_ocr_core.job_item import Item, id_of, milliseconds
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "listed"
#: Entries looked at for one page, so that a filter which fits one job of a million cannot hold a request up; and how
#: many of them at a time.
MOST_LOOKED_AT = 5_000
_MOST_AT_A_TIME = 1_000
_GROWTH = 4
#: Before and behind all digits.
_EARLIEST, _LATEST = " ", "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs are asked for. Nothing said of a property: any. The times are of creation, the first included."""

    statuses: frozenset[JobStatus] = frozenset()
    lanes: frozenset[Lane] = frozenset()
    triages: frozenset[Triage] = frozenset()
    errors: frozenset[str] = frozenset()
    client_reference: str | None = None
    batch_id: str | None = None
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None

    def fits(self, job: Job) -> bool:
        """Is this job one of them? The times are not asked for, being no property that changes."""
        return (
            (not self.statuses or job.status in self.statuses)
            and (not self.lanes or job.lane in self.lanes)
            and (not self.triages or (job.result is not None and job.result.triage in self.triages))
            and (not self.errors or (job.failure is not None and job.failure.code in self.errors))
            and (self.client_reference is None or job.client_reference == self.client_reference)
            and (self.batch_id is None or job.batch_id == self.batch_id)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, and where the next page starts: None after the last. There may be fewer than asked for before that."""

    jobs: tuple[Job, ...]
    next: str | None


class JobList:
    """The jobs of all tenants. Raises ``Unavailable`` when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str, jobs: JobStore) -> None:
        self._table = Table(client, table)
        self._jobs = jobs

    def page(self, tenant: str, selection: Selection, *, limit: int, below: str | None = None) -> JobPage:
        """At most ``limit`` jobs that were created before ``below``, which is the ``next`` of the page before.

        Raises:
            Unavailable: DynamoDB is away.
            NewerSchema: one of them was written by a later version.
        """
        # One more than is shown, to know whether there is a next page.
        search = _Search(self._table, tenant, selection, below, wanted=limit + 1)
        entries = list(islice(search, limit + 1))
        shown = entries[:limit]
        found = self._jobs.get_all([id_of(entry) for entry in shown])
        jobs = (found.get(id_of(entry)) for entry in shown)
        return JobPage(
            jobs=tuple(job for job in jobs if job is not None and selection.fits(job)),
            next=shown[-1]["listed_at"] if len(entries) > limit else search.stopped_at,
        )


class _Search:
    """The entries of the index that fit, newest first, until ``MOST_LOOKED_AT`` were looked at."""

    def __init__(self, table: Table, tenant: str, selection: Selection, below: str | None, *, wanted: int) -> None:
        self._table = table
        self._tenant = tenant
        self._below = below
        self._wanted = wanted
        self._first, self._last = _range_of(selection, below)
        self._conditions, self._values = filter_of(selection)
        #: Where it went no further, though there is more.
        self.stopped_at: str | None = None

    def __iter__(self) -> Iterator[Item]:
        if self._first > self._last:
            return
        options: dict[str, Any] = {}
        if self._conditions:
            filters = " AND ".join(self._conditions)
            names = {alias: alias[1:] for alias in re.findall(r"#\w+", filters)}
            options = {"FilterExpression": filters, "ExpressionAttributeNames": names}
        values = {":tenant": self._tenant, ":first": self._first, ":last": self._last, **self._values}
        start, looked_at, size = None, 0, self._wanted + 1
        while looked_at < MOST_LOOKED_AT:
            entries, start = self._table.query(
                "tenant = :tenant AND listed_at BETWEEN :first AND :last",
                values,
                start=start,
                IndexName=INDEX,
                ScanIndexForward=False,
                Limit=size,
                **options,
            )
            yield from (entry for entry in entries if entry["listed_at"] != self._below)
            if start is None:
                return
            looked_at += size
            size = min(size * _GROWTH, _MOST_AT_A_TIME)
        assert start is not None
        self.stopped_at = start["listed_at"]["S"]


def _range_of(selection: Selection, below: str | None) -> tuple[str, str]:
    """Bounds of ``listed_at``, both included."""
    first = _EARLIEST if selection.created_after is None else _bare(selection.created_after)
    # A time with an id sorts behind the bare time, so this is the last moment before.
    last = _LATEST if selection.created_before is None else _bare(selection.created_before)
    return first, min(last, below or _LATEST)


def _bare(time: dt.datetime) -> str:
    return f"{max(0, milliseconds(time)):015d}"


def filter_of(selection: Selection) -> tuple[list[str], Item]:
    """Conditions on what the index projects, and their values."""
    conditions: list[str] = []
    values: Item = {}

    def one_of(attribute: str, name: str, words: frozenset[Any]) -> None:
        if words:
            found = {f":{name}{number}": str(word) for number, word in enumerate(sorted(words))}
            path = ".".join(f"#{part}" for part in attribute.split("."))
            conditions.append(f"{path} IN ({', '.join(found)})")
            values.update(found)

    one_of("status", "status", selection.statuses)
    one_of("lane", "lane", selection.lanes)
    one_of("result.triage", "triage", selection.triages)
    one_of("failure.code", "error", selection.errors)
    one_of("client_reference", "reference", _only(selection.client_reference))
    one_of("batch_id", "batch", _only(selection.batch_id))
    return conditions, values


def _only(word: str | None) -> frozenset[str]:
    return frozenset() if word is None else frozenset({word})
