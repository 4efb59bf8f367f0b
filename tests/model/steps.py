"""Everything that may happen next: the API and its client, SQS, time, sweepers, operators; and what workers do."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.state import SOURCE, Item, State, Sweeper, Write, put, spend, with_sweeper, with_worker
from tests.model.store import Answer, Model, send, send_again
from tests.model.workers import AT_WORK, Step, worker_steps


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
            yield "api: sends", state._replace(api=then, visible=(*state.visible, 0))
        else:
            for answer, after in send(model, state, Write("create")):
                if answer is not Answer.LATE:  # the client is told 503, and a job that nobody asks for runs
                    yield f"api: create {answer}", after._replace(api="create?" if answer is Answer.LOST else then)
    if state.faults.crash and state.api in {"1", "2", "create?"}:
        yield "api: dies", spend(state._replace(api="gone", unsure=""), "crash")


def _client(model: Model, state: State) -> Iterator[Step]:
    if state.is_erasing_again:
        answer, after = send_again(model, state, Write("erase"))
        yield f"client: erase is sent again and {answer}", after._replace(is_erasing_again=False)
    elif state.faults.erase:
        for answer, after in send(model, spend(state, "erase"), Write("erase")):
            if answer is not Answer.LATE:  # as if it had been sent later
                yield f"client: erase {answer}", after._replace(is_erasing_again=answer is Answer.LOST)


def _queue(model: Model, state: State) -> Iterator[Step]:
    for place, receives in enumerate(state.hidden):
        hidden = state.hidden[:place] + state.hidden[place + 1 :]
        yield "sqs: a message shows again", state._replace(hidden=hidden, visible=(*state.visible, receives))
    for place, receives in enumerate(state.waiting):
        waiting = state.waiting[:place] + state.waiting[place + 1 :]
        shown = state._replace(waiting=waiting, visible=(*state.visible, receives))
        if state.item.lease != "live":
            yield "sqs: a message shows again", shown
        elif state.faults.visibility:
            yield "sqs: a message shows too early", spend(shown, "visibility")
    for index, worker in enumerate(state.workers):
        if worker.handle == "mine" and state.faults.visibility:
            shown = with_worker(state, index, worker._replace(handle="shown"))
            yield "sqs: a held message shows", spend(shown, "visibility")
    if state.faults.duplicate and state.api == "3" and state.item.exists:
        yield "sqs: delivers twice", spend(state._replace(visible=(*state.visible, 0)), "duplicate")
    if model.scenario.max_receives:
        yield from _backstop(model, state)


def _backstop(model: Model, state: State) -> Iterator[Step]:
    moved = state._replace(letters=state.letters + 1)
    for place, receives in enumerate(state.visible):
        if receives >= model.scenario.max_receives:
            visible = state.visible[:place] + state.visible[place + 1 :]
            yield "sqs: moves a message to the dead letters", moved._replace(visible=visible)
    for index, worker in enumerate(state.workers):
        if worker.handle == "shown" and worker.receives >= model.scenario.max_receives:
            stale = worker._replace(handle="stale", receives=0)
            yield "sqs: moves a message to the dead letters", with_worker(moved, index, stale)


def _time(model: Model, state: State) -> Iterator[Step]:
    item = state.item
    if item.lease == "live":
        lapsed = state._replace(item=item._replace(lease="lapsed"))
        if not any(worker.at in AT_WORK and worker.attempt == item.attempt for worker in state.workers):
            yield "time: the lease of a dead worker ends", lapsed
        elif state.faults.lapse:
            yield "time: the lease of a slow worker ends", spend(lapsed, "lapse")
    if state.late is not None:
        arrived = state._replace(late=None)
        if model.holds(item, state.late):
            arrived = put(arrived, model.written(item, state.late))
        yield f"time: a late {state.late.transition} arrives", arrived
    if item.is_erased:
        yield from _tombstone(model, state)
    if _are_orphans(state) and _is_at_rest(state) and not model.has("no orphan run"):
        yield "operator: removes orphans", state._replace(files=frozenset())


def _tombstone(model: Model, state: State) -> Iterator[Step]:
    if state.item.is_open and not state.item.is_ripe:
        ripe = state._replace(item=state.item._replace(is_ripe=True))
        # A heartbeat that is fenced off, or none for nearly a lease, stops a worker that is not paused.
        if model.has("purge at once") or not any(worker.at in {"working", "renewed"} for worker in state.workers):
            yield "time: a lease has passed since the erasure", ripe
        elif state.faults.lapse:
            yield "time: a lease has passed since the erasure, with a paused worker", spend(ripe, "lapse")
    is_forgotten = _is_at_rest(state) and not state.messages and state.late is None
    if state.faults.expire and is_forgotten and not any("send" in sweeper.at for sweeper in state.sweepers):
        # A tombstone outlives every message and every call; only a sweep may meet it at that very moment.
        yield "time: the tombstone is removed", spend(put(state, Item()), "expire")


def _are_orphans(state: State) -> bool:
    is_purged = state.item.is_erased and not state.item.is_open
    return bool(state.files) and (not state.item.exists or is_purged)


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
    if sweeper.at == "read":
        for answer, after in send(model, state, Write("resend", is_fresh=sweeper.is_fresh)):
            then = {Answer.DONE: Sweeper("send"), Answer.LOST: Sweeper("resend?", is_fresh=True)}.get(answer, Sweeper())
            yield f"sweeper: resend {answer}", with_sweeper(after, index, then)
    elif sweeper.at == "resend?":
        answer, after = send_again(model, state, Write("resend", is_fresh=sweeper.is_fresh))
        then = Sweeper("send") if answer is Answer.DONE else Sweeper()
        yield f"sweeper: resend is sent again and {answer}", with_sweeper(after, index, then)
    elif sweeper.at == "send":
        yield "sweeper: sends", idle._replace(visible=(*idle.visible, 0))
    elif sweeper.at == "purge":
        yield "sweeper: deletes the objects", with_sweeper(state, index, Sweeper("emptied"))._replace(files=frozenset())
    else:
        for answer, after in send(model, state, Write("purged")):
            if answer is not Answer.LOST:  # to be taken off the index twice is nothing
                yield f"sweeper: purged {answer}", with_sweeper(after, index, Sweeper())
    if state.faults.crash:
        yield (
            f"sweeper, {sweeper.at}: dies",
            spend(idle._replace(unsure="" if "?" in sweeper.at else state.unsure), "crash"),
        )


def _look(model: Model, state: State, index: int) -> Iterator[Step]:
    item = state.item
    if not item.is_open or model.has("no sweeper"):
        return
    read = with_sweeper(state, index, Sweeper("read", is_fresh=True))
    if item.is_erased:
        if item.is_ripe or model.has("purge at once"):
            yield "sweeper: reads of a tombstone", with_sweeper(state, index, Sweeper("purge"))
    elif item.is_free and not state.messages:
        yield "sweeper: reads of a job without a message", read
    elif item.is_free and state.faults.sweep:
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
        yield "operator: sends", state._replace(operator="delete", visible=(*state.visible, 0))
    else:
        yield "operator: deletes the letter", state._replace(operator="")
    if state.faults.crash:
        freed = state._replace(
            operator="", letters=state.letters + 1, unsure="" if "?" in state.operator else state.unsure
        )
        yield f"operator, {state.operator}: stops", spend(freed, "crash")
