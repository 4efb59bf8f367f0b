"""DynamoDB: the chunks of split jobs, beside their job under ``sk = C#<split>#<number>``. One method, one transition.

    from                        method    guard in the ConditionExpression                      to
    -                           create    attribute_not_exists(pk)                              QUEUED
    QUEUED                      claim     status = QUEUED, budget left                          PROCESSING, attempt + 1
    PROCESSING, lease expired   claim     lease_expires_at < :now, budget left                  PROCESSING, attempt + 1
    free, budget used up        skip      attempt = :seen, budget_used >= :budget               PROCESSING, attempt + 1
    PROCESSING                  renew     status = PROCESSING AND attempt = :mine; the job too  PROCESSING
    PROCESSING                  release   status = PROCESSING AND attempt = :mine               QUEUED
    PROCESSING                  home      status = PROCESSING AND attempt = :mine; the job too  DONE, one less is out
    PROCESSING                  fail_job  status = PROCESSING AND attempt = :mine; the job too  the job is FAILED

The rules are those of ``job_store``. ``renew`` and ``home`` are transactions with a look at the job: a chunk of a job
that was erased, has failed or was split anew is not worth another page. ``home`` counts the chunk down in the job in
the same transaction as it ends the chunk, so it counts once however often it is sent; a bare ``ADD`` would not.

A chunk never fails. What stops its job stops the job; a page that cannot be read is a failed page; and where a page
kills worker after worker, the budget ends, ``skip`` takes the chunk over and gives up that page only.

Chunks are not in the index ``open``: their job is, and whoever looks after it finds them by ``unfinished``.

IAM: as ``job_store``, and dynamodb:ConditionCheckItem, DeleteItem, and Query on the table itself; transactions need the
rights of their single writes.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hybrid_ocr_core import job_item
from hybrid_ocr_core.chunk import Chunk, ChunkId, ChunkLease
from hybrid_ocr_core.errors import ChunkExhausted, ChunkHome, JobNotFound, LeaseHeld, LeaseLost
from hybrid_ocr_core.event_store import written_with
from hybrid_ocr_core.job import Clock, EventId, JobFailure, JobId, JobStatus, utc_now
from hybrid_ocr_core.job_item import KEEP, Item, keep_values, key_of, milliseconds
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CHUNK = "C#"
_FREE = "(#status = :queued OR (#status = :processing AND lease_expires_at < :now))"
_MINE = "#status = :processing AND attempt = :mine"
#: The guards of the transitions, as in ``job_store.CONDITIONS``.
CONDITIONS = {
    "create": "attribute_not_exists(pk)",
    "claim": f"budget_used < :budget AND {_FREE}",
    "skip": f"attempt = :seen AND budget_used >= :budget AND {_FREE}",
    "renew": _MINE,
    "release": _MINE,
    "home": _MINE,
    # of the job
    "wanted": "#status = :processing AND split_by = :split",
}
#: A chunk that is home is kept for a while, so that late copies of its message find it; then the TTL removes it.
_HOME_KEPT = dt.timedelta(days=15)


class ChunkStore:
    """The chunks of all jobs. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, lease: dt.timedelta, attempt_budget: int, clock: Clock = utc_now
    ) -> None:
        self._table = Table(client, table)
        self._lease = lease
        self._attempt_budget = attempt_budget
        self._clock = clock

    def create(self, chunks: Sequence[Chunk]) -> None:
        """Put new QUEUED chunks. Nobody sees them before the job says that it is split."""
        for chunk in chunks:
            # One that is there is our own: the first response was lost, or this split was begun before.
            self._table.put(_from_chunk(chunk), condition=CONDITIONS["create"])

    def claim(self, chunk: ChunkId) -> tuple[Chunk, ChunkLease]:
        """Take a chunk that is QUEUED or whose lease expired: attempt + 1, a new lease, one of the budget used.

        Raises:
            JobNotFound: no such chunk.
            ChunkHome: it is home already.
            LeaseHeld: another worker is on it.
            ChunkExhausted: free, but so many attempts in a row have stored no page; see ``skip``.
        """
        return self._take(chunk, "claim", budget_used="budget_used + :one")

    def skip(self, chunk: ChunkId, *, seen: int) -> tuple[Chunk, ChunkLease]:
        """Take a chunk whose budget is used up, with a new budget: the first page it lacks is to be given up.

        Raises:
            As ``claim``; also when someone else did so since attempt ``seen``.
        """
        return self._take(chunk, "skip", budget_used=":zero", values={":seen": seen, ":zero": 0})

    def renew(self, lease: ChunkLease, *, has_stored: bool = False) -> None:
        """Move the lease's expiry on; an attempt that has stored a page is the first at what comes after that page.

        Raises:
            LeaseLost: fenced off, or the job has no use for the chunk any more.
        """
        now = self._clock()
        update, values = "SET lease_expires_at = :expires", {":expires": milliseconds(now + self._lease)}
        if has_stored:
            update, values = f"{update}, budget_used = :one", {**values, ":one": 1}
        done, _ = self._table.transact([_mine(lease, "renew", update, values), _of_job(lease.chunk)])
        if not done:
            raise LeaseLost(f"attempt {lease.attempt} of chunk {lease.chunk.number} was fenced off")

    def release(self, lease: ChunkLease, *, spend_budget: bool) -> None:
        """PROCESSING -> QUEUED: give the chunk back.

        Raises:
            LeaseLost: fenced off.
        """
        update = "SET #status = :queued, budget_used = budget_used - :refund REMOVE #owner, lease_expires_at"
        values = {":queued": JobStatus.QUEUED, ":refund": 0 if spend_budget else 1}
        written, item = self._table.update(_mine(lease, "release", update, values))
        if not written and not (item.get("attempt") == lease.attempt and item.get("status") == JobStatus.QUEUED):
            raise LeaseLost(f"attempt {lease.attempt} of chunk {lease.chunk.number} was fenced off")

    def home(self, lease: ChunkLease, *, pages: int) -> None:
        """PROCESSING -> DONE, and one chunk less is out: in one transaction, so once.

        Raises:
            LeaseLost: fenced off, or the job has no use for the chunk any more.
        """
        now = self._clock()
        ended = _mine(
            lease,
            "home",
            "SET #status = :done, expires_at = :ttl REMOVE #owner, lease_expires_at",
            {":done": JobStatus.DONE, ":ttl": int((now + _HOME_KEPT).timestamp())},
        )
        counted = _of_job(
            lease.chunk,
            update="SET chunks_left = chunks_left - :one, progress.pages_done = progress.pages_done + :pages,"
            " sweep_at = :sweep_at, updated_at = :stamp ADD version :one",
            values={
                ":one": 1,
                ":pages": pages,
                ":sweep_at": milliseconds(now + self._lease),
                ":stamp": job_item.stamp(now),
            },
        )
        done, refused = self._table.transact([ended, counted])
        if done:
            return
        chunk = refused[0]
        if not (chunk.get("attempt") == lease.attempt and chunk.get("status") == JobStatus.DONE):
            raise LeaseLost(f"attempt {lease.attempt} of chunk {lease.chunk.number} was fenced off")

    def fail_job(self, lease: ChunkLease, failure: JobFailure, *, has_webhook: bool = False) -> None:
        """The job -> FAILED, for the whole document is at fault; with its event, where somebody is to be told.

        Raises:
            LeaseLost: fenced off, or the job has no use for the chunk any more.
        """
        now = self._clock()
        failed = _of_job(
            lease.chunk,
            update=f"SET #status = :failed, failure = :failure, updated_at = :stamp, {KEEP} ADD version :one"
            " REMOVE open_shard, sweep_at, last_error",
            values={
                ":failed": JobStatus.FAILED,
                ":failure": job_item.from_failure(failure),
                ":one": 1,
                ":stamp": job_item.stamp(now),
                **keep_values(now),
            },
        )
        writes = [_look(lease), failed]
        if has_webhook:
            # The split raised the attempt by one, and nobody has claimed the job since: a chunk is out.
            event = EventId(job=lease.chunk.job, attempt=lease.chunk.split + 1)
            writes.append(written_with(event, JobStatus.FAILED, failure.code, now))
        done, refused = self._table.transact(writes)
        if not done and refused[1].get("failure") != job_item.from_failure(failure):
            raise LeaseLost(f"attempt {lease.attempt} of chunk {lease.chunk.number} was fenced off")

    def unfinished(self, job: JobId, split: int) -> Iterator[tuple[ChunkId, bool]]:
        """The chunks that are not home, in order, and whether each is free; a hint, so act by condition only."""
        now = milliseconds(self._clock())
        for item in self._table.items(key_of(job)["pk"], _prefix(split)):
            if item["status"] != JobStatus.DONE:
                number = int(item["sk"].rpartition("#")[2])
                yield ChunkId(job=job, split=split, number=number), _is_free(item, now)

    def remove(self, job: JobId) -> None:
        """Delete all chunks of an erased job."""
        for item in self._table.items(key_of(job)["pk"], _CHUNK):
            self._table.delete({"pk": item["pk"], "sk": item["sk"]})

    def _take(
        self, chunk: ChunkId, transition: str, *, budget_used: str, values: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[Chunk, ChunkLease]:
        now = self._clock()
        owner = uuid.uuid4().hex  # fresh per call: an item that shows it can only be this call's own write
        expires_at = now + self._lease
        written, item = self._table.update(
            Write(
                key=_key(chunk),
                condition=CONDITIONS[transition],
                update="SET #status = :processing, #owner = :owner, lease_expires_at = :expires,"
                f" budget_used = {budget_used} ADD attempt :one",
                values={
                    ":queued": JobStatus.QUEUED,
                    ":processing": JobStatus.PROCESSING,
                    ":owner": owner,
                    ":now": milliseconds(now),
                    ":expires": milliseconds(expires_at),
                    ":budget": self._attempt_budget,
                    ":one": 1,
                    **values,
                },
            )
        )
        if not written and item.get("owner") != owner:
            raise _why_not_taken(item, now)
        lease = ChunkLease(chunk=chunk, attempt=int(item["attempt"]), owner=owner, expires_at=expires_at)
        return _to_chunk(chunk, item), lease


def _mine(lease: ChunkLease, transition: str, update: str, values: Mapping[str, Any]) -> Write:
    return Write(
        key=_key(lease.chunk),
        condition=CONDITIONS[transition],
        update=update,
        values={**values, ":processing": JobStatus.PROCESSING, ":mine": lease.attempt},
    )


def _look(lease: ChunkLease) -> Write:
    """Is the chunk still ours?"""
    return _mine(lease, "renew", "", {})


def _of_job(chunk: ChunkId, update: str = "", values: Mapping[str, Any] = MappingProxyType({})) -> Write:
    """A write on the chunk's job, or only a look at it."""
    return Write(
        key=key_of(chunk.job),
        condition=CONDITIONS["wanted"],
        update=update,
        values={**values, ":processing": JobStatus.PROCESSING, ":split": chunk.split},
    )


def _why_not_taken(item: Item, now: dt.datetime) -> Exception:
    if not item:
        return JobNotFound("there is no such chunk")
    if item["status"] == JobStatus.DONE:
        return ChunkHome("the chunk is home")
    if not _is_free(item, milliseconds(now)):
        return LeaseHeld(dt.datetime.fromtimestamp(int(item["lease_expires_at"]) / 1000, dt.UTC))
    return ChunkExhausted(int(item["attempt"]))


def _is_free(item: Item, now: int) -> bool:
    return item["status"] == JobStatus.QUEUED or int(item["lease_expires_at"]) < now


def _prefix(split: int) -> str:
    return f"{_CHUNK}{split:06d}#"


def _key(chunk: ChunkId) -> Item:
    return {"pk": key_of(chunk.job)["pk"], "sk": f"{_prefix(chunk.split)}{chunk.number:06d}"}


def _from_chunk(chunk: Chunk) -> Item:
    return {
        **_key(chunk.id),
        "v": job_item.COMMON_SCHEMA,
        "status": JobStatus.QUEUED.value,
        "attempt": 0,
        "budget_used": 0,
        "pages": list(chunk.pages),
    }


def _to_chunk(chunk: ChunkId, item: Item) -> Chunk:
    return Chunk(id=chunk, pages=tuple(int(page) for page in item["pages"]))
