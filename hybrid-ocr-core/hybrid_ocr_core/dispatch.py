"""Which jobs get a message: so many of a tenant in a lane, and no more.

So a tenant with ten thousand jobs has no more messages before those of a tenant with one than it has places. Its other
jobs are held: accepted, QUEUED, without a message. Whoever brings a job to its end gives the place to the next one.

Places and jobs are items of their own, written one after the other. Each gap between two writes says what a crash
there leaves; the sweeper's ``tend`` heals all of it.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from enum import Enum, auto

from hybrid_ocr_core.errors import JobErased, JobFinished, JobNotFound, NewerSchema, Unavailable
from hybrid_ocr_core.job import Clock, Job, JobId, Lane, utc_now
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore, OpenLane
from hybrid_ocr_core.places import Places, TenantLane

_log = logging.getLogger(__name__)

#: A ticket is written before its job; one that is younger may be just that.
_CREATION = dt.timedelta(minutes=5)
#: Tickets looked at beyond those wanted: some are of jobs that do not wait any more.
_SPARE = 10
_MOST_AT_ONCE = 50


class _Admission(Enum):
    SENT = auto()
    NO_PLACE = auto()
    #: It is over, or someone else has sent it.
    NOT_HELD = auto()
    UNKNOWN = auto()


class Dispatch:
    """Used by whoever accepts a job, ends one, or heals."""

    def __init__(self, jobs: JobStore, queue: JobQueue, places: Places, clock: Clock = utc_now) -> None:
        self._jobs = jobs
        self._queue = queue
        self._places = places
        self._clock = clock

    def accept(self, job: Job) -> Job:
        """Commit a new job, and send its message if there is a place for it; else it is held.

        Raises:
            Unavailable: DynamoDB is away, and nothing was accepted.
        """
        has_place = self._places.take(job.id, job.lane)
        # A crash here leaves a place of a job that does not exist; it is given away when others wait for it.
        job = replace(job, is_held=not has_place)
        if job.is_held:
            self._places.wait(job)
        # A crash here leaves a ticket of a job that does not exist, torn up when its turn comes.
        self._jobs.create(job)
        # A crash here, or SQS away, leaves a QUEUED job without a message: the item is the outbox, and the sweeper
        # sends it after a lease. If it is held, whoever leaves a place finds its ticket.
        try:
            if has_place:
                self._queue.send(job.id, job.lane)
            else:
                # Perhaps all others ended meanwhile, and nobody is left who would leave a place.
                self._admit(job.id, job.lane)
        except Unavailable as error:
            # It is committed, and accepted.
            _log.warning("%s; the sweeper will send the job.", error, extra={"action": "send_postponed"})
        return job

    def offer(self, job: Job) -> None:
        """Send a held job if there is a place for it; else it waits for one.

        Raises:
            Unavailable: the sweeper offers it again.
        """
        if self._admit(job.id, job.lane) is _Admission.NO_PLACE:
            self._places.wait(job)

    def ended(self, job: JobId, lane: Lane) -> None:
        """A job is DONE, FAILED or erased: its place goes to the next one. Told again, it changes nothing.

        Raises:
            Unavailable: tell it again.
        """
        is_awaited = self._places.leave(job, lane)
        # A crash here leaves a place that nobody uses, until the sweeper looks.
        if is_awaited:
            self._admit_next(TenantLane(tenant=job.tenant, lane=lane), most=1)

    def tend(self, entry: OpenLane) -> int:
        """See to places that jobs wait for, and end the watch when none does. Returns how many jobs were sent.

        Those of jobs that are over go to the next; so does each that is left for any other reason.

        Raises:
            Unavailable: the rest is for the next time.
        """
        inspection = self._places.inspect(entry.where, seen=entry.sweep_at)
        if inspection is None:
            return 0
        for job_id in inspection.holders:
            job = JobId(tenant=entry.where.tenant, job_id=job_id)
            if self._is_over(job):
                self._places.leave(job, entry.where.lane)
        if not self._places.waiting(entry.where, most=1):
            self._places.rest(entry.where, inspection)
            return 0
        return self._admit_next(entry.where, most=_MOST_AT_ONCE)

    def _admit_next(self, where: TenantLane, *, most: int) -> int:
        """Send those who came first, as far as there are places; how many."""
        sent = 0
        for ticket in self._places.waiting(where, most=most + _SPARE):
            outcome = self._admit(ticket.job, where.lane)
            if outcome is _Admission.NO_PLACE:
                break
            if outcome is _Admission.UNKNOWN and ticket.age(self._clock()) < _CREATION:
                continue
            # A crash here leaves a ticket of a job that does not wait; it is torn up the next time.
            self._places.tear_up(ticket, where.lane)
            sent += outcome is _Admission.SENT
            if sent == most:
                break
        return sent

    def _admit(self, job: JobId, lane: Lane) -> _Admission:
        if not self._places.take(job, lane):
            return _Admission.NO_PLACE
        # A crash here leaves a place of a job that waits all the same: its ticket brings it here again.
        try:
            is_admitted = self._jobs.admit(job)
        except (JobFinished, JobErased):
            outcome = _Admission.NOT_HELD
        except JobNotFound:
            outcome = _Admission.UNKNOWN
        else:
            # A crash here leaves a QUEUED job without a message, for the sweeper.
            if is_admitted:
                self._queue.send(job, lane)
            return _Admission.SENT if is_admitted else _Admission.NOT_HELD
        self._places.leave(job, lane)
        return outcome

    def _is_over(self, job: JobId) -> bool:
        try:
            return self._jobs.get(job).status.is_terminal
        except JobNotFound:
            return True
        except NewerSchema:
            return False
