from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
import simpy

from bench.simulation.autoscaling import Deaths, Scaling, Tasks
from bench.simulation.distributions import Empirical
from bench.simulation.fleet import Fleet, Rules, Worker
from bench.simulation.lanes import Turns
from bench.simulation.requests import Request
from bench.simulation.scenarios import play_fixed
from bench.simulation.workload import Lane, Submission
from tests.bench.builders import a_long, a_scan, times


def run(fleet: Fleet, submissions: list[Submission], seconds: float) -> None:
    for submission in submissions:
        fleet.later(submission.at, lambda submission=submission: fleet.submit(submission))  # type: ignore[misc]
    fleet.env.run(until=seconds)


def a_fleet(page_seconds: float = 1.0, **rules: object) -> Fleet:
    return Fleet(simpy.Environment(), Rules(**rules), times(page_seconds), Random(1))  # type: ignore[arg-type]


def poisson(rate: float, count: int) -> list[Submission]:
    random, at, found = Random(7), 0.0, []
    for _ in range(count):
        at += random.expovariate(rate)
        found.append(a_scan(at))
    return found


def mean_wait(workers: int, rate: float, page: Empirical, count: int) -> float:
    jobs = play_fixed(
        poisson(rate, count), workers, times(page={"scan": page}), Rules(tenant_jobs_in_lane=None), seed=1
    )
    return sum(job.seconds_in_queue for job in jobs) / count


def test_one_worker_with_equal_documents_waits_as_the_closed_formula_says() -> None:
    load = 0.7

    waited = mean_wait(1, load, Empirical((1.0,)), 60_000)

    assert waited == pytest.approx(load / (2 * (1 - load)), rel=0.05)  # M/D/1, in service times


def test_two_workers_with_exponential_documents_wait_as_the_closed_formula_says() -> None:
    count, workers, load = 60_000, 2, 0.7
    service = Empirical(tuple(-math.log(1 - (place + 0.5) / 2000) for place in range(2000)))

    waited = mean_wait(workers, workers * load, service, count)

    # M/M/2: Erlang's C, over what is left of the capacity.
    offered = workers * load
    waits = offered**2 / 2 / (1 - load)
    probability = waits / (1 + offered + waits)
    assert waited == pytest.approx(probability / (workers - offered), rel=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_every_job_ends_once_whatever_dies(seed: int) -> None:
    random = Random(seed)
    submissions = [
        (a_long if random.random() < 0.1 else a_scan)(
            random.uniform(0, 2000),
            random.randint(1, 9) if place % 3 else random.randint(11, 60),
            lane=random.choice(list(Lane)),
            tenant=random.randrange(3),
        )
        for place in range(300)
    ]
    fleet = Fleet(simpy.Environment(), Rules(tenant_jobs_in_lane=20), times(1.0), Random(seed))
    deaths = Deaths(killed_every_hours=0.1, reclaimed_every_hours=0.1)
    tasks = Tasks(fleet, Scaling(target_backlog=5, workers_per_task=2), deaths, Random(seed))
    fleet.env.process(tasks.scale())

    run(fleet, submissions, 40_000)

    assert len(fleet.jobs) == 300
    assert {job.ends for job in fleet.jobs} == {1}
    assert (fleet.unfinished, fleet.messages, len(fleet.lanes), fleet.places.held) == (0, 0, 0, 0)
    assert {fleet.places.holders(tenant, lane) for tenant in range(3) for lane in Lane} == {0}
    assert fleet.kills > 20
    if not any(job.has_failed for job in fleet.jobs):
        assert fleet.pages_left == 0


def test_full_lanes_are_served_by_their_weights_and_well_mixed() -> None:
    turns = Turns(Rules().lane_weights)
    served = []
    for _ in range(1000):
        served.append(turns.order()[0])
        turns.took(served[-1])

    assert Counter(served) == {Lane.HIGH: 600, Lane.NORMAL: 300, Lane.LOW: 100}
    assert all(len(set(served[place : place + 4])) > 1 for place in range(997))


@pytest.mark.parametrize("alone", list(Lane))
def test_a_lane_that_was_alone_for_long_has_saved_nothing_and_owes_one_turn_at_most(alone: Lane) -> None:
    turns = Turns(Rules().lane_weights)
    for _ in range(1000):
        for lane in turns.order():
            if lane is alone:
                turns.took(lane)
                break
            turns.found_empty(lane)

    served = []
    for _ in range(20):
        served.append(turns.order()[0])
        turns.took(served[-1])

    found = Counter(served)
    assert all(abs(found[lane] - 2 * weight) <= 2 for lane, weight in Rules().lane_weights.items())


def test_under_load_the_lanes_share_the_workers_by_weight() -> None:
    fleet = a_fleet(tenant_jobs_in_lane=None)
    run(fleet, [a_scan(lane=lane) for lane in Lane for _ in range(1000)], 0.5)
    Worker(fleet)

    fleet.env.run(until=500.25)

    claimed = Counter(job.submission.lane for job in fleet.jobs if not math.isnan(job.claimed_at))
    assert claimed[Lane.HIGH] == pytest.approx(300, abs=3)
    assert claimed[Lane.NORMAL] == pytest.approx(150, abs=3)


def test_an_urgent_job_waits_for_the_page_in_hand_only_and_the_document_goes_on() -> None:
    fleet = a_fleet()
    Worker(fleet)

    run(fleet, [a_scan(0, 10, lane=Lane.LOW), a_scan(3.5, 2, lane=Lane.HIGH)], 100)

    low, high = fleet.jobs
    assert (high.claimed_at, high.done_at) == (4, 6)
    assert (low.claimed_at, low.done_at) == (0, 12)


def test_a_tenant_has_so_many_jobs_in_a_lane_and_no_more() -> None:
    fleet = a_fleet(tenant_jobs_in_lane=100)
    run(fleet, [*(a_scan(tenant=1) for _ in range(250)), a_scan(0.5, tenant=2)], 0.75)
    before = (len(fleet.lanes), fleet.places.held)
    Worker(fleet)
    fleet.env.run(until=1000)

    assert before == (101, 150)
    assert fleet.jobs[-1].claimed_at == pytest.approx(100.75)  # behind a hundred, and not behind all
    assert fleet.unfinished == 0


def test_a_long_document_has_a_window_of_chunks_in_the_queue_and_uses_every_worker() -> None:
    fleet = a_fleet()
    workers = [Worker(fleet) for _ in range(4)]

    run(fleet, [a_long(pages=405)], 0.5)
    in_queue = fleet.messages
    fleet.env.run(until=1000)

    job = fleet.jobs[0]
    assert (len(workers), in_queue, sum(job.chunks), job.chunks[0], job.chunks[-1]) == (4, 16, 405, 10, 1)
    # 405 pages by four, who are at their ends together.
    assert 102 <= job.done_at <= 103


def test_the_chunk_of_a_dead_worker_is_read_on_from_what_it_stored() -> None:
    fleet = a_fleet()
    victim = Worker(fleet)
    run(fleet, [a_long(pages=20)], 13.5)  # three chunks of 5, 4 and 3 pages, and one of the two of the next
    victim.kill()
    Worker(fleet)

    fleet.env.run(until=1000)

    # That chunk was claimed at 12 and not renewed since; a page was missing.
    assert fleet.jobs[0].done_at == pytest.approx(12 + 60 + 1)
    assert fleet.tally.requests[Request.PUT_OBJECT] == 1 + 9 + 20 + 3  # source, chunks, pages, results


@pytest.mark.parametrize(("died_at", "shows_at"), [(5.5, 60), (25.5, 80), (45.5, 100)])
def test_the_message_of_a_dead_worker_shows_a_lease_after_its_last_heartbeat(died_at: float, shows_at: float) -> None:
    fleet = a_fleet(page_seconds=200.0)
    victim = Worker(fleet)
    run(fleet, [a_scan()], died_at)
    victim.kill()
    Worker(fleet)

    fleet.env.run(until=1000)

    assert fleet.jobs[0].done_at == pytest.approx(shows_at + 200)


def test_a_stopped_worker_finishes_within_its_grace_time() -> None:
    fleet = a_fleet(page_seconds=20.0)
    worker = Worker(fleet)
    run(fleet, [a_scan(), a_scan(1)], 2)

    worker.stop()
    fleet.env.run(until=100)

    assert (fleet.jobs[0].done_at, worker.process.is_alive, len(fleet.lanes)) == (20, False, 1)


def test_a_stopped_worker_gives_back_what_takes_longer_and_the_budget_is_refunded() -> None:
    fleet = a_fleet(page_seconds=40.0, attempt_budget=1)
    worker = Worker(fleet)
    run(fleet, [a_scan()], 2)

    worker.stop()
    fleet.env.run(until=30)
    Worker(fleet)
    fleet.env.run(until=100)

    assert (fleet.jobs[0].has_failed, fleet.jobs[0].done_at) == (False, 70)


def test_a_job_that_kills_every_worker_fails_when_its_budget_is_used_up() -> None:
    fleet = a_fleet(page_seconds=10.0)
    run(fleet, [a_scan()], 1)
    for attempt in range(5):
        victim = Worker(fleet)
        fleet.env.run(until=2 + 100 * attempt)
        victim.kill()
        fleet.env.run(until=99 + 100 * attempt)
    Worker(fleet)
    fleet.env.run(until=1000)

    assert (fleet.jobs[0].ends, fleet.jobs[0].has_failed, fleet.jobs[0].done_at) == (1, True, 499)


def test_tasks_follow_the_backlog_and_start_slowly() -> None:
    fleet = a_fleet(page_seconds=1000.0, tenant_jobs_in_lane=None)
    scaling = Scaling(target_backlog=10, least=2, most=50, start_seconds=(70, 70))
    tasks = Tasks(fleet, scaling, Deaths(), Random(1))
    fleet.env.process(tasks.scale())

    run(fleet, [a_scan() for _ in range(95)], 129)
    two = sum(not math.isnan(job.claimed_at) for job in fleet.jobs)
    fleet.env.run(until=131)
    ten = sum(not math.isnan(job.claimed_at) for job in fleet.jobs)

    assert (two, ten, tasks.peak) == (2, 10, 10)
    # Two from the start, eight since the first look; all are paid for while they start.
    assert tasks.seconds() == pytest.approx(2 * 131 + 8 * 71)


def test_tasks_go_when_they_were_not_needed_for_the_cool_down() -> None:
    fleet = a_fleet(page_seconds=60.0, tenant_jobs_in_lane=None)
    tasks = Tasks(fleet, Scaling(target_backlog=10, cool_down_seconds=600), Deaths(), Random(1))
    fleet.env.process(tasks.scale())

    run(fleet, [a_scan() for _ in range(100)], 3000)
    before = tasks.seconds()
    fleet.env.run(until=3600)

    assert tasks.peak == 10
    assert tasks.seconds() - before == pytest.approx(2 * 600)
