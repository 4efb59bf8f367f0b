"""The job protocol as an explicit-state model: every interleaving of API, workers and sweeper under bounded faults.

Time is reduced to what conditions ask: a lease is live or lapsed. A message is visible or in flight; a receipt is
current or stale. The item is changed by the store's own condition expressions (``job_store.CONDITIONS``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tests.model.conditions import compiled

BUDGET = 2
_NOW, _LIVE, _LAPSED = 1, 2, 0
_NOTHING = ("", 0)
_BUSY = {"working", "uploaded", "failing", "giving back"}
_VALUES = {
    ":now": _NOW,
    ":budget": BUDGET,
    ":queued": "QUEUED",
    ":processing": "PROCESSING",
    ":failed": "FAILED",
}


class Item(NamedTuple):
    """The DynamoDB item; status '' means that there is none."""

    status: str = ""
    attempt: int = 0
    budget_used: int = 0
    lease: int = _LAPSED
    token: int = 0  # sweep_at: changed by each resend
    result: int = 0  # the attempt whose files are shown
    erased: bool = False

    def attributes(self) -> dict[str, Any]:
        """As an expression sees it."""
        if not self.status:
            return {}
        shown = {"pk": 1, "status": self.status, "attempt": self.attempt, "budget_used": self.budget_used}
        if self.status == "PROCESSING" or self.lease == _LIVE:
            shown["lease_expires_at"] = self.lease
        if self.status in {"QUEUED", "PROCESSING"} or self.erased:
            shown["sweep_at"] = self.token
        return shown | ({"erased_at": 1} if self.erased else {})


class Message(NamedTuple):
    """``receipt`` counts receives; ``in_flight`` hides it."""

    in_flight: bool
    receipt: int


class Worker(NamedTuple):
    """``at``: idle, got, working, uploaded, failing, done (about to delete)."""

    at: str = "idle"
    attempt: int = 0
    message: int = -1
    receipt: int = 0


class Faults(NamedTuple):
    """How many of each may still happen."""

    crash: int = 1
    duplicate: int = 1
    visibility: int = 1
    lapse: int = 1
    lost_delete: int = 1
    transient: int = 1
    permanent: int = 1
    erase: int = 1
    redrive: int = 1
    sweep: int = 1
    delay: int = 1


class State(NamedTuple):
    """Everything."""

    api: str
    item: Item
    messages: tuple[Message | None, ...]
    workers: tuple[Worker, ...]
    files: frozenset[int]
    seen: int  # the token that a sweeper has read and not yet used; -1: none
    late: tuple[str, int]  # a write that was sent and has not arrived: transition, attempt
    faults: Faults


@dataclass(frozen=True)
class Protocol:
    """The conditions in force, and structural mutants."""

    conditions: Mapping[str, str]
    mutants: frozenset[str] = field(default_factory=frozenset)

    def holds(self, transition: str, item: Item, **values: int) -> bool:
        """Evaluate the store's expression."""
        named = {**_VALUES, **{f":{name}": value for name, value in values.items()}}
        return compiled(self.conditions[transition])(item.attributes(), named)


def start(faults: Faults, workers: int = 2) -> State:
    """Nothing has happened."""
    return State("new", Item(), (), (Worker(),) * workers, frozenset(), -1, _NOTHING, faults)


def steps(protocol: Protocol, state: State, *, faulty: bool = True) -> Iterator[tuple[str, State]]:
    """Every step that may come next, by name."""
    yield from _api(state, faulty=faulty)
    yield from _environment(protocol, state, faulty=faulty)
    for index, worker in enumerate(state.workers):
        for name, after in _worker(protocol, state, index, worker, faulty=faulty):
            yield f"worker {index}: {name}", after


def _api(state: State, *, faulty: bool) -> Iterator[tuple[str, State]]:
    if state.api == "new":
        yield "api creates", state._replace(api="created", item=Item(status="QUEUED"))
    elif state.api == "created":
        yield "api sends", state._replace(api="done", messages=(*state.messages, Message(False, 0)))
        if faulty and state.faults.crash:
            yield "api dies before it sends", _spend(state._replace(api="done"), "crash")


def _environment(  # noqa: C901 - a list of what may happen
    protocol: Protocol, state: State, *, faulty: bool
) -> Iterator[tuple[str, State]]:
    item, faults = state.item, state.faults
    held = {(w.message, w.receipt) for w in state.workers if w.at != "idle"}
    for index, message in enumerate(state.messages):
        if message is None or not message.in_flight:
            continue
        shown = _set_message(state, index, message._replace(in_flight=False))
        if (index, message.receipt) not in held:
            yield "a message nobody holds shows again", shown
        elif faulty and faults.visibility:
            yield "visibility lapses", _spend(shown, "visibility")
    owners = [w for w in state.workers if w.at in _BUSY and w.attempt == item.attempt]
    if item.status == "PROCESSING" and item.lease == _LIVE:
        if not owners:
            yield "the lease of a dead worker ends", state._replace(item=item._replace(lease=_LAPSED))
        elif faulty and faults.lapse:
            yield "the lease of a slow worker ends", _spend(state._replace(item=item._replace(lease=_LAPSED)), "lapse")
    if faulty and faults.duplicate and state.api == "done":
        yield "sqs delivers twice", _spend(_send(state), "duplicate")
    if state.late != _NOTHING:
        name, attempt = state.late
        arrived = state._replace(late=_NOTHING)
        holds = protocol.holds(name, item, mine=attempt)
        yield f"a late {name} arrives", arrived._replace(item=_written(name, item, attempt)) if holds else arrived
    yield from _sweeper(protocol, state, faulty=faulty)
    if faulty and faults.erase and protocol.holds("erase", item):
        erased = item._replace(erased=True, attempt=item.attempt + 1, result=0, lease=_LAPSED, token=item.token + 1)
        yield "the client erases", _spend(state._replace(item=erased, files=frozenset()), "erase")
    if faulty and faults.redrive and protocol.holds("redrive", item):
        queued = item._replace(status="QUEUED", budget_used=0, token=item.token + 1)
        yield "an operator redrives", _spend(_send(state._replace(item=queued)), "redrive")


def _sweeper(protocol: Protocol, state: State, *, faulty: bool) -> Iterator[tuple[str, State]]:
    item = state.item
    is_open = item.status in {"QUEUED", "PROCESSING"} and not item.erased
    if "no sweeper" in protocol.mutants:
        return
    no_message = not any(message is not None for message in state.messages)
    if state.seen < 0:
        if is_open and ((faulty and state.faults.sweep) or no_message):
            yield (
                "a sweeper reads the index",
                (_spend(state, "sweep") if faulty and state.faults.sweep else state)._replace(seen=item.token),
            )
    elif protocol.holds("resend", item, seen=state.seen):
        yield "the sweeper sends", _send(state._replace(item=item._replace(token=item.token + 1), seen=-1))
    else:
        yield "the sweeper comes too late", state._replace(seen=-1)


def _worker(  # noqa: C901, PLR0912 - a list of what a worker may do
    protocol: Protocol, state: State, index: int, worker: Worker, *, faulty: bool
) -> Iterator[tuple[str, State]]:
    idle = _set_worker(state, index, Worker())
    if worker.at == "idle":
        for number, message in enumerate(state.messages):
            if message is not None and not message.in_flight:
                taken = Message(True, message.receipt + 1)
                yield (
                    "receives",
                    _set_worker(_set_message(state, number, taken), index, Worker("got", 0, number, taken.receipt)),
                )
        return
    if faulty and state.faults.crash:
        yield "dies", _spend(idle, "crash")
    if worker.at == "got":
        yield from _claim(protocol, state, index, worker)
    elif worker.at == "working":
        yield from _work(protocol, state, index, worker, faulty=faulty)
    elif worker.at in {"uploaded", "failing"}:
        name = "complete" if worker.at == "uploaded" else "fail"
        if protocol.holds(name, state.item, mine=worker.attempt):
            item = _written(name, state.item, worker.attempt)
            yield name, _set_worker(state._replace(item=item), index, worker._replace(at="done"))
        else:
            yield "is fenced off", idle
        if faulty and state.faults.delay and state.late == _NOTHING:
            # It times out and arrives later; the worker takes DynamoDB for away and gives the job back.
            sent = _spend(state._replace(late=(name, worker.attempt)), "delay")
            yield f"its {name} is delayed", _set_worker(sent, index, worker._replace(at="giving back"))
    elif worker.at == "giving back":
        yield from _give_back(protocol, state, index, worker)
    elif worker.at == "done":
        yield "deletes", _delete(idle, worker)
        if faulty and state.faults.lost_delete:
            yield "its delete is lost", _spend(idle, "lost_delete")


def _claim(protocol: Protocol, state: State, index: int, worker: Worker) -> Iterator[tuple[str, State]]:
    item = state.item
    if protocol.holds("claim", item):
        item = item._replace(
            status="PROCESSING",
            attempt=item.attempt + 1,
            budget_used=item.budget_used + 1,
            lease=_LIVE,
            token=item.token + 1,
        )
        claimed = _set_worker(state._replace(item=item), index, worker._replace(at="working", attempt=item.attempt))
        yield "claim", _delete(claimed, worker) if "delete first" in protocol.mutants else claimed
    elif item.erased or item.status in {"DONE", "FAILED"}:
        yield "finds it finished", _set_worker(state, index, worker._replace(at="done"))
    elif item.status and protocol.holds("exhaust", item, seen=item.attempt):
        failed = state._replace(item=item._replace(status="FAILED"))
        yield "exhaust", _set_worker(failed, index, worker._replace(at="done"))
    else:
        yield "finds it busy", _set_worker(state, index, Worker())


def _work(protocol: Protocol, state: State, index: int, worker: Worker, *, faulty: bool) -> Iterator[tuple[str, State]]:
    idle = _set_worker(state, index, Worker())
    files = state.files | {0 if "shared key" in protocol.mutants else worker.attempt}
    yield "uploads", _set_worker(state._replace(files=files), index, worker._replace(at="uploaded"))
    if faulty and state.item.lease == _LAPSED:
        if protocol.holds("renew", state.item, mine=worker.attempt):
            yield "renew", state._replace(item=_written("renew", state.item, worker.attempt))
        else:
            yield "its heartbeat is fenced off", idle
    if faulty and state.faults.permanent:
        yield "finds the document broken", _spend(_set_worker(state, index, worker._replace(at="failing")), "permanent")
    if faulty and state.faults.delay and state.late == _NOTHING:
        yield "its heartbeat is delayed", _spend(state._replace(late=("renew", worker.attempt)), "delay")
    if faulty and state.faults.transient:
        failed = _set_worker(state, index, worker._replace(at="giving back"))
        yield "meets a transient error", _spend(failed, "transient")


def _give_back(protocol: Protocol, state: State, index: int, worker: Worker) -> Iterator[tuple[str, State]]:
    idle = _set_worker(state, index, Worker())
    if protocol.holds("release", state.item, mine=worker.attempt):
        yield "release", idle._replace(item=_written("release", state.item, worker.attempt))
    else:
        yield "is fenced off", idle
    if state.faults.delay and state.late == _NOTHING:
        yield "its release is delayed", _spend(idle._replace(late=("release", worker.attempt)), "delay")


def _written(name: str, item: Item, attempt: int) -> Item:
    """What a fenced write makes of the item."""
    return {
        "renew": item._replace(lease=_LIVE),
        "complete": item._replace(status="DONE", result=attempt, lease=_LAPSED),
        "fail": item._replace(status="FAILED", lease=_LAPSED),
        "release": item._replace(status="QUEUED", lease=_LAPSED),
    }[name]


def _send(state: State) -> State:
    return state._replace(messages=(*state.messages, Message(False, 0)))


def _delete(state: State, worker: Worker) -> State:
    """With a stale receipt nothing happens: the worst that AWS documents."""
    message = state.messages[worker.message]
    is_current = message is not None and message.receipt == worker.receipt
    return _set_message(state, worker.message, None) if is_current else state


def _set_worker(state: State, index: int, worker: Worker) -> State:
    return state._replace(workers=(*state.workers[:index], worker, *state.workers[index + 1 :]))


def _set_message(state: State, index: int, message: Message | None) -> State:
    return state._replace(messages=(*state.messages[:index], message, *state.messages[index + 1 :]))


def _spend(state: State, fault: str) -> State:
    return state._replace(faults=state.faults._replace(**{fault: getattr(state.faults, fault) - 1}))


@dataclass(frozen=True)
class Verdict:
    """What an exploration found; ``broken`` is empty when every promise holds."""

    states: int
    transitions: int
    broken: str = ""
    trace: tuple[str, ...] = ()


def explore(protocol: Protocol, faults: Faults) -> Verdict:
    """Visit every state; stop at the first broken promise, with the steps that lead there."""
    first = _canonical(start(faults))
    came_from: dict[State, tuple[str, State] | None] = {first: None}
    settled: set[State] = set()
    queue = deque([first])
    transitions = 0
    while queue:
        state = queue.popleft()
        stuck = _stuck(protocol, state, settled)
        if stuck:
            return Verdict(len(came_from), transitions, stuck, (*_trace(came_from, state), "(nothing helps any more)"))
        for name, after in steps(protocol, state):
            transitions += 1
            broken = _broken(state, name, after)
            if broken:
                return Verdict(len(came_from), transitions, broken, (*_trace(came_from, state), name))
            known = _canonical(after)
            if known not in came_from:
                came_from[known] = (name, state)
                queue.append(known)
    return Verdict(len(came_from), transitions)


def _broken(before: State, name: str, after: State) -> str:  # noqa: C901, PLR0911, PLR0912 - a list of promises
    was, now = before.item, after.item
    if now.attempt < was.attempt:
        return "the fencing token went backwards"
    if was.erased and now != was:
        return "an erased job was changed"
    if was.status in {"DONE", "FAILED"} and not now.erased and "redrives" not in name and now != was:
        return "a terminal job was changed"
    if now.status == "DONE" and not now.erased and now.result not in after.files:
        return "the result is not there"
    if now.status == "QUEUED" and now.lease == _LIVE:
        return "a queued job has a live lease"
    finishers = [
        w
        for w, v in zip(before.workers, after.workers, strict=True)
        if v.at == "done" and w.at in {"uploaded", "failing"}
    ]
    if any(worker.attempt != was.attempt for worker in finishers):
        return "a stale attempt finished the job"
    if "late" in name and now != was and (was.status != "PROCESSING" or before.late[1] != was.attempt):
        return "a late write changed a job that is not its own any more"
    working = [w.attempt for w in after.workers if w.at in _BUSY]
    if len(set(working)) < len(working):
        return "two workers have the same attempt"
    is_fresh = "claim" in name and was.status == "PROCESSING" and was.lease == _LIVE
    if is_fresh:
        return "a live lease was taken over"
    if "claim" in name and now.budget_used > BUDGET:
        return "the budget was overdrawn"
    if "exhaust" in name and was.budget_used < BUDGET:
        return "a job was given up before its budget was used"
    if "sweeper sends" in name and now.token != before.seen + 1:
        return "two sweepers sent on the same sight"
    gone = sum(m is None for m in after.messages) > sum(m is None for m in before.messages)
    # Who deletes has seen the end of a life of the job; a redrive since then brought a message of its own.
    if gone and "deletes" not in name:
        return "a message was deleted before a terminal state was committed"
    return ""


def _stuck(protocol: Protocol, state: State, settled: set[State]) -> str:
    """Without further faults, does some fair run bring the job to an end and empty the queue?"""
    path: list[State] = []
    seen: set[State] = set()
    frontier = [state]
    while frontier:
        current = _canonical(frontier.pop())
        if current in settled or _is_settled(current):
            settled.update(path)
            settled.add(current)
            return ""
        if current in seen:
            continue
        seen.add(current)
        path.append(current)
        frontier.extend(after for _, after in steps(protocol, current, faulty=False))
    return f"stuck with status {state.item.status or 'none'}"


def _is_settled(state: State) -> bool:
    is_over = state.item.erased or state.item.status in {"DONE", "FAILED"}
    return is_over and not any(state.messages) and all(worker.at == "idle" for worker in state.workers)


def _canonical(state: State) -> State:
    """Forget what makes no difference: deleted messages, numbers of receipts, which worker is which."""
    holders: dict[int, list[tuple[Any, ...]]] = {}
    for worker in state.workers:
        if worker.at != "idle":
            message = state.messages[worker.message]
            is_current = message is not None and message.receipt == worker.receipt
            holders.setdefault(worker.message, []).append((worker.at, worker.attempt, is_current))
    kept = [
        (message is None, message is not None and message.in_flight, tuple(sorted(holders.get(index, ()))), index)
        for index, message in enumerate(state.messages)
        if message is not None or index in holders
    ]
    kept.sort()
    place = {entry[3]: number for number, entry in enumerate(kept)}
    messages = tuple(None if gone else Message(in_flight, 1) for gone, in_flight, _, _ in kept)
    workers = []
    for worker in state.workers:
        if worker.at == "idle":
            workers.append(Worker())
            continue
        message = state.messages[worker.message]
        is_current = message is not None and message.receipt == worker.receipt
        workers.append(worker._replace(message=place[worker.message], receipt=int(is_current)))
    # Tokens matter only as "the one that the sweeper saw, or a later one".
    token = 0 if state.seen < 0 else min(1, state.item.token - state.seen)
    return state._replace(
        messages=messages,
        workers=tuple(sorted(workers)),
        item=state.item._replace(token=token),
        seen=-1 if state.seen < 0 else 0,
    )


def _trace(came_from: dict[State, tuple[str, State] | None], state: State) -> tuple[str, ...]:
    names = []
    while (step := came_from[state]) is not None:
        names.append(step[0])
        state = step[1]
    return tuple(reversed(names))


def with_condition(protocol: Protocol, transition: str, expression: str) -> Protocol:
    """The protocol with another condition."""
    return replace(protocol, conditions={**protocol.conditions, transition: expression})
