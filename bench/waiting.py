"""Section ``waiting``: what submissions notice of five hundred clients that wait for their jobs."""

from __future__ import annotations

import datetime as dt
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from bench.report import Bar, Report
from bench.run import Run
from bench.service import running_stack
from bench.tree import resident_bytes
from hybrid_ocr_core.job_store import JobStore
from infra.local.environment import ROOT
from tests.builders import LEASE, a_job
from tests.make_documents import GENERATED
from tests.system.stack import KEY, Stack

_WORKERS = 3
_WAITERS = 500
_SUBMISSIONS_A_MINUTE = 100
_INSIDE = Path(__file__).parent / "inside"
_SMALL = GENERATED["born-digital.pdf"]()


@dataclass(slots=True)
class Phase:
    """What was measured with so many waiting, over all rounds. ``late`` is from DONE to the answer that tells it."""

    waiters: int
    seconds: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    looks_a_second: list[float] = field(default_factory=list)
    memory: int = 0
    threads: int = 0
    answers: list[dict[str, int]] = field(default_factory=list)


def waiting(run: Run) -> Report:
    """Rounds without and with them take turns, on one stack: two processes of the API, three workers."""
    counted = run.directory / "requests"
    counting = {"PYTHONPATH": str(_INSIDE), "COUNT_REQUESTS_IN": str(counted)}
    length = 20 if run.is_quick else 60
    phases = [Phase(0), Phase(50 if run.is_quick else _WAITERS)]
    with running_stack(run.directory, workers=_WORKERS, **counting) as stack:
        _submit_for(stack, 5, Phase(0))  # warm
        job_ids = _held_jobs(stack, phases[1].waiters)
        for _ in range(run.rounds):
            for phase in phases:
                with _waiters(stack, job_ids[: phase.waiters], phase):
                    before = _looks(counted)
                    _submit_for(stack, length, phase)
                    phase.looks_a_second.append((_looks(counted) - before) / length)
                    phase.memory = max(phase.memory, sum(map(resident_bytes, stack.pids("gunicorn"))))
                    phase.threads = max(phase.threads, sum(map(_threads, stack.pids("gunicorn"))))
                run.say(f"{phase.waiters} waiting: p95 of submissions {_p95(phase.seconds) * 1000:.0f} ms")
    return _report(phases)


def _report(phases: list[Phase]) -> Report:
    without, with_them = phases
    rows = [
        ["clients that wait", "POST median", "p95", "most", "DONE -> told", "p95", "BatchGetItem/s", "MiB", "threads"]
    ]
    rows += [
        [
            str(phase.waiters),
            *(f"{each * 1000:.0f} ms" for each in (statistics.median(phase.seconds), _p95(phase.seconds))),
            f"{max(phase.seconds) * 1000:.0f} ms",
            *(f"{each * 1000:.0f} ms" for each in (statistics.median(phase.late), _p95(phase.late))),
            f"{statistics.mean(phase.looks_a_second):.1f}",
            f"{phase.memory >> 20}",
            str(phase.threads),
        ]
        for phase in phases
    ]
    return Report(
        title=f"{_SUBMISSIONS_A_MINUTE} submissions a minute, two processes of the API, {_WORKERS} workers",
        rows=rows,
        notes=[
            f"{len(without.seconds)} and {len(with_them.seconds)} submissions; each is waited for as well",
            f"what the waiting were answered: {with_them.answers}",
            "memory and threads are those of both processes and their parent",
        ],
        bars=[
            Bar(
                what=f"p95 of submissions, {with_them.waiters} waiting : none",
                measured=_p95(with_them.seconds) / _p95(without.seconds),
                bar=1.5,
                is_most=True,
            ),
            Bar(
                what=f"BatchGetItem a second, {with_them.waiters} waiting",
                measured=statistics.mean(with_them.looks_a_second),
                bar=10,
                is_most=True,
                unit="",
            ),
        ],
        raw={
            "phases": [
                {"waiters": p.waiters, "submission_seconds": p.seconds, "late_seconds": p.late, "memory": p.memory}
                for p in phases
            ]
        },
    )


def _submit_for(stack: Stack, seconds: float, phase: Phase) -> None:
    """Submit at the given rate whatever the answers do, each by a client of its own."""
    count = round(seconds * _SUBMISSIONS_A_MINUTE / 60)
    started = time.monotonic()
    with ThreadPoolExecutor(count) as clients:
        told: list[Future[float]] = []
        sent: list[Future[float]] = []
        for number in range(count):
            time.sleep(max(0.0, started + number * 60 / _SUBMISSIONS_A_MINUTE - time.monotonic()))
            sent.append(clients.submit(_submit, stack, clients, told))
        phase.seconds += [each.result() for each in sent]
        phase.late += [each.result() for each in told]


def _submit(stack: Stack, clients: ThreadPoolExecutor, told: list[Future[float]]) -> float:
    files = {"file": ("small.pdf", _SMALL)}
    started = time.monotonic()
    response = requests.post(f"{stack.url}/jobs", files=files, headers={"x-api-key": KEY}, timeout=120)
    took = time.monotonic() - started
    response.raise_for_status()
    told.append(clients.submit(_hear, stack, response.json()["job_id"]))
    return took


def _hear(stack: Stack, job_id: str) -> float:
    """Wait until the job is DONE; how long after that it was told."""
    headers = {"x-api-key": KEY}
    while True:
        response = requests.get(f"{stack.url}/jobs/{job_id}?wait=25", headers=headers, timeout=60)
        now = dt.datetime.now(dt.UTC)
        response.raise_for_status()
        if response.status_code == requests.codes.ok:
            headers["If-None-Match"] = response.headers["ETag"]
            job = response.json()
            if job["status"] == "DONE":
                return (now - dt.datetime.fromisoformat(job["updated_at"])).total_seconds()


def _held_jobs(stack: Stack, count: int) -> list[str]:
    """Jobs that stay QUEUED, for nobody has a message of them."""
    store = JobStore(stack.aws("dynamodb"), "hybrid-ocr", lease=LEASE, attempt_budget=1)
    jobs = [a_job(is_held=True, created_at=dt.datetime.now(dt.UTC)) for _ in range(count)]
    for job in jobs:
        store.create(job)
    return [job.job_id for job in jobs]


@contextmanager
def _waiters(stack: Stack, job_ids: list[str], phase: Phase) -> Iterator[None]:
    """A client for each job waits meanwhile."""
    if not job_ids:
        yield
        return
    command = [sys.executable, "-m", "bench.waiters", stack.url, KEY]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        clients.stdin.write(" ".join(job_ids) + "\n")
        clients.stdin.flush()
        clients.stdout.readline()
        yield
        clients.stdin.close()
        phase.answers.append(json.loads(clients.stdout.readline()))


def _looks(counted: Path) -> int:
    return counted.read_text(encoding="utf-8").split().count("BatchGetItem")


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
