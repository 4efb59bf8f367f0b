"""The comparison, on runs that were not measured but written down."""

from __future__ import annotations

import pytest

from bench.simulation.checking import Check, Figure
from bench.simulation.fleet import Rules
from bench.simulation.stack_run import Attempt, Observed, Order, Run

_SCANS = 20


def a_run(block: int, *, slowness: float, page_seconds: float = 2.0) -> Run:
    """One worker, all documents at once: scans, and a long one at the end."""
    now = 0.0

    def an_attempt(
        job_id: str, pages: int, rest: float, chunk: int | None = None, *, is_split: bool = False
    ) -> Attempt:
        nonlocal now
        read = [page_seconds * slowness] * pages
        seconds = sum(read) + rest * slowness
        attempt = Attempt(
            worker="worker-1",
            job_id=job_id,
            chunk=chunk,
            claimed_at=now,
            pages=read,
            is_split=is_split,
            finished_at=now + seconds,
            seconds=seconds,
        )
        now += seconds
        return attempt

    def observed(kind: str, name: str, job_id: str, attempts: list[Attempt]) -> Observed:
        return Observed(
            order=Order(at=0, kind=kind, name=name),
            job_id=job_id,
            submitted_at=0,
            accepted_at=0,
            claimed_at=attempts[0].claimed_at,
            done_at=attempts[-1].finished_at,
            attempts=attempts,
        )

    jobs = []
    for number in range(_SCANS):
        job_id = f"{block}-{number}"
        jobs.append(observed("scan", "phototest.tif", job_id, [an_attempt(job_id, 1, 0.1)]))
    job_id = f"{block}-long"
    parts = [
        an_attempt(job_id, 0, 0.2, is_split=True),
        *(an_attempt(job_id, pages, 0.2, number) for number, pages in enumerate(_CHUNKS, 1)),
        an_attempt(job_id, 0, 0.5),
    ]
    jobs.append(observed("long", "long-12.pdf", job_id, parts))
    return Run(jobs=jobs, cpu_share=1.0)


#: Twelve pages as the service cuts them up.
_CHUNKS = (3, 3, 2, 1, 1, 1, 1)


def figures(*runs: Run) -> dict[str, Figure]:
    found = Check(runs=runs).figures(1, Rules(tenant_jobs_in_lane=None))
    return {figure.name: figure for figure in found}


def test_a_machine_without_chance_is_predicted_exactly() -> None:
    found = figures(a_run(0, slowness=1), a_run(1, slowness=1))

    assert found["makespan"].measured == pytest.approx(2 * (20 * 2.1 + 12 * 2 + 0.2 + 0.2 * len(_CHUNKS) + 0.5))
    assert all(abs(figure.deviation) < 0.01 for figure in found.values())


def test_a_block_under_load_is_told_by_its_own_half() -> None:
    found = figures(a_run(0, slowness=1), a_run(1, slowness=3))

    assert all(abs(figure.deviation) < 0.01 for figure in found.values())


def test_what_the_half_does_not_tell_is_not_predicted() -> None:
    first, second = a_run(0, slowness=1), a_run(1, slowness=1)
    late = [one if one.job_id != "1-long" else _later(one, 100.0) for one in second.jobs]

    found = figures(first, Run(jobs=late, cpu_share=1.0))

    assert found["makespan"].deviation < -0.2
    assert not found["makespan"].holds


def _later(one: Observed, seconds: float) -> Observed:
    return Observed(
        order=one.order,
        job_id=one.job_id,
        submitted_at=one.submitted_at,
        accepted_at=one.accepted_at,
        claimed_at=one.claimed_at,
        done_at=one.done_at + seconds,
        attempts=one.attempts,
    )
