"""The stores as the model sees them: their own condition strings, what each write does, whom it recognises.

The effects and the recognition are written by hand; test_store and test_chunk_store hold them against the real stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any

from hybrid_ocr_core import chunk_store, job_store
from tests.model.conditions import compiled
from tests.model.state import (
    Chunk,
    Faults,
    Item,
    State,
    Sweeper,
    Worker,
    Write,
    canonical,
    put,
    put_chunk,
    spend,
)

#: The guards by the model's own names. Those of a split job come second, when the store's first write is refused.
CONDITIONS = {
    **job_store.CONDITIONS,
    "split": job_store.SPLIT_CONDITIONS["split"],
    "claim home": job_store.SPLIT_CONDITIONS["claim"],
    "resend split": job_store.SPLIT_CONDITIONS["resend"],
    **{f"chunk {name}": condition for name, condition in chunk_store.CONDITIONS.items()},
}
#: Writes on a chunk, and the guard of the chunk itself.
OF_CHUNKS = {
    **{name: name for name in CONDITIONS if name.startswith("chunk ") and name != "chunk wanted"},
    "chunk fail job": "chunk renew",
}
#: Those that are transactions with their job.
_WITH_JOB = frozenset({"chunk renew", "chunk home", "chunk fail job"})

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
    chunks: int = 0  # 0: the document is short
    pages: int = 1  # a chunk
    window: int = 1  # so many chunks are in the queue at a time
    after: str = ""  # explored from here on; what comes before is without faults: accepted, split or home

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

    def holds(self, state: State, write: Write) -> bool:
        """Whether the store's conditions let the write through."""
        conditions, item = self.protocol.conditions, state.item
        if write.transition not in OF_CHUNKS:
            return _holds(conditions[write.transition], item, write, self.scenario.budget)
        chunk = state.chunk(write.split, write.number)
        if not _holds_for_chunk(conditions[OF_CHUNKS[write.transition]], chunk, write, self.scenario.budget):
            return False
        if write.transition not in _WITH_JOB or self.has(f"no look at the job: {write.transition}"):
            return True
        # DynamoDB does not count down what is not there.
        can_count = bool(item.split) or write.transition != "chunk home"
        return can_count and _holds(conditions["chunk wanted"], item, write, self.scenario.budget)

    def written(self, state: State, write: Write) -> State:
        """What the write makes of the items."""
        item = state.item
        if write.transition not in OF_CHUNKS:
            after = _EFFECTS[write.transition](item, write)
            return put(state, self._changed(item, write.transition, after))
        chunk = state.chunk(write.split, write.number) or Chunk(write.split, write.number)
        if write.transition in _CHUNK_EFFECTS:
            then = _CHUNK_EFFECTS[write.transition](chunk, write)
            if self.has("untidy") and write.transition == "chunk home":
                then = then._replace(lease=chunk.lease)
            state = put_chunk(state, then)
        if write.transition == "chunk home" and not self.has("bare count"):
            state = put(state, item._replace(chunks_left=item.chunks_left - 1))
        elif write.transition == "chunk fail job":
            failed = item._replace(status="FAILED", failure="document", is_open=False)
            state = put(state, self._changed(item, write.transition, failed))
        return state

    def _changed(self, item: Item, transition: str, after: Item) -> Item:
        if transition == "split":
            after = after._replace(chunks_left=self.scenario.chunks)
        if self.has("untidy") and transition in {"complete", "fail", "exhaust", "chunk fail job"}:
            return after._replace(lease=item.lease, is_open=item.is_open)
        if self.has(f"keeps the split: {transition}"):
            return after._replace(split=item.split, chunks_left=item.chunks_left)
        if self.has(f"keeps the attempt: {transition}"):
            return after._replace(attempt=item.attempt)
        if self.has(f"keeps the lease: {transition}"):
            return after._replace(lease=item.lease)
        return after

    def recognises(self, state: State, write: Write) -> bool:
        """Whether the store takes a refused write for success, because the items show it."""
        if self.has(f"no recognition: {write.transition}"):
            return False
        item, chunk = state.item, state.chunk(write.split, write.number)
        if self.has(f"lax recognition: {write.transition}"):
            if write.transition == "fail":
                return item.status == "FAILED"
            if write.transition == "split":
                return bool(item.split)
            of = chunk if write.transition in OF_CHUNKS and chunk else item
            write = write._replace(attempt=of.attempt)
        if write.transition not in OF_CHUNKS:
            return _recognises(item, write)
        return _recognises_chunk(item, chunk, write)


class Answer(StrEnum):
    """What the caller of a write gets."""

    DONE = "is done"
    REFUSED = "is refused"
    LOST = "is done, its response lost"
    LATE = "is late"


#: They write a value that is fresh for each call, so that only a call's own earlier arrival can show it.
_OWN_VALUE = frozenset({"claim", "claim home", "resend", "resend split", "chunk claim", "chunk skip"})


def send(model: Model, state: State, write: Write) -> Iterator[tuple[Answer, State]]:
    """A write is sent: what may come of it."""
    if model.holds(state, write):
        done = model.written(state, write)
        yield Answer.DONE, done
        if state.faults.lost and not state.unsure:
            yield Answer.LOST, spend(done._replace(unsure="stands", unsure_of=_key(write)), "lost")
        if state.faults.copy and state.late is None:
            yield Answer.DONE, spend(done._replace(late=write._replace(is_fresh=False)), "copy")
    elif write.transition not in _OWN_VALUE and model.recognises(state, write):
        yield Answer.DONE, state
    else:
        yield Answer.REFUSED, state
    if state.faults.delay and state.late is None:
        yield Answer.LATE, spend(state._replace(late=write), "delay")


def send_again(model: Model, state: State, write: Write) -> tuple[Answer, State]:
    """The SDK sends a write again whose response was lost; this time the answer arrives."""
    # A resend has seen the sweep_at before its own; what is fresh now is its own.
    if model.holds(state, write._replace(is_fresh=False)):
        return Answer.DONE, settled(model.written(state, write))
    return (Answer.DONE if model.recognises(state, write) else Answer.REFUSED), settled(state)


def second_write(item: Item, transition: str) -> str:
    """What the store tries next of a job that is split, when this write was refused by the item; or nothing."""
    if transition == "claim" and item.is_unheld and not item.chunks_left:
        return "claim home"
    return "resend split" if transition == "resend" and item.is_unheld else ""


def to_be_sent(item: Item) -> int:
    """What a resend is about: the chunks of this split, or with 0 the job's own message."""
    return item.split if item.chunks_left else 0


def settled(state: State) -> State:
    """Nobody waits for a response any more."""
    return state._replace(unsure="", unsure_of=(0, 0))


def _key(write: Write) -> tuple[int, int]:
    """Whose item shows the write."""
    is_of_chunk = write.transition in OF_CHUNKS and write.transition != "chunk fail job"
    return (write.split, write.number) if is_of_chunk else (0, 0)


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
    if item.split:
        shown |= {"split_by": item.split, "chunks_left": item.chunks_left}
    return shown


@cache
def _holds(expression: str, item: Item, write: Write, budget: int) -> bool:
    return compiled(expression)(attributes(item), _values(write, budget))


@cache
def _holds_for_chunk(expression: str, chunk: Chunk | None, write: Write, budget: int) -> bool:
    shown: dict[str, Any] = {}
    if chunk:
        shown = {"pk": 1, "status": chunk.status, "attempt": chunk.attempt, "budget_used": chunk.budget_used}
        if chunk.lease:
            shown["lease_expires_at"] = _EXPIRES[chunk.lease]
    return compiled(expression)(shown, _values(write, budget))


def _values(write: Write, budget: int) -> dict[str, Any]:
    seen = write.attempt
    if write.transition in {"resend", "resend split"}:
        seen = _SWEEP_AT * write.is_fresh
    elif write.transition == "chunk skip" and write.is_old:
        seen = -1  # its own first arrival has raised the attempt
    return {
        ":now": _OLD if write.is_old else _NOW,
        ":budget": budget,
        ":queued": "QUEUED",
        ":processing": "PROCESSING",
        ":failed": "FAILED",
        ":mine": write.attempt,
        ":seen": seen,
        ":split": write.split,
        ":none": 0,
    }


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
    "split": lambda item, write: item._replace(
        attempt=item.attempt + 1,
        budget_used=item.budget_used - 1,
        lease="",
        split=write.split,
    ),
    "resend": lambda item, _write: item,
    "redrive": lambda item, _write: item._replace(
        status="QUEUED", budget_used=0, failure="", is_open=True, split=0, chunks_left=0
    ),
    "erase": lambda item, _write: item._replace(
        exists=True,
        attempt=item.attempt + 1,
        lease="",
        failure="",
        result=0,
        is_open=True,
        is_erased=True,
        is_ripe=False,
        split=0,
        chunks_left=0,
    ),
    # An update of an item that is not there makes one.
    "purged": lambda item, _write: item._replace(exists=True, is_open=False),
}
_EFFECTS |= {"claim home": _EFFECTS["claim"], "resend split": _EFFECTS["resend"]}
_SHOWS = {"claim": "PROCESSING", "claim home": "PROCESSING", "complete": "DONE", "release": "QUEUED"}


def _recognises(item: Item, write: Write) -> bool:
    if write.transition in _SHOWS:
        return item.attempt == write.attempt and not item.is_erased and item.status == _SHOWS[write.transition]
    return {
        "fail": item.attempt == write.attempt and item.failure == "document",
        "create": True,
        "renew": False,
        "exhaust": item.attempt == write.attempt and item.failure == "out_of_attempts",
        "split": item.attempt == write.attempt + 1 and not item.is_erased and item.split == write.split,
        "resend": item.is_open and write.is_fresh,
        "resend split": item.is_open and write.is_fresh,
        "redrive": item.status == "QUEUED" and not item.is_erased,
        "erase": item.is_erased,
        "purged": True,
    }[write.transition]


_CHUNK_EFFECTS: dict[str, Callable[[Chunk, Write], Chunk]] = {
    "chunk create": lambda _chunk, write: Chunk(write.split, write.number),
    "chunk claim": lambda chunk, _write: chunk._replace(
        status="PROCESSING", attempt=chunk.attempt + 1, budget_used=chunk.budget_used + 1, lease="live"
    ),
    "chunk skip": lambda chunk, _write: chunk._replace(
        status="PROCESSING", attempt=chunk.attempt + 1, budget_used=0, lease="live"
    ),
    "chunk renew": lambda chunk, write: chunk._replace(
        lease="live", budget_used=1 if write.has_stored else chunk.budget_used
    ),
    "chunk release": lambda chunk, write: chunk._replace(
        status="QUEUED", budget_used=chunk.budget_used - write.is_refund, lease=""
    ),
    "chunk home": lambda chunk, _write: chunk._replace(status="DONE", lease=""),
}
_CHUNK_SHOWS = {
    "chunk claim": "PROCESSING",
    "chunk skip": "PROCESSING",
    "chunk release": "QUEUED",
    "chunk home": "DONE",
}


def _recognises_chunk(item: Item, chunk: Chunk | None, write: Write) -> bool:
    if write.transition == "chunk create":
        return True
    if write.transition == "chunk fail job":
        return item.failure == "document"
    shows = _CHUNK_SHOWS.get(write.transition)
    return chunk is not None and chunk.attempt == write.attempt and chunk.status == shows
