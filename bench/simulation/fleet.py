"""Workers, jobs, chunks, leases and kills: the way of a message as the real worker goes it, in simulated time.

    POST ─ accepted ─ (held) ─ lane ─ claimed ─ pages ─ done              a short document
                                        └ split ─ chunks ─ last one home ─ assembled       a long one

A worker that is killed leaves its messages hidden until their visibility ends: a whole document begins anew, a chunk
goes on after the last page that it stored. One that is stopped has a grace time, and then gives its messages back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Any

import simpy

from bench.simulation import requests
from bench.simulation.lanes import Lanes, Places, Turns
from bench.simulation.requests import Request, Tally
from bench.simulation.service_times import ServiceTimes
from bench.simulation.workload import Lane, Submission
from hybrid_ocr_worker.fan_out import chunks_of

#: What SimPy runs: it yields events, and is sent their values, which nobody here looks at.
Process = Generator[simpy.Event, Any, None]

_LONG_POLL_SECONDS = 20.0
#: How often a worker tells of its progress, and how often it looks for urgent work.
_PROGRESS_SECONDS = 1.0
_URGENT_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of the service that matter here, with its defaults."""

    chunk_pages: int = 10
    chunks_in_lane: int = 16
    lease_seconds: float = 60
    heartbeat_seconds: float = 20
    grace_seconds: float = 25
    attempt_budget: int = 5
    lane_weights: Mapping[Lane, int] = field(default_factory=lambda: {Lane.HIGH: 6, Lane.NORMAL: 3, Lane.LOW: 1})
    #: None: no limit.
    tenant_jobs_in_lane: int | None = 100
    #: How much slower than the measured machine a worker is.
    slowness: float = 1.0


@dataclass(slots=True, eq=False)
class Job:
    """One document, and what became of it; seconds since the start."""

    submission: Submission
    accepted_at: float = math.nan
    claimed_at: float = math.nan
    done_at: float = math.nan
    has_failed: bool = False
    #: How often it came to its end: once.
    ends: int = 0
    #: Pages of each chunk, in order.
    chunks: tuple[int, ...] = ()
    chunks_left: int = 0

    @property
    def seconds_in_queue(self) -> float:
        """From the 202 to the first claim."""
        return self.claimed_at - self.accepted_at

    @property
    def seconds_to_done(self) -> float:
        """From the client's first byte to the end."""
        return self.done_at - self.submission.at


class Part(Enum):
    """What a message asks for."""

    JOB = auto()
    CHUNK = auto()
    ASSEMBLY = auto()


@dataclass(slots=True, eq=False)
class Message:
    """A hint to look at something, and what is known of that."""

    job: Job
    part: Part
    #: Still to be read: of a chunk those that are not stored.
    pages: int
    chunk: int = 0
    budget_used: int = 0


@dataclass(slots=True, eq=False)
class Held:
    """A message in a worker's hands. ``shown_again_at`` moves on with the heartbeat, the lease also with progress."""

    message: Message
    received_at: float
    claimed_at: float = math.nan
    told_at: float = -math.inf


class Fleet:
    """Everything behind the API, for a number of workers that others decide on."""

    def __init__(self, env: simpy.Environment, rules: Rules, times: ServiceTimes, random: Random) -> None:
        self.env = env
        self.rules = rules
        self.times = times
        self.random = random
        self.tally = Tally()
        self.jobs: list[Job] = []
        self.messages = 0
        self.lanes: Lanes[Message] = Lanes()
        self.places: Places[Job] = Places(rules.tenant_jobs_in_lane, self._admit)
        #: In the order in which they began to wait.
        self.waiting: dict[Worker, simpy.Event] = {}
        self.unfinished = 0
        self.pages_left = 0
        self.kills = 0

    # ---- the API

    def submit(self, submission: Submission) -> None:
        """A client begins to send a document, now."""
        job = Job(submission)
        self.jobs.append(job)
        self.unfinished += 1
        self.pages_left += submission.pages
        self.later(self.times.submit.draw(self.random) * self.rules.slowness, lambda: self._accept(job))

    def _accept(self, job: Job) -> None:
        job.accepted_at = self.env.now
        self.tally.add_all(requests.ACCEPT)
        tenant, lane = job.submission.tenant, job.submission.lane
        self._move_place(job)
        if not self.places.take(tenant, lane, job):
            # A ticket, the watch, and another look whether there is room now.
            self.tally.add(Request.WRITE_TICKET)
            self._move_place(job)
            self._move_place(job)

    def _admit(self, job: Job) -> None:
        self.send(Message(job, Part.JOB, job.submission.pages))

    def _move_place(self, job: Job) -> None:
        if self.rules.tenant_jobs_in_lane is not None:
            self.tally.move_place(self.places.holders(job.submission.tenant, job.submission.lane))

    # ---- the queue

    def send(self, message: Message) -> None:
        """A new message, in a request of its own."""
        self.tally.add(Request.SEND)
        self.put(message)

    def send_all(self, messages: Sequence[Message]) -> None:
        """New messages, ten a request."""
        self.tally.add(Request.SEND, math.ceil(len(messages) / 10))
        for message in messages:
            self.put(message)

    def put(self, message: Message) -> None:
        """A message that is sent."""
        self.messages += 1
        self.show(message)

    def show(self, message: Message) -> None:
        """To a worker that waits, or at the end of its lane."""
        if self.waiting:
            worker = next(iter(self.waiting))
            worker.hand_over(message, self.waiting.pop(worker))
        else:
            self.lanes.put(message.job.submission.lane, message)

    def deleted(self) -> None:
        """A message is done with; the request is counted with its step."""
        self.messages -= 1

    def backlog(self) -> int:
        """Messages that are queued or in hand, and jobs that wait for a place."""
        return self.messages + self.places.held

    # ---- what workers tell

    def ended(self, job: Job, *, has_failed: bool = False) -> None:
        """A job is DONE or FAILED."""
        job.done_at = self.env.now
        job.has_failed = has_failed
        job.ends += 1
        self.unfinished -= 1
        self._move_place(job)
        if self.places.leave(job.submission.tenant, job.submission.lane):
            self.tally.add_all(Counter({Request.LOOK_FOR_TICKETS: 1, Request.TEAR_UP_TICKET: 1}))
            self.tally.add(Request.RENEW_JOB)  # the job is held no more; its entry moves
            self._move_place(job)

    def lost(self, held: Held) -> None:
        """Its worker is dead: the message shows again when its visibility ends, or, by another's look, the lease."""
        beat = self.rules.heartbeat_seconds
        renewed_at = held.received_at
        if not math.isnan(held.claimed_at):
            renewed_at = held.claimed_at + (self.env.now - held.claimed_at) // beat * beat
        shows_at = renewed_at + self.rules.lease_seconds
        lease_ends_at = held.told_at + self.rules.lease_seconds
        if lease_ends_at > shows_at:
            # Whoever receives it finds the lease held, and hides the message for the rest of it.
            self.tally.add_all(Counter({Request.RECEIVE: 1, Request.REFUSED_CLAIM: 1, Request.HIDE: 1}))
            shows_at = max(lease_ends_at, shows_at + 1) + self.random.uniform(1, 3)
        self.later(shows_at - self.env.now, lambda: self.show(held.message))

    def released(self, held: Held) -> None:
        """Its worker was stopped, and gave it back: the budget is refunded, the message shows at once."""
        held.message.budget_used = max(0, held.message.budget_used - 1)
        self.tally.add_all(Counter({Request.RELEASE_JOB: 1, Request.HIDE: 1}))
        self.show(held.message)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        callbacks = self.env.timeout(max(0.0, seconds)).callbacks
        assert callbacks is not None
        callbacks.append(lambda _event: act())


class Worker:
    """One worker process, one page at a time; from start to stop, kill or scale-in."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._turns = Turns(fleet.rules.lane_weights)
        self._in_hand: list[Held] = []
        self._looked_at = -math.inf
        self._is_stopping = False
        self.process = fleet.env.process(self._run())

    def hand_over(self, message: Message, waiting: simpy.Event) -> None:
        """A poll brings a message."""
        self._in_hand.append(Held(message, self._fleet.env.now))
        waiting.succeed()

    def kill(self) -> None:
        """SIGKILL, or the machine goes: what was in hand comes back when its visibility ends."""
        self._interrupt(self._fleet.lost)

    def stop(self) -> None:
        """SIGTERM: no new work, and the grace time for what is in hand."""
        self._is_stopping = True
        if self._in_hand:
            self._fleet.later(self._fleet.rules.grace_seconds, lambda: self._interrupt(self._fleet.released))
        else:
            self._interrupt(self._fleet.released)

    def _interrupt(self, what_becomes_of_it: Callable[[Held], None]) -> None:
        if self.process.is_alive:
            self.process.interrupt(what_becomes_of_it)

    def _run(self) -> Process:
        fleet = self._fleet
        try:
            while not self._is_stopping:
                message, asked = fleet.lanes.take(self._turns)
                fleet.tally.add(Request.RECEIVE, asked)
                if message is None:
                    yield from self._wait()
                    yield from self._process(fleet.times.wake.draw(fleet.random))
                else:
                    self._in_hand.append(Held(message, fleet.env.now))
                    yield from self._process(fleet.times.turnaround.draw(fleet.random))
        except simpy.Interrupt as interrupt:
            fleet.waiting.pop(self, None)
            what_becomes_of_it: Callable[[Held], None] = interrupt.args[0]
            for held in self._in_hand:
                what_becomes_of_it(held)

    def _wait(self) -> Process:
        """All lanes are polled at the same time, for 20 s each."""
        fleet = self._fleet
        event = fleet.waiting[self] = fleet.env.event()
        began_at = fleet.env.now
        yield event
        polls = 1 + int((fleet.env.now - began_at) // _LONG_POLL_SECONDS)
        fleet.tally.add(Request.RECEIVE, polls * len(Lane))

    def _process(self, seconds_to_claim: float) -> Process:
        """The last message in hand, to its end."""
        fleet, held = self._fleet, self._in_hand[-1]
        message, job = held.message, held.message.job
        yield self._spend(seconds_to_claim)
        held.claimed_at = fleet.env.now
        if math.isnan(job.claimed_at):
            job.claimed_at = fleet.env.now
        message.budget_used += 1
        if message.budget_used > fleet.rules.attempt_budget:
            self._give_up(message)
        elif message.part is Part.CHUNK:
            yield from self._read_chunk(held)
        elif message.part is Part.ASSEMBLY:
            yield self._spend(fleet.times.assemble.draw(fleet.random, job.submission.pages))
            fleet.tally.add_all(requests.assemble(len(job.chunks), job.submission.pages))
            fleet.ended(job)
        elif job.submission.is_split:
            yield from self._split(message)
        else:
            yield from self._read(held)
        fleet.deleted()
        self._in_hand.pop()
        beats = int((fleet.env.now - held.claimed_at) // fleet.rules.heartbeat_seconds)
        fleet.tally.add(Request.RENEW_CHUNK if message.part is Part.CHUNK else Request.RENEW_JOB, beats)
        fleet.tally.add(Request.HIDE, beats)

    def _read(self, held: Held) -> Process:
        """A document in one piece."""
        fleet, job = self._fleet, held.message.job
        fleet.tally.add_all(requests.WHOLE)
        held.told_at = fleet.env.now
        for number in range(job.submission.pages):
            if number:
                yield from self._give_way(job.submission.lane)
                if fleet.env.now - held.told_at >= _PROGRESS_SECONDS:
                    held.told_at = fleet.env.now
                    fleet.tally.add(Request.RENEW_JOB)
            yield self._spend(fleet.times.page[job.submission.kind].draw(fleet.random))
        yield self._spend(fleet.times.job[job.submission.kind].draw(fleet.random, job.submission.pages))
        fleet.tally.add_all(requests.WHOLE_DONE)
        fleet.pages_left -= job.submission.pages
        fleet.ended(job)

    def _split(self, message: Message) -> Process:
        fleet, job, rules = self._fleet, message.job, self._fleet.rules
        yield self._spend(fleet.times.split.draw(fleet.random, job.submission.pages))
        job.chunks = tuple(len(chunk) for chunk in chunks_of(range(job.submission.pages), most=rules.chunk_pages))
        job.chunks_left = len(job.chunks)
        fleet.tally.add_all(requests.split(len(job.chunks)))
        first = range(1, min(len(job.chunks), rules.chunks_in_lane) + 1)
        fleet.send_all([_chunk(job, number) for number in first])

    def _read_chunk(self, held: Held) -> Process:
        fleet, message, job = self._fleet, held.message, held.message.job
        fleet.tally.add_all(requests.CHUNK)
        yield self._spend(fleet.times.chunk.draw(fleet.random, message.pages))
        is_first = True
        while message.pages:
            if not is_first:
                yield from self._give_way(job.submission.lane)
            is_first = False
            yield self._spend(fleet.times.page[job.submission.kind].draw(fleet.random))
            self._stored(message)
        fleet.tally.add_all(requests.CHUNK_DONE)
        job.chunks_left -= 1
        following = message.chunk + fleet.rules.chunks_in_lane
        if following <= len(job.chunks):
            fleet.send(_chunk(job, following))
        if job.chunks_left == 0:
            fleet.send(Message(job, Part.ASSEMBLY, job.submission.pages))

    def _stored(self, message: Message) -> None:
        message.pages -= 1
        message.budget_used = 1
        self._fleet.pages_left -= 1
        self._fleet.tally.add(Request.PUT_OBJECT)

    def _give_up(self, message: Message) -> None:
        """The budget is used up: of a chunk that costs a page, of a job all of it."""
        if message.part is Part.CHUNK:
            self._stored(message)
            self._fleet.send(Message(message.job, Part.CHUNK, message.pages, chunk=message.chunk))
        else:
            self._fleet.ended(message.job, has_failed=True)

    def _give_way(self, lane: Lane) -> Process:
        """Between two pages an urgent job goes first; one page at least before the next."""
        fleet = self._fleet
        if lane is Lane.HIGH or self._is_stopping or fleet.env.now - self._looked_at < _URGENT_SECONDS:
            return
        self._looked_at = fleet.env.now
        fleet.tally.add(Request.RECEIVE)
        message = fleet.lanes.urgent()
        if message is not None:
            self._in_hand.append(Held(message, fleet.env.now))
            yield from self._process(fleet.times.turnaround.draw(fleet.random))

    def _spend(self, seconds: float) -> simpy.Event:
        return self._fleet.env.timeout(seconds * self._fleet.rules.slowness)


def _chunk(job: Job, number: int) -> Message:
    return Message(job, Part.CHUNK, job.chunks[number - 1], chunk=number)
