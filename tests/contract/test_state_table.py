"""The state table of the README, of the store's docstring and of the store itself are one."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest

from hybrid_ocr_core import job_store
from hybrid_ocr_core.chunk import Chunk, ChunkId
from hybrid_ocr_core.errors import HybridOcrError, JobNotFound
from hybrid_ocr_core.job import Job, JobId, JobStatus, Lease, Retention
from hybrid_ocr_core.job_store import JobStore, OpenJob
from hybrid_ocr_core.kept_store import KeptJob, KeptStore
from tests.builders import FakeClock, a_document, a_failure, a_job, a_result, due_jobs
from tests.conftest import ROOT


class Row(NamedTuple):
    start: str
    method: str
    guard: str
    end: str


def _rows(text: str) -> list[Row]:
    table = re.split(r"\n\n|\n```", text[text.index("from    ") :])[0].splitlines()[1:]
    return [Row(*re.split(r" {2,}", line.strip())) for line in table]


_TABLE = _rows(job_store.__doc__ or "")


def test_the_readme_shows_the_table_of_the_store() -> None:
    assert _rows((ROOT / "README.md").read_text()) == _TABLE


def test_every_transition_of_the_store_is_in_the_table() -> None:
    reads = {"get", "get_all", "standings", "due", "ping"}
    # Take a job off an index, or put it elsewhere in it; is about no job.
    others = {"purged", "forgotten", "take_turn"}
    methods = {name for part in (JobStore, KeptStore) for name in vars(part) if not name.startswith("_")}

    assert {row.method for row in _TABLE} == methods - reads - others


_NOW = dt.timedelta()
_DAY_SECONDS = 24 * 3600


def _make(state: str, store: JobStore, clock: FakeClock) -> tuple[Job, Lease]:
    """A job in a state, and the lease of its last attempt (or one that never was)."""
    job = a_job(is_held="held" in state, retention=Retention(days=30, source_days=14))
    store.create(job)
    lease = Lease(job=job.id, attempt=99, owner="nobody", expires_at=clock.now)
    if state.startswith("QUEUED"):
        return job, lease
    spent = 3 if "spent" in state else 1
    for attempt in range(spent):
        claimed, lease = store.claim(job.id)
        if attempt < spent - 1:
            store.release(lease, reason="again", spend_budget=True, retry_in=_NOW)
        job = claimed
    if state.startswith("DONE"):
        store.complete(lease, a_document(pages=2), a_result())
    elif state.startswith("FAILED"):
        store.fail(lease, a_failure())
    elif state == "erased":
        store.erase(job.id)
    elif "chunks" in state:
        store.split(lease, a_document(pages=2), chunks=1, pages=2)
        chunk = ChunkId(job=job.id, split=lease.attempt, number=1)
        store.chunks.create([Chunk(id=chunk, pages=(1, 2))])
        if "home" in state:
            store.chunks.home(store.chunks.claim(chunk)[1], pages=2)
    elif "lapsed" in state:
        clock.advance(61)
    _let_days_pass(state, store, clock, job)
    return job, lease


def _let_days_pass(state: str, store: JobStore, clock: FakeClock, job: Job) -> None:
    if "source" in state:
        clock.advance(15 * _DAY_SECONDS)
    elif "due" in state:
        clock.advance(31 * _DAY_SECONDS)
    if "source gone" in state:
        assert store.kept.forget(_kept(store, job))


def _kept(store: JobStore, job: Job) -> KeptJob:
    (entry,) = (e for e in store.kept.due(before=dt.datetime.max.replace(tzinfo=dt.UTC), limit=9) if e.job == job.id)
    return entry


def _calls(store: JobStore, job: Job, lease: Lease) -> dict[str, Callable[[], object]]:
    def resend() -> None:
        (entry,) = (
            e for e in due_jobs(store, before=dt.datetime.max.replace(tzinfo=dt.UTC), limit=9) if e.job == job.id
        )
        assert store.resend(entry)

    def admit() -> None:
        assert store.admit(job.id)

    def follow() -> None:
        assert store.follow(job.id, JobId(tenant="default", job_id="f" * 32))

    def redrive() -> None:
        assert store.redrive(job.id)

    def forget() -> None:
        assert store.kept.forget(_kept(store, job))

    def expire() -> None:
        assert store.kept.expire(_kept(store, job))

    return {
        "forget": forget,
        "expire": expire,
        "follow": follow,
        "admit": admit,
        "claim": lambda: store.claim(job.id),
        "renew": lambda: store.renew(lease),
        "complete": lambda: store.complete(lease, a_document(pages=2), a_result()),
        "fail": lambda: store.fail(lease, a_failure()),
        "split": lambda: store.split(lease, a_document(pages=2), chunks=1, pages=2),
        "release": lambda: store.release(lease, reason="r", spend_budget=True, retry_in=_NOW),
        "exhaust": lambda: store.exhaust(job),
        "resend": resend,
        "redrive": redrive,
        "erase": lambda: store.erase(job.id),
    }


#: State -> what the table allows there -> the status afterwards (None: gone).
_ALLOWED: dict[str, dict[str, JobStatus | None]] = {
    # Redriving what is QUEUED already may be our own write whose response was lost.
    "QUEUED": {
        "follow": JobStatus.QUEUED,
        "claim": JobStatus.PROCESSING,
        "resend": JobStatus.QUEUED,
        "redrive": JobStatus.QUEUED,
        "erase": None,
    },
    # Nobody has its message, but a copy may turn up that was thought lost.
    "QUEUED, held": {
        "follow": JobStatus.QUEUED,
        "admit": JobStatus.QUEUED,
        "claim": JobStatus.PROCESSING,
        "resend": JobStatus.QUEUED,
        "redrive": JobStatus.QUEUED,
        "erase": None,
    },
    "PROCESSING": {
        "follow": JobStatus.PROCESSING,
        "split": JobStatus.PROCESSING,
        "renew": JobStatus.PROCESSING,
        "complete": JobStatus.DONE,
        "fail": JobStatus.FAILED,
        "release": JobStatus.QUEUED,
        "erase": None,
    },
    "PROCESSING, lapsed": {
        "follow": JobStatus.PROCESSING,
        "split": JobStatus.PROCESSING,
        "claim": JobStatus.PROCESSING,
        "resend": JobStatus.PROCESSING,
        "renew": JobStatus.PROCESSING,
        "complete": JobStatus.DONE,
        "fail": JobStatus.FAILED,
        "release": JobStatus.QUEUED,
        "erase": None,
    },
    "PROCESSING, lapsed, spent": {
        "follow": JobStatus.PROCESSING,
        "split": JobStatus.PROCESSING,
        "exhaust": JobStatus.FAILED,
        "resend": JobStatus.PROCESSING,
        "renew": JobStatus.PROCESSING,
        "complete": JobStatus.DONE,
        "fail": JobStatus.FAILED,
        "release": JobStatus.QUEUED,
        "erase": None,
    },
    # Splitting twice is the same write; nothing else of that attempt is let through.
    "PROCESSING, chunks out": {
        "follow": JobStatus.PROCESSING,
        "split": JobStatus.PROCESSING,
        "resend": JobStatus.PROCESSING,
        "erase": None,
    },
    "PROCESSING, chunks home": {
        "follow": JobStatus.PROCESSING,
        "split": JobStatus.PROCESSING,
        "claim": JobStatus.PROCESSING,
        "resend": JobStatus.PROCESSING,
        "erase": None,
    },
    # A terminal write of the same attempt, sent twice, is the same write; of another kind it is refused.
    "DONE": {"complete": JobStatus.DONE, "erase": None},
    "FAILED": {"fail": JobStatus.FAILED, "redrive": JobStatus.QUEUED, "erase": None},
    "erased": {"erase": None},
    "DONE, source due": {"complete": JobStatus.DONE, "forget": JobStatus.DONE, "erase": None},
    "FAILED, source due": {
        "fail": JobStatus.FAILED,
        "forget": JobStatus.FAILED,
        "redrive": JobStatus.QUEUED,
        "erase": None,
    },
    # Taken again before it was deleted; the right to delete it is given anew.
    "FAILED, source gone": {"fail": JobStatus.FAILED, "forget": JobStatus.FAILED, "erase": None},
    # Nobody sees it any more, whether or not a sweeper has come by.
    "DONE, due": {"complete": None, "expire": None, "erase": None},
    "FAILED, due": {"fail": None, "redrive": JobStatus.QUEUED, "expire": None, "erase": None},
}


@pytest.mark.parametrize("method", sorted({row.method for row in _TABLE} - {"create"}))
@pytest.mark.parametrize("state", _ALLOWED)
def test_the_store_allows_what_the_table_allows_and_refuses_the_rest(
    store: JobStore, clock: FakeClock, state: str, method: str
) -> None:
    job, lease = _make(state, store, clock)
    before = _shown(store, job.id)
    call = _calls(store, job, lease)[method]

    if method in _ALLOWED[state]:
        call()
        assert _status(_shown(store, job.id)) == _ALLOWED[state][method]
    else:
        with pytest.raises((HybridOcrError, ValueError, AssertionError)):
            call()
        assert _shown(store, job.id) == before


def test_a_stale_entry_of_the_index_moves_nothing(store: JobStore) -> None:
    job = a_job()
    store.create(job)

    assert not store.resend(OpenJob(job=job.id, sweep_at=1, resends=0, is_erased=False))


def _shown(store: JobStore, job: JobId) -> Job | None:
    try:
        return store.get(job)
    except JobNotFound:
        return None


def _status(job: Job | None) -> JobStatus | None:
    return job.status if job else None
