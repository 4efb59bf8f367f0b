"""What the protocol promises of a job that is split: of every step, and of every state."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.state import Chunk, Page, State, Worker, Write
from tests.model.store import Answer, Model
from tests.model.workers import pages_of

_FENCED = frozenset({"chunk renew", "chunk release", "chunk home", "chunk fail job"})
_WORKS = frozenset({"giving up", "working", "stored", "reading", "renewed", "renewed, reading", "failing"})
_IS_SPLIT = frozenset({f"worker: split {Answer.DONE}", f"worker: split is sent again and {Answer.DONE}"})
_GOING_HOME = frozenset({"working", "reading", "sent", "woken", "home?"})


def broken_by_chunk_step(model: Model, before: State, name: str, after: State) -> str:
    """The promise that a step breaks, or nothing."""
    return next(_broken_by_step(model, before, name, after), "")


def broken_in_chunk_state(model: Model, state: State) -> str:
    """The promise that a state breaks, or nothing."""
    return next(_broken_in_state(model, state), "")


def _broken_by_step(model: Model, before: State, name: str, after: State) -> Iterator[str]:
    if after.chunks != before.chunks:
        for chunk in before.chunks:
            then = after.chunk(chunk.split, chunk.number)
            if then is not None and then != chunk:
                yield from _of_a_chunk(model, before, chunk, then)
                yield from _of_its_writer(before, chunk, then, after)
    if after.workers != before.workers:
        for worker, now in zip(before.workers, after.workers, strict=True):
            if worker != now:
                yield from _of_a_worker(before, worker, name, now, after)
    if after.item.failure == "document" != before.item.failure:
        yield from _of_the_failure(before, after)
    if after.item.status == "DONE" != before.item.status and not _is_whole(model, before):
        yield "a job is done whose chunks are not all home, or whose pages are not all there"
    yield from _of_the_purge(model, before, name, after)


def _of_the_purge(model: Model, before: State, name: str, after: State) -> Iterator[str]:
    # A worker that was paused, or a write that was under way for longer than a lease, may come after the purge.
    faults, spent = model.scenario.faults, after.faults
    if (spent.lapse, spent.delay, spent.copy) != (faults.lapse, faults.delay, faults.copy):
        return
    is_purged = not before.item.exists or (before.item.is_erased and not before.item.is_open)
    if is_purged and (after.pages - before.pages or _keys(after) - _keys(before)):
        yield "a page or a chunk came after the purge, from a worker that was never paused"
    if "sweeper: purged" in name and after.chunks:
        yield "chunks of an erased job are left behind"


def _of_a_chunk(model: Model, before: State, chunk: Chunk, then: Chunk) -> Iterator[str]:
    if then.attempt < chunk.attempt:
        yield "a chunk's fencing token went backwards"
    if chunk.status == "DONE" and then._replace(lease=chunk.lease) != chunk:
        yield "a chunk that is home was changed"
    if then.attempt > chunk.attempt:
        if chunk.lease == "live":
            yield "a live lease of a chunk was taken over"
        is_skip = then.budget_used != chunk.budget_used + 1
        if is_skip and chunk.budget_used < model.scenario.budget:
            yield "a page was given up before the budget of its chunk was used up"


def _of_its_writer(before: State, chunk: Chunk, then: Chunk, after: State) -> Iterator[str]:
    """Only the attempt that has a chunk changes it, but for a claim, a skip and the time."""
    if then.attempt != chunk.attempt:
        return
    late = before.late
    if late and not after.late:
        is_own = chunk.status == "PROCESSING" and late.attempt == chunk.attempt
        if late.transition in _FENCED and not is_own:
            yield "a late write changed a chunk that is not its own any more"
    elif any(worker != now and worker.attempt != chunk.attempt for worker, now in _with(before, after, chunk)):
        yield "a stale worker changed a chunk"


def _with(before: State, after: State, chunk: Chunk) -> Iterator[tuple[Worker, Worker]]:
    """The workers with a chunk, as they were and as they are."""
    for worker, now in zip(before.workers, after.workers, strict=True):
        if worker[5:7] == chunk[:2]:
            yield worker, now


def _of_a_worker(before: State, worker: Worker, name: str, now: Worker, after: State) -> Iterator[str]:
    if not worker.number:
        if name in _IS_SPLIT and after.item.split != worker.split:
            yield "an attempt was told that it had split the job, which another had"
        is_current = worker.attempt == before.item.attempt and not before.item.is_over
        if name == "worker: misses a page" and is_current:
            yield "whoever assembles the document misses a page"
        return
    chunk = before.chunk(worker.split, worker.number)
    is_current = chunk is not None and worker.attempt == chunk.attempt
    if worker.at in _GOING_HOME and now.at in {"home", "counting"} and not is_current:
        yield "a stale attempt brought a chunk home"


def _of_the_failure(before: State, after: State) -> Iterator[str]:
    """Of a job, by one of its chunks."""
    late = before.late
    writers: list[Write | Worker]
    if late and not after.late:
        writers = [late]
    else:
        writers = [worker for worker, now in zip(before.workers, after.workers, strict=True) if worker != now]
    for writer in writers:
        if not writer.number:
            continue
        chunk = before.chunk(writer.split, writer.number)
        is_current = chunk and chunk.status == "PROCESSING" and chunk.attempt == writer.attempt
        if not (is_current and before.item.waits_for(writer.split)):
            yield "a job was failed by a chunk that is none of its own any more"


def _is_whole(model: Model, state: State) -> bool:
    """All chunks of the very split that the job points to are home, and their pages are there."""
    split = state.item.split
    chunks = state.chunks_of(split)
    is_home = len(chunks) == model.scenario.chunks and all(chunk.status == "DONE" for chunk in chunks)
    return bool(split) and is_home and pages_of(model, split) <= state.pages


def _keys(state: State) -> set[tuple[int, ...]]:
    return {chunk[:2] for chunk in state.chunks}


def _broken_in_state(model: Model, state: State) -> Iterator[str]:
    for chunk in state.chunks:
        # A skip costs nothing, and may yet be given back with a refund.
        if not -1 <= chunk.budget_used <= model.scenario.budget:
            yield "the budget of a chunk is overdrawn, or was paid back twice"
        if chunk.lease and chunk.status != "PROCESSING" and not model.has("untidy"):
            yield "a chunk that nobody works on has a lease"
        workers = [worker for worker in state.workers if worker.at in _WORKS and worker[5:7] == chunk[:2]]
        if sum(worker.attempt == chunk.attempt for worker in workers) > 1:
            yield "two workers have the same attempt at a chunk"
    if state.item.split and not state.item.is_erased:
        yield from _of_the_split(model, state)


def _of_the_split(model: Model, state: State) -> Iterator[str]:
    item, chunks = state.item, state.chunks_of(state.item.split)
    if len(chunks) != model.scenario.chunks:
        yield "a split job lacks chunks"
    if item.chunks_left != sum(chunk.status != "DONE" for chunk in chunks):
        yield "a chunk is counted twice, or not at all"
    if item.chunks_left and (item.lease or item.status == "QUEUED"):
        yield "somebody may work on a job, or does, while its chunks are out"
    if item.status == "PROCESSING":
        yield from _of_the_pages(model, state, chunks)
    if state.faults == model.scenario.faults and _count_in_lane(state) > model.scenario.window:
        yield "more chunks are in the lane than have a place there, without any fault"


def _of_the_pages(model: Model, state: State, chunks: tuple[Chunk, ...]) -> Iterator[str]:
    for chunk in chunks:
        if chunk.status != "DONE":
            if Page(chunk.split, chunk.number, 0) not in state.pages:
                yield "a chunk that is wanted has no file"
        elif any(
            Page(chunk.split, chunk.number, page) not in state.pages for page in range(1, model.scenario.pages + 1)
        ):
            yield "a chunk is home without its pages"


def _count_in_lane(state: State) -> int:
    """Messages of chunks that are not home, held or not."""
    held = (worker.message for worker in state.workers if worker.handle in {"mine", "shown"})
    out = {chunk[:2] for chunk in state.chunks if chunk.status != "DONE"}
    return sum(message[1:] in out for message in (*state.visible, *state.hidden, *state.waiting, *held))
