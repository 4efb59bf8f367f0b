"""The threads that tell events: apart from OCR, few, and never waited for.

What is due stands in the table. The agenda only says "look at this event, at that time": from the worker that has just
ended its job, from a try that is to be repeated within the minute, and from a look at the table every half minute.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.event_store import EventStore
from hybrid_ocr_core.job import Clock, EventId, utc_now
from hybrid_ocr_worker.courier import Courier

_log = logging.getLogger(__name__)

_COURIERS = 4
#: A receiver that takes its time must not have all of them.
_MOST_OF_A_TENANT = 3
#: Of a look at the table; the next one goes on where it ended, so that those of one tenant hide nobody's for long.
_LOOK_MOST = 1000
_MOST_ON_AGENDA = 2000
#: What is due later is for the next look, of whichever process.
_SOON = dt.timedelta(minutes=1)
#: What a try in hand gets when the worker stops; cut short, it is made again by another one.
_LAST_SECONDS = 2.0


class Agenda:
    """Events to look at, each once, and of one tenant some at a time. What does not fit is found by a later look.

    When it is full, the tenant that has most on it gives way to one that has less.
    """

    def __init__(self) -> None:
        self._at: dict[EventId, float] = {}
        self._waiting: Counter[str] = Counter()
        self._in_hand: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._is_closed = False

    def put(self, event: EventId, *, seconds: float = 0.0) -> None:
        """Look at it in so many seconds. Never waits, never fails."""
        at = time.monotonic() + seconds
        with self._changed:
            if event in self._at:
                self._at[event] = min(at, self._at[event])
            elif len(self._at) < _MOST_ON_AGENDA or self._has_made_room_for(event.job.tenant):
                self._at[event] = at
                self._waiting[event.job.tenant] += 1
            self._changed.notify()

    def take(self) -> EventId | None:
        """Wait for the next one, to be told when it is ``done``; None when the agenda is closed."""
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                free = [event for event in self._at if self._in_hand[event.job.tenant] < _MOST_OF_A_TENANT]
                due = [event for event in free if self._at[event] <= now]
                if due:
                    # Who has nobody comes before who waits for longest.
                    event = min(due, key=lambda event: (self._in_hand[event.job.tenant], self._at[event]))
                    self._drop(event)
                    self._in_hand[event.job.tenant] += 1
                    return event
                self._changed.wait(min(self._at[event] for event in free) - now if free else None)
        return None

    def done(self, event: EventId) -> None:
        """What was taken is not in hand any more."""
        with self._changed:
            self._in_hand[event.job.tenant] -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """No more of it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._at)

    def _has_made_room_for(self, tenant: str) -> bool:
        richest, most = max(self._waiting.items(), key=lambda entry: entry[1])
        if most <= self._waiting[tenant] + 1:
            return False
        self._drop(max((event for event in self._at if event.job.tenant == richest), key=self._at.__getitem__))
        return True

    def _drop(self, event: EventId) -> None:
        del self._at[event]
        self._waiting[event.job.tenant] -= 1


class Couriers:
    """Threads from entering to leaving."""

    def __init__(
        self,
        courier: Courier,
        events: EventStore,
        agenda: Agenda,
        *,
        look_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._courier = courier
        self._events = events
        self._agenda = agenda
        self._look_seconds = look_seconds
        self._clock = clock
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look, name="courier-look", daemon=True)]
        for number in range(_COURIERS):
            self._threads.append(threading.Thread(target=self._run, name=f"courier-{number}", daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._agenda.close()
        ends_at = time.monotonic() + _LAST_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))

    def _run(self) -> None:
        while (event := self._agenda.take()) is not None:
            try:
                again_at = self._courier.deliver(event)
            except Unavailable as error:
                _log.info("An event waits: %s.", error, extra={"action": "webhook_postponed"})
            except Exception as error:  # noqa: BLE001 - the border of a thread
                # Without its words: they may hold a URL.
                _log.error("Telling an event failed: %s.", type(error).__name__, extra={"action": "webhook_broken"})
            else:
                wait = None if again_at is None else again_at - self._clock()
                if wait is not None and wait <= _SOON:
                    self._agenda.put(event, seconds=max(0.0, wait.total_seconds()))
            finally:
                self._agenda.done(event)

    def _look(self) -> None:
        """As the sweeper's timer: the first wait is random, so that a fleet's looks spread out."""
        wait = random.uniform(0, self._look_seconds)  # noqa: S311 - not cryptography
        start, seen = None, 0
        while not self._stop.wait(wait):
            wait = self._look_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - not cryptography
            try:
                due, start = self._events.due_page(limit=_LOOK_MOST, start=start)
            except Unavailable as error:
                _log.info("Could not look for events: %s.", error, extra={"action": "webhook_postponed"})
                continue
            except Exception:  # noqa: BLE001 - the border of a thread
                _log.exception("Looking for events failed.", extra={"action": "webhook_look_failed"})
                continue
            # In no order, lest all processes of a fleet want the same one.
            for event in random.sample(due, len(due)):
                self._agenda.put(event)
            seen += len(due)
            if seen >= _LOOK_MOST:
                # There are more, or not all of them had room: look again when these are about done.
                wait = min(wait, 1.0 if len(self._agenda) < _LOOK_MOST else 5.0)
            if start is None:
                seen = 0
