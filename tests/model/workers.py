"""What a worker may do next, place by place, as processing.py says."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.state import IDLE, Item, State, Worker, Write, leave, spend, with_worker
from tests.model.store import Answer, Model, send, send_again

Step = tuple[str, State]

#: Where a worker believes that it has the lease.
AT_WORK = frozenset({
    "claim?", "working", "renewed", "hidden", "uploaded", "failing", "giving back", "complete?", "fail?", "release?",
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
            yield f"worker, {worker.at}: dies", dead._replace(unsure="") if worker.at.endswith("?") else dead
        yield from _PLACES[worker.at](model, state, index, worker)


def _receive(model: Model, state: State, index: int) -> Iterator[Step]:
    def taken(rest: State, receives: int) -> Step:
        counted = receives + 1 if model.scenario.max_receives else 0
        return "worker: receives", with_worker(rest, index, Worker("got", handle="mine", receives=counted))

    def is_spent(receives: int) -> bool:
        return 0 < model.scenario.max_receives <= receives

    for place, receives in enumerate(state.visible):
        if not is_spent(receives):
            yield taken(state._replace(visible=state.visible[:place] + state.visible[place + 1 :]), receives)
    for other, worker in enumerate(state.workers):
        if worker.handle == "shown" and not is_spent(worker.receives):
            yield taken(with_worker(state, other, worker._replace(handle="stale", receives=0)), worker.receives)


def _claim(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    for answer, after in send(model, state, Write("claim")):
        attempt = after.item.attempt
        if answer is Answer.DONE:
            claimed = with_worker(after, index, worker._replace(at="working", attempt=attempt))
            yield "worker: claim is done", _delete(claimed, index) if model.has("delete first") else claimed
        elif answer is Answer.LOST:
            yield f"worker: claim {answer}", with_worker(after, index, worker._replace(at="claim?", attempt=attempt))
        elif answer is Answer.LATE:
            yield f"worker: claim {answer}", leave(after, index)
        else:
            yield _not_claimed(model, after, index, worker)


def _claim_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    write = Write("claim", attempt=worker.attempt, is_old=True)
    answer, after = send_again(model, state, write)
    if answer is Answer.DONE:
        # The store reads the attempt from the item that shows this claim.
        working = worker._replace(at="working", attempt=after.item.attempt)
        yield "worker: claim is sent again and is done", with_worker(after, index, working)
    else:
        name, step = _not_claimed(model, after, index, worker)
        yield f"worker: claim is sent again and is refused; {name}", step


def why_not_claimed(item: Item) -> str:
    """What the store says of an item that refused a claim."""
    if not item.exists:
        return "no job"
    if item.is_over:
        return "over"
    return "busy" if item.status == "PROCESSING" and item.lease == "live" else "spent"


def _not_claimed(model: Model, state: State, index: int, worker: Worker) -> Step:
    why = why_not_claimed(state.item)
    name = f"worker: finds it {why}"
    if why == "over":
        # Whoever gave it up may have died before the letter.
        is_given_up = state.item.failure == "out_of_attempts" and not state.item.is_erased
        writes = is_given_up and not model.has("no second letter") and not model.has("letter first")
        return name, with_worker(state, index, worker._replace(at="letter" if writes else "done", attempt=0))
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
    others = frozenset({file for file in state.files if file < 0} if model.has("shared key") else state.files)
    uploaded = state._replace(files=others | {worker.attempt})
    yield "worker: uploads", with_worker(uploaded, index, worker._replace(at="uploaded"))
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
            yield name, with_worker(after, index, worker._replace(at="done"))
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
    yield name, with_worker(after, index, worker._replace(at="done")) if answer is Answer.DONE else leave(after, index)


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


_PLACES = {
    "got": _claim,
    "claim?": _claim_again,
    "spent": _give_up,
    "exhaust?": _exhaust_again,
    "letter": _letter,
    "working": _work,
    "renewed": _hide_after_renewing,
    "hidden": _renew_after_hiding,
    "uploaded": _finish,
    "failing": _finish,
    "complete?": _finish_again,
    "fail?": _finish_again,
    "giving back": _give_back,
    "release?": _give_back_again,
    "done": _done,
}
