"""The protocol keeps its promises in every state, and each of its conditions is needed."""

from __future__ import annotations

import pytest

from hybrid_ocr_core.job_store import CONDITIONS
from tests.model.conditions import compiled, without_each
from tests.model.protocol import Faults, Protocol, Verdict, explore, with_condition

_NONE = Faults(*([0] * len(Faults._fields)))
#: Together they hold every fault; each is small enough for every push.
_BASE = [
    _NONE._replace(crash=1, visibility=1, lapse=1, transient=1, sweep=1),
    _NONE._replace(crash=1, duplicate=1, lapse=1, lost_delete=1, erase=1, sweep=1),
    _NONE._replace(permanent=1, transient=1, redrive=1, lapse=1, delay=1),
    _NONE._replace(crash=2, lapse=1, erase=1, redrive=1, permanent=1),
    _NONE._replace(sweep=2, visibility=1, lapse=1, crash=1),
]
_LONG = [
    Faults(
        crash=1,
        visibility=1,
        lapse=1,
        transient=1,
        sweep=1,
        delay=1,
        duplicate=0,
        lost_delete=0,
        permanent=0,
        erase=0,
        redrive=0,
    ),
    Faults(
        crash=2,
        duplicate=0,
        visibility=0,
        lapse=1,
        lost_delete=0,
        transient=1,
        permanent=0,
        erase=1,
        redrive=1,
        sweep=2,
        delay=0,
    ),
    Faults(
        crash=1,
        duplicate=0,
        visibility=1,
        lapse=1,
        lost_delete=0,
        transient=1,
        permanent=1,
        erase=0,
        redrive=1,
        sweep=0,
        delay=1,
    ),
]
#: Conditions that this model does not show to be needed, and why they are there all the same.
_NOT_SHOWN = {
    # Only a PROCESSING item has a lease, for every other write removes it. Said for who reads it.
    *((name, "#status = :processing") for name in ("claim", "exhaust", "resend")),
    # A message too many is harmless; this keeps it from being sent.
    ("resend", "#status = :queued"),
    ("resend", "lease_expires_at < :now"),
    # The model claims, sees that the budget is used up, and gives up in one step; the worker does so in two.
    ("exhaust", "attempt = :seen"),
    ("exhaust", "budget_used >= :budget"),
    # Erasing twice would raise the attempt of a tombstone once more.
    ("erase", "attribute_not_exists(erased_at)"),
}
_TAKEN_AWAY = [
    (transition, taken, changed)
    for transition, expression in CONDITIONS.items()
    if transition not in {"create", "purged"}  # a fresh random id, and housekeeping of the index
    for taken, changed in without_each(expression)
    if (transition, taken) not in _NOT_SHOWN
]


def _explore_all(protocol: Protocol) -> Verdict:
    """The first broken promise in any of the base explorations, or the last verdict."""
    verdict = Verdict(0, 0)
    for faults in _BASE:
        verdict = explore(protocol, faults)
        if verdict.broken:
            break
    return verdict


@pytest.mark.parametrize("faults", _BASE, ids=str)
def test_every_promise_holds_in_every_state(faults: Faults) -> None:
    verdict = explore(Protocol(CONDITIONS), faults)

    assert not verdict.broken, "\n".join((verdict.broken, *verdict.trace))
    assert verdict.states > 1000


@pytest.mark.long
@pytest.mark.parametrize("faults", _LONG, ids=str)
def test_every_promise_holds_under_more_faults(faults: Faults) -> None:
    verdict = explore(Protocol(CONDITIONS), faults)

    assert not verdict.broken, "\n".join((verdict.broken, *verdict.trace))


@pytest.mark.parametrize(("transition", "taken", "changed"), _TAKEN_AWAY, ids=[f"{t}: {c}" for t, c, _ in _TAKEN_AWAY])
def test_without_a_condition_a_promise_breaks(transition: str, taken: str, changed: str) -> None:
    assert taken not in changed or CONDITIONS[transition].count(taken) > 1

    assert _explore_all(with_condition(Protocol(CONDITIONS), transition, changed)).broken


@pytest.mark.parametrize("mutant", ["no sweeper", "delete first", "shared key"])
def test_each_piece_of_the_order_is_needed(mutant: str) -> None:
    assert _explore_all(Protocol(CONDITIONS, frozenset([mutant]))).broken


@pytest.mark.parametrize(
    ("expression", "item", "holds"),
    [
        ("attribute_exists(pk)", {}, False),
        ("attribute_not_exists(pk)", {}, True),
        ("attempt = :a", {"attempt": 1}, True),
        ("attempt = :a", {}, False),
        ("attempt < :b AND attempt >= :a", {"attempt": 1}, True),
        ("(#status = :s OR (attempt = :b AND attempt < :a))", {"status": "S"}, True),
        ("#status = :s AND attempt <> :a", {"status": "S", "attempt": 1}, False),
    ],
)
def test_expressions_mean_what_they_mean_to_dynamodb(expression: str, item: dict[str, object], holds: bool) -> None:
    assert compiled(expression)(item, {":a": 1, ":b": 2, ":s": "S"}) is holds
