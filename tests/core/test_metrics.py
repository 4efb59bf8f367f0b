"""Each transition is counted once, where it is committed, and a refused one is not."""

from __future__ import annotations

import datetime as dt

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import JobFinished, LeaseHeld, LeaseLost, Unavailable
from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.job import Lane, Triage
from hybrid_ocr_core.job_store import JobStore
from tests.builders import FakeClock, a_document, a_failure, a_job, a_result
from tests.faults import away, lost_response
from tests.observed import counted

_NOW = dt.timedelta()


def _moved(transition: str, state: str, lane: str = "normal") -> str:
    return f"hybrid_ocr_job_transitions_total{{transition={transition},state={state},lane={lane}}}"


def test_the_life_of_a_job(store: JobStore, clock: FakeClock) -> None:
    job = a_job(lane=Lane.HIGH, document=a_document(bytes=5000))
    with counted("hybrid_ocr") as grown:
        store.create(job)
        clock.advance(3)
        _, lease = store.claim(job.id)
        clock.advance(4)
        store.complete(lease, job.document, a_result(triage=Triage.REVIEW))

    assert grown == {
        _moved("create", "QUEUED", "high"): 1,
        _moved("claim", "PROCESSING", "high"): 1,
        _moved("complete", "DONE", "high"): 1,
        "hybrid_ocr_submitted_bytes_count{}": 1,
        "hybrid_ocr_submitted_bytes_sum{}": 5000,
        "hybrid_ocr_queue_wait_seconds_count{lane=high}": 1,
        "hybrid_ocr_queue_wait_seconds_sum{lane=high}": 3,
        "hybrid_ocr_job_seconds_count{lane=high}": 1,
        "hybrid_ocr_job_seconds_sum{lane=high}": 7,
        "hybrid_ocr_jobs_triaged_total{triage=review}": 1,
    }


def test_a_job_that_is_given_back_and_then_fails(store: JobStore, clock: FakeClock) -> None:
    job = a_job()
    store.create(job)
    with counted("hybrid_ocr_job") as grown:
        _, lease = store.claim(job.id)
        store.release(lease, reason="an outage", spend_budget=False, retry_in=_NOW)
        _, lease = store.claim(job.id)
        store.fail(lease, a_failure(code="page_timeout"))

    assert grown == {
        _moved("claim", "PROCESSING"): 2,
        _moved("release", "QUEUED"): 1,
        _moved("fail", "FAILED"): 1,
        "hybrid_ocr_job_retries_total{lane=normal}": 1,
        "hybrid_ocr_job_failures_total{code=page_timeout}": 1,
        "hybrid_ocr_job_seconds_count{lane=normal}": 1,
    }


def test_a_claim_after_a_worker_died_is_a_retry_and_a_wait_only_once(store: JobStore, clock: FakeClock) -> None:
    job = a_job()
    store.create(job)
    with counted("hybrid_ocr") as grown:
        store.claim(job.id)
        clock.advance(61)
        store.claim(job.id)

    assert grown["hybrid_ocr_job_retries_total{lane=normal}"] == 1
    assert grown["hybrid_ocr_queue_wait_seconds_count{lane=normal}"] == 1


def test_to_assemble_is_no_retry(store: JobStore) -> None:
    job = a_job()
    store.create(job)
    _, lease = store.claim(job.id)
    with counted("hybrid_ocr_job") as grown:
        store.split(lease, job.document, chunks=0, pages=2)
        store.claim(job.id)

    assert grown == {_moved("split", "PROCESSING"): 1, _moved("claim", "PROCESSING"): 1}


def test_what_is_refused_is_not_counted(store: JobStore, clients: AwsClients) -> None:
    job = a_job()
    store.create(job)
    _, lease = store.claim(job.id)
    stale = a_failure()
    with counted("hybrid_ocr") as grown:
        with pytest.raises(LeaseHeld):
            store.claim(job.id)
        with away(clients.dynamodb), pytest.raises(Unavailable):
            store.complete(lease, job.document, a_result())
    assert grown == {}

    store.complete(lease, job.document, a_result())
    with counted("hybrid_ocr") as grown:
        with pytest.raises(LeaseLost):
            store.fail(lease, stale)
        with pytest.raises(JobFinished):
            store.claim(job.id)
    assert grown == {}


def test_a_transition_whose_response_was_lost_counts_once(store: JobStore, clients: AwsClients) -> None:
    job = a_job()
    store.create(job)
    _, lease = store.claim(job.id)
    with counted("hybrid_ocr_job_transitions") as grown, lost_response(clients.dynamodb, "UpdateItem") as lost:
        store.complete(lease, job.document, a_result())

    assert lost
    assert grown == {_moved("complete", "DONE"): 1}


def test_erasing_twice_counts_once(store: JobStore) -> None:
    job = a_job(lane=Lane.LOW)
    store.create(job)
    with counted("hybrid_ocr") as grown:
        store.erase(job.id)
        store.erase(job.id)

    assert grown == {_moved("erase", "erased", "low"): 1}


def test_a_job_that_was_given_up_and_redriven(store: JobStore, clock: FakeClock) -> None:
    job = a_job()
    store.create(job)
    for _ in range(3):
        claimed, lease = store.claim(job.id)
        store.release(lease, reason="again", spend_budget=True, retry_in=_NOW)
    with counted("hybrid_ocr_job") as grown:
        store.exhaust(claimed)
        store.redrive(job.id)
        store.admit(job.id)

    assert grown == {
        _moved("exhaust", "FAILED"): 1,
        _moved("redrive", "QUEUED"): 1,
        _moved("admit", "QUEUED"): 1,
        "hybrid_ocr_job_failures_total{code=out_of_attempts}": 1,
        "hybrid_ocr_job_seconds_count{lane=normal}": 1,
    }


def test_what_may_happen_stands_at_zero_before_it_does() -> None:
    for lane in Lane:
        for name, labels in (
            ("hybrid_ocr_job_transitions_total", {"transition": "exhaust", "state": "FAILED"}),
            ("hybrid_ocr_job_retries_total", {}),
            ("hybrid_ocr_job_seconds_count", {}),
        ):
            assert REGISTRY.get_sample_value(name, {**labels, "lane": lane.value}) is not None
