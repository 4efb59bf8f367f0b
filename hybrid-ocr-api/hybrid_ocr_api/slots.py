"""How many requests of a process are worked on at a time; the others wait for their turn.

There are many more threads than that, for the requests that wait for a job need one each. They give their slot back
meanwhile, so they take nothing from those that submit. It is the slots that bound what the process does at once: bodies
on the disk, connections to AWS.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, g, request

#: All of the work is waiting for AWS, or for the body.
MOST = 8
#: To be answered while everything else hangs: a process that is busy is neither dead nor away.
_WITHOUT = frozenset({"health.health", "health.ready"})


class Slots:
    """Those of one process."""

    def __init__(self, most: int = MOST) -> None:
        self._free = threading.BoundedSemaphore(most)

    def install(self, app: Flask) -> None:
        """Have each request take one before anything else is done for it, and leave it whatever happens."""
        app.before_request(self._take)
        app.teardown_request(self._leave)

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Leave the slot of the current request while it only waits."""
        self._leave()
        try:
            yield
        finally:
            self._take()

    def _take(self) -> None:
        if request.endpoint not in _WITHOUT:
            self._free.acquire()
            g.has_slot = True

    def _leave(self, _error: BaseException | None = None) -> None:
        if g.pop("has_slot", False):
            self._free.release()
