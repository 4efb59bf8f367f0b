"""The protocol keeps its promises in every state, and from every state there is a way to an end."""

from __future__ import annotations

import pytest

from tests.model.explore import explore
from tests.model.scenarios import BASE, LONG
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
}


@pytest.mark.parametrize(
    "scenario", [pytest.param(one, marks=pytest.mark.failure(*_ROWS[one.name]), id=one.name) for one in BASE]
)
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
    assert any(getattr(scenario.faults, fault) for scenario in BASE)
