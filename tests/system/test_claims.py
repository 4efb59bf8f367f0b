"""Many workers claim one job at the same moment, on the emulator, whose writes are atomic as DynamoDB's are."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hybrid_ocr_core import job_store
from hybrid_ocr_core.errors import LeaseHeld
from hybrid_ocr_core.job import Job
from hybrid_ocr_core.job_store import JobStore
from tests.builders import LEASE, a_job
from tests.system.stack import Stack

_WORKERS = 12
_ROUNDS = 10


@pytest.fixture
def store(stack: Stack) -> JobStore:
    return JobStore(stack.aws("dynamodb"), "hybrid-ocr", lease=LEASE, attempt_budget=_WORKERS + 1)


def _winners(store: JobStore, job: Job) -> int:
    """How many of the workers got the job, all let go at once."""
    barrier = threading.Barrier(_WORKERS)

    def claim(_number: int) -> bool:
        barrier.wait()
        try:
            store.claim(job.id)
        except LeaseHeld:
            return False
        return True

    with ThreadPoolExecutor(_WORKERS) as pool:
        return sum(pool.map(claim, range(_WORKERS)))


@pytest.mark.failure(22)
def test_of_many_workers_exactly_one_gets_the_job(store: JobStore) -> None:
    for _ in range(_ROUNDS):
        job = a_job()
        store.create(job)

        assert _winners(store, job) == 1

        store.erase(job.id)


@pytest.mark.failure(22)
def test_the_race_is_real_for_without_the_condition_many_get_it(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    unguarded = job_store.CONDITIONS["claim"].replace("lease_expires_at <", "lease_expires_at >")
    monkeypatch.setitem(job_store.CONDITIONS, "claim", unguarded)
    job = a_job()
    store.create(job)

    assert _winners(store, job) > 1

    store.erase(job.id)
