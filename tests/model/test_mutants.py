"""Each condition, each recognition of an own write, each piece of the order: without it a promise breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.model import mutants
from tests.model.explore import explore
from tests.model.mutants import SECOND_GUARDS, UNTIDY, Mutant
from tests.model.scenarios import BASE

#: Piece of the order -> the rows of the failure table that its mutant is about.
_ROWS = {
    "no sweeper": (3, 8, 42),
    "send before create": (4,),
    "delete first": (17,),
    "shared key": (15, 26),
    "bounce": (23, 32),
    "no sorting": (32,),
    "purge at once": (49,),
}


def _of_the_order() -> Iterator[object]:
    for mutant in mutants.of_the_order():
        marks = [pytest.mark.failure(*_ROWS[mutant.name])] if mutant.name in _ROWS else []
        yield pytest.param(mutant, marks=marks, id=mutant.name)


@pytest.mark.failure(14, 22, 26, 48)
@pytest.mark.parametrize("mutant", list(mutants.of_the_conditions()), ids=lambda mutant: mutant.name)
def test_without_a_condition_a_promise_breaks(mutant: Mutant) -> None:
    assert mutant.verdict().broken


@pytest.mark.failure(18)
@pytest.mark.parametrize("mutant", list(mutants.of_the_recognition()), ids=lambda mutant: mutant.name)
def test_without_knowing_its_own_writes_a_promise_breaks(mutant: Mutant) -> None:
    assert mutant.verdict().broken


@pytest.mark.parametrize("mutant", list(_of_the_order()))
def test_each_piece_of_the_order_is_needed(mutant: Mutant) -> None:
    assert mutant.verdict().broken


@pytest.mark.skipif(not SECOND_GUARDS, reason="the store has no second guard")
@pytest.mark.parametrize("name", ["crashes", "deliveries", "two sweepers"])
def test_the_second_guards_make_up_for_untidy_writes(name: str) -> None:
    (scenario,) = (one for one in BASE if one.name == name)

    assert not explore(UNTIDY, scenario, to_an_end=False).broken
