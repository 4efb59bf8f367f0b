"""The lives of a job that are run once per call and fault. Each knows how the job may end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hybrid_ocr_core.errors import DocumentRejected, Unavailable
from tests.every_call.injector import Fault
from tests.every_call.world import BUDGET, STOPPED, WEBHOOK_URL, World, raising


@dataclass(frozen=True, slots=True)
class Scenario:
    """``ends`` are the ends that an accepted job may come to, as status or error code."""

    name: str
    run: Callable[[World], None]
    ends: frozenset[str]
    faults: tuple[Fault, ...] = tuple(Fault)


#: A call that is throttled or broken has no effect, as one that is refused: where the calls are many, that one will do.
_FEWER = (Fault.REFUSED, Fault.LOST, Fault.SURFACED, Fault.DIED_BEFORE, Fault.DIED_AFTER)


def _submit(world: World) -> None:
    world.submit()
    world.work()


def _idempotent_submit(world: World) -> None:
    world.submit_until_accepted("order-7")
    world.work()
    world.work()


def _direct_upload(world: World) -> None:
    world.submit_upload_until_accepted()
    world.work()


def _duplicate_delivery(world: World) -> None:
    world.submit()
    world.deliver_again()
    world.work()
    world.work()


def _batch(world: World) -> None:
    world.submit_batch()
    world.deliver_again()
    for _ in range(4):
        world.work()


def _idempotent_batch(world: World) -> None:
    world.submit_batch_until_accepted("order-7")
    for _ in range(4):
        world.work()


def _permanent_error(world: World) -> None:
    world.recogniser.script = [raising(DocumentRejected("corrupt_document", "broken"))] * BUDGET
    _submit(world)


def _transient_then_done(world: World) -> None:
    world.recogniser.script = [raising(RuntimeError("a defect")), raising(Unavailable("S3", "SlowDown"))]
    world.submit()
    for _ in range(3):
        world.work()
        world.time_passes()


def _out_of_attempts(world: World) -> None:
    world.recogniser.script = [raising(RuntimeError("a defect"))] * 100
    world.submit()
    for _ in range(BUDGET + 1):
        world.work()
        world.time_passes()


def _cancel_while_running(world: World) -> None:
    world.recogniser.script = [world.erase]
    _submit(world)


def _erase(world: World) -> None:
    _submit(world)
    world.erase()


def _sigterm(world: World) -> None:
    world.recogniser.script = [raising(STOPPED)]
    world.submit()
    world.work()
    world.work()


def _sweep(world: World) -> None:
    world.submit()
    world.lose_messages()
    world.time_passes()
    world.sweep()
    world.work()


def _fan_out(world: World) -> None:
    world.recogniser.pages = 2  # two chunks, one after the other in the lane
    world.submit()
    for _ in range(4):
        world.work()


def _seen_before(world: World) -> None:
    world.submit()
    world.submit()  # held until the first has ended
    world.work()
    world.work()
    world.submit()  # has a result to copy at once
    world.work()


def _rerun(world: World) -> None:
    _submit(world)
    world.rerun()
    world.work()
    world.submit()  # gets a copy of the newer result
    world.work()


def _retention(world: World) -> None:
    _submit(world)
    for _ in range(3):  # what was submitted goes, then the job, then its objects
        world.clock.advance(16 * 24 * 3600)
        world.sweep()


def _crowded_lane(world: World) -> None:
    world.submit()
    world.submit("force")  # held, for the lane has one place
    for _ in range(2):
        world.work()


def _erase_in_a_crowded_lane(world: World) -> None:
    world.submit()
    world.submit("force")
    world.erase()
    world.work()


def _webhook(world: World) -> None:
    world.submit(webhook_url=WEBHOOK_URL)
    world.work()
    world.tell()


def _webhook_of_a_failure(world: World) -> None:
    world.recogniser.script = [raising(DocumentRejected("corrupt_document", "broken"))] * BUDGET
    _webhook(world)


def _erase_before_it_is_told(world: World) -> None:
    world.submit(webhook_url=WEBHOOK_URL)
    world.work()
    world.erase()
    world.tell()


def _erase_while_split(world: World) -> None:
    world.recogniser.pages = 2
    world.recogniser.script = [world.erase]
    world.submit()
    world.work()
    world.work()


SCENARIOS = [
    Scenario("submit", _submit, frozenset({"DONE"})),
    Scenario("idempotent submit", _idempotent_submit, frozenset({"DONE"})),
    Scenario("direct upload", _direct_upload, frozenset({"DONE"})),
    Scenario("duplicate delivery", _duplicate_delivery, frozenset({"DONE"})),
    # A batch that was not accepted may leave jobs, which run, or are erased.
    Scenario("batch", _batch, frozenset({"DONE", "erased"}), _FEWER),
    Scenario("permanent error", _permanent_error, frozenset({"corrupt_document"})),
    Scenario("transient then done", _transient_then_done, frozenset({"DONE"})),
    Scenario("out of attempts", _out_of_attempts, frozenset({"out_of_attempts"})),
    Scenario("cancel while running", _cancel_while_running, frozenset({"erased", "DONE"})),
    Scenario("erase", _erase, frozenset({"erased", "DONE"})),
    Scenario("sigterm", _sigterm, frozenset({"DONE"})),
    Scenario("sweep", _sweep, frozenset({"DONE"})),
    Scenario("fan out", _fan_out, frozenset({"DONE"}), _FEWER),
    Scenario("crowded lane", _crowded_lane, frozenset({"DONE"}), _FEWER),
    Scenario("erase in a crowded lane", _erase_in_a_crowded_lane, frozenset({"erased", "DONE"}), _FEWER),
    Scenario("seen before", _seen_before, frozenset({"DONE"}), _FEWER),
    # What ends only after all those days has all of them before it.
    Scenario("retention", _retention, frozenset({"erased", "DONE"}), _FEWER),
    Scenario("rerun", _rerun, frozenset({"DONE"}), _FEWER),
    Scenario("webhook", _webhook, frozenset({"DONE"})),
    Scenario("webhook of a failure", _webhook_of_a_failure, frozenset({"corrupt_document"}), _FEWER),
    Scenario("erase before it is told", _erase_before_it_is_told, frozenset({"erased", "DONE"}), _FEWER),
    Scenario("idempotent batch", _idempotent_batch, frozenset({"DONE", "erased"}), _FEWER),
    Scenario("erase while split", _erase_while_split, frozenset({"erased", "DONE"}), _FEWER),
]
