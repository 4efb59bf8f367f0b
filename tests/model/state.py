"""What the model knows: one job, its chunks, messages, letters and objects, and everyone who acts on them.

Time is reduced to what conditions ask: a lease is live or lapsed, a tombstone ripe or not. Attempts are reduced to what
the fence asks: the current one, or a stale one. A split has a number of its own instead of its attempt's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: In ``State.files``, beside the numbers of attempts: what was submitted.
SOURCE = -1

TERMINAL = frozenset({"DONE", "FAILED"})


class Item(NamedTuple):
    """The DynamoDB item."""

    exists: bool = False
    status: str = ""
    attempt: int = 0
    budget_used: int = 0
    lease: str = ""  # "", live or lapsed
    failure: str = ""  # "", document or out_of_attempts
    result: int = 0  # the attempt whose files are shown
    is_open: bool = False  # stands in the index of open jobs, with a sweep_at
    is_erased: bool = False
    is_ripe: bool = False  # no attribute: a lease has passed since the erasure
    split: int = 0  # 0: not split, and no chunks_left
    chunks_left: int = 0

    @property
    def is_over(self) -> bool:
        """Nobody has to work on it any more."""
        return self.is_erased or self.status in TERMINAL

    @property
    def is_free(self) -> bool:
        """Anybody may take it."""
        return not self.is_erased and (
            self.status == "QUEUED" or (self.status == "PROCESSING" and self.lease == "lapsed")
        )

    @property
    def is_unheld(self) -> bool:
        """Split, and left to its chunks or to whoever assembles it."""
        return self.status == "PROCESSING" and bool(self.split) and not self.lease

    def waits_for(self, split: int) -> bool:
        """Whether the chunks of this split are of use."""
        return self.status == "PROCESSING" and self.split == split and not self.is_erased


class Chunk(NamedTuple):
    """The DynamoDB item of a chunk."""

    split: int
    number: int
    status: str = "QUEUED"
    attempt: int = 0
    budget_used: int = 0
    lease: str = ""

    @property
    def is_free(self) -> bool:
        """Anybody may take it."""
        return self.status == "QUEUED" or (self.status == "PROCESSING" and self.lease == "lapsed")


class Page(NamedTuple):
    """An object beside the results: a page that was read for a chunk, counted from 1; page 0 is the chunk itself."""

    split: int
    number: int
    page: int


class Message(NamedTuple):
    """About the job; with a number about one of its chunks."""

    receives: int = 0
    split: int = 0
    number: int = 0


class Write(NamedTuple):
    """A conditional write on its way. ``attempt`` is ``:mine``, or the attempt that was seen."""

    transition: str
    attempt: int = 0
    is_fresh: bool = False  # the item's sweep_at is still the one that was read
    is_refund: bool = False
    is_old: bool = False  # sent again, so its :now is before any lease that was given since
    split: int = 0  # the chunk's, or the one that splits
    number: int = 0  # of the chunk; 0 is the job
    has_stored: bool = False


class Worker(NamedTuple):
    """A worker and the message in its hands.

    ``handle``: mine (the message is hidden for this worker), shown (visible again, but nobody received it yet: the
    receipt handle still works) or stale (someone else received it: the worst case is that the handle does nothing).
    A place that ends in "?" is one where the response of a write was lost.
    """

    at: str = "idle"
    attempt: int = 0
    handle: str = ""
    receives: int = 0
    is_refund: bool = False
    split: int = 0  # the chunk's, or what the job showed when it was claimed, or the one in the making
    number: int = 0  # of the chunk that the message is about; 0 is the job
    page: int = 0  # that it gives up

    @property
    def message(self) -> Message:
        """In its hands."""
        return Message(self.receives, self.split if self.number else 0, self.number)


class Sweeper(NamedTuple):
    """``at``: "", read, read split, resend?, resend split?, send, purge, emptied or removed."""

    at: str = ""
    is_fresh: bool = False
    split: int = 0  # whose chunks it will send


class Faults(NamedTuple):
    """How many of each may still happen."""

    crash: int = 0  # of whoever is at work
    duplicate: int = 0  # SQS delivers a message twice, even after its delete
    visibility: int = 0  # a message shows while its worker is still at work
    lapse: int = 0  # a lease ends, or a tombstone ripens, while a slow or paused worker is still at work
    lost_delete: int = 0
    vanish: int = 0  # a message is gone
    lost: int = 0  # a write takes effect, its response is lost, and the SDK sends it again
    delay: int = 0  # a write times out and arrives later, or after all else
    copy: int = 0  # a write times out, the SDK sends it again, and then the first one arrives, too
    transient: int = 0  # an attempt fails and costs the budget
    outage: int = 0  # an attempt is given back with a refund: S3 is away, or the worker is stopped
    permanent: int = 0  # the document is broken
    beat: int = 0  # heartbeats beyond the one that revives a lapsed lease
    sweep: int = 0  # sweeps while there are messages; when there are none, sweeps are no fault
    early: int = 0  # sweeps by a clock that is ahead: the entry is not due yet
    erase: int = 0  # requests of clients
    expire: int = 0  # the TTL removes the tombstone
    redrive: int = 0  # commands of operators


class State(NamedTuple):
    """Everything. ``visible``, ``hidden`` and ``waiting`` are messages that no worker holds."""

    faults: Faults
    workers: tuple[Worker, ...]
    sweepers: tuple[Sweeper, ...]
    api: str = "new"
    item: Item = Item()
    chunks: tuple[Chunk, ...] = ()  # by split and number
    visible: tuple[Message, ...] = ()
    hidden: tuple[Message, ...] = ()  # shows again by itself
    waiting: tuple[Message, ...] = ()  # shows again when the lease ends that its worker met
    letters: int = 0  # dead letters that nobody holds
    operator: str = ""  # "", took, redrive?, send or delete; with a letter in hand
    is_sorting: bool = False  # the sweeper holds a letter that it will delete
    is_erasing_again: bool = False  # a client's erasure whose response was lost
    files: frozenset[int] = frozenset()
    pages: frozenset[Page] = frozenset()
    late: Write | None = None
    unsure: str = ""  # while a response is lost: does that write still stand, or has the item moved on?
    unsure_of: tuple[int, int] = (0, 0)  # the split and number of that item; the job's own is (0, 0)

    @property
    def messages(self) -> int:
        """In the main queue, held or not."""
        held = sum(worker.handle in {"mine", "shown"} for worker in self.workers)
        return len(self.visible) + len(self.hidden) + len(self.waiting) + held

    def chunk(self, split: int, number: int) -> Chunk | None:
        """One of them, if it is there."""
        for chunk in self.chunks:
            if chunk.number == number and chunk.split == split:
                return chunk
        return None

    def chunks_of(self, split: int) -> tuple[Chunk, ...]:
        """Those of one split, in order."""
        return tuple(chunk for chunk in self.chunks if chunk.split == split)


IDLE = Worker()
THE_JOB = (0, 0)


def spend(state: State, fault: str) -> State:
    """One of the faults has happened."""
    return state._replace(faults=state.faults._replace(**{fault: getattr(state.faults, fault) - 1}))


def put(state: State, item: Item) -> State:
    """The item as a write leaves it: every sight of it is outdated."""
    return state._replace(
        item=item,
        sweepers=tuple(sweeper._replace(is_fresh=False) for sweeper in state.sweepers),
        late=state.late and state.late._replace(is_fresh=False),
        unsure="moved on" if state.unsure and state.unsure_of == THE_JOB else state.unsure,
    )


def put_chunk(state: State, chunk: Chunk) -> State:
    """The same of a chunk."""
    others = (other for other in state.chunks if other[:2] != chunk[:2])
    return put_chunks(state, tuple(sorted((*others, chunk))))


def put_chunks(state: State, chunks: tuple[Chunk, ...]) -> State:
    """And of all of them."""
    put = state._replace(chunks=chunks)
    is_about = state.unsure and put.chunk(*state.unsure_of) != state.chunk(*state.unsure_of)
    return put._replace(unsure="moved on") if is_about else put


def with_worker(state: State, index: int, worker: Worker) -> State:
    """Another worker in one's place."""
    return state._replace(workers=(*state.workers[:index], worker, *state.workers[index + 1 :]))


def with_sweeper(state: State, index: int, sweeper: Sweeper) -> State:
    """Another sweeper in one's place."""
    return state._replace(sweepers=(*state.sweepers[:index], sweeper, *state.sweepers[index + 1 :]))


def leave(state: State, index: int, pool: str = "hidden") -> State:
    """A worker turns away; its message, if it is still its own, comes back by itself."""
    worker = state.workers[index]
    idle = with_worker(state, index, IDLE)
    if worker.handle == "mine":
        changed: dict[str, Any] = {pool: (*getattr(state, pool), worker.message)}
        return idle._replace(**changed)
    if worker.handle == "shown":
        return idle._replace(visible=(*state.visible, worker.message))
    return idle


def canonical(state: State) -> State:
    """Forget what makes no difference: which worker is which, the order of messages, how old a stale attempt is."""
    if state.chunks or state.pages:
        state = _without_litter(state)
    item, current = state.item, state.item.attempt

    def age(attempt: int) -> int:
        if attempt <= 0:
            return attempt
        return 2 if attempt == current else 1

    def age_at_chunk(split: int, number: int, attempt: int) -> int:
        chunk = state.chunk(split, number)
        return 2 if chunk and chunk.attempt == attempt else 1

    def of_worker(worker: Worker) -> Worker:
        if worker.number and worker.attempt:
            aged = age_at_chunk(worker.split, worker.number, worker.attempt)
        elif worker.at == "split?" and worker.attempt < current - 1:
            aged = 0  # a split is known again as long as the attempt is the one that it left
        else:
            aged = age(worker.attempt)
        return worker if aged == worker.attempt else worker._replace(attempt=aged)

    files = {age(attempt) for attempt in state.files}
    if not state.faults.erase and not item.is_erased:
        files.discard(1)  # the files of stale attempts matter only to who must remove them
    late = state.late
    if late and late.attempt:
        is_of_chunk = late.number
        aged = age_at_chunk(late.split, late.number, late.attempt) if is_of_chunk else age(late.attempt)
        late = late._replace(attempt=aged)
    return state._replace(
        item=item._replace(attempt=age(current), result=age(item.result)),
        workers=tuple(sorted(map(of_worker, state.workers))),
        sweepers=tuple(sorted(state.sweepers)),
        chunks=tuple(chunk if chunk.attempt in {0, 2} else chunk._replace(attempt=2) for chunk in state.chunks),
        visible=tuple(sorted(state.visible)),
        hidden=tuple(sorted(state.hidden)),
        waiting=tuple(sorted(state.waiting)),
        files=frozenset(files),
        late=late,
    )


def fresh_split(state: State) -> int:
    """A number that no split has."""
    found = {chunk.split for chunk in state.chunks} | {page.split for page in state.pages}
    return max(found | _named_splits(state)) + 1


def _named_splits(state: State) -> set[int]:
    """Those that somebody may still act on; and 0."""
    named = {0, state.item.split, state.unsure_of[0]}
    named.update(worker.split for worker in state.workers)
    named.update(sweeper.split for sweeper in state.sweepers)
    for pool in (state.visible, state.hidden, state.waiting):
        named.update(message.split for message in pool)
    if state.late:
        named.add(state.late.split)
    return named


def _without_litter(state: State) -> State:
    """Splits are told apart, no more; and those that nobody names matter only to who must remove their chunks."""
    named = _named_splits(state)
    found = {chunk.split for chunk in state.chunks} | {page.split for page in state.pages}
    if found <= named or state.faults.erase or state.item.is_erased:
        named |= found
    else:
        state = state._replace(
            chunks=tuple(chunk for chunk in state.chunks if chunk.split in named),
            pages=frozenset(page for page in state.pages if page.split in named),
        )
    number = {split: place for place, split in enumerate(sorted(named))}
    return state if len(named) == max(named) + 1 else _renumbered(state, number)


def _renumbered(state: State, number: Mapping[int, int]) -> State:
    def of(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(message._replace(split=number[message.split]) for message in messages)

    return state._replace(
        item=state.item._replace(split=number[state.item.split]),
        chunks=tuple(chunk._replace(split=number[chunk.split]) for chunk in state.chunks),
        pages=frozenset(page._replace(split=number[page.split]) for page in state.pages),
        workers=tuple(worker._replace(split=number[worker.split]) for worker in state.workers),
        sweepers=tuple(sweeper._replace(split=number[sweeper.split]) for sweeper in state.sweepers),
        visible=of(state.visible),
        hidden=of(state.hidden),
        waiting=of(state.waiting),
        late=state.late and state.late._replace(split=number[state.late.split]),
        unsure_of=(number[state.unsure_of[0]], state.unsure_of[1]),
    )
