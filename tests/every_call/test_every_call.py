"""Each scenario again once per AWS call and fault; then pairs of faults, seeded."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_ocr_core.settings import AwsSettings
from tests.every_call.checker import Watch, check
from tests.every_call.injector import Fault
from tests.every_call.scenarios import SCENARIOS, Scenario
from tests.every_call.world import World

_PAIRS_A_SCENARIO = 6
_PAIRS_A_SCENARIO_LONG = 60
#: Schedules drawn for each that is wanted: the first fault may cut the scenario short.
_DRAWS = 10
_SEED = 20261120
#: The last two take half a minute or more, and their parts are in the others.
_SINGLES = [*SCENARIOS[:-2], *(pytest.param(scenario, marks=pytest.mark.long) for scenario in SCENARIOS[-2:])]


@pytest.fixture
def world(aws_settings: AwsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # Faults come by the thousand here: neither their logs nor botocore's pauses between tries.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    # One call after the other, so that each schedule is the same each time, and a process that died is dead.
    monkeypatch.setattr("hybrid_ocr_api.batch_submission._for_each", _one_by_one)
    logging.disable(logging.CRITICAL)
    yield World(aws_settings, tmp_path)
    logging.disable(logging.NOTSET)


def _one_by_one(items: Iterable[Any], action: Callable[[Any], Any]) -> list[Any]:
    return [action(item) for item in items]


def _run(world: World, scenario: Scenario, plan: dict[int, Fault]) -> list[str]:
    """One schedule from an empty deployment to the checker; returns the calls of the scenario."""
    world.fresh()
    watch = Watch(world)
    world.injector.observe = watch.look
    world.injector.arm(plan)
    scenario.run(world)
    calls = world.injector.calls
    world.recover()
    try:
        watch.look()
        check(world, scenario)
    except AssertionError as error:
        told = ", ".join(f"{calls[k] if k < len(calls) else '-'} #{k} {fault}" for k, fault in plan.items())
        raise AssertionError(f"{scenario.name} with {told or 'no fault'}: {error}") from error
    return calls


@pytest.mark.failure(2, 3, 5, 8, 13, 14, 15, 16, 18, 19, 46, 47)
@pytest.mark.parametrize("scenario", _SINGLES, ids=lambda scenario: scenario.name)
def test_one_fault_at_every_call_loses_nothing_and_doubles_nothing(world: World, scenario: Scenario) -> None:
    calls = _run(world, scenario, {})
    assert calls
    assert world.accepted, "where nothing was accepted, nothing can be lost"

    for number, fault in itertools.product(range(len(calls)), scenario.faults):
        _run(world, scenario, {number: fault})


def _pairs(world: World, scenario: Scenario, count: int) -> None:
    """Seeded schedules of two faults, until both have struck in ``count`` of them."""
    rng = random.Random(f"{_SEED} {scenario.name}")
    calls = len(_run(world, scenario, {}))
    struck = 0
    for _ in range(count * _DRAWS):
        first, second = sorted(rng.sample(range(calls), 2))
        plan = {first: rng.choice(list(Fault)), second: rng.choice(list(Fault))}
        struck += len(_run(world, scenario, plan)) > second
        if struck == count:
            return
    pytest.fail(f"Both faults struck in {struck} schedules only.")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_two_faults_lose_nothing_and_double_nothing(world: World, scenario: Scenario) -> None:
    _pairs(world, scenario, _PAIRS_A_SCENARIO)


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_many_pairs_of_faults_lose_nothing_and_double_nothing(world: World, scenario: Scenario) -> None:
    _pairs(world, scenario, _PAIRS_A_SCENARIO_LONG)
