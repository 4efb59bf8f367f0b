"""Which jobs get a message: so many of a tenant in a lane, and no more.

So a tenant with ten thousand jobs has no more messages before those of a tenant with one than it has places. Its other
jobs are held: accepted, QUEUED, without a message. Whoever brings a job to its end gives the place to the next one.

Places and jobs are items of their own, written one after the other. Each gap between two writes says what a crash
there leaves; the sweeper's ``tend`` heals all of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto

from hybrid_ocr_core import trace
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.errors import (
    JobErased,
    JobFinished,
    JobNotFound,
    NewerSchema,
    NotToBeFollowed,
    Unavailable,
)
from hybrid_ocr_core.job import Clock, Ended, EventId, Job, JobId, Lane, utc_now
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore, OpenLane
from hybrid_ocr_core.once import REFUSED, Once
from hybrid_ocr_core.places import Places, TenantLane
from hybrid_ocr_core.usage import Usage

_log = logging.getLogger(__name__)

#: A ticket is written before its job; one that is younger may be just that.
_CREATION = dt.timedelta(minutes=5)
#: Tickets looked at beyond those wanted: some are of jobs that do not wait any more.
_SPARE = 10
_MOST_AT_ONCE = 50
#: A leader is named before its job is written: the same document may come again within that moment.
_WAIT_FOR_LEADER_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4)


class _Admission(Enum):
    SENT = auto()
    NO_PLACE = auto()
    #: It is over, or someone else has sent it.
    NOT_HELD = auto()
    UNKNOWN = auto()


class Dispatch:
    """Used by whoever accepts a job, ends one, or heals."""

    def __init__(
        self,
        jobs: JobStore,
        queue: JobQueue,
        places: Places,
        contents: Contents | None = None,
        clock: Clock = utc_now,
        *,
        usage: Usage | None = None,
        sleep: Callable[[float], None] = time.sleep,
        announce: Callable[[EventId], object] = lambda _: None,
    ) -> None:
        """Without ``contents`` every job is recognised, be it the same document a hundred times. Without ``usage`` no
        pages are counted.

        ``announce`` hears of each event at once; it must not fail, nor take time. What it misses is due all the same.
        """
        self._jobs = jobs
        self._queue = queue
        self._places = places
        self._contents = contents
        self._usage = usage
        self._clock = clock
        self._sleep = sleep
        self._announce = announce

    def accept(self, job: Job, *once: Once) -> Job:
        """Commit a new job, and send its message if there is a place for it.

        Raises:
            Unavailable: DynamoDB is away, and nothing was accepted.
            One of ``once.REFUSED``: nor was it here, for another job was made of what makes one only.
        """
        job = self.commit(job, *once)
        # A crash here leaves a QUEUED job without a message: the item is the outbox, and the sweeper sends it after a
        # lease. If it is held, whoever leaves a place finds its ticket, and the end of its leader finds itself.
        self.send([job])
        return job

    def commit(self, job: Job, *once: Once) -> Job:
        """Put a new job into the table: held, while there is no place for it, or another job reads the same content.

        Raises:
            Unavailable: DynamoDB is away, and nothing was accepted.
            One of ``once.REFUSED``: nor was it here, for another job was made of what makes one only.
        """
        leader, is_running = self._leader_of(job)
        # A crash here leaves a follower of the leader, or a leader of its content, that does not exist; both are told
        # from those that do.
        has_place = not is_running and self._places.take(job.id, job.lane)
        # A crash here leaves a place of a job that does not exist; it is given away when others wait for it.
        job = replace(job, is_held=not has_place, leader=leader.job_id if leader else None)
        if job.is_held and not is_running:
            self._places.wait(job)
        # A crash here leaves a ticket of a job that does not exist, torn up when its turn comes.
        try:
            self._jobs.create(job, *once)
        except REFUSED:
            # What stands above of a crash holds here as well: a place may be left, until somebody waits for it.
            with contextlib.suppress(Unavailable):
                self.ended(job.ended)
            raise
        if job.rerun_of is not None and self._contents is not None:
            # Who asks for that wants the document read; those who send it later shall have the newer result. A crash
            # before this, or an outage, leaves them the older one. Before the job is there, of two that race under one
            # key the one that is refused might lead.
            with contextlib.suppress(Unavailable):
                self._contents.lead_from_now_on(job)
        return job

    def send(self, jobs: Sequence[Job]) -> None:
        """Send what was committed for one tenant and is not held. Raises nothing; the sweeper has the rest."""
        for lane in Lane:
            self._queue.send_all([job.id for job in jobs if job.lane is lane and not job.is_held], lane)
        # Perhaps a leader, or all that had places, ended meanwhile, and nobody is left who would send the held ones.
        held = [job for job in jobs if job.is_held]
        try:
            for job in held:
                if job.leader and self._is_over(JobId(tenant=job.tenant, job_id=job.leader)):
                    self.offer(job)
            for where in {TenantLane(tenant=job.tenant, lane=job.lane) for job in held if not job.leader}:
                self._admit_next(where, most=len(held))
        except Unavailable as error:
            # They are committed, and accepted.
            _log.warning("%s; the sweeper will send the jobs.", error, extra={"action": "send_postponed"})

    def _leader_of(self, job: Job) -> tuple[JobId | None, bool]:
        """The job whose result this one shall use, if any, and whether that is still to come."""
        if self._contents is None or job.rerun_of is not None:
            return None, False
        leader = self._contents.lead(job)
        if leader is None:
            return None, False
        for seconds in _WAIT_FOR_LEADER_SECONDS:
            try:
                return leader, self._jobs.follow(leader, job.id)
            except JobNotFound:
                self._sleep(seconds)
            except NotToBeFollowed:
                break
        self._contents.succeed(job, leader)
        return None, False

    def offer(self, job: Job) -> None:
        """Send a held job if there is a place for it; else it waits for one.

        Raises:
            Unavailable: the sweeper offers it again.
        """
        if self._admit(job.id, job.lane) is _Admission.NO_PLACE:
            self._places.wait(job)

    def ended(self, end: Ended) -> None:
        """A job is over: those that follow it are sent, its place goes to the next one, its pages are counted. Told
        again, it changes nothing.

        Raises:
            Unavailable: tell it again.
        """
        if end.event is not None:
            self._announce(end.event)
        for job_id in sorted(end.followers):
            with contextlib.suppress(JobNotFound):  # erased, or never accepted
                follower = self._jobs.get(JobId(tenant=end.job.tenant, job_id=job_id))
                if follower.is_held:
                    self.offer(follower)
        # A crash up to here is told again by the redelivery of the job's message.
        is_awaited = self._places.leave(end.job, end.lane)
        # A crash here leaves a place that nobody uses, until the sweeper looks.
        if is_awaited:
            self._admit_next(TenantLane(tenant=end.job.tenant, lane=end.lane), most=1)
        # A crash here leaves pages that are not counted yet: told again by the redelivery, too.
        if self._usage is not None:
            self._usage.count(end)

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
            admitted = self._jobs.admit(job)
        except (JobFinished, JobErased):
            outcome = _Admission.NOT_HELD
        except JobNotFound:
            outcome = _Admission.UNKNOWN
        else:
            if admitted is None:
                return _Admission.NOT_HELD
            # A crash here leaves a QUEUED job without a message, for the sweeper.
            with trace.on_behalf_of(admitted.traceparent):
                self._queue.send(job, lane)
            return _Admission.SENT
        self._places.leave(job, lane)
        return outcome

    def _is_over(self, job: JobId) -> bool:
        try:
            return self._jobs.get(job).status.is_terminal
        except JobNotFound:
            return True
        except NewerSchema:
            return False
