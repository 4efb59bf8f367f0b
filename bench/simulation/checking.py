"""The model beside a measured run of the same trace on the same machine.

The machine's speed changes while others use it. So of every document in the trace each second one is learned from, and
the others are predicted: both saw the same machine. The model gets the durations of the first half, and of each block
how much slower than in the others that half was; of the jobs that it predicts it knows when they came, and no duration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean
from typing import Protocol, Self

from bench.simulation.distributions import percentile
from bench.simulation.fleet import Rules
from bench.simulation.scenarios import play_fixed
from bench.simulation.service_times import ServiceTimes
from bench.simulation.stack_run import DOCUMENTS_OF, Observed, Order, Run, measured, run_trace
from tests.system.stack import Stack

TOLERANCE = 0.2
_REPLICATIONS = 40
_TURNS_TO_FIT = 20
#: Of a block: how many of a hundred jobs.
_SHARES = {"native": 60, "scan": 34, "long": 6}
_LONG = ("long-12.pdf", "long-25.pdf")
#: The first of the jobs come at half of what two workers can do, the others at about three times as much.
_CALM_SHARE, _CALM_GAP_SECONDS, _RUSH_GAP_SECONDS = 0.4, 2.2, 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One of those that are compared."""

    name: str
    measured: float
    predicted: float
    is_binding: bool

    @property
    def deviation(self) -> float:
        """Of the prediction from the measurement, as a share of it."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    @property
    def holds(self) -> bool:
        """Near enough, if it has to be."""
        return not self.is_binding or abs(self.deviation) <= TOLERANCE


def block(jobs: int, random: Random) -> list[Order]:
    """The trace of one block: the kinds in fixed shares, in an order of chance, at times of chance."""
    kinds = [kind for kind, percent in _SHARES.items() for _ in range(round(jobs * percent / 100))]
    random.shuffle(kinds)
    counts = dict.fromkeys(kinds, 0)
    orders, at = [], 0.0
    for place, kind in enumerate(kinds):
        names = _LONG if kind == "long" else tuple(DOCUMENTS_OF[kind])
        name = names[counts[kind] % len(names)]
        counts[kind] += 1
        is_calm = place < _CALM_SHARE * len(kinds)
        at += random.expovariate(1 / (_CALM_GAP_SECONDS if is_calm else _RUSH_GAP_SECONDS))
        orders.append(Order(at=round(at, 3), kind=kind, name=name))
    return orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the blocks yielded."""

    runs: Sequence[Run]

    def figures(self, workers: int, rules: Rules) -> list[Figure]:
        """Model and measurement of the jobs to predict, as one pile."""
        learned = self._learned()
        times, slowness = _fit(self.runs, learned)
        known = [[one.job_id in learned for one in run.jobs] for run in self.runs]
        blocks = [
            ([one.order.submission() for one in run.jobs], replace(rules, slowness=factor))
            for run, factor in zip(self.runs, slowness, strict=True)
        ]
        real = _Pile.of([run.jobs for run in self.runs], known)
        model = [
            _Pile.of(
                [play_fixed(trace, workers, times, its, seed * 1000 + n) for n, (trace, its) in enumerate(blocks)],
                known,
            )
            for seed in range(_REPLICATIONS)
        ]
        return [
            Figure(name=name, measured=figure(real), predicted=fmean(map(figure, model)), is_binding=is_binding)
            for name, figure, is_binding in _FIGURES
        ]

    def _learned(self) -> set[str]:
        """The ids of each second job with a document."""
        found = set()
        seen: Counter[str] = Counter()
        for run in self.runs:
            for one in run.jobs:
                # Not the first of all documents, lest the jobs to predict be the later ones.
                if (seen[one.order.name] + len(one.order.name)) % 2:
                    found.add(one.job_id)
                seen[one.order.name] += 1
        return found


def _fit(runs: Sequence[Run], learned: set[str]) -> tuple[ServiceTimes, list[float]]:
    """The durations without the load of their blocks, and how much slower each block was by its load.

    Each is found by the other in turns: the blocks do not hold the same documents.
    """
    everything = [one for run in runs for one in run.jobs]
    halves = [[one for one in run.jobs if one.job_id in learned] for run in runs]
    slowness = [1.0] * len(runs)
    for _ in range(_TURNS_TO_FIT):
        unloaded = [_faster(one, factor) for half, factor in zip(halves, slowness, strict=True) for one in half]
        times = ServiceTimes.of(measured(unloaded, among=everything))
        took = [sum(attempt.seconds for one in half for attempt in one.attempts) for half in halves]
        slowness = [
            seconds / sum(_usual_seconds(one, times) for one in half)
            for seconds, half in zip(took, halves, strict=True)
        ]
    return times, slowness


def _faster(one: Observed, factor: float) -> Observed:
    attempts = [
        replace(attempt, pages=[seconds / factor for seconds in attempt.pages], seconds=attempt.seconds / factor)
        for attempt in one.attempts
    ]
    return replace(one, attempts=attempts)


def _usual_seconds(one: Observed, times: ServiceTimes) -> float:
    submission = one.order.submission()
    pages = submission.pages * times.page[submission.kind].mean
    if not submission.is_split:
        return pages + times.job[submission.kind].mean(submission.pages)
    chunks = sum(times.chunk.mean(len(attempt.pages)) for attempt in one.attempts if attempt.chunk is not None)
    return pages + chunks + times.split.mean(submission.pages) + times.assemble.mean(submission.pages)


class _Outcome(Protocol):
    """A job, of the real service or of the model."""

    @property
    def done_at(self) -> float: ...
    @property
    def seconds_to_done(self) -> float: ...
    @property
    def seconds_in_queue(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pile:
    """The jobs to predict of all blocks, and how long the blocks took."""

    jobs: int
    makespan: float
    to_done: Sequence[float]
    in_queue: Sequence[float]

    @classmethod
    def of(cls, blocks: Sequence[Sequence[_Outcome]], known: Sequence[Sequence[bool]]) -> Self:
        unknown = [
            one
            for jobs, of_block in zip(blocks, known, strict=True)
            for one, is_known in zip(jobs, of_block, strict=True)
            if not is_known
        ]
        return cls(
            jobs=sum(map(len, blocks)),
            makespan=sum(max(one.done_at for one in jobs) for jobs in blocks),
            to_done=[one.seconds_to_done for one in unknown],
            in_queue=[one.seconds_in_queue for one in unknown],
        )


_FIGURES: Sequence[tuple[str, Callable[[_Pile], float], bool]] = (
    ("makespan", lambda pile: pile.makespan, True),
    ("time to DONE, p50", lambda pile: percentile(pile.to_done, 50), True),
    ("time to DONE, p95", lambda pile: percentile(pile.to_done, 95), True),
    ("time in queue, p50", lambda pile: percentile(pile.in_queue, 50), False),
    ("time in queue, p95", lambda pile: percentile(pile.in_queue, 95), False),
    ("jobs a second", lambda pile: pile.jobs / pile.makespan, False),
)


def run_check(stack: Stack, *, blocks: int, jobs: int, seed: int) -> Check:
    """So many blocks, one after the other, of so many jobs."""
    runs = []
    for place in range(blocks):
        run = run_trace(stack, block(jobs, Random(f"{seed} block {place}")))
        runs.append(run)
        print(
            f"  block {place + 1} of {blocks}: {run.makespan:.0f} s; workers with work had a processor for"
            f" {run.cpu_share:.0%} of the time",
            flush=True,
        )
    return Check(runs=runs)
