"""What a worker may do next with a chunk, place by place, as chunks.py of the worker says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.state import IDLE, Message, Page, State, Worker, Write, leave, put, spend, with_worker
from tests.model.store import Answer, Model, send, send_again

Step = tuple[str, State]

#: Where a worker believes that it has the lease.
AT_WORK = frozenset({
    "claim?", "skip?", "giving up", "working", "stored", "reading", "renewed", "renewed, reading", "sent", "woken",
    "home?", "failing", "fail job?", "giving back", "release?",
})  # fmt: skip


def receive_chunk(state: State, index: int, worker: Worker) -> Step:
    """The message comes, and the worker looks at the job: does it wait for this chunk?"""
    if state.item.waits_for(worker.split):
        return f"chunk {worker.number}: receives", with_worker(state, index, worker)
    unwanted = with_worker(state, index, worker._replace(at="done"))
    return f"chunk {worker.number}: receives, and nobody waits for it", unwanted


def chunk_steps(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    """Whatever this worker may do next with its chunk."""
    for name, after in _PLACES[worker.at](model, state, index, worker):
        yield f"chunk {worker.number}: {name}", after


def _write(worker: Worker, transition: str, *, is_old: bool = False, has_stored: bool = False) -> Write:
    return Write(
        transition,
        worker.attempt,
        is_refund=worker.is_refund,
        is_old=is_old,
        split=worker.split,
        number=worker.number,
        has_stored=has_stored,
    )


def _attempt(state: State, worker: Worker) -> int:
    chunk = state.chunk(worker.split, worker.number)
    return chunk.attempt if chunk else 0


def _take(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    """Claim, or skip."""
    transition = "claim" if worker.at == "got" else "skip"
    for answer, after in send(model, state, _write(worker, f"chunk {transition}")):
        taken = worker._replace(attempt=_attempt(after, worker))
        if answer is Answer.DONE:
            name, step = _taken(model, after, index, taken, transition)
            yield name, _delete(step, index) if model.has("delete before home") else step
        elif answer is Answer.LOST:
            yield f"{transition} {answer}", with_worker(after, index, taken._replace(at=f"{transition}?"))
        elif answer is Answer.LATE:
            yield f"{transition} {answer}", leave(after, index)
        else:
            yield _not_taken(model, after, index, worker, transition)


def _take_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    transition = worker.at.removesuffix("?")
    answer, after = send_again(model, state, _write(worker, f"chunk {transition}", is_old=True))
    if answer is Answer.DONE:
        # The store reads the attempt from the item that shows this claim.
        name, step = _taken(model, after, index, worker._replace(attempt=_attempt(after, worker)), transition)
        yield f"{name}, sent again", step
    else:
        name, step = _not_taken(model, after, index, worker, transition)
        yield f"{transition} is sent again and is refused; {name}", step


def _taken(model: Model, state: State, index: int, worker: Worker, transition: str) -> Step:
    """What is missing is seen now: a page that comes meanwhile is a twin's, and as good."""
    page = _first_missing(model, state, worker)
    if transition == "skip" and page:
        return "skip is done", with_worker(state, index, worker._replace(at="giving up", page=page))
    return f"{transition} is done", with_worker(state, index, worker._replace(at="working"))


def _first_missing(model: Model, state: State, worker: Worker) -> int:
    pages = range(1, model.scenario.pages + 1)
    return next((page for page in pages if Page(worker.split, worker.number, page) not in state.pages), 0)


def why_not_taken(state: State, split: int, number: int) -> str:
    """What the store says of a chunk that refused a claim or a skip."""
    chunk = state.chunk(split, number)
    if chunk is None:
        return "no chunk"
    if chunk.status == "DONE":
        return "home"
    return "spent" if chunk.is_free else "busy"


def _not_taken(model: Model, state: State, index: int, worker: Worker, transition: str) -> Step:
    why = why_not_taken(state, worker.split, worker.number)
    name = f"is found {why}"
    if why == "no chunk":
        return name, with_worker(state, index, worker._replace(at="done", attempt=0))
    if why == "home":
        # Perhaps its worker died before it could wake the job.
        then = "done" if model.has("no second wake") else "wake"
        return name, with_worker(state, index, worker._replace(at=then, attempt=0))
    if why == "busy":
        return name, leave(state, index, "waiting")
    if transition == "claim":
        seen = worker._replace(at="spent", attempt=_attempt(state, worker))
        return name, with_worker(state, index, seen)
    return name, leave(state, index)  # another worker takes it over, at this very moment


def _work(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    """``working`` has stored nothing yet, ``reading`` has."""
    faults = state.faults
    page = _first_missing(model, state, worker)
    if page and not model.has("home before pages"):
        then = "stored" if worker.at == "working" else "reading"
        stored = state._replace(pages=state.pages | {Page(worker.split, worker.number, page)})
        yield f"stores page {page}", with_worker(stored, index, worker._replace(at=then))
    else:
        yield from _go_home(model, state, index, worker)
    if faults.permanent:
        failing = with_worker(state, index, worker._replace(at="failing"))
        yield "finds the document broken", spend(failing, "permanent")
    for fault, is_refund in (("transient", False), ("outage", True)):
        if getattr(faults, fault):
            given = with_worker(state, index, worker._replace(at="giving back", is_refund=is_refund))
            yield f"meets a {fault} error", spend(given, fault)
    chunk = state.chunk(worker.split, worker.number)
    is_due = chunk is not None and chunk.lease == "lapsed"
    if is_due or faults.beat:
        yield from _beat(model, state if is_due else spend(state, "beat"), index, worker)


def _give_up_page(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    stored = state._replace(pages=state.pages | {Page(worker.split, worker.number, worker.page)})
    yield f"gives up page {worker.page}", with_worker(stored, index, worker._replace(at="stored", page=0))


def _has_stored(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    yield from _renew(model, state, index, worker, then="reading", has_stored=True)


def _beat(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    then = "renewed" if worker.at == "working" else "renewed, reading"
    yield from _renew(model, state, index, worker, then=then)


def _renew(
    model: Model, state: State, index: int, worker: Worker, *, then: str, has_stored: bool = False
) -> Iterator[Step]:
    for answer, after in send(model, state, _write(worker, "chunk renew", has_stored=has_stored)):
        name = f"renew {answer}"
        if answer is Answer.DONE:
            yield name, with_worker(after, index, worker._replace(at=then))
        elif answer is Answer.REFUSED:
            yield name, leave(after, index)
        elif answer is Answer.LATE and has_stored:
            yield name, with_worker(after, index, worker._replace(at="giving back", is_refund=True))
        elif answer is Answer.LATE:
            yield name, with_worker(after, index, worker)  # the heartbeat tries again


def _hide(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    # With a handle that still works, a message that showed is hidden once more.
    handle = "mine" if worker.handle == "shown" else worker.handle
    at = "working" if worker.at == "renewed" else "reading"
    yield "hides the message", with_worker(state, index, worker._replace(at=at, handle=handle))


def _go_home(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    then = "counting" if model.has("bare count") else "home"
    if model.has("next before home") and worker.at != "sent":
        yield _send_next(model, state, index, worker, then="sent")
        return
    if model.has("wake before home") and worker.at != "woken":
        yield _wake_up(state, index, worker, then="woken")
        return
    for answer, after in send(model, state, _write(worker, "chunk home")):
        name = f"home {answer}"
        if answer is Answer.DONE:
            yield name, with_worker(after, index, worker._replace(at=then))
        elif answer is Answer.LOST:
            yield name, with_worker(after, index, worker._replace(at="home?"))
        elif answer is Answer.LATE:
            yield name, with_worker(after, index, worker._replace(at="giving back", is_refund=True))
        else:
            yield name, leave(after, index)


def _go_home_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, _write(worker, "chunk home"))
    then = "counting" if model.has("bare count") else "home"
    name = f"home is sent again and {answer}"
    yield name, with_worker(after, index, worker._replace(at=then)) if answer is Answer.DONE else leave(after, index)


def _count(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    """Not what the store does: the mutant of a bare ``ADD``."""
    counted = put(state, state.item._replace(chunks_left=state.item.chunks_left - 1))
    yield "is counted", with_worker(counted, index, worker._replace(at="home"))
    if state.faults.lost:
        yield "is counted, but the response is lost", spend(counted, "lost")


def _next(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    is_last = worker.number + model.scenario.window > model.scenario.chunks
    if is_last or model.has("next before home") or model.has("no next"):
        yield from _wake(model, state, index, worker)
    else:
        yield _send_next(model, state, index, worker, then="wake")


def _send_next(model: Model, state: State, index: int, worker: Worker, *, then: str) -> Step:
    following = worker.number + model.scenario.window
    if following <= model.scenario.chunks:
        state = state._replace(visible=(*state.visible, Message(0, worker.split, following)))
    return "sends the next", with_worker(state, index, worker._replace(at=then))


def _wake(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    if model.has("wake before home"):
        yield "has woken the job", with_worker(state, index, worker._replace(at="done", attempt=0))
    else:
        yield _wake_up(state, index, worker._replace(attempt=0), then="done")


def _wake_up(state: State, index: int, worker: Worker, *, then: str) -> Step:
    item = state.item
    if item.waits_for(worker.split) and not item.chunks_left and not item.lease:
        state = state._replace(visible=(*state.visible, Message()))
    return "wakes the job if all are home", with_worker(state, index, worker._replace(at=then))


def _fail_job(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    for answer, after in send(model, state, _write(worker, "chunk fail job")):
        name = f"fail job {answer}"
        if answer is Answer.DONE:
            yield name, with_worker(after, index, worker._replace(at="done"))
        elif answer is Answer.LOST:
            yield name, with_worker(after, index, worker._replace(at="fail job?"))
        elif answer is Answer.LATE:
            yield name, with_worker(after, index, worker._replace(at="giving back", is_refund=True))
        else:
            yield name, leave(after, index)


def _fail_job_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, _write(worker, "chunk fail job"))
    done = with_worker(after, index, worker._replace(at="done"))
    yield f"fail job is sent again and {answer}", done if answer is Answer.DONE else leave(after, index)


def _give_back(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    for answer, after in send(model, state, _write(worker, "chunk release")):
        lost = with_worker(after, index, worker._replace(at="release?"))
        yield f"release {answer}", lost if answer is Answer.LOST else leave(after, index)


def _give_back_again(model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    answer, after = send_again(model, state, _write(worker, "chunk release"))
    yield f"release is sent again and {answer}", leave(after, index)


def _done(_model: Model, state: State, index: int, worker: Worker) -> Iterator[Step]:
    yield "deletes the message", with_worker(state, index, IDLE)
    if state.faults.lost_delete and worker.handle in {"mine", "shown"}:
        yield "its delete is lost", spend(leave(state, index), "lost_delete")


def _delete(state: State, index: int) -> State:
    return with_worker(state, index, state.workers[index]._replace(handle="stale", receives=0))


_PLACES: dict[str, Callable[[Model, State, int, Worker], Iterator[Step]]] = {
    "got": _take,
    "claim?": _take_again,
    "spent": _take,
    "skip?": _take_again,
    "giving up": _give_up_page,
    "working": _work,
    "stored": _has_stored,
    "reading": _work,
    "renewed": _hide,
    "renewed, reading": _hide,
    "sent": _go_home,
    "woken": _go_home,
    "home?": _go_home_again,
    "counting": _count,
    "home": _next,
    "wake": _wake,
    "failing": _fail_job,
    "fail job?": _fail_job_again,
    "giving back": _give_back,
    "release?": _give_back_again,
    "done": _done,
}
