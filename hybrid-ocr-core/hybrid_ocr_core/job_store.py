"""DynamoDB: the source of truth. One method = one state transition = one conditional write.

The state table (the README shows the same; a test holds the two together):

    from                        method    guard in the ConditionExpression                    to
    -                           create    attribute_not_exists(pk)                            QUEUED
    QUEUED or PROCESSING        follow    status IN (QUEUED, PROCESSING), not too many        unchanged
    QUEUED, held                admit     status = QUEUED AND attribute_exists(held)          QUEUED
    QUEUED                      claim     status = QUEUED, budget left                        PROCESSING, attempt + 1
    PROCESSING, lease expired   claim     lease_expires_at < :now, budget left                PROCESSING, attempt + 1
    PROCESSING                  renew     status = PROCESSING AND attempt = :mine             PROCESSING
    PROCESSING                  complete  status = PROCESSING AND attempt = :mine             DONE
    PROCESSING                  fail      status = PROCESSING AND attempt = :mine             FAILED
    PROCESSING                  release   status = PROCESSING AND attempt = :mine             QUEUED
    PROCESSING                  split     status = PROCESSING AND attempt = :mine             chunks out, attempt + 1
    PROCESSING, chunks home     claim     chunks_left = 0, no lease, budget left              PROCESSING, attempt + 1
    QUEUED or lease expired     exhaust   attempt = :seen, budget used up                     FAILED
    QUEUED or lease expired     resend    sweep_at = :seen                                    unchanged
    FAILED                      redrive   status = FAILED                                     QUEUED, held, budget anew
    DONE or FAILED              forget    kept_next = :seen, source_until <= :now             its source goes
    DONE or FAILED              expire    kept_until <= :now                                  erased, attempt + 1
    any                         erase     attribute_exists(pk)                                erased, attempt + 1

Three rules hold for each of them:

* A write whose response was lost is sent again by botocore and then fails its own condition. So every write asks
  for ``ALL_OLD`` and takes an item that already shows this very write for success.
* Every write after a claim carries ``attempt = :mine``, the fencing token. An expired lease that nobody took may
  still complete: the token counts, not the clock.
* Nothing is read before it is written: guard and change are one call.

A held job has no place in its lane, hence no message; see ``dispatch``.

The sparse index ``open`` (``open_shard``, ``sweep_at``) holds the jobs that someone may have to look after: not yet
terminal, or erased with objects left; and the places of crowded lanes. Reads from it are hints; each action is a
conditional write on the item.

What becomes of a job that has ended (forget, expire) is in ``kept_store``, what of its parts in ``chunk_store``.

The writes that end a job (complete, fail, exhaust) write its event, too, where it has a ``webhook_url``: in one
transaction, which needs no rights of its own. Without one they are single writes.

IAM: dynamodb:PutItem, GetItem, BatchGetItem, UpdateItem on the table, Query on its index ``open``.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hybrid_ocr_core import job_item, metrics
from hybrid_ocr_core.chunk_store import ChunkStore
from hybrid_ocr_core.errors import (
    AttemptsExhausted,
    ChunksOut,
    JobErased,
    JobExpired,
    JobFinished,
    JobNotFound,
    LeaseHeld,
    LeaseLost,
    NotToBeFollowed,
    SourceGone,
)
from hybrid_ocr_core.event_store import EventStore, written_with
from hybrid_ocr_core.job import (
    Clock,
    Document,
    Ended,
    EventId,
    Job,
    JobFailure,
    JobId,
    JobStatus,
    Lane,
    Lease,
    Progress,
    Result,
    Standing,
    utc_now,
)
from hybrid_ocr_core.job_item import BURY, KEEP, KEPT, OPEN_SHARD, Item, bury_values, keep_values, key_of, milliseconds
from hybrid_ocr_core.kept_store import KeptStore
from hybrid_ocr_core.once import Once
from hybrid_ocr_core.places import PLACES, TenantLane, where_of
from hybrid_ocr_core.table import Put, Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_OPEN_INDEX = "open"
#: Not a job: the item by which the sweepers of a fleet take turns.
_TURN = {"pk": "SWEEP", "sk": "TURN"}

#: Jobs that wait for one; what is the 101st copy of a document within minutes is recognised itself.
_MOST_FOLLOWERS = 100
_RESEND_CAP = dt.timedelta(hours=1)

_FREE = "(#status = :queued OR (#status = :processing AND lease_expires_at < :now))"
#: The guards of the transitions. tests/model explores the protocol with these very strings, and with each part of them
#: taken away; a condition on a missing attribute is false, so none of them holds where there is no item.
CONDITIONS = {
    "create": "attribute_not_exists(pk)",
    "claim": f"attribute_not_exists(erased_at) AND budget_used < :budget AND {_FREE}",
    "renew": "#status = :processing AND attempt = :mine",
    "complete": "#status = :processing AND attempt = :mine",
    "fail": "#status = :processing AND attempt = :mine",
    "release": "#status = :processing AND attempt = :mine",
    "exhaust": f"attempt = :seen AND budget_used >= :budget AND {_FREE}",
    "resend": f"sweep_at = :seen AND {_FREE}",
    "redrive": "attribute_not_exists(erased_at) AND #status = :failed",
    "erase": "attribute_exists(pk) AND attribute_not_exists(erased_at)",
    "purged": "attribute_exists(erased_at)",
}
#: Those of a job that is split. While chunks are out it has no lease, and is not free.
_SPLIT = "#status = :processing AND attribute_exists(split_by) AND attribute_not_exists(lease_expires_at)"
#: What a later version wrote is left alone.
_KNOWN = "(attribute_not_exists(v) OR v <= :schema)"
#: There is something to recognise; see ``kept_store``.
SOURCE_KEPT = "attribute_not_exists(source_gone_at)"
SPLIT_CONDITIONS = {
    "split": "#status = :processing AND attempt = :mine",
    "claim": f"{_SPLIT} AND chunks_left = :none",
    "resend": f"sweep_at = :seen AND {_SPLIT}",
}
#: Those around a job that is held, for a place in its lane or for the end of its leader.
HELD_CONDITIONS = {
    "admit": "attribute_not_exists(erased_at) AND #status = :queued AND attribute_exists(held)",
    "follow": "attribute_not_exists(erased_at) AND #status IN (:queued, :processing)"
    " AND (attribute_not_exists(followers) OR size(followers) < :most)",
}
_FENCED = {**CONDITIONS, "split": SPLIT_CONDITIONS["split"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """An entry of the index ``open``: possibly stale, so act by condition only."""

    job: JobId
    sweep_at: int
    resends: int
    is_erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLane:
    """An entry of the index ``open``: places that jobs wait for. Possibly stale, too."""

    where: TenantLane
    sweep_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A held job was let go."""

    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """What to send, and where: the job's own message, or those of the chunks of this split that nobody works on.

    A held job must find a place first.
    """

    lane: Lane
    split: int | None
    is_held: bool
    traceparent: str | None


class JobStore:
    """The jobs of all tenants in one table. Raises ``Unavailable`` from every method when DynamoDB is away.

    ``lease`` is also how long a job that is free may stay untaken before the sweeper sends it again; doubled with each
    resend up to an hour, so that a queue which is merely long does not fill up with copies.
    """

    def __init__(
        self, client: DynamoDBClient, table: str, *, lease: dt.timedelta, attempt_budget: int, clock: Clock = utc_now
    ) -> None:
        self._table = Table(client, table)
        self._lease = lease
        self._attempt_budget = attempt_budget
        self._clock = clock
        #: The parts of those jobs that are split.
        self.chunks = ChunkStore(client, table, lease=lease, attempt_budget=attempt_budget, clock=clock)
        #: Those that have ended, for as long as they are kept.
        self.kept = KeptStore(client, table, lease=lease, clock=clock)
        #: That those with a ``webhook_url`` have ended.
        self.events = EventStore(client, table, clock=clock)

    def create(self, job: Job, *once: Once) -> None:
        """Put a new QUEUED job. From here on it is accepted: the item is the outbox for its message.

        What it may be made of once only is written as well, or neither is.

        Raises:
            One of ``once.REFUSED``: another job was made of that; there is no such job as this.
        """
        # Whoever leaves a place looks after those that are held; the sweeper does so for good measure only.
        patience = _RESEND_CAP if job.is_held else self._lease
        item = job_item.from_job(job, sweep_at=milliseconds(job.created_at + patience))
        # The id is 128 random bits, so an item that is there is our own: the first response was lost.
        if once:
            new = Put(item=item, condition=CONDITIONS["create"])
            written, refused = self._table.transact([*(one.record(job.job_id) for one in once), new])
            if not written:
                for one, found in zip(once, refused, strict=False):  # the last one is the job's
                    one.check(found, made=job.job_id)
        else:
            self._table.put(item, condition=CONDITIONS["create"])
        metrics.job_created(job)

    def get(self, job: JobId) -> Job:
        """Read a job, strongly consistent.

        Raises:
            JobNotFound: no such job, or it was erased.
            JobExpired: it was kept for as long as it was to be.
        """
        item = self._table.get(key_of(job))
        if "expired" in item or self._has_expired(item):
            raise JobExpired("the job was kept for as long as it was to be")
        if not item or "erased_at" in item:
            raise JobNotFound("there is no such job")
        return job_item.to_job(item)

    def follow(self, leader: JobId, follower: JobId) -> bool:
        """Have a job held until another one ends, whose result it will use. False when that one is DONE already.

        Raises:
            JobNotFound: it is not there, or not yet.
            NotToBeFollowed: it is FAILED or erased, lacks pages, or has enough followers.
        """
        written, item = self._update(
            leader,
            condition=HELD_CONDITIONS["follow"],
            update="ADD followers :followers, version :one",
            values={
                ":queued": JobStatus.QUEUED,
                ":processing": JobStatus.PROCESSING,
                ":followers": {follower.job_id},
                ":most": _MOST_FOLLOWERS,
                ":one": 1,
            },
        )
        if written or follower.job_id in item.get("followers", ()):
            return True
        if not item:
            raise JobNotFound("there is no such job")
        is_done = not self._is_gone(item) and item.get("status") == JobStatus.DONE
        if is_done and not item["result"]["failed_pages"]:
            return False
        raise NotToBeFollowed("its result will be of no use")

    def admit(self, job: JobId) -> Admitted | None:
        """Let a held job go: it has a place now. None when someone else did so.

        A crash between this write and the send leaves the job to the sweeper.

        Raises:
            JobNotFound, JobErased, JobFinished: it needs no place.
        """
        now = self._clock()
        # Jitter makes the value this call's own.
        sweep_at = milliseconds(now + self._lease * random.uniform(1.0, 1.2))  # noqa: S311 - not cryptography
        written, item = self._update(
            job,
            condition=HELD_CONDITIONS["admit"],
            update="SET sweep_at = :sweep_at, updated_at = :stamp ADD version :one REMOVE held",
            values={":queued": JobStatus.QUEUED, ":sweep_at": sweep_at, ":stamp": job_item.stamp(now), ":one": 1},
        )
        if written or item.get("sweep_at") == sweep_at:
            metrics.job_moved("admit", job_item.to_lane(item))
            return Admitted(traceparent=item.get("traceparent"))
        if not item or "erased_at" in item or JobStatus(item["status"]).is_terminal:
            raise self._why_not_claimed(item, now)
        return None

    def get_all(self, jobs: Sequence[JobId]) -> dict[JobId, Job]:
        """Read many, each strongly consistent; those that do not exist, were erased or expired are left out."""
        items = self._table.get_all([key_of(job) for job in jobs])
        return {job_item.id_of(item): job_item.to_job(item) for item in items if not self._is_gone(item)}

    def standings(self, jobs: Sequence[JobId]) -> dict[JobId, Standing]:
        """Where each job stands, strongly consistent; those that do not exist, were erased or expired are left out."""
        only = ("pk", "erased_at", "kept_until", *job_item.STANDING)
        items = self._table.get_all([key_of(job) for job in jobs], only=only)
        return {job_item.id_of(item): job_item.to_standing(item) for item in items if not self._is_gone(item)}

    def claim(self, job: JobId) -> tuple[Job, Lease]:
        """Take a job that is QUEUED or whose lease expired: attempt + 1, a new lease, one of the budget used.

        Raises:
            JobNotFound: no item, or erased.
            JobFinished: terminal already.
            LeaseHeld: another worker is on it.
            AttemptsExhausted: free, but the budget is used up.
            NewerSchema: a later version wrote it; nothing was changed.
        """
        now = self._clock()
        owner = uuid.uuid4().hex  # fresh per call: an item that shows it can only be this call's own write
        expires_at = now + self._lease
        update = (
            "SET #status = :processing, #owner = :owner, lease_expires_at = :expires, sweep_at = :sweep_at,"
            " resends = :zero, started_at = :stamp, updated_at = :stamp"
            " ADD attempt :one, budget_used :one, version :one REMOVE held"
        )
        values = {
            ":processing": JobStatus.PROCESSING,
            ":owner": owner,
            ":expires": milliseconds(expires_at),
            ":sweep_at": milliseconds(expires_at + self._lease),
            ":zero": 0,
            ":one": 1,
            ":stamp": job_item.stamp(now),
            ":schema": job_item.SCHEMA,
        }
        guard = {":queued": JobStatus.QUEUED, ":now": milliseconds(now), ":budget": self._attempt_budget}
        condition = f"{CONDITIONS['claim']} AND {_KNOWN}"
        written, item = self._update(job, condition=condition, update=update, values=values | guard)
        if not written and _is_home(item):
            # The chunks are all home: this claim is to assemble the document.
            written, item = self._update(
                job, condition=f"{SPLIT_CONDITIONS['claim']} AND {_KNOWN}", update=update, values=values | {":none": 0}
            )
        if not written and item.get("owner") != owner:
            raise self._why_not_claimed(item, now)
        found = job_item.to_job(item)
        metrics.job_claimed(found, now)
        has_webhook = found.webhook_url is not None
        lease = Lease(job=job, attempt=found.attempt, owner=owner, expires_at=expires_at, has_webhook=has_webhook)
        return found, lease

    def renew(self, lease: Lease, progress: Progress | None = None, document: Document | None = None) -> Lease:
        """Move the lease's expiry on, and carry the progress and what the preflight found out.

        Raises:
            LeaseLost: fenced off.
        """
        now = self._clock()
        expires_at = now + self._lease
        sets = ["lease_expires_at = :expires", "sweep_at = :sweep_at", "updated_at = :stamp"]
        values: dict[str, Any] = {
            ":expires": milliseconds(expires_at),
            ":sweep_at": milliseconds(expires_at + self._lease),
            ":stamp": job_item.stamp(now),
        }
        if progress is not None:
            sets.append("progress = :progress")
            values[":progress"] = job_item.from_progress(progress)
        if document is not None:
            sets.append("document = :document")
            values[":document"] = job_item.from_document(document)
        self._update_mine(lease, "renew", update="SET " + ", ".join(sets), values=values)
        return replace(lease, expires_at=expires_at)

    def complete(self, lease: Lease, document: Document, result: Result) -> Ended:
        """PROCESSING -> DONE, pointing at the files of this very attempt.

        Raises:
            LeaseLost: fenced off; the files of this attempt stay unseen.
        """
        now = self._clock()
        progress = Progress(pages_done=result.pages, pages_total=result.pages)
        event = EventId(job=lease.job, attempt=lease.attempt)
        item = self._update_mine(
            lease,
            "complete",
            event=written_with(event, JobStatus.DONE, None, now) if lease.has_webhook else None,
            update="SET #status = :done, #result = :result, document = :document, progress = :progress,"
            f" updated_at = :stamp, {KEEP} REMOVE #owner, lease_expires_at, open_shard, sweep_at, last_error",
            values={
                ":done": JobStatus.DONE,
                ":result": job_item.from_result(result),
                ":document": job_item.from_document(document),
                ":progress": job_item.from_progress(progress),
                ":stamp": job_item.stamp(now),
                **keep_values(now),
            },
            shows=lambda item: item.get("status") == JobStatus.DONE,
        )
        job = job_item.to_job(item)
        metrics.job_done(job)
        return job.ended

    def fail(self, lease: Lease, failure: JobFailure) -> Ended:
        """PROCESSING -> FAILED, for good.

        Raises:
            LeaseLost: fenced off.
        """
        now = self._clock()
        event = EventId(job=lease.job, attempt=lease.attempt)
        item = self._update_mine(
            lease,
            "fail",
            event=written_with(event, JobStatus.FAILED, failure.code, now) if lease.has_webhook else None,
            update=f"SET #status = :failed, failure = :failure, updated_at = :stamp, {KEEP}"
            " REMOVE #owner, lease_expires_at, open_shard, sweep_at, last_error",
            values={
                ":failed": JobStatus.FAILED,
                ":failure": job_item.from_failure(failure),
                ":stamp": job_item.stamp(now),
                **keep_values(now),
            },
            # Not any FAILED: another worker may have given this attempt up, and owes the job a dead letter.
            shows=lambda item: item.get("failure", {}).get("code") == failure.code,
        )
        job = job_item.to_job(item)
        metrics.job_failed("fail", job)
        return job.ended

    def release(self, lease: Lease, *, reason: str, spend_budget: bool, retry_in: dt.timedelta) -> None:
        """PROCESSING -> QUEUED: give the job back, to be taken after ``retry_in``.

        ``spend_budget=False`` returns the attempt to the budget: a shutdown or an outage is not the document's fault.

        Raises:
            LeaseLost: fenced off.
        """
        now = self._clock()
        item = self._update_mine(
            lease,
            "release",
            update="SET #status = :queued, sweep_at = :sweep_at, last_error = :reason, updated_at = :stamp,"
            " budget_used = budget_used - :refund REMOVE #owner, lease_expires_at",
            values={
                ":queued": JobStatus.QUEUED,
                ":sweep_at": milliseconds(now + retry_in + self._lease),
                ":reason": reason[:500],
                ":refund": 0 if spend_budget else 1,
                ":stamp": job_item.stamp(now),
            },
            shows=lambda item: item.get("status") == JobStatus.QUEUED,
        )
        metrics.job_moved("release", job_item.to_lane(item))

    def split(self, lease: Lease, document: Document, *, chunks: int, pages: int) -> None:
        """Leave the job to its chunks, which are there: no lease, until the last of them is home.

        This attempt is over, so ``attempt`` is raised: what its worker still sends, because it never heard of its
        success, must not take the job back from its chunks. It also goes back to the budget. A crash between this
        write and the sends leaves the chunks to the sweeper.

        Raises:
            LeaseLost: fenced off; the chunks of this attempt stay unseen.
        """
        now = self._clock()
        item = self._update_mine(
            lease,
            "split",
            update="SET split_by = :mine, chunks = :chunks, chunks_left = :chunks, progress = :progress,"
            " document = :document, sweep_at = :sweep_at, resends = :zero, updated_at = :stamp,"
            " attempt = attempt + :one, budget_used = budget_used - :one REMOVE #owner, lease_expires_at",
            values={
                ":chunks": chunks,
                ":progress": job_item.from_progress(Progress(pages_done=0, pages_total=pages)),
                ":document": job_item.from_document(document),
                ":sweep_at": milliseconds(now + self._lease),
                ":zero": 0,
                ":stamp": job_item.stamp(now),
            },
            shows=lambda item: item.get("split_by") == lease.attempt,
            leaves=lease.attempt + 1,
        )
        metrics.job_moved("split", job_item.to_lane(item))

    def exhaust(self, job: Job) -> tuple[JobFailure, Ended]:
        """A free job whose budget is used up -> FAILED ``out_of_attempts``, with the last reason.

        Raises:
            LeaseLost: it is not free, or it was claimed or redriven since ``job`` was read.
        """
        now = self._clock()
        reason = job.last_error or "the worker died without a word each time"
        failure = JobFailure(
            code="out_of_attempts",
            message=f"gave up after {job.budget_used} attempts; the last ended with: {reason}",
            retryable=True,
        )
        event = EventId(job=job.id, attempt=job.attempt)
        written, item = self._update(
            job.id,
            condition=CONDITIONS["exhaust"],
            event=written_with(event, JobStatus.FAILED, failure.code, now) if job.webhook_url else None,
            update=f"SET #status = :failed, failure = :failure, updated_at = :stamp, {KEEP} ADD version :one"
            " REMOVE #owner, lease_expires_at, open_shard, sweep_at",
            values={
                ":queued": JobStatus.QUEUED,
                ":processing": JobStatus.PROCESSING,
                ":failed": JobStatus.FAILED,
                ":failure": job_item.from_failure(failure),
                ":seen": job.attempt,
                ":budget": self._attempt_budget,
                ":now": milliseconds(now),
                ":one": 1,
                ":stamp": job_item.stamp(now),
                **keep_values(now),
            },
        )
        is_already = item.get("attempt") == job.attempt and item.get("failure", {}).get("code") == failure.code
        if not written and not is_already:
            raise LeaseLost("the job is not free any more")
        failed = job_item.to_job(item)
        if written:
            metrics.job_failed("exhaust", failed)
        return failure, failed.ended

    def due(self, *, before: dt.datetime, limit: int) -> Iterator[OpenJob | OpenLane]:
        """What has a ``sweep_at`` that has passed, oldest first, at most ``limit``; a hint, for it may lag."""
        due, _ = self._table.query(
            "open_shard = :shard AND sweep_at < :before",
            {":shard": OPEN_SHARD, ":before": milliseconds(before)},
            IndexName=_OPEN_INDEX,
            Limit=limit,
        )
        for item in due:
            if item["sk"] == PLACES:
                yield OpenLane(where=where_of(item), sweep_at=int(item["sweep_at"]))
                continue
            yield OpenJob(
                job=job_item.id_of(item),
                sweep_at=int(item["sweep_at"]),
                resends=int(item.get("resends", 0)),
                is_erased="erased_at" in item,
            )

    def resend(self, entry: OpenJob) -> Resend | None:
        """Take the right to send again what a job waits for; None when someone else has that right.

        A crash between this write and the send leaves the job to a later sweep, after the new ``sweep_at``.
        """
        now = self._clock()
        # Jitter keeps the sweepers of a fleet from meeting at the same job, and makes the value this call's own.
        delay = min(_RESEND_CAP, self._lease * 2 ** min(entry.resends, 16)) * random.uniform(0.9, 1.1)  # noqa: S311 - not cryptography
        update = "SET sweep_at = :sweep_at ADD resends :one, version :one"
        sweep_at = milliseconds(now + delay)
        values = {":processing": JobStatus.PROCESSING, ":seen": entry.sweep_at, ":sweep_at": sweep_at, ":one": 1}
        guard = {":queued": JobStatus.QUEUED, ":now": milliseconds(now)}
        written, item = self._update(entry.job, condition=CONDITIONS["resend"], update=update, values=values | guard)
        if not written and _is_unheld(item):
            written, item = self._update(entry.job, condition=SPLIT_CONDITIONS["resend"], update=update, values=values)
        if not written and item.get("sweep_at") != sweep_at:
            return None
        metrics.job_moved("resend", job_item.to_lane(item))
        return Resend(
            lane=job_item.to_lane(item),
            split=int(item["split_by"]) if item.get("chunks_left") else None,
            is_held="held" in item,
            traceparent=item.get("traceparent"),
        )

    def redrive(self, job: JobId) -> Job | None:
        """FAILED -> QUEUED and held, with a new budget, for an operator; ``attempt`` goes on. None if it is not FAILED.

        A crash after this write leaves the job to the sweeper.

        Raises:
            JobNotFound: no such job, or erased.
        """
        now = self._clock()
        written, item = self._update(
            job,
            condition=f"{CONDITIONS['redrive']} AND {SOURCE_KEPT}",
            update="SET #status = :queued, held = :true, budget_used = :zero, resends = :zero, open_shard = :shard,"
            " sweep_at = :sweep_at, updated_at = :stamp ADD version :one REMOVE failure, split_by, chunks, chunks_left,"
            f" {KEPT}",
            values={
                ":failed": JobStatus.FAILED,
                ":queued": JobStatus.QUEUED,
                ":shard": OPEN_SHARD,
                ":sweep_at": milliseconds(now + self._lease),
                ":true": True,
                ":zero": 0,
                ":one": 1,
                ":stamp": job_item.stamp(now),
            },
        )
        if not item or "erased_at" in item:
            raise JobNotFound("there is no such job")
        if not written and "source_gone_at" in item:
            raise SourceGone("the document is not kept any more")
        if written:
            metrics.job_moved("redrive", job_item.to_lane(item))
        # A lost response shows our own QUEUED; sending once more than needed is harmless.
        return job_item.to_job(item) if written or item["status"] == JobStatus.QUEUED else None

    def erase(self, job: JobId) -> Ended:
        """Leave a tombstone: the job is unreadable at once, and attempt + 1 fences off a running worker.

        The index keeps the tombstone until its objects are purged, after the lease of a running attempt.

        Raises:
            JobNotFound: no such job; erasing twice is no error.
        """
        values = bury_values(self._clock(), self._lease)
        written, item = self._update(job, condition=CONDITIONS["erase"], update=f"SET {BURY}", values=values)
        if not written and "erased_at" not in item:
            raise JobNotFound("there is no such job")
        if written:
            metrics.job_moved("erase", job_item.to_lane(item))
        return job_item.to_ended(item)

    def purged(self, entry: OpenJob) -> None:
        """The objects of an erased job are gone: take it off the index. The TTL removes the tombstone later."""
        self._update(
            entry.job,
            condition=CONDITIONS["purged"],
            update="REMOVE open_shard, sweep_at",
        )

    def take_turn(self, spacing: dt.timedelta) -> bool:
        """Take the right to send a batch of messages again; the whole fleet gets one each ``spacing``.

        A turn that lies further ahead than that is of a clock that is wrong, and is not respected: such a machine may
        cost the fleet its cap, but never its sweeps.
        """
        now = self._clock()
        taken = Write(
            key=_TURN,
            condition="attribute_not_exists(next_turn) OR next_turn <= :now OR next_turn > :wrong",
            update="SET next_turn = :next",
            values={
                ":now": milliseconds(now),
                ":next": milliseconds(now + spacing),
                ":wrong": milliseconds(now + 2 * spacing),
            },
        )
        written, _ = self._table.update(taken)
        return written

    def ping(self) -> None:
        """Raises Unavailable unless the table answers. It reads, for DescribeTable is served by another part of AWS."""
        self._table.get(_TURN)

    def _has_expired(self, item: Item) -> bool:
        """Whether or not a sweeper has come by yet."""
        return "kept_until" in item and item["kept_until"] <= milliseconds(self._clock())

    def _is_gone(self, item: Item) -> bool:
        return "erased_at" in item or self._has_expired(item)

    def _why_not_claimed(self, item: Item, now: dt.datetime) -> Exception:
        if not item:
            return JobNotFound("there is no such job")
        if "erased_at" in item:
            return JobErased(job_item.to_ended(item))
        job = job_item.to_job(item)
        if job.status.is_terminal:
            return JobFinished(job)
        if job.status is JobStatus.PROCESSING and job.lease_expires_at and job.lease_expires_at >= now:
            return LeaseHeld(job.lease_expires_at)
        if job.chunks_left:
            return ChunksOut("the job waits for its chunks")
        return AttemptsExhausted(job)

    def _update_mine(
        self,
        lease: Lease,
        transition: str,
        *,
        update: str,
        values: Mapping[str, Any],
        shows: Callable[[Item], bool] = lambda _item: False,
        leaves: int | None = None,
        event: Write | None = None,
    ) -> Item:
        """A fenced write: needs PROCESSING and this lease's attempt. Returns the item as it is now.

        ``shows`` tells our own earlier write from the item that refused it, ``leaves`` is the attempt it left.
        """
        written, item = self._update(
            lease.job,
            condition=_FENCED[transition],
            update=f"{update} ADD version :one",
            values={**values, ":processing": JobStatus.PROCESSING, ":mine": lease.attempt, ":one": 1},
            event=event,
        )
        is_ours = item.get("attempt") == (leaves or lease.attempt) and "erased_at" not in item and shows(item)
        if not written and not is_ours:
            raise LeaseLost(f"attempt {lease.attempt} was fenced off")
        return item

    def _update(
        self,
        job: JobId,
        *,
        condition: str,
        update: str,
        values: Mapping[str, Any] | None = None,
        event: Write | None = None,
    ) -> tuple[bool, Item]:
        """One conditional write on a job: (True, the item as it is now), or (False, the item that refused it).

        With an event it is written as well, or neither is.
        """
        write = Write(key=key_of(job), condition=condition, update=update, values=values or {})
        if event is None:
            return self._table.update(write)
        written, refused = self._table.transact([write, event])
        if not written:
            return False, refused[0]
        # A transaction does not tell what it made. A crash here leaves a job that has ended and whose message comes
        # back; its event is due. Who erased it in between has taken everything over.
        item = self._table.get(key_of(job))
        return "erased_at" not in item, item


def _is_unheld(item: Item) -> bool:
    """Split, and left to its chunks or to whoever assembles it."""
    return item.get("status") == JobStatus.PROCESSING and "split_by" in item and "lease_expires_at" not in item


def _is_home(item: Item) -> bool:
    return _is_unheld(item) and item["chunks_left"] == 0
