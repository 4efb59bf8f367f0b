from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from bench.simulate import SERVICE_TIMES, comparison, table
from bench.simulation.autoscaling import Deaths, Scaling
from bench.simulation.checking import Figure, block
from bench.simulation.costs import Prices
from bench.simulation.distributions import Empirical, PerPage, percentile
from bench.simulation.scenarios import Answer, Scenario, play
from bench.simulation.service_times import Bytes, Record, ServiceTimes
from bench.simulation.stack_run import pooled
from bench.simulation.workload import DAY, HOUR, MONTH, SPIKE_TENANT, WEEK, Lane, Workload, rate_at
from tests.bench.builders import times

_SIZES = {kind: Bytes(source=50_000, results=100_000) for kind in ("native", "scan", "long")}


def a_day(seed: int) -> Answer:
    usual = times()
    page, job = {**usual.page, "native": Empirical((0.05,))}, {**usual.job, "native": usual.split}
    workload = Workload(documents=20_000, seconds=DAY, spike_documents=200, spike_at=10 * HOUR)
    scenario = Scenario(
        name="a day", workload=workload, scaling=Scaling(target_backlog=5), deaths=Deaths(killed_every_hours=2)
    )
    return play(scenario, times(page=page, job=job), _SIZES, Prices.load(), seed)


def test_the_same_seed_gives_the_same_answer_and_another_one_does_not() -> None:
    assert a_day(1) == a_day(1)
    assert a_day(1) != a_day(2)


def test_an_answer_counts_every_job_and_adds_up() -> None:
    answer = a_day(3)
    text = table(answer)

    assert sum(waits.jobs for waits in answer.waits.values()) + answer.failed == answer.jobs
    assert answer.waits["spike"].jobs == pytest.approx(200, abs=1)
    assert set(answer.waits) == {*(lane.value for lane in Lane), "spike"}
    assert answer.mean_workers <= answer.peak_workers
    assert all(dollars > 0 for dollars in answer.dollars.values())
    assert f"{sum(answer.dollars.values()):,.2f}" in text


def test_a_week_has_its_share_of_a_month_and_its_rate_adds_up_to_one() -> None:
    a_week = sum(rate_at(hour * HOUR) * HOUR for hour in range(168))
    submissions = Workload(documents=100_000).submissions(Random(1))

    assert a_week == pytest.approx(WEEK / MONTH)
    assert len(submissions) == pytest.approx(100_000 * WEEK / MONTH, rel=0.02)
    assert [one.at for one in submissions] == sorted(one.at for one in submissions)
    at_ten, at_night = (sum(hour * HOUR <= one.at % DAY < (hour + 1) * HOUR for one in submissions) for hour in (10, 2))
    assert at_ten == pytest.approx(10 * at_night, rel=0.15)


def test_a_spike_is_all_of_one_tenant_and_in_its_hour() -> None:
    workload = Workload(documents=1000, seconds=DAY, spike_documents=500, spike_at=HOUR, spike_seconds=600)
    spike = [one for one in workload.submissions(Random(1)) if one.tenant == SPIKE_TENANT]

    assert len(spike) == 500
    assert all(HOUR <= one.at <= HOUR + 600 for one in spike)


def test_a_line_goes_through_what_was_measured() -> None:
    line = PerPage.fit([(1, 1.5), (2, 2.0), (3, 2.5)])

    assert [line.fixed, line.per_page] == pytest.approx([1.0, 0.5])
    assert line.ratios == pytest.approx((1, 1, 1))
    assert line.draw(Random(1), 10) == pytest.approx(6)


def test_a_line_never_falls_and_never_starts_below_nothing() -> None:
    assert PerPage.fit([(1, 2.0), (3, 1.0)]).per_page == 0
    steep = PerPage.fit([(2, 1.0), (4, 4.0)])
    assert [steep.fixed, steep.mean(3)] == pytest.approx([0, 2.5])


def test_percentiles_lie_between_the_nearest_values() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(list(range(101)), 95) == pytest.approx(95)
    assert percentile([1, 2], 75) == pytest.approx(1.75)


def test_a_block_has_its_kinds_in_fixed_shares_and_is_the_same_again() -> None:
    orders = block(50, Random("a seed"))

    assert orders == block(50, Random("a seed"))
    assert Counter(order.kind for order in orders) == {"native": 30, "scan": 17, "long": 3}


def test_a_prediction_beyond_a_fifth_is_said_and_does_not_hold() -> None:
    near = Figure(name="makespan", measured=100, predicted=119, is_binding=True)
    far = Figure(name="p95", measured=100, predicted=79, is_binding=True)
    loose = Figure(name="queue", measured=100, predicted=10, is_binding=False)

    assert (near.holds, far.holds, loose.holds) == (True, False, True)
    assert "beyond 20%" in comparison([far])
    assert "beyond" not in comparison([near, loose])


def test_the_service_times_that_are_checked_in_are_complete_and_survive_a_round(tmp_path: Path) -> None:
    record = Record.load(SERVICE_TIMES)
    record.save(tmp_path / "again.json")
    found = ServiceTimes.of(pooled(record.seconds))

    assert Record.load(tmp_path / "again.json") == record
    assert (tmp_path / "again.json").read_text() == SERVICE_TIMES.read_text()
    assert 0 < record.cpu_share <= 1.1
    assert set(found.page) == set(record.bytes) == {"native", "scan", "long"}
    assert found.page["native"].mean < found.page["scan"].mean
