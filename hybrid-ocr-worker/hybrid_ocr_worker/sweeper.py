"""Heals what a crash left: jobs whose message was never sent or got lost, objects of erased jobs. And lets go of what
was kept for as long as it was to be.

Safe in many places at once: what it reads is a hint, each action is one conditional write, and whoever wins it acts.

An outage of minutes makes every job due at the same moment. So the sweepers of a fleet take turns, however many they
are: a batch a turn, and a turn every few seconds. Whoever had a turn and left something takes the next one, too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import random
import threading
from collections.abc import Callable, Sequence
from itertools import islice

from hybrid_ocr_core import trace
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.dead_letters import DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Clock, JobId, utc_now
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import Duty, JobStore, OpenJob, OpenLane
from hybrid_ocr_core.logs import log_context
from hybrid_ocr_worker.dead_letters import DeadLetterOffice

_log = logging.getLogger(__name__)

#: So many actions a turn, and a turn so often: 50 a second at most. Recovery from an outage must not be another one.
MOST_PER_TURN = 100
TURN = dt.timedelta(seconds=2)
#: Strayed letters are rare and harm nobody; looking for them is a request each time.
_LETTERS_EVERY_SWEEPS = 10
#: Days end at any minute; looking for those is a request each time, too.
_KEPT_EVERY_SWEEPS = 10


class Sweeper:
    """Looks through the index of open jobs, and now and then through the dead letters."""

    def __init__(
        self,
        store: JobStore,
        queue: JobQueue,
        documents: DocumentStore,
        dispatch: Dispatch,
        letters: DeadLetterQueue | None = None,
        *,
        chunks_in_lane: int = 16,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._chunks_in_lane = chunks_in_lane
        self._queue = queue
        self._dispatch = dispatch
        self._documents = documents
        self._office = DeadLetterOffice(store=store, dispatch=dispatch, letters=letters) if letters else None
        self._clock = clock
        self._sweeps = 0
        self._is_more_due = self._is_more_kept = False

    @property
    def has_more(self) -> bool:
        """Had the last sweep a turn that was too short? Of a fleet this is so for one sweeper or two."""
        return self._is_more_due or self._is_more_kept

    def sweep(self) -> int:
        """Act on what is due, if it is this sweeper's turn; returns how many actions.

        Raises:
            Unavailable: the rest is for the next sweep.
        """
        due = list(self._store.due(before=self._clock(), limit=MOST_PER_TURN))
        actions = 0
        self._is_more_due = False
        if due:
            # Before a job is put off to its next resend, lest each sweep of an outage puts one off for nothing.
            self._queue.ping()
            if self._store.take_turn(TURN):
                self._is_more_due = len(due) == MOST_PER_TURN
                for entry in due:
                    if actions < MOST_PER_TURN:
                        actions += self._act(entry)
        if self._is_more_kept or self._sweeps % _KEPT_EVERY_SWEEPS == 0:
            actions += self._let_go()
        if self._office and self._sweeps % _LETTERS_EVERY_SWEEPS == 0:
            actions += self._office.sort(MOST_PER_TURN)
        self._sweeps += 1
        return actions

    def _act(self, entry: OpenJob | OpenLane) -> int:
        if isinstance(entry, OpenLane):
            return self._dispatch.tend(entry)
        with log_context(job_id=entry.job.job_id):
            if entry.is_erased:
                # Told again to those who wait for its end: whoever erased it may have died before.
                self._dispatch.ended(self._store.erase(entry.job))
                self._documents.purge(entry.job)
                self._store.chunks.remove(entry.job)
                self._store.events.remove(entry.job)
                # A crash here purges an empty prefix once more.
                self._store.purged(entry)
                _log.info("Purged an erased job.", extra={"action": "job_purged"})
                return 1
            resend = self._store.resend(entry)
            if resend is None:
                return 0
            # A crash here leaves the job to a later sweep.
            if resend.is_held:
                self._dispatch.offer(self._store.get(entry.job))
                return 1
            lost: Sequence[JobId | ChunkId] = [entry.job]
            if resend.split is not None:
                lost = self._lost_chunks(entry.job, resend.split)
            with trace.on_behalf_of(resend.traceparent):
                for work in lost:
                    self._queue.send(work, resend.lane)
            _log.info("Sent a job again that nobody took.", extra={"action": "job_resent"})
            return len(lost)

    def _let_go(self) -> int:
        """Documents and jobs that were kept for as long as they were to be; how many."""
        self._is_more_kept = False
        due = self._store.kept.due(before=self._clock(), limit=MOST_PER_TURN)
        if not due or not self._store.take_turn(TURN, Duty.LET_GO):
            return 0
        self._is_more_kept = len(due) == MOST_PER_TURN
        actions = 0
        for entry in due:
            with log_context(job_id=entry.job.job_id):
                if self._store.kept.forget(entry):
                    self._documents.delete_source(entry.job)
                    # A crash here deletes nothing once more.
                    self._store.kept.forgotten(entry)
                    _log.info("Deleted a document whose days are over.", extra={"action": "source_expired"})
                elif self._store.kept.expire(entry):
                    # A crash here leaves the objects to the next sweep, which the tombstone calls.
                    _log.info("A job's days are over.", extra={"action": "job_expired"})
                else:
                    continue
                actions += 1
        return actions

    def _lost_chunks(self, job: JobId, split: int) -> list[ChunkId]:
        """The first chunks of a split job that nobody works on. Each that comes home sends another."""
        free = (chunk for chunk, is_free in self._store.chunks.unfinished(job, split) if is_free)
        return list(islice(free, self._chunks_in_lane))


def sweep_forever(sweeper: Sweeper, *, every_seconds: float, stop: threading.Event) -> None:
    """The timer in a worker. A backlog is worked off turn after turn, not interval after interval."""

    def sweep() -> None:
        sweeper.sweep()
        while sweeper.has_more and not stop.wait(TURN.total_seconds()):
            sweeper.sweep()

    repeat(sweep, every_seconds=every_seconds, stop=stop)


def repeat(action: Callable[[], object], *, every_seconds: float, stop: threading.Event) -> None:
    """Do something until it is time to stop, whatever it raises. The first wait is random: a fleet's spread out."""
    wait = random.uniform(0, every_seconds)  # noqa: S311 - not cryptography
    while not stop.wait(wait):
        wait = every_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - not cryptography
        try:
            with contextlib.suppress(Unavailable):  # said by the consumer already
                action()
        except Exception:  # noqa: BLE001 - the border of a thread
            _log.exception("What a timer does failed.", extra={"action": "timer_failed"})
