"""Everything that may happen next: the API and its client, SQS, time, sweepers, operators; and what workers do."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model import chunks, workers
from tests.model.state import (
    SOURCE,
    Chunk,
    Item,
    Message,
    State,
    Sweeper,
    Worker,
    Write,
    put,
    put_chunk,
    put_chunks,
    spend,
    with_sweeper,
    with_worker,
)
from tests.model.store import Answer, Model, second_write, send, send_again, settled, to_be_sent
from tests.model.workers import Step, worker_steps

#: Where a worker, unless it is paused, is stopped by its heartbeat before it makes another object or chunk.
_STOPPABLE = frozenset({
    "working", "renewed", "cut", "then", "cut, create?", "then, create?", "giving up", "stored", "reading",
    "renewed, reading",
})  # fmt: skip
#: And where it will have such a heartbeat in a moment: a claim of a chunk does not ask for the job.
_SOON_STOPPABLE = frozenset({"got", "claim?", "spent", "skip?"})


def steps(model: Model, state: State) -> Iterator[Step]:
    """Every step that may come next, by name. One that spends none of the faults is what happens by itself."""
    yield from _api(model, state)
    yield from _client(model, state)
    yield from _queue(model, state)
    yield from _time(model, state)
    yield from worker_steps(model, state)
    for index, sweeper in enumerate(state.sweepers):
        if not index or sweeper != state.sweepers[index - 1]:
            yield from _sweeper(model, state, index, sweeper)
    yield from _letters(model, state)
    yield from _operator(model, state)


def _api(model: Model, state: State) -> Iterator[Step]:
    order = ("store", "create", "send")
    if model.has("send before create"):
        order = ("store", "send", "create")
    elif model.has("create before store"):
        order = ("create", "send", "store")
    if state.api == "create?":
        answer, after = send_again(model, state, Write("create"))
        then = "2" if answer is Answer.DONE else "refused"
        yield f"api: create is sent again and {answer}", after._replace(api=then)
    elif state.api not in {"3", "gone", "refused"}:
        done = 0 if state.api == "new" else int(state.api)
        then = str(done + 1)
        if order[done] == "store":
            yield "api: stores the source", state._replace(api=then, files=state.files | {SOURCE})
        elif order[done] == "send":
            yield "api: sends", state._replace(api=then, visible=(*state.visible, Message()))
        else:
            for answer, after in send(model, state, Write("create")):
                if answer is not Answer.LATE:  # the client is told 503, and a job that nobody asks for runs
                    yield f"api: create {answer}", after._replace(api="create?" if answer is Answer.LOST else then)
    if state.faults.crash and state.api in {"1", "2", "create?"}:
        yield "api: dies", spend(settled(state._replace(api="gone")), "crash")


def _client(model: Model, state: State) -> Iterator[Step]:
    if state.is_erasing_again:
        answer, after = send_again(model, state, Write("erase"))
        yield f"client: erase is sent again and {answer}", after._replace(is_erasing_again=False)
    elif state.faults.erase:
        for answer, after in send(model, spend(state, "erase"), Write("erase")):
            if answer is not Answer.LATE:  # as if it had been sent later
                yield f"client: erase {answer}", after._replace(is_erasing_again=answer is Answer.LOST)


def _queue(model: Model, state: State) -> Iterator[Step]:
    yield from _visibility(state)
    if state.faults.vanish:
        for place, _ in enumerate(state.visible):
            gone = state._replace(visible=state.visible[:place] + state.visible[place + 1 :])
            yield "sqs: a message vanishes", spend(gone, "vanish")
    if state.faults.duplicate and state.api == "3" and state.item.exists:
        for message in (Message(), *(Message(0, chunk.split, chunk.number) for chunk in state.chunks)):
            yield "sqs: delivers twice", spend(state._replace(visible=(*state.visible, message)), "duplicate")
    if model.scenario.max_receives:
        yield from _backstop(model, state)


def _visibility(state: State) -> Iterator[Step]:
    for place, message in enumerate(state.hidden):
        hidden = state.hidden[:place] + state.hidden[place + 1 :]
        yield "sqs: a message shows again", state._replace(hidden=hidden, visible=(*state.visible, message))
    for place, message in enumerate(state.waiting):
        waiting = state.waiting[:place] + state.waiting[place + 1 :]
        shown = state._replace(waiting=waiting, visible=(*state.visible, message))
        if _lease(state, message) != "live":
            yield "sqs: a message shows again", shown
        elif state.faults.visibility:
            yield "sqs: a message shows too early", spend(shown, "visibility")
    for index, worker in enumerate(state.workers):
        if worker.handle == "mine" and state.faults.visibility:
            shown = with_worker(state, index, worker._replace(handle="shown"))
            yield "sqs: a held message shows", spend(shown, "visibility")


def _lease(state: State, message: Message) -> str:
    """Of what the message is about."""
    if not message.number:
        return state.item.lease
    chunk = state.chunk(message.split, message.number)
    return chunk.lease if chunk else ""


def _backstop(model: Model, state: State) -> Iterator[Step]:
    moved = state._replace(letters=state.letters + 1)
    for place, message in enumerate(state.visible):
        if message.receives >= model.scenario.max_receives:
            visible = state.visible[:place] + state.visible[place + 1 :]
            yield "sqs: moves a message to the dead letters", moved._replace(visible=visible)
    for index, worker in enumerate(state.workers):
        if worker.handle == "shown" and worker.receives >= model.scenario.max_receives:
            stale = worker._replace(handle="stale", receives=0)
            yield "sqs: moves a message to the dead letters", with_worker(moved, index, stale)


def _time(model: Model, state: State) -> Iterator[Step]:
    item = state.item
    yield from _leases(state)
    if state.late is not None:
        arrived = state._replace(late=None)
        if model.holds(arrived, state.late):
            arrived = model.written(arrived, state.late)
        yield f"time: a late {state.late.transition} arrives", arrived
    if item.is_erased:
        yield from _tombstone(model, state)
    if _are_orphans(state) and _is_at_rest(state) and not model.has("no orphan run"):
        yield "operator: removes orphans", state._replace(files=frozenset(), pages=frozenset())


def _leases(state: State) -> Iterator[Step]:
    item = state.item
    if item.lease == "live":
        lapsed = state._replace(item=item._replace(lease="lapsed"))
        if not any(_has_lease(worker, item) for worker in state.workers):
            yield "time: the lease of a dead worker ends", lapsed
        elif state.faults.lapse:
            yield "time: the lease of a slow worker ends", spend(lapsed, "lapse")
    for chunk in state.chunks:
        if chunk.lease == "live":
            lapsed = put_chunk(state, chunk._replace(lease="lapsed"))._replace(unsure=state.unsure)
            if not any(_has_chunk(worker, chunk) for worker in state.workers):
                yield "time: the lease of a chunk's dead worker ends", lapsed
            elif state.faults.lapse:
                yield "time: the lease of a chunk's slow worker ends", spend(lapsed, "lapse")


def _has_lease(worker: Worker, item: Item) -> bool:
    return not worker.number and worker.at in workers.AT_WORK and worker.attempt == item.attempt


def _has_chunk(worker: Worker, chunk: Chunk) -> bool:
    is_its_own = (worker.split, worker.number, worker.attempt) == (chunk.split, chunk.number, chunk.attempt)
    return is_its_own and worker.at in chunks.AT_WORK


def _tombstone(model: Model, state: State) -> Iterator[Step]:
    if state.item.is_open and not state.item.is_ripe:
        ripe = state._replace(item=state.item._replace(is_ripe=True))
        # A heartbeat that is fenced off, or none for nearly a lease, stops a worker that is not paused.
        if model.has("purge at once") or not any(_will_be_stopped(model, state, worker) for worker in state.workers):
            yield "time: a lease has passed since the erasure", ripe
        elif state.faults.lapse:
            yield "time: a lease has passed since the erasure, with a paused worker", spend(ripe, "lapse")
    is_forgotten = _is_at_rest(state) and not state.messages and state.late is None
    if state.faults.expire and is_forgotten and not any("send" in sweeper.at for sweeper in state.sweepers):
        # A tombstone outlives every message and every call; only a sweep may meet it at that very moment.
        yield "time: the tombstone is removed", spend(put(state, Item()), "expire")


def _will_be_stopped(model: Model, state: State, worker: Worker) -> bool:
    if worker.number and worker.at in _SOON_STOPPABLE:
        return True
    if worker.number and model.has("no check before a page"):
        return False
    transition = "chunk renew" if worker.number else "renew"
    beat = Write(transition, worker.attempt, split=worker.split, number=worker.number)
    return worker.at in _STOPPABLE and not model.holds(state, beat)


def _are_orphans(state: State) -> bool:
    is_purged = state.item.is_erased and not state.item.is_open
    return bool(state.files or state.pages) and (not state.item.exists or is_purged)


def _is_at_rest(state: State) -> bool:
    """No API and no worker is at work: what an hour of waiting makes sure of."""
    return (
        state.api in {"3", "gone", "refused"}
        and all(worker.at == "idle" for worker in state.workers)
        and not state.is_erasing_again
    )


def _sweeper(model: Model, state: State, index: int, sweeper: Sweeper) -> Iterator[Step]:
    idle = with_sweeper(state, index, Sweeper())
    if not sweeper.at:
        yield from _look(model, state, index)
        return
    if sweeper.at in {"read", "read split"}:
        yield from _resend(model, state, index, sweeper)
    elif sweeper.at.endswith("?"):
        yield from _resend_again(model, state, index, sweeper)
    elif sweeper.at == "send":
        messages = _lost(model, state, sweeper)
        yield "sweeper: sends", idle._replace(visible=(*idle.visible, *messages))
    elif sweeper.at == "purge":
        then = Sweeper("emptied" if model.scenario.chunks else "removed")
        emptied = state._replace(files=frozenset(), pages=frozenset())
        yield "sweeper: deletes the objects", with_sweeper(emptied, index, then)
    elif sweeper.at == "emptied":
        left = state.chunks if model.has("no removal") else ()
        yield "sweeper: deletes the chunks", with_sweeper(put_chunks(state, left), index, Sweeper("removed"))
    else:
        for answer, after in send(model, state, Write("purged")):
            if answer is not Answer.LOST:  # to be taken off the index twice is nothing
                yield f"sweeper: purged {answer}", with_sweeper(after, index, Sweeper())
    if state.faults.crash:
        yield (
            f"sweeper, {sweeper.at}: dies",
            spend(settled(idle) if "?" in sweeper.at else idle, "crash"),
        )


def _resend(model: Model, state: State, index: int, sweeper: Sweeper) -> Iterator[Step]:
    transition = "resend" if sweeper.at == "read" else "resend split"
    for answer, after in send(model, state, Write(transition, is_fresh=sweeper.is_fresh)):
        name = f"sweeper: {transition} {answer}"
        if answer is Answer.LOST:
            yield name, with_sweeper(after, index, Sweeper(f"{transition}?", is_fresh=True))
        else:
            yield name, _resent(model, after, index, sweeper, transition, answer)


def _resend_again(model: Model, state: State, index: int, sweeper: Sweeper) -> Iterator[Step]:
    transition = sweeper.at.removesuffix("?")
    answer, after = send_again(model, state, Write(transition, is_fresh=sweeper.is_fresh))
    outdated = sweeper._replace(is_fresh=False)  # what it had read
    name = f"sweeper: {transition} is sent again and {answer}"
    yield name, _resent(model, after, index, outdated, transition, answer)


def _resent(model: Model, state: State, index: int, sweeper: Sweeper, transition: str, answer: Answer) -> State:
    if answer is Answer.DONE:
        split = 0 if model.has("no lost chunks") else to_be_sent(state.item)
        return with_sweeper(state, index, Sweeper("send", split=split))
    is_tried = second_write(state.item, transition) or (transition == "resend" and model.has("blind"))
    if answer is Answer.REFUSED and is_tried:
        return with_sweeper(state, index, Sweeper("read split", is_fresh=sweeper.is_fresh))
    return with_sweeper(state, index, Sweeper())


def _lost(model: Model, state: State, sweeper: Sweeper) -> tuple[Message, ...]:
    """The job's message, or those of the first chunks that nobody works on."""
    if not sweeper.split:
        return (Message(),)
    free = [chunk for chunk in state.chunks_of(sweeper.split) if chunk.status != "DONE" and chunk.is_free]
    return tuple(Message(0, chunk.split, chunk.number) for chunk in free[: model.scenario.window])


def _look(model: Model, state: State, index: int) -> Iterator[Step]:
    item = state.item
    if not item.is_open or model.has("no sweeper"):
        return
    read = with_sweeper(state, index, Sweeper("read", is_fresh=True))
    if item.is_erased:
        if item.is_ripe or model.has("purge at once"):
            yield "sweeper: reads of a tombstone", with_sweeper(state, index, Sweeper("purge"))
    elif (item.is_free or item.is_unheld) and not state.messages:
        yield "sweeper: reads of a job without a message", read
    elif (item.is_free or item.is_unheld) and state.faults.sweep:
        yield "sweeper: reads of a job that nobody took", spend(read, "sweep")
    elif state.faults.early:
        yield "sweeper: reads of a job that is not due", spend(read, "early")


def _letters(model: Model, state: State) -> Iterator[Step]:
    """The sweeper's look at strayed letters."""
    if state.is_sorting:
        yield "sweeper: deletes a strayed letter", state._replace(is_sorting=False)
    elif state.letters and not model.has("no sorting") and (state.item.is_erased or state.item.status != "FAILED"):
        yield "sweeper: finds a strayed letter", state._replace(letters=state.letters - 1, is_sorting=True)


def _operator(model: Model, state: State) -> Iterator[Step]:
    """The command ``dlq redrive``."""
    if not state.operator:
        if state.letters and state.faults.redrive:
            yield (
                "operator: takes a letter",
                spend(state._replace(letters=state.letters - 1, operator="took"), "redrive"),
            )
        return
    if state.operator == "took":
        for answer, after in send(model, state, Write("redrive")):
            if answer is not Answer.LATE:  # as if it had been sent later
                then = {Answer.DONE: "send", Answer.LOST: "redrive?"}.get(answer, "delete")
                yield f"operator: redrive {answer}", after._replace(operator=then)
    elif state.operator == "redrive?":
        answer, after = send_again(model, state, Write("redrive"))
        then = "send" if answer is Answer.DONE else "delete"
        yield f"operator: redrive is sent again and {answer}", after._replace(operator=then)
    elif state.operator == "send":
        yield "operator: sends", state._replace(operator="delete", visible=(*state.visible, Message()))
    else:
        yield "operator: deletes the letter", state._replace(operator="")
    if state.faults.crash:
        freed = settled(state) if "?" in state.operator else state
        freed = freed._replace(operator="", letters=state.letters + 1)
        yield f"operator, {state.operator}: stops", spend(freed, "crash")
