"""``python -m tests.model [--long]``: explores, and prints the figures that the README quotes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence

from tests.model import mutants
from tests.model.explore import explore
from tests.model.mutants import Mutant
from tests.model.scenarios import BASE, LONG
from tests.model.state import Faults
from tests.model.store import Protocol, Scenario

_ROW = "{:<34} {:>9} {:>12} {:>8}  {}"


def main() -> int:
    """0 if every promise holds and every mutant is caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the larger scenarios too")
    arguments = parser.parse_args()
    is_good = _explore((*BASE, *LONG) if arguments.long else BASE)
    print()
    groups = {
        "conditions": mutants.of_the_conditions(),
        "own writes known again": mutants.of_the_recognition(),
        "pieces of the order": mutants.of_the_order(),
    }
    for name, group in groups.items():
        is_good &= _catch(name, group)
    print(f"not shown: {len(mutants.NOT_SHOWN)}")
    for name, reason in mutants.NOT_SHOWN.items():
        print(f"  {name}: {reason}")
    return 0 if is_good else 1


def _explore(scenarios: Sequence[Scenario]) -> bool:
    print(_ROW.format("scenario", "states", "transitions", "seconds", "verdict and faults"))
    states, transitions, is_good, began = 0, 0, True, time.monotonic()
    for scenario in scenarios:
        started = time.monotonic()
        verdict = explore(Protocol(), scenario)
        seconds = time.monotonic() - started
        outcome = verdict.broken or f"every promise holds ({_shown(scenario.faults)})"
        print(_row(scenario.name, verdict.states, verdict.transitions, seconds, outcome), flush=True)
        states, transitions = states + verdict.states, transitions + verdict.transitions
        is_good &= not verdict.broken
    print(_row("together", states, transitions, time.monotonic() - began, ""))
    return is_good


def _catch(name: str, group: Iterable[Mutant]) -> bool:
    verdicts = {mutant.name: mutant.verdict() for mutant in group}
    missed = [mutant for mutant, verdict in verdicts.items() if not verdict.broken]
    longest = max(len(verdict.trace) for verdict in verdicts.values())
    print(f"mutants, {name}: {len(verdicts) - len(missed)} of {len(verdicts)} caught, in at most {longest} steps")
    for mutant in missed:
        print(f"  not caught: {mutant}")
    return not missed


def _row(name: str, states: int, transitions: int, seconds: float, outcome: str) -> str:
    return _ROW.format(name, f"{states:,}", f"{transitions:,}", f"{seconds:.1f}", outcome)


def _shown(faults: Faults) -> str:
    return ", ".join(f"{name} {most}" for name, most in faults._asdict().items() if most)


if __name__ == "__main__":
    sys.exit(main())
