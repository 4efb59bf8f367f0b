"""What the model knows: one job, its messages, letters and objects, and everyone who acts on them.

Time is reduced to what conditions ask: a lease is live or lapsed, a tombstone ripe or not. Attempts are reduced to what
the fence asks: the current one, or a stale one.
"""

from __future__ import annotations

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


class Write(NamedTuple):
    """A conditional write on its way. ``attempt`` is ``:mine``, or the attempt that was seen."""

    transition: str
    attempt: int = 0
    is_fresh: bool = False  # the item's sweep_at is still the one that was read
    is_refund: bool = False
    is_old: bool = False  # sent again, so its :now is before any lease that was given since


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


class Sweeper(NamedTuple):
    """``at``: "", read, resend?, send, purge or emptied."""

    at: str = ""
    is_fresh: bool = False


class Faults(NamedTuple):
    """How many of each may still happen."""

    crash: int = 0  # of whoever is at work
    duplicate: int = 0  # SQS delivers a message twice, even after its delete
    visibility: int = 0  # a message shows while its worker is still at work
    lapse: int = 0  # a lease ends, or a tombstone ripens, while a slow or paused worker is still at work
    lost_delete: int = 0
    lost: int = 0  # a write takes effect, its response is lost, and the SDK sends it again
    delay: int = 0  # a write times out and arrives later, or after all else
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
    """Everything. ``visible``, ``hidden`` and ``waiting`` are messages that no worker holds, by their receives."""

    faults: Faults
    workers: tuple[Worker, ...]
    sweepers: tuple[Sweeper, ...]
    api: str = "new"
    item: Item = Item()
    visible: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()  # shows again by itself
    waiting: tuple[int, ...] = ()  # shows again when the lease ends that its worker met
    letters: int = 0  # dead letters that nobody holds
    operator: str = ""  # "", took, redrive?, send or delete; with a letter in hand
    is_sorting: bool = False  # the sweeper holds a letter that it will delete
    is_erasing_again: bool = False  # a client's erasure whose response was lost
    files: frozenset[int] = frozenset()
    late: Write | None = None
    unsure: str = ""  # while a response is lost: does that write still stand, or has the item moved on?

    @property
    def messages(self) -> int:
        """In the main queue, held or not."""
        held = sum(worker.handle in {"mine", "shown"} for worker in self.workers)
        return len(self.visible) + len(self.hidden) + len(self.waiting) + held


IDLE = Worker()


def spend(state: State, fault: str) -> State:
    """One of the faults has happened."""
    return state._replace(faults=state.faults._replace(**{fault: getattr(state.faults, fault) - 1}))


def put(state: State, item: Item) -> State:
    """The item as a write leaves it: every sight of it is outdated."""
    return state._replace(
        item=item,
        sweepers=tuple(sweeper._replace(is_fresh=False) for sweeper in state.sweepers),
        late=state.late and state.late._replace(is_fresh=False),
        unsure=state.unsure and "moved on",
    )


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
        changed: dict[str, Any] = {pool: (*getattr(state, pool), worker.receives)}
        return idle._replace(**changed)
    if worker.handle == "shown":
        return idle._replace(visible=(*state.visible, worker.receives))
    return idle


def canonical(state: State) -> State:
    """Forget what makes no difference: which worker is which, the order of messages, how old a stale attempt is."""
    current = state.item.attempt

    def age(attempt: int) -> int:
        if attempt <= 0:
            return attempt
        return 2 if attempt == current else 1

    files = {age(attempt) for attempt in state.files}
    if not state.faults.erase and not state.item.is_erased:
        files.discard(1)  # the files of stale attempts matter only to who must remove them
    workers = [worker._replace(attempt=age(worker.attempt)) if worker.attempt else worker for worker in state.workers]
    item = state.item
    return state._replace(
        item=item._replace(attempt=age(item.attempt), result=age(item.result)),
        workers=tuple(sorted(workers)),
        sweepers=tuple(sorted(state.sweepers)),
        visible=tuple(sorted(state.visible)),
        hidden=tuple(sorted(state.hidden)),
        waiting=tuple(sorted(state.waiting)),
        files=frozenset(files),
        late=state.late and state.late._replace(attempt=age(state.late.attempt)),
    )
