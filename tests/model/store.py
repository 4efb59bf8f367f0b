"""The job store as the model sees it: the store's own condition strings, what each write does, whom it recognises.

What is written here by hand, the effects and the recognition, test_store holds against the real store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any

from hybrid_ocr_core.job_store import CONDITIONS
from tests.model.conditions import compiled
from tests.model.state import Faults, Item, State, Sweeper, Worker, Write, canonical, put, spend

_OLD, _NOW = 1, 2
_EXPIRES = {"lapsed": 1, "live": 3}
_SWEEP_AT = 7


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What may happen, and how often."""

    name: str
    faults: Faults
    budget: int = 2
    max_receives: int = 0  # 0: SQS moves nothing to the dead letters
    sweepers: int = 1

    def start(self) -> State:
        """Nothing has happened. There are two workers."""
        return canonical(State(self.faults, (Worker(),) * 2, (Sweeper(),) * self.sweepers))


@dataclass(frozen=True)
class Protocol:
    """The conditions in force, and pieces of the order that are changed, by name."""

    conditions: Mapping[str, str] = field(default_factory=lambda: CONDITIONS)
    changes: frozenset[str] = frozenset()

    def without(self, transition: str, expression: str) -> Protocol:
        """The same with another condition."""
        return replace(self, conditions={**self.conditions, transition: expression})

    def changed(self, *changes: str) -> Protocol:
        """The same with other pieces."""
        return replace(self, changes=self.changes | set(changes))


@dataclass(frozen=True)
class Model:
    """A protocol in a scenario."""

    protocol: Protocol
    scenario: Scenario

    def has(self, change: str) -> bool:
        """Whether a piece of the order is changed."""
        return change in self.protocol.changes

    def holds(self, item: Item, write: Write) -> bool:
        """Whether the store's condition lets the write through."""
        return _holds(self.protocol.conditions[write.transition], item, write, self.scenario.budget)

    def written(self, item: Item, write: Write) -> Item:
        """What the write makes of the item."""
        after = _EFFECTS[write.transition](item, write)
        if self.has("untidy") and write.transition in {"complete", "fail", "exhaust"}:
            return after._replace(lease=item.lease, is_open=item.is_open)
        return after

    def recognises(self, item: Item, write: Write) -> bool:
        """Whether the store takes a refused write for success, because the item shows it."""
        if self.has(f"no recognition: {write.transition}"):
            return False
        if self.has(f"lax recognition: {write.transition}"):
            if write.transition == "fail":
                return item.status == "FAILED"
            write = write._replace(attempt=item.attempt)
        return _recognises(item, write)


class Answer(StrEnum):
    """What the caller of a write gets."""

    DONE = "is done"
    REFUSED = "is refused"
    LOST = "is done, its response lost"
    LATE = "is late"


#: They write a value that is fresh for each call, so that only a call's own earlier arrival can show it.
_OWN_VALUE = frozenset({"claim", "resend"})


def send(model: Model, state: State, write: Write) -> Iterator[tuple[Answer, State]]:
    """A write is sent: what may come of it."""
    if model.holds(state.item, write):
        done = put(state, model.written(state.item, write))
        yield Answer.DONE, done
        if state.faults.lost and not state.unsure:
            yield Answer.LOST, spend(done._replace(unsure="stands"), "lost")
    elif write.transition not in _OWN_VALUE and model.recognises(state.item, write):
        yield Answer.DONE, state
    else:
        yield Answer.REFUSED, state
    if state.faults.delay and state.late is None:
        yield Answer.LATE, spend(state._replace(late=write), "delay")


def send_again(model: Model, state: State, write: Write) -> tuple[Answer, State]:
    """The SDK sends a write again whose response was lost; this time the answer arrives."""
    settled = state._replace(unsure="")
    # A resend has seen the sweep_at before its own; what is fresh now is its own.
    if model.holds(state.item, write._replace(is_fresh=False)):
        return Answer.DONE, put(settled, model.written(state.item, write))
    return (Answer.DONE if model.recognises(state.item, write) else Answer.REFUSED), settled


@cache
def attributes(item: Item) -> dict[str, Any]:
    """The item as an expression sees it."""
    shown: dict[str, Any] = {}
    if item.exists:
        shown |= {"pk": 1}
    if item.status:
        shown |= {"status": item.status, "attempt": item.attempt, "budget_used": item.budget_used}
    if item.lease:
        shown["lease_expires_at"] = _EXPIRES[item.lease]
    if item.is_open:
        shown["sweep_at"] = _SWEEP_AT
    if item.is_erased:
        shown["erased_at"] = 1
    return shown


@cache
def _holds(expression: str, item: Item, write: Write, budget: int) -> bool:
    values = {
        ":now": _OLD if write.is_old else _NOW,
        ":budget": budget,
        ":queued": "QUEUED",
        ":processing": "PROCESSING",
        ":failed": "FAILED",
        ":mine": write.attempt,
        ":seen": write.attempt if write.transition == "exhaust" else _SWEEP_AT * write.is_fresh,
    }
    return compiled(expression)(attributes(item), values)


_EFFECTS: dict[str, Callable[[Item, Write], Item]] = {
    "create": lambda _item, _write: Item(exists=True, status="QUEUED", is_open=True),
    "claim": lambda item, _write: item._replace(
        status="PROCESSING", attempt=item.attempt + 1, budget_used=item.budget_used + 1, lease="live"
    ),
    "renew": lambda item, _write: item._replace(lease="live"),
    "complete": lambda item, write: item._replace(status="DONE", result=write.attempt, lease="", is_open=False),
    "fail": lambda item, _write: item._replace(status="FAILED", failure="document", lease="", is_open=False),
    "release": lambda item, write: item._replace(
        status="QUEUED", budget_used=item.budget_used - write.is_refund, lease=""
    ),
    "exhaust": lambda item, _write: item._replace(status="FAILED", failure="out_of_attempts", lease="", is_open=False),
    "resend": lambda item, _write: item,
    "redrive": lambda item, _write: item._replace(status="QUEUED", budget_used=0, failure="", is_open=True),
    "erase": lambda item, _write: item._replace(
        exists=True,
        attempt=item.attempt + 1,
        lease="",
        failure="",
        result=0,
        is_open=True,
        is_erased=True,
        is_ripe=False,
    ),
    # An update of an item that is not there makes one.
    "purged": lambda item, _write: item._replace(exists=True, is_open=False),
}

_SHOWS = {"claim": "PROCESSING", "complete": "DONE", "release": "QUEUED"}


def _recognises(item: Item, write: Write) -> bool:
    if write.transition in _SHOWS:
        return item.attempt == write.attempt and not item.is_erased and item.status == _SHOWS[write.transition]
    return {
        "fail": item.attempt == write.attempt and item.failure == "document",
        "create": True,
        "renew": False,
        "exhaust": item.attempt == write.attempt and item.failure == "out_of_attempts",
        "resend": item.is_open and write.is_fresh,
        "redrive": item.status == "QUEUED" and not item.is_erased,
        "erase": item.is_erased,
        "purged": True,
    }[write.transition]
