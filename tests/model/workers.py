"""What a worker may do next with a job, place by place, as processing.py and fan_out.py say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.chunks import chunk_steps, receive_chunk
from tests.model.state import IDLE, Item, Message, Page, State, Worker, Write, fresh_split, leave, spend, with_worker
from tests.model.store import Answer, Model, second_write, send, send_again, settled

Step = tuple[str, State]

#: Where a worker believes that it has the lease.
AT_WORK = frozenset({
    "claim?", "claim home?", "working", "renewed", "hidden", "cut", "then", "cut, create?", "then, create?", "split?",
    "uploaded", "failing", "giving back", "complete?", "fail?", "release?",
})  # fmt: skip


def worker_steps(model: Model, state: State) -> Iterator[Step]:
    """Whatever one of the workers may do."""
    for index, worker in enumerate(state.workers):
        if index and worker == state.workers[index - 1]:
            continue  # twins
        if worker.at == "idle":
            yield from _receive(model, state, index)
            continue
        if state.faults.crash:
            dead = spend(leave(state, index), "crash")
            yield f"worker, {worker.at}: dies", settled(dead) if worker.at.endswith("?") else dead
        if worker.number:
            yield from chunk_steps(model, state, index, worker)
        else:
            yield from _PLACES[worker.at](model, state, index, worker)


def _receive(model: Model, state: State, index: int) -> Iterator[Step]:
    def taken(rest: State, message: Message) -> Step:
        counted = message.receives + 1 if model.scenario.max_receives else 0
        worker = Worker("got", handle="mine", receives=counted, split=message.split, number=message.number)
        if message.number:
            return receive_chunk(rest, index, worker)
        return "worker: receives", with_worker(rest, index, worker)

    def is_spent(receives: int) -> bool:
        return 0 < model.scenario.max_receives <= receives

    for place, message in enumerate(state.visible):
        is_twin = place and message == state.visible[place - 1]
        if not is_twin and not is_spent(message.receives):
            yield taken(state._replace(visible=state.visible[:place] + state.visible[place + 1 :]), message)
    for other, worker in enumerate(state.workers):
        if worker.handle == "shown" and not is_spent(worker.receives):
            yield taken(with_worker(state, other, worker._replace(handle="stale", receives=0)), worker.message)


def _claim(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    transition = "claim" if worker.at == "got" else "claim home"
    for answer, after in send(model, state, Write(transition)):
        claimed = worker._replace(attempt=after.item.attempt, split=after.item.split)
        if answer is Answer.DONE:
            working = with_worker(after, index, claimed._replace(at="working"))
            yield f"worker: {transition} is done", _delete(working, index) if model.has("delete first") else working
        elif answer is Answer.LOST:
            yield f"worker: {transition} {answer}", with_worker(after, index, claimed._replace(at=f"{transition}?"))
        elif answer is Answer.LATE:
            yield f"worker: {transition} {answer}", leave(after, index)
        else:
            yield _refused(model, after, index, worker, transition)


def _claim_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    transition = worker.at.removesuffix("?")
    write = Write(transition, attempt=worker.attempt, is_old=True)
    answer, after = send_again(model, state, write)
    if answer is Answer.DONE:
        # The store reads the attempt from the item that shows this claim.
        working = worker._replace(at="working", attempt=after.item.attempt, split=after.item.split)
        yield f"worker: {transition} is sent again and is done", with_worker(after, index, working)
    else:
        name, step = _refused(model, after, index, worker, transition)
        yield f"worker: {transition} is sent again and is refused; {name}", step


def _refused(model: Model, state: State, index: int, worker: Worker, transition: str) -> Step:
    if second_write(state.item, transition) or (transition == "claim" and model.has("blind")):
        unheld = worker._replace(at="finds home", attempt=0, split=0)
        return "worker: finds its chunks home", with_worker(state, index, unheld)
    return _not_claimed(model, state, index, worker._replace(split=0))


def why_not_claimed(item: Item) -> str:
    """What the store says of an item that refused a claim."""
    if not item.exists:
        return "no job"
    if item.is_over:
        return "over"
    if item.status == "PROCESSING" and item.lease == "live":
        return "busy"
    return "out" if item.chunks_left else "spent"


def _not_claimed(model: Model, state: State, index: int, worker: Worker) -> Step:
    why = why_not_claimed(state.item)
    name = f"worker: finds it {why}"
    if why == "over":
        # Whoever gave it up may have died before the letter.
        is_given_up = state.item.failure == "out_of_attempts" and not state.item.is_erased
        writes = is_given_up and not model.has("no second letter") and not model.has("letter first")
        return name, with_worker(state, index, worker._replace(at="letter" if writes else "done", attempt=0))
    if why == "out":
        # What waits for its chunks is brought back by the last of them, or by the sweeper.
        return name, with_worker(state, index, worker._replace(at="done", attempt=0))
    if why == "spent":
        return name, with_worker(state, index, worker._replace(at="spent", attempt=state.item.attempt))
    if why == "busy":
        # Hidden for the rest of the lease that it met.
        return name, leave(state, index, "visible" if model.has("bounce") else "waiting")
    return "worker: finds no job", leave(state, index)


def _give_up(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    if model.has("letter first"):
        letter = state._replace(letters=state.letters + 1)
        yield "worker: writes the letter", with_worker(letter, index, worker._replace(at="letter"))
        return
    yield from _exhaust(model, state, index, worker, then="letter")


def _letter(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    if model.has("letter first"):
        yield from _exhaust(model, state, index, worker, then="done")
        return
    letter = state._replace(letters=state.letters + 1)
    yield "worker: writes the letter", with_worker(letter, index, worker._replace(at="done", attempt=0))


def _exhaust(model: Model, state: State, index: int, worker: Worker, *, then: str) -> Iterator[Step]:
    for answer, after in send(model, state, Write("exhaust", worker.attempt)):
        if answer is Answer.DONE:
            yield "worker: exhaust is done", with_worker(after, index, worker._replace(at=then))
        elif answer is Answer.LOST:
            yield f"worker: exhaust {answer}", with_worker(after, index, worker._replace(at="exhaust?"))
        else:
            yield f"worker: exhaust {answer}", leave(after, index)


def _exhaust_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, Write("exhaust", worker.attempt))
    name = f"worker: exhaust is sent again and {answer}"
    yield (
        name,
        with_worker(after, index, worker._replace(at="letter")) if answer is Answer.DONE else leave(after, index),
    )


def _work(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    faults = state.faults
    if worker.split:
        yield _assemble(model, state, index, worker)
    elif model.scenario.chunks:
        yield _cut(model, state, index, worker)
    else:
        yield _upload(model, state, index, worker)
    if faults.permanent:
        failing = with_worker(state, index, worker._replace(at="failing"))
        yield "worker: finds the document broken", spend(failing, "permanent")
    for fault, is_refund in (("transient", False), ("outage", True)):
        if getattr(faults, fault):
            given = with_worker(state, index, worker._replace(at="giving back", is_refund=is_refund))
            yield f"worker: meets a {fault} error", spend(given, fault)
    if state.item.lease == "lapsed" or faults.beat:
        beating = state if state.item.lease == "lapsed" else spend(state, "beat")
        if model.has("hide before renew"):
            yield "worker: hides the message", with_worker(beating, index, worker._replace(at="hidden"))
        else:
            yield from _renew(model, beating, index, worker, then="renewed")


def _upload(model: Model, state: State, index: int, worker: Worker) -> Step:
    others = frozenset({file for file in state.files if file < 0} if model.has("shared key") else state.files)
    uploaded = state._replace(files=others | {worker.attempt})
    return "worker: uploads", with_worker(uploaded, index, worker._replace(at="uploaded"))


def _assemble(model: Model, state: State, index: int, worker: Worker) -> Step:
    """Collect the pages and draw the result: as they are now, for what was fetched is the worker's own."""
    if not pages_of(model, worker.split) <= state.pages:
        return "worker: misses a page", with_worker(state, index, worker._replace(at="failing"))
    if model.has("tidy first"):
        state = state._replace(pages=_others(state, worker.split))
    return _upload(model, state, index, worker)


def pages_of(model: Model, split: int) -> set[Page]:
    """All that the chunks of a split are to store."""
    numbers, pages = range(1, model.scenario.chunks + 1), range(1, model.scenario.pages + 1)
    return {Page(split, number, page) for number in numbers for page in pages}


def _cut(model: Model, state: State, index: int, worker: Worker) -> Step:
    split = 1 if model.has("shared split") else fresh_split(state)
    files = {Page(split, number, 0) for number in range(1, model.scenario.chunks + 1)}
    cut = state._replace(pages=state.pages | files)
    return "worker: cuts the document up", with_worker(cut, index, worker._replace(at="cut", split=split))


def _fan_out(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    """The chunks, one by one; then the split; then the first of their messages."""
    order = ["create", "split", "send"]
    if model.has("split before create"):
        order = ["split", "create", "send"]
    elif model.has("send before split"):
        order = ["create", "send", "split"]
    places = {"cut": 0, "then": 1, "at last": 2}
    step = order[places[worker.at]]
    then = [*places, "done"][places[worker.at] + 1]
    if step == "create":
        yield from _create_chunks(model, state, index, worker, then)
    elif step == "split":
        yield from _split(model, state, index, worker, then)
    else:
        first = range(1, min(model.scenario.window, model.scenario.chunks) + 1)
        messages = tuple(Message(0, worker.split, number) for number in first)
        sent = state._replace(visible=state.visible + messages)
        yield "worker: sends the first chunks", with_worker(sent, index, worker._replace(at=then))


def _create_chunks(model: Model, state: State, index: int, worker: Worker, then: str) -> Iterator[Step]:
    there = {chunk.number for chunk in state.chunks_of(worker.split)}
    number = next((number for number in range(1, model.scenario.chunks + 1) if number not in there), 0)
    if not number:
        yield "worker: has made all chunks", with_worker(state, index, worker._replace(at=then))
        return
    for answer, after in send(model, state, Write("chunk create", split=worker.split, number=number)):
        name = f"worker: create of chunk {number} {answer}"
        if answer is Answer.DONE:
            yield name, after
        elif answer is Answer.LOST:
            yield name, with_worker(after, index, worker._replace(at=f"{worker.at}, create?", page=number))
        elif answer is Answer.LATE:
            yield name, with_worker(after, index, worker._replace(at="giving back", is_refund=True, split=0))


def _split(model: Model, state: State, index: int, worker: Worker, then: str) -> Iterator[Step]:
    for answer, after in send(model, state, Write("split", worker.attempt, split=worker.split)):
        name = f"worker: split {answer}"
        if answer is Answer.DONE:
            yield name, with_worker(after, index, worker._replace(at=then))
        elif answer is Answer.LOST:
            yield name, with_worker(after, index, worker._replace(at="split?"))
        elif answer is Answer.LATE:
            yield name, with_worker(after, index, worker._replace(at="giving back", is_refund=True, split=0))
        else:
            yield name, leave(after, index)


def _split_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, Write("split", worker.attempt, split=worker.split))
    then = with_worker(after, index, worker._replace(at="at last")) if answer is Answer.DONE else leave(after, index)
    yield f"worker: split is sent again and {answer}", then


def _create_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, Write("chunk create", split=worker.split, number=worker.page))
    then = worker._replace(at=worker.at.removesuffix(", create?"), page=0)
    name = f"worker: create of chunk {worker.page} is sent again and {answer}"
    yield name, with_worker(after, index, then) if answer is Answer.DONE else leave(after, index)


def _hide_after_renewing(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    # With a handle that still works, a message that showed is hidden once more.
    handle = "mine" if worker.handle == "shown" else worker.handle
    yield "worker: hides the message", with_worker(state, index, worker._replace(at="working", handle=handle))


def _renew_after_hiding(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    yield from _renew(model, state, index, worker, then="working")


def _renew(model: Model, state: State, index: int, worker: Worker, *, then: str) -> Iterator[Step]:
    for answer, after in send(model, state, Write("renew", worker.attempt)):
        name = f"worker: renew {answer}"
        if answer is Answer.DONE:
            yield name, with_worker(after, index, worker._replace(at=then))
        elif answer is Answer.REFUSED:
            yield name, leave(after, index)
        elif answer is Answer.LATE:
            yield name, with_worker(after, index, worker._replace(at="working"))


def _finish(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    transition = "complete" if worker.at == "uploaded" else "fail"
    for answer, after in send(model, state, Write(transition, worker.attempt)):
        name = f"worker: {transition} {answer}"
        if answer is Answer.DONE:
            yield name, with_worker(after, index, _finished(worker, transition))
        elif answer is Answer.LOST:
            yield name, with_worker(after, index, worker._replace(at=f"{transition}?"))
        elif answer is Answer.LATE:
            # The worker takes DynamoDB for away.
            yield name, with_worker(after, index, worker._replace(at="giving back", is_refund=True))
        else:
            yield name, leave(after, index)


def _finish_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    transition = worker.at.removesuffix("?")
    answer, after = send_again(model, state, Write(transition, worker.attempt))
    name = f"worker: {transition} is sent again and {answer}"
    finished = with_worker(after, index, _finished(worker, transition))
    yield name, finished if answer is Answer.DONE else leave(after, index)


def _finished(worker: Worker, transition: str) -> Worker:
    return worker._replace(at="tidy" if worker.split and transition == "complete" else "done")


def _tidy(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    tidied = state._replace(pages=_others(state, worker.split))
    yield "worker: deletes the pages", with_worker(tidied, index, worker._replace(at="done"))


def _others(state: State, split: int) -> frozenset[Page]:
    return frozenset(page for page in state.pages if page.split != split)


def _give_back(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    for answer, after in send(model, state, _release(worker)):
        lost = with_worker(after, index, worker._replace(at="release?"))
        yield f"worker: release {answer}", lost if answer is Answer.LOST else leave(after, index)


def _give_back_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, _release(worker))
    yield f"worker: release is sent again and {answer}", leave(after, index)


def _release(worker: Worker) -> Write:
    return Write("release", worker.attempt, is_refund=worker.is_refund)


def _done(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    yield "worker: deletes the message", with_worker(_delete(state, index), index, IDLE)
    if state.faults.lost_delete and worker.handle in {"mine", "shown"}:
        yield "worker: its delete is lost", spend(leave(state, index), "lost_delete")


def _delete(state: State, index: int) -> State:
    """With a stale handle nothing happens: the worst that AWS documents."""
    return with_worker(state, index, state.workers[index]._replace(handle="stale", receives=0))


_PLACES: dict[str, Callable[[Model, State, int, Worker], Iterator[Step]]] = {
    "got": _claim,
    "claim?": _claim_again,
    "finds home": _claim,
    "claim home?": _claim_again,
    "spent": _give_up,
    "exhaust?": _exhaust_again,
    "letter": _letter,
    "working": _work,
    "renewed": _hide_after_renewing,
    "hidden": _renew_after_hiding,
    "cut": _fan_out,
    "cut, create?": _create_again,
    "then": _fan_out,
    "then, create?": _create_again,
    "split?": _split_again,
    "at last": _fan_out,
    "uploaded": _finish,
    "failing": _finish,
    "complete?": _finish_again,
    "fail?": _finish_again,
    "giving back": _give_back,
    "release?": _give_back_again,
    "tidy": _tidy,
    "done": _done,
}
