"""All of it put together: a workload, a fleet that scales, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

import simpy

from bench.simulation.autoscaling import Deaths, Scaling, Tasks
from bench.simulation.costs import Prices, TaskSize, Usage, bill
from bench.simulation.distributions import percentile
from bench.simulation.fleet import Fleet, Job, Process, Rules, Worker
from bench.simulation.requests import Request
from bench.simulation.service_times import Bytes, ServiceTimes
from bench.simulation.workload import HOUR, SPIKE_TENANT, Lane, Submission, Workload

_SWEEP_SECONDS = 30
#: A run goes on after the last submission until all is done; if that takes longer than so, the fleet cannot cope.
_PATIENCE_SECONDS = 48 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A question."""

    name: str
    workload: Workload
    scaling: Scaling
    deaths: Deaths = field(default_factory=Deaths)
    task: TaskSize = field(default_factory=TaskSize)
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Of some jobs, in seconds: the time in the queue, and to DONE."""

    jobs: int
    in_queue: tuple[float, float, float]
    to_done: tuple[float, float, float]

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> Waits:
        """Their p50, p95 and p99."""
        found = list(jobs)
        in_queue = [job.seconds_in_queue for job in found]
        to_done = [job.seconds_to_done for job in found]
        return cls(jobs=len(found), in_queue=_percentiles(in_queue), to_done=_percentiles(to_done))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it."""

    scenario: Scenario
    waits: Mapping[str, Waits]
    jobs: int
    failed: int
    pages: int
    kills: int
    seconds: float
    mean_workers: float
    peak_workers: int
    dollars: Mapping[str, float]
    textract_dollars: float

    def per_thousand_pages(self, dollars: float) -> float:
        """Of these pages."""
        return dollars / self.pages * 1000


def play(scenario: Scenario, times: ServiceTimes, sizes: Mapping[str, Bytes], prices: Prices, seed: int) -> Answer:
    """Simulate it.

    Raises:
        RuntimeError: the fleet does not cope.
    """
    submissions = scenario.workload.submissions(Random(f"{seed} workload"))
    env = simpy.Environment()
    fleet = Fleet(env, scenario.rules, times, Random(f"{seed} service"))
    tasks = Tasks(fleet, scenario.scaling, scenario.deaths, Random(f"{seed} tasks"))
    env.process(tasks.scale())
    env.process(_submit_all(fleet, submissions))
    seconds = scenario.workload.seconds
    env.run(until=seconds)
    while fleet.unfinished:
        if env.now > seconds + _PATIENCE_SECONDS:
            raise RuntimeError(f"{scenario.name}: {fleet.unfinished} jobs are not done after two days more")
        env.run(until=env.now + 60)
    fleet.tally.add(Request.SWEEP, int(tasks.seconds() / _SWEEP_SECONDS))
    usage = Usage(
        seconds=env.now,
        jobs=len(fleet.jobs),
        task_seconds=tasks.seconds(),
        tally=fleet.tally,
        stored_bytes=sum(_bytes_of(job.submission, sizes) for job in fleet.jobs),
        task=scenario.task,
    )
    pages = sum(job.submission.pages for job in fleet.jobs)
    return Answer(
        scenario=scenario,
        waits=_waits(fleet.jobs),
        jobs=len(fleet.jobs),
        failed=sum(job.has_failed for job in fleet.jobs),
        pages=pages,
        kills=fleet.kills,
        seconds=env.now,
        mean_workers=tasks.seconds() / env.now * scenario.scaling.workers_per_task,
        peak_workers=tasks.peak * scenario.scaling.workers_per_task,
        dollars=bill(usage, prices),
        textract_dollars=_textract(fleet.jobs, scenario.workload, prices),
    )


def play_fixed(
    submissions: Iterable[Submission], workers: int, times: ServiceTimes, rules: Rules, seed: int
) -> list[Job]:
    """A trace on a fixed number of workers that are there from the start; the jobs in the order of the trace."""
    env = simpy.Environment()
    fleet = Fleet(env, rules, times, Random(f"{seed} service"))
    for _ in range(workers):
        Worker(fleet)
    submitted = env.process(_submit_all(fleet, submissions))
    while submitted.is_alive or fleet.unfinished:
        env.run(until=env.now + 60)
    return fleet.jobs


def _submit_all(fleet: Fleet, submissions: Iterable[Submission]) -> Process:
    for submission in submissions:
        if submission.at > fleet.env.now:
            yield fleet.env.timeout(submission.at - fleet.env.now)
        fleet.submit(submission)


def _waits(jobs: list[Job]) -> Mapping[str, Waits]:
    """By lane; the spike, where there is one, apart from them."""
    done = [job for job in jobs if not job.has_failed]
    usual = [job for job in done if job.submission.tenant != SPIKE_TENANT]
    found = {lane.value: Waits.of(job for job in usual if job.submission.lane is lane) for lane in Lane}
    if len(usual) < len(done):
        found["spike"] = Waits.of(job for job in done if job.submission.tenant == SPIKE_TENANT)
    return found


def _textract(jobs: list[Job], workload: Workload, prices: Prices) -> float:
    """For these pages, at the average price of a month like this one, with its one spike."""
    usual = sum(job.submission.pages for job in jobs if job.submission.tenant != SPIKE_TENANT)
    spike = sum(job.submission.pages for job in jobs) - usual
    mean_pages = usual / max(1, sum(job.submission.tenant != SPIKE_TENANT for job in jobs))
    a_month = workload.documents * mean_pages + spike
    return prices.textract(a_month) * (usual + spike) / a_month


def _bytes_of(submission: Submission, sizes: Mapping[str, Bytes]) -> float:
    size = sizes[submission.kind]
    return (size.source + size.results) * submission.pages


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    return percentile(values, 50), percentile(values, 95), percentile(values, 99)
