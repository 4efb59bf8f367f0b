"""Which message comes next: of three lanes, by weight while they are full, and at once while they are empty.

Under load each lane is asked in its turn, without a wait. When none has anything, all are waited for at the same time,
each by a thread that long-polls. Such a poll cannot be called off: what it brings after this worker has found work
elsewhere is shown again at once, for others to take.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Lane
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_worker import metrics

#: How often work in hand is interrupted to look for urgent work; pages with a text layer take some milliseconds only.
_URGENT_SECONDS = 0.25


class Turns:
    """Smooth weighted round robin: of ten turns six, three and one, well mixed.

    Nobody saves up turns while its lane is empty, nor owes more than one for what it took while the others' were.
    """

    def __init__(self, weights: Mapping[Lane, int]) -> None:
        self._weights = weights
        self._credit = dict.fromkeys(weights, 0)

    def order(self) -> list[Lane]:
        """The lanes as they are to be asked now."""
        for lane, weight in self._weights.items():
            self._credit[lane] += weight
        return sorted(self._weights, key=lambda lane: -self._credit[lane])

    def took(self, lane: Lane) -> None:
        """A message came from there."""
        price = sum(self._weights.values())
        self._credit[lane] = max(self._credit[lane] - price, -price)

    def found_empty(self, lane: Lane) -> None:
        """There was none."""
        self._credit[lane] = 0


class Intake:
    """The messages for one worker process. Used by one thread."""

    def __init__(self, queue: JobQueue, *, weights: Mapping[Lane, int], visibility_seconds: int) -> None:
        self._queue = queue
        self._visibility_seconds = visibility_seconds
        self._turns = Turns({lane: weights[lane] for lane in queue.lanes})
        self._looked_at = 0.0
        # Shared with the polls.
        self._changed = threading.Condition()
        self._is_waiting = False
        self._polled: set[Lane] = set()
        self._came: list[ReceivedMessage | Exception | None] = []

    def next(self) -> ReceivedMessage | None:
        """Wait for a message; None when a wait was in vain. Raises Unavailable."""
        order = self._turns.order()
        with self._changed:
            # A lane with a poll on its way has nothing at this moment.
            unasked = [lane for lane in order if lane not in self._polled]
        if len(unasked) > 1:
            for lane in unasked:
                message = self._receive(lane)
                if message is not None:
                    self._turns.took(lane)
                    return message
                self._turns.found_empty(lane)
        return self._wait_for(unasked)

    def urgent(self) -> ReceivedMessage | None:
        """A message of the lane high, for a worker that has other work in hand; asked for at most so often.

        Raises:
            Unavailable.
        """
        now = time.monotonic()
        if Lane.HIGH not in self._queue.lanes or now - self._looked_at < _URGENT_SECONDS:
            return None
        self._looked_at = now
        return self._receive(Lane.HIGH)

    def _receive(self, lane: Lane) -> ReceivedMessage | None:
        message = self._queue.receive(lane, visibility_seconds=self._visibility_seconds, wait_seconds=0)
        # None says little: it asked some of SQS's servers only.
        if message is not None:
            metrics.message_received(message)
        return message

    def _wait_for(self, lanes: Iterable[Lane]) -> ReceivedMessage | None:
        with self._changed:
            self._is_waiting = True
            try:
                for lane in lanes:
                    self._polled.add(lane)
                    threading.Thread(target=self._poll, args=(lane,), name=f"poll-{lane}", daemon=True).start()
                while not self._came:
                    self._changed.wait()
            finally:
                # Also when a signal breaks the wait off.
                self._is_waiting = False
                came, self._came = self._came, []
        messages = [found for found in came if isinstance(found, ReceivedMessage)]
        for message in messages[1:]:
            self._show_again(message)
        if messages:
            return messages[0]
        for found in came:
            if isinstance(found, Exception):
                raise found
        return None

    def _poll(self, lane: Lane) -> None:
        found: ReceivedMessage | Exception | None
        try:
            found = self._queue.receive(lane, visibility_seconds=self._visibility_seconds)
            if found is None:
                metrics.lane_found_empty(lane)
            else:
                metrics.message_received(found)
        except Exception as error:  # noqa: BLE001 - raised again where someone waits for it
            found = error
        with self._changed:
            self._polled.discard(lane)
            if self._is_waiting:
                self._came.append(found)
                self._changed.notify()
                return
        if isinstance(found, ReceivedMessage):
            self._show_again(found)

    def _show_again(self, message: ReceivedMessage) -> None:
        # If SQS is away it shows by itself, after its visibility time-out.
        with contextlib.suppress(Unavailable):
            self._queue.hide(message, 0)
