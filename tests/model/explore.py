"""Visits every state of a scenario, and asks two things: is every promise kept, and is there a way to an end?"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.model.promises import broken_by_step, broken_in_state, is_settled
from tests.model.state import Faults, State, canonical
from tests.model.steps import steps
from tests.model.store import Model, Protocol, Scenario


@dataclass(frozen=True)
class Verdict:
    """What an exploration found; ``broken`` is empty when every promise is kept, else ``trace`` leads there."""

    states: int
    transitions: int
    broken: str = ""
    trace: tuple[str, ...] = ()


class _Graph:
    """The states by number, how each was reached first, and who leads to it without a fault."""

    def __init__(self, first: State) -> None:
        self.numbers = {first: 0}
        self.states = [first]
        self._came_from = array("l", [-1])
        self._by_step = [""]
        self._sources = array("l")
        self._targets = array("l")
        self.transitions = 0

    def add(self, source: int, name: str, state: State, *, is_fault: bool) -> None:
        number = self.numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self._came_from.append(source)
            self._by_step.append(name)
        if not is_fault:
            self._sources.append(source)
            self._targets.append(number)
        self.transitions += 1

    def trace(self, number: int) -> tuple[str, ...]:
        names = []
        while number > 0:
            names.append(self._by_step[number])
            number = self._came_from[number]
        return tuple(reversed(names))

    def first_stuck(self) -> int | None:
        """The first state from which no way without further faults leads to an end."""
        leads: dict[int, list[int]] = {}
        for source, target in zip(self._sources, self._targets, strict=True):
            leads.setdefault(target, []).append(source)
        reached = {number for number, state in enumerate(self.states) if is_settled(state)}
        frontier = list(reached)
        while frontier:
            for source in leads.get(frontier.pop(), ()):
                if source not in reached:
                    reached.add(source)
                    frontier.append(source)
        return next((number for number in range(len(self.states)) if number not in reached), None)


def explore(protocol: Protocol, scenario: Scenario, *, to_an_end: bool = True) -> Verdict:
    """Visit every state, nearest first; stop at the first broken promise."""
    model = Model(protocol, scenario)
    graph = _Graph(first_state(scenario))
    at = 0
    while at < len(graph.states):
        state = graph.states[at]
        broken = broken_in_state(model, state)
        if broken:
            return Verdict(len(graph.states), graph.transitions, broken, graph.trace(at))
        for name, after in steps(model, state):
            broken = broken_by_step(model, state, name, after)
            if broken:
                return Verdict(len(graph.states), graph.transitions, broken, (*graph.trace(at), name))
            graph.add(at, name, canonical(after), is_fault=after.faults != state.faults)
        at += 1
    stuck = graph.first_stuck() if to_an_end else None
    if stuck is not None:
        end = f"stuck with status {graph.states[stuck].item.status or 'none'}"
        return Verdict(len(graph.states), graph.transitions, end, (*graph.trace(stuck), "(nothing helps any more)"))
    return Verdict(len(graph.states), graph.transitions)


def first_state(scenario: Scenario) -> State:
    """Where a scenario begins: the nearest such state that the protocol comes to by itself."""
    model = Model(Protocol(), replace(scenario, faults=Faults()))
    seen = {model.scenario.start(): None}
    for state in (frontier := list(seen)):
        if _HAS_BEGUN[scenario.after](state) and all(worker.at == "idle" for worker in state.workers):
            return state._replace(faults=scenario.faults)
        for _, after in steps(model, state):
            known = len(seen)
            seen.setdefault(canonical(after), None)
            if len(seen) > known:
                frontier.append(canonical(after))
    raise AssertionError(f"nothing is ever {scenario.after}")


_HAS_BEGUN: dict[str, Callable[[State], bool]] = {
    "": lambda _state: True,
    "accepted": lambda state: state.api == "3",
    "split": lambda state: state.item.is_unheld,
    "home": lambda state: state.item.is_unheld and not state.item.chunks_left,
}
