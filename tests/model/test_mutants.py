"""Each condition, each recognition of an own write, each piece of the order: without it a promise breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.model import mutants
from tests.model.explore import explore
from tests.model.mutants import NOT_SHOWN, Mutant
from tests.model.scenarios import BASE
from tests.model.store import Protocol

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


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("untidy", "crashes"),
        ("untidy", "deliveries"),
        ("untidy", "two sweepers"),
        ("untidy", "split: lost responses"),
        ("blind", "split: crashes"),
        ("blind", "split: sweeps"),
        ("blind", "split: redrives"),
    ],
)
def test_the_second_guards_make_up_for_the_first(change: str, name: str) -> None:
    (scenario,) = (one for one in BASE if one.name == name)

    assert not explore(Protocol().changed(change), scenario, to_an_end=change != "untidy").broken


def test_all_of_the_protocol_is_in_the_mutants_but_what_cannot_be_shown() -> None:
    everything = {mutant.name for mutant in mutants.everything()}
    left_out = {mutant.name for mutant in mutants.not_shown()}

    assert left_out == set(NOT_SHOWN)
    assert not everything & left_out
    assert set(mutants.SECOND_GUARDS) <= everything


@pytest.mark.long
@pytest.mark.parametrize("mutant", list(mutants.not_shown()), ids=lambda mutant: mutant.name)
def test_what_is_said_not_to_be_shown_is_not(mutant: Mutant) -> None:
    assert not mutant.verdict().broken
