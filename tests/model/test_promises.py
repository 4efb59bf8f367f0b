"""The protocol keeps its promises in every state, and from every state there is a way to an end."""

from __future__ import annotations

import pytest

from tests.model.explore import explore
from tests.model.scenarios import BASE, LONG, SHORT, SPLIT
from tests.model.state import Faults
from tests.model.store import Protocol, Scenario

#: Scenario -> the rows of the failure table that it holds.
_ROWS = {
    "crashes": (2, 3, 8, 14, 15, 16, 35, 42),
    "deliveries": (13, 19, 20, 21, 22, 23),
    "late writes": (24, 26),
    "lost responses": (18,),
    "giving up": (30,),
    "older lives": (30,),
    "redrives": (30,),
    "two sweepers": (27, 29),
    "erasure": (49,),
    "erasure of a paused job": (26, 49),
    "erasure and letters": (49,),
    "dead letters": (32,),
    "a healthy job": (23,),
    "split: crashes": (14, 42),
    "split: deliveries": (19, 21),
    "split: late writes on chunks": (24, 26),
    "split: lost responses": (18,),
    "split: two sweepers": (27, 29),
    "split: erasure": (49,),
}


def _marked(scenario: Scenario) -> object:
    rows = _ROWS.get(scenario.name, ())
    return pytest.param(scenario, marks=[pytest.mark.failure(*rows)] if rows else [], id=scenario.name)


@pytest.mark.parametrize("scenario", [*map(_marked, BASE)])
def test_every_promise_holds_in_every_state(scenario: Scenario) -> None:
    verdict = explore(Protocol(), scenario)

    assert not verdict.broken, "\n".join((verdict.broken, *verdict.trace))
    assert verdict.states > 1000


@pytest.mark.long
@pytest.mark.parametrize("scenario", LONG, ids=lambda one: one.name)
def test_every_promise_holds_under_more_faults(scenario: Scenario) -> None:
    verdict = explore(Protocol(), scenario)

    assert not verdict.broken, "\n".join((verdict.broken, *verdict.trace))


@pytest.mark.parametrize("fault", Faults._fields)
def test_every_fault_is_explored(fault: str) -> None:
    for scenarios in (SHORT, SPLIT) if fault not in {"copy", "vanish"} else (SPLIT,):
        assert any(getattr(scenario.faults, fault) for scenario in scenarios)
