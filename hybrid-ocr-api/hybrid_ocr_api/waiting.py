"""Requests that wait until a job changes: a thread each, and one more that looks for all of them.

That one reads where the awaited jobs stand, a hundred in one BatchGetItem, four times a second; those first that it has
not looked at for longest. So five hundred jobs cost four requests a second, and each is looked at about once a second.
New ones are looked at at once while few are waiting; many wait for the next look, or each of them would cost one.

The reads are strongly consistent. The first look at a job has to be: else a client could be told that the job which it
has just submitted is not there, or be given an older version than it has. For the later ones it would do to be
eventually so, at half the price; but one BatchGetItem is either, and two of them cost more than they save.

A thread that waits takes no processor time, and of memory what its stack touches, about 100 kB. So they can be many.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobId, Standing

_log = logging.getLogger(__name__)

#: In one process, half of them of one tenant; who comes beyond that is answered at once. gunicorn_config.py has some
#: more threads than that.
MOST = 1000
_LOOK_SECONDS = 0.25
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_JOBS_A_LOOK = 100

Knows = Callable[[int], bool]


class _Waiter:
    """One request. ``knows`` tells which versions its client has; None: that of the first look."""

    def __init__(self, knows: Knows | None) -> None:
        self._knows = knows
        self._first: int | None = None
        #: Where the job stood at the last look, if that is what the client knows already.
        self.known: Standing | None = None
        self.is_over = threading.Event()

    def see(self, standing: Standing | None) -> None:
        """Where the job stands now; None: it is not there."""
        if self.is_over.is_set():
            return  # ended by ``close`` while the look was under way
        self.known = None
        if standing is None:
            self.is_over.set()
        elif self._knows is None:
            self._first = self._first or standing.version
            if standing.status.is_terminal or standing.version != self._first:
                self.is_over.set()
        elif self._knows(standing.version):
            self.known = standing
        else:
            self.is_over.set()

    def see_nothing(self) -> None:
        """The table is away. It may be back before the time is over; else the reading that follows will tell."""
        self.known = None


class Waiting:
    """All requests of one process that wait. ``standings`` is ``JobStore.standings``.

    Its thread is started by the first of them, so after gunicorn has forked, and ends after the last.
    """

    def __init__(self, standings: Callable[[Sequence[JobId]], Mapping[JobId, Standing]], *, most: int = MOST) -> None:
        self._standings = standings
        self._most = most
        #: So that one tenant does not keep all others from waiting.
        self._most_of_a_tenant = most // 2
        self._changed = threading.Condition()
        #: In the order in which they are to be looked at.
        self._waiters: OrderedDict[JobId, list[_Waiter]] = OrderedDict()
        self._count = 0
        self._of_tenant: Counter[str] = Counter()
        self._has_new = False
        self._is_running = False
        self._is_closed = False

    def wait(self, job: JobId, knows: Knows | None, seconds: float) -> Standing | None:
        """Wait until the job is at a version that the client does not know, for so long at most.

        Returns where it stands if the client knows that. None: it is to be read, for it has changed, has ended, is not
        there, or nobody can tell.
        """
        waiter = _Waiter(knows)
        with self._changed:
            is_full = self._count >= self._most or self._of_tenant[job.tenant] >= self._most_of_a_tenant
            if self._is_closed or is_full:
                return None
            if not self._is_running:
                # It waits for the lock. First, for where there can be no more threads, nobody is left behind in here.
                threading.Thread(target=self._look_for_all, name="waiting", daemon=True).start()
                self._is_running = True
            self._count += 1
            self._of_tenant[job.tenant] += 1
            self._waiters.setdefault(job, []).append(waiter)
            self._waiters.move_to_end(job, last=False)
            self._has_new = True
            self._changed.notify()
        waiter.is_over.wait(seconds)
        with self._changed:
            self._count -= 1
            self._of_tenant -= Counter((job.tenant,))  # none is left of those that have none
            self._waiters[job].remove(waiter)
            if not self._waiters[job]:
                del self._waiters[job]
        return waiter.known

    def close(self) -> None:
        """End all waits, and let nobody wait any more: the process is to stop. May be called by a signal handler."""
        with self._changed:
            self._is_closed = True
            for waiter in itertools.chain.from_iterable(self._waiters.values()):
                waiter.see_nothing()
                waiter.is_over.set()

    def _look_for_all(self) -> None:
        while waiters := self._next():
            looked_at = time.monotonic()
            self._look(waiters)
            with self._changed:
                while (left := looked_at + self._pause() - time.monotonic()) > 0:
                    self._changed.wait(left)

    def _next(self) -> dict[JobId, list[_Waiter]]:
        """Who is looked for now: those who come during the look are for the next one. Nobody: the thread is to end."""
        with self._changed:
            waiters = {job: list(found) for job, found in itertools.islice(self._waiters.items(), _JOBS_A_LOOK)}
            for job in waiters:
                self._waiters.move_to_end(job)
            self._has_new = False
            self._is_running = bool(waiters)
        return waiters

    def _pause(self) -> float:
        """Between two looks: shorter for those who come while few are waiting."""
        return _LOOK_SECONDS * (min(1.0, self._count / _JOBS_A_LOOK) if self._has_new else 1.0)

    def _look(self, waiters: Mapping[JobId, Sequence[_Waiter]]) -> None:
        standings: Mapping[JobId, Standing] | None = None
        try:
            standings = self._standings(list(waiters))
        except Unavailable as error:
            _log.warning("%s; those who wait go on waiting.", error, extra={"action": "look_postponed"})
        except Exception:  # noqa: BLE001 - the border of a thread
            _log.exception("A look at awaited jobs failed.", extra={"action": "look_failed"})
        with self._changed:
            for job, waiter in ((job, waiter) for job, found in waiters.items() for waiter in found):
                if standings is None:
                    waiter.see_nothing()
                else:
                    waiter.see(standings.get(job))
