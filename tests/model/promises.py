"""What the protocol promises of every step, of every state, and of every end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.chunk_promises import broken_by_chunk_step, broken_in_chunk_state
from tests.model.state import SOURCE, TERMINAL, State
from tests.model.store import Answer, Model

_FENCED = frozenset({"renew", "complete", "fail", "release", "split"})
_WORKS = frozenset({"working", "renewed", "hidden", "uploaded", "failing"})
_RUNS = frozenset({"QUEUED", "PROCESSING"})
_STOPPED_BEFORE_LEASE_END = ("worker, hidden: dies", f"worker: renew {Answer.REFUSED}")


def broken_by_step(model: Model, before: State, name: str, after: State) -> str:
    """The promise that a step breaks, or nothing."""
    return (
        (_of_the_job(model, before, name, after) if after.item != before.item else "")
        or _of_the_writes(before, name, after)
        or _of_the_messages(model, before, name, after)
        or _of_the_objects(model, before, name)
        or (broken_by_chunk_step(model, before, name, after) if model.scenario.chunks else "")
    )


def broken_in_state(model: Model, state: State) -> str:
    """The promise that a state breaks, or nothing."""
    broken = next(_broken_in_state(model, state), "")
    return broken or (broken_in_chunk_state(model, state) if model.scenario.chunks else "")


def _broken_in_state(model: Model, state: State) -> Iterator[str]:  # noqa: C901 - a list of promises
    item = state.item
    if item.exists and not item.status:
        yield "there is an item without a job"
    if item.lease and item.status != "PROCESSING" and not model.has("untidy"):
        yield "a job that nobody works on has a lease"
    if not 0 <= item.budget_used <= model.scenario.budget:
        yield "the budget is overdrawn, or was paid back twice"
    if state.messages and not item.exists:
        yield "a message names no job"
    if item.exists and not item.is_erased:
        if state.api == "refused":
            yield "a job runs whose client was told that it was not accepted"
        if item.status in _RUNS and not item.is_open:
            yield "nobody looks after a job that is not over"
        if item.status in _RUNS and SOURCE not in state.files:
            yield "an accepted job has no source"
        if item.status == "DONE" and item.result not in state.files:
            yield "a result is not there, or is another attempt's"
    if state.faults == model.scenario.faults and not state.messages and is_left(state):
        yield "a job that met no fault waits for the sweeper"
    if item.failure == "out_of_attempts" and not state.letters and is_settled(state):
        # Where SQS had moved its last message away, the sweeper removes that letter of a job that lives; a worker that
        # gives the job up at this very moment, and dies, leaves none. The list of failed jobs shows it.
        is_moved = model.scenario.max_receives and state.faults.crash < model.scenario.faults.crash
        if not is_moved:
            yield "a job was given up without a dead letter"


def is_left(state: State) -> bool:
    """A job that is not over, and nobody who is about to send a message for it."""
    is_sending = state.api not in {"3", "gone"} or any(sweeper.at for sweeper in state.sweepers)
    return state.item.exists and not (state.item.is_over or is_sending)


def is_settled(state: State) -> bool:
    """Nothing is left to do, for anybody."""
    item = state.item
    return (
        (item.is_over or not item.exists)
        and not item.is_open
        and not state.messages
        and not ((state.files or state.pages) and (item.is_erased or not item.exists))
        and not (state.letters and item.status != "FAILED")
        and all(worker.at == "idle" for worker in state.workers)
        and not any(sweeper.at for sweeper in state.sweepers)
        and not (state.operator or state.is_sorting or state.is_erasing_again or state.late)
        and state.api in {"3", "gone", "refused"}
    )


def _of_the_job(model: Model, before: State, name: str, after: State) -> str:
    was, now = before.item, after.item
    if now.exists and now.attempt < was.attempt:
        return "the fencing token went backwards"
    if was.is_erased and now.exists:
        is_same = now._replace(is_ripe=was.is_ripe, is_open=was.is_open) == was
        is_moved = now.is_open != was.is_open and "purged" not in name
        return "" if is_same and not is_moved else "a tombstone was changed"
    is_redriven = was.status == "FAILED" and "redrive" in name
    if was.status in TERMINAL and not (now.is_erased or is_redriven) and now._replace(lease=was.lease) != was:
        return "a terminal job was changed" if now.exists else ""
    if "claim" in name and was.lease == "live":
        return "a live lease was taken over"
    return _of_giving_up(model, before, name, after) if now.failure != was.failure else ""


def _of_giving_up(model: Model, before: State, name: str, after: State) -> str:
    if after.item.failure != "out_of_attempts":
        return ""
    if before.item.lease == "live":
        return "a job was given up while a worker was on it"
    if before.item.budget_used < model.scenario.budget:
        return "a job was given up before its budget was used up"
    if before.late and not after.late:
        seen = before.late.attempt
    else:
        (seen,) = (w.attempt for w, v in zip(before.workers, after.workers, strict=True) if w != v)
    return "a job was given up by someone who saw an older life" if seen != before.item.attempt else ""


def _of_the_writes(before: State, name: str, after: State) -> str:
    if before.unsure == "stands" and "sent again" in name and str(Answer.REFUSED) in name:
        return "a write that stands was reported as refused"
    if before.late and not after.late and after.item != before.item:
        is_own = before.item.status == "PROCESSING" and before.late.attempt == before.item.attempt
        if before.late.transition in _FENCED and not is_own:
            return "a late write changed a job that is not its own any more"
    if name in {"sweeper: resend is done", "sweeper: resend split is done"}:
        is_wanted = before.item.is_free if name == "sweeper: resend is done" else before.item.is_unheld
        if not is_wanted:
            return "a message is sent again for a job that is over or that someone works on"
        (sweeper,) = (s for s, t in zip(before.sweepers, after.sweepers, strict=True) if s.at != t.at)
        if not sweeper.is_fresh:
            return "two sweepers sent on the same sight"
    return _of_the_attempts(before, name, after) if after.workers != before.workers else ""


def _of_the_attempts(before: State, name: str, after: State) -> str:
    for worker, then in zip(before.workers, after.workers, strict=True):
        if worker == then or worker.number:
            continue
        is_finished = then.at in {"done", "tidy"} and worker.at in {"uploaded", "failing", "complete?", "fail?"}
        if is_finished and worker.attempt != before.item.attempt:
            return "a stale attempt finished the job"
        if name == f"worker: renew {Answer.DONE}" and worker.attempt != before.item.attempt:
            return "a stale worker kept another's lease alive"
        if then.at == "letter" and worker.at in {"spent", "exhaust?"} and worker.attempt != after.item.attempt:
            return "a dead letter tells of an older life"
    # Canonical states do not tell stale attempts apart, so only the current one is asked for.
    at_work = [worker for worker in after.workers if worker.at in _WORKS and not worker.number]
    is_twice = sum(worker.attempt == after.item.attempt for worker in at_work) > 1
    return "two workers have the same attempt" if is_twice else ""


def _of_the_messages(model: Model, before: State, name: str, after: State) -> str:
    is_taken = any(word in name for word in ("deletes the message", "moves", "vanishes"))
    if after.messages < before.messages and not is_taken:
        return "a message was deleted before a terminal state was committed"
    if "moves" in name and before.item.lease == "live" and not after.messages:
        faults, left = model.scenario.faults, before.faults
        if (faults.crash, faults.lapse) == (left.crash, left.lapse):
            return "the last message of a healthy job became a dead letter"
    if name in _STOPPED_BEFORE_LEASE_END and any(worker.at == "hidden" for worker in before.workers):
        return "a message is hidden for longer than its lease lasts"
    return ""


def _of_the_objects(model: Model, before: State, name: str) -> str:
    item = before.item
    if name == "worker: uploads" and (not item.exists or (item.is_erased and not item.is_open)):
        is_paused = before.faults.lapse < model.scenario.faults.lapse
        return "" if is_paused else "an object came after the purge, from a worker that was never paused"
    return ""
