"""Sections ``small`` and ``throughput``: one small job on an idle service, and as many as go through."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.report import Bar, Report
from bench.run import Run
from bench.service import running_stack, wait
from tests.make_documents import GENERATED

_INSIDE = Path(__file__).parent / "inside"
_LOOK_SECONDS = 0.01
#: Between two jobs, so that the service is idle: the worker waits for messages, the emulator has saved its state.
_REST_SECONDS = 1.0
_CLIENTS = 4


def small(run: Run) -> Report:
    """One small job, submit -> DONE, native and scanned; and the AWS requests that it costs."""
    rows = [["", "median s", "best s", "all"]]
    raw = {}
    with running_stack(run.directory, workers=run.cores) as stack:
        for name in ("born-digital.pdf", "scan.pdf"):
            seconds = []
            for _ in range(3 if run.is_quick else 10):
                time.sleep(_REST_SECONDS)
                started = time.monotonic()
                wait(stack, stack.submit(GENERATED[name](), name), look_seconds=_LOOK_SECONDS)
                seconds.append(time.monotonic() - started)
            raw[name] = seconds
            shown = " ".join(f"{each:.2f}" for each in seconds)
            rows.append([name, f"{statistics.median(seconds):.3f}", f"{min(seconds):.3f}", shown])
    requests = _requests_of_a_small_job(run)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(requests.items()))
    native = statistics.median(raw["born-digital.pdf"])
    return Report(
        title="One small job on an idle service, submit -> DONE",
        rows=rows,
        notes=[f"AWS requests: {requests.total()} ({kinds})"],
        bars=[
            Bar(what="One small native job, median", measured=native, bar=1, aim=0.5, is_most=True, unit="s"),
            Bar(what="AWS requests of a small job", measured=requests.total(), bar=16, is_most=True, unit=""),
        ],
        raw={"seconds": raw, "requests": requests},
    )


def _requests_of_a_small_job(run: Run) -> Counter[str]:
    counted = run.directory / "requests"
    counting = {"PYTHONPATH": str(_INSIDE), "COUNT_REQUESTS_IN": str(counted)}
    with running_stack(run.directory, workers=1, **counting) as stack:
        stack.wait_until(lambda: "ReceiveMessage" in counted.read_text(encoding="utf-8"), "the worker to poll")
        time.sleep(_REST_SECONDS)
        before = _lines(counted)
        stack.submit(GENERATED["born-digital.pdf"](), "small.pdf")  # and nobody asks how it goes
        stack.wait_until(lambda: (_lines(counted) - before)["DeleteMessage"], "the job's message to be deleted")
        time.sleep(_REST_SECONDS)  # the next poll
        return _lines(counted) - before


def _lines(path: Path) -> Counter[str]:
    return Counter(path.read_text(encoding="utf-8").splitlines())


def throughput(run: Run) -> Report:
    """Small native jobs a second through one API and one worker."""
    count = 20 if run.is_quick else 100
    content = GENERATED["born-digital.pdf"]()
    rates = []
    with running_stack(run.directory, workers=1) as stack, ThreadPoolExecutor(_CLIENTS) as clients:
        for _ in range(run.rounds):
            started = time.monotonic()
            jobs = list(clients.map(lambda number: stack.submit(content, f"{number}.pdf"), range(count)))
            accepted = time.monotonic() - started
            for job_id in jobs:
                wait(stack, job_id)
            rates.append((count / accepted, count / (time.monotonic() - started)))
            run.say(f"{count} small jobs: {rates[-1][1]:.1f} a second")
    accepted_rate, rate = max(rates, key=lambda both: both[1])
    return Report(
        title=f"{count} small native jobs, {_CLIENTS} clients, one API, one worker",
        rows=[["", "a second"], ["accepted", f"{accepted_rate:.1f}"], ["DONE", f"{rate:.1f}"]],
        raw={"accepted_and_done_a_second": rates},
    )
