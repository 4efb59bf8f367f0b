"""Which message comes next, and which jobs get one: the rules of the worker's intake and of the places in a lane."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bench.simulation.workload import Lane

T = TypeVar("T")


class Turns:
    """Smooth weighted round robin, one of each worker.

    Nobody saves up turns while its lane is empty, nor owes more than one for what it took while the others' were.
    """

    def __init__(self, weights: Mapping[Lane, int]) -> None:
        self._weights = weights
        self._price = sum(weights.values())
        self._credit = dict.fromkeys(weights, 0)

    def order(self) -> list[Lane]:
        """The lanes as they are to be asked now."""
        for lane, weight in self._weights.items():
            self._credit[lane] += weight
        return sorted(self._weights, key=lambda lane: -self._credit[lane])

    def took(self, lane: Lane) -> None:
        """A message came from there."""
        self._credit[lane] = max(self._credit[lane] - self._price, -self._price)

    def found_empty(self, lane: Lane) -> None:
        """There was none."""
        self._credit[lane] = 0


@dataclass(slots=True)
class Lanes(Generic[T]):
    """Three queues, first in first out: what SQS does nearly, and the emulator quite."""

    queues: dict[Lane, deque[T]] = field(default_factory=lambda: {lane: deque() for lane in Lane})

    def put(self, lane: Lane, message: T) -> None:
        """At the end of the lane."""
        self.queues[lane].append(message)

    def take(self, turns: Turns) -> tuple[T | None, int]:
        """The next message for a worker with these turns, and how many lanes were asked for it."""
        asked = 0
        for lane in turns.order():
            asked += 1
            if self.queues[lane]:
                turns.took(lane)
                return self.queues[lane].popleft(), asked
            turns.found_empty(lane)
        return None, asked

    def urgent(self) -> T | None:
        """The next of the lane high."""
        return self.queues[Lane.HIGH].popleft() if self.queues[Lane.HIGH] else None

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))


class Places(Generic[T]):
    """At most so many jobs of a tenant in a lane; each that ends gives its place to the one that came first."""

    def __init__(self, most: int | None, admit: Callable[[T], None]) -> None:
        self._most = most
        self._admit = admit
        self._holders: dict[tuple[int, Lane], int] = {}
        self._held: dict[tuple[int, Lane], deque[T]] = {}
        self.held = 0

    def holders(self, tenant: int, lane: Lane) -> int:
        """How many have a place."""
        return self._holders.get((tenant, lane), 0)

    def take(self, tenant: int, lane: Lane, job: T) -> bool:
        """Admit the job if there is a place; else it is held."""
        where = (tenant, lane)
        taken = self._holders.get(where, 0)
        if self._most is not None and taken >= self._most:
            self._held.setdefault(where, deque()).append(job)
            self.held += 1
            return False
        self._holders[where] = taken + 1
        self._admit(job)
        return True

    def leave(self, tenant: int, lane: Lane) -> bool:
        """A job ended. True when another has its place now."""
        where = (tenant, lane)
        self._holders[where] -= 1
        waiting = self._held.get(where)
        if not waiting:
            return False
        self.held -= 1
        self._holders[where] += 1
        self._admit(waiting.popleft())
        return True
