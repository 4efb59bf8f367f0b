"""The real service on this machine under a trace, and what the logs of its workers tell."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pikepdf
import requests

from bench.simulation.service_times import Measured
from bench.simulation.workload import Submission
from tests.make_documents import DOCUMENTS, born_digital
from tests.system.stack import KEY, Stack

#: Kind -> name -> pages. Real scans at 200 and 300 dpi, and files of TeX; a long one is a real page many times.
DOCUMENTS_OF = {
    "native": {"pdflatex-4-pages.pdf": 4, "born-digital.pdf": 2, "toc.pdf": 2},
    "scan": {"jbig2.pdf": 1, "rotated_skew.pdf": 1, "eurotext.tif": 1, "phototest.tif": 1, "cardinal.pdf": 4},
    "long": {"long-12.pdf": 12, "long-25.pdf": 25, "long-40.pdf": 40},
}
_LONG_PAGE = "jbig2.pdf"
_CLIENTS = 24
_PATIENCE_SECONDS = 1200.0


@cache
def content(name: str) -> bytes:
    """The bytes of one of them."""
    if name == "born-digital.pdf":
        return born_digital()
    if not name.startswith("long-"):
        return (DOCUMENTS / name).read_bytes()
    with contextlib.ExitStack() as opened, pikepdf.Pdf.new() as pdf:
        for _ in range(DOCUMENTS_OF["long"][name]):
            # Opened anew for each page, so that each has an image of its own, as in a scan.
            source = opened.enter_context(pikepdf.Pdf.open(DOCUMENTS / _LONG_PAGE))
            pdf.pages.append(source.pages[0])
        buffer = io.BytesIO()
        pdf.save(buffer, deterministic_id=True)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One line of a trace: what is sent so many seconds after the start."""

    at: float
    kind: str
    name: str

    def submission(self) -> Submission:
        """The same for the model, where each document is a kind of its own."""
        pages = DOCUMENTS_OF[self.kind][self.name]
        return Submission(at=self.at, kind=self.name, pages=pages, is_split=self.kind == "long")


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What a worker's log says of one claim of a job or chunk. Times are of the wall clock."""

    worker: str
    job_id: str
    chunk: int | None
    claimed_at: float
    pages: list[float] = field(default_factory=list)
    is_split: bool = False
    finished_at: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What became of one order; seconds after the trace's start."""

    order: Order
    job_id: str
    submitted_at: float
    accepted_at: float
    claimed_at: float
    done_at: float
    attempts: Sequence[Attempt]

    @property
    def seconds_in_queue(self) -> float:
        """From the 202 to the first claim; no less than nothing, though a worker may be sooner than the answer."""
        return max(0.0, self.claimed_at - self.accepted_at)

    @property
    def seconds_to_done(self) -> float:
        """From when it was due to be sent."""
        return self.done_at - self.order.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of a trace."""

    jobs: Sequence[Observed]
    #: While they had work in hand, the workers had a processor for this share of the time; others had the rest.
    cpu_share: float

    @property
    def makespan(self) -> float:
        """Seconds until all was done."""
        return max(one.done_at for one in self.jobs)


def run_trace(stack: Stack, trace: Sequence[Order]) -> Run:
    """Send it, open loop: nobody waits for an answer before the next is sent. Returns when all is done.

    Raises:
        TimeoutError: it is not done in good time.
    """
    for order in trace:
        content(order.name)  # made before the clock runs
    cpu_before = _cpu_seconds(stack.workers())
    started_at = time.time()

    def submit(order: Order) -> tuple[str, float, float]:
        sent_at = time.time() - started_at
        files = {"file": (order.name, content(order.name))}
        response = requests.post(f"{stack.url}/jobs", files=files, headers={"x-api-key": KEY}, timeout=120)
        response.raise_for_status()
        return str(response.json()["job_id"]), sent_at, time.time() - started_at

    with ThreadPoolExecutor(_CLIENTS) as clients:
        sent = []
        for order in trace:
            time.sleep(max(0.0, started_at + order.at - time.time()))
            sent.append(clients.submit(submit, order))
        answers = [answer.result() for answer in sent]
    ids = {job_id for job_id, _, _ in answers}
    attempts = _wait(stack, ids)
    cpu_seconds = _cpu_seconds(stack.workers()) - cpu_before
    jobs = [
        _observed(order, answer, [one for one in attempts if one.job_id == answer[0]], started_at)
        for order, answer in zip(trace, answers, strict=True)
    ]
    return Run(jobs=jobs, cpu_share=cpu_seconds / sum(one.seconds for one in attempts))


def read_attempts(logs: Iterable[Path]) -> list[Attempt]:
    """Every claim that came to its end, in the order of their claims."""
    found = [attempt for log in logs for attempt in _attempts_of(log)]
    return sorted(found, key=lambda attempt: attempt.claimed_at)


def measured(observed: Sequence[Observed], *, among: Sequence[Observed] | None = None) -> Measured:
    """The seconds of every step; each document is a kind of its own. ``among`` are all jobs that the workers had."""
    page: dict[str, list[float]] = {}
    job: dict[str, list[tuple[int, float]]] = {}
    parts: dict[str, list[tuple[int, float]]] = {"chunk": [], "split": [], "assemble": []}
    for one in observed:
        pages = one.order.submission().pages
        for attempt in one.attempts:
            page.setdefault(one.order.name, []).extend(attempt.pages)
            rest = max(0.0, attempt.seconds - sum(attempt.pages))
            if attempt.chunk is not None:
                parts["chunk"].append((len(attempt.pages), rest))
            elif attempt.is_split:
                parts["split"].append((pages, rest))
            elif one.order.kind == "long":
                parts["assemble"].append((pages, rest))
            else:
                job.setdefault(one.order.name, []).append((pages, rest))
    wake, turnaround = _gaps(observed, observed if among is None else among)
    return Measured(
        submit=_rounded(one.accepted_at - one.submitted_at for one in observed),
        wake=_rounded(wake),
        turnaround=_rounded(turnaround),
        page={name: _rounded(seconds) for name, seconds in page.items()},
        job={name: _rounded_pairs(pairs) for name, pairs in job.items()},
        **{name: _rounded_pairs(pairs) for name, pairs in parts.items()},
    )


def pooled(found: Measured) -> Measured:
    """The same by kind of document, for a plan."""
    page: dict[str, tuple[float, ...]] = {}
    job: dict[str, tuple[tuple[int, float], ...]] = {}
    for kind, names in DOCUMENTS_OF.items():
        page[kind] = tuple(value for name in names for value in found.page.get(name, ()))
        pairs = tuple(pair for name in names for pair in found.job.get(name, ()))
        if pairs:
            job[kind] = pairs
    return Measured(
        submit=found.submit,
        wake=found.wake,
        turnaround=found.turnaround,
        page=page,
        job=job,
        chunk=found.chunk,
        split=found.split,
        assemble=found.assemble,
    )


def stored_bytes(stack: Stack, observed: Sequence[Observed]) -> Mapping[str, tuple[float, float]]:
    """Kind -> bytes a page of sources, and of results."""
    sizes: dict[str, tuple[int, int]] = {}
    s3 = stack.aws("s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="jobs/"):
        for entry in page.get("Contents", []):
            job_id, rest = entry["Key"].split("/", 3)[2:]
            source, results = sizes.get(job_id, (0, 0))
            is_source = rest == "source"
            sizes[job_id] = (source + entry["Size"], results) if is_source else (source, results + entry["Size"])
    found = {}
    for kind in DOCUMENTS_OF:
        jobs = [one for one in observed if one.order.kind == kind]
        pages = sum(one.order.submission().pages for one in jobs)
        source, results = (sum(sizes[one.job_id][place] for one in jobs) for place in (0, 1))
        found[kind] = (round(source / pages), round(results / pages))
    return found


def _cpu_seconds(workers: Iterable[int]) -> float:
    """Of the workers, their sandboxes, and what both have waited for; from /proc."""
    tree = set(workers)
    seconds = 0.0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        with contextlib.suppress(OSError):
            # After the name in brackets: state, parent, and so on; see proc(5).
            fields = stat.read_text().rpartition(")")[2].split()
            if int(stat.parent.name) in tree or int(fields[1]) in tree:
                tree.add(int(stat.parent.name))
                seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds


def _wait(stack: Stack, ids: set[str]) -> list[Attempt]:
    """By the logs: asking the API would be work for it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        attempts = [one for one in read_attempts((stack.data / "logs").glob("worker-*.log")) if one.job_id in ids]
        if {one.job_id for one in attempts if one.chunk is None and not one.is_split} == ids:
            return attempts
        time.sleep(1)
    raise TimeoutError("the trace is not done")


def _observed(
    order: Order, answer: tuple[str, float, float], attempts: Sequence[Attempt], started_at: float
) -> Observed:
    job_id, submitted_at, accepted_at = answer
    return Observed(
        order=order,
        job_id=job_id,
        submitted_at=submitted_at,
        accepted_at=accepted_at,
        claimed_at=min(one.claimed_at for one in attempts) - started_at,
        done_at=max(one.finished_at for one in attempts) - started_at,
        attempts=attempts,
    )


def _attempts_of(log: Path) -> list[Attempt]:
    found: list[Attempt] = []
    for raw in log.read_text(encoding="utf-8").splitlines():
        if '"action"' not in raw:
            continue
        try:
            line: dict[str, Any] = json.loads(raw)
        except ValueError:
            continue  # still being written
        at, action = dt.datetime.fromisoformat(line["time"]).timestamp(), line.get("action", "")
        if action in {"job_claimed", "chunk_claimed"}:
            attempt = Attempt(worker=log.stem, job_id=line["job_id"], chunk=line.get("chunk"), claimed_at=at)
            found.append(attempt)
        elif action == "page_read" and found:
            found[-1].pages.append(line["seconds"])
        elif action == "job_split" and found:
            found[-1].is_split = True
        elif action in {"job_finished", "chunk_finished"} and found:
            found[-1].finished_at, found[-1].seconds = at, line["seconds"]
    return [attempt for attempt in found if attempt.finished_at]


def _gaps(observed: Sequence[Observed], among: Sequence[Observed]) -> tuple[list[float], list[float]]:
    """Before each first claim of a job: of a worker that waited for it, and of one that had it before itself."""
    wake, turnaround = [], []
    starts = {one.job_id: one.accepted_at - one.claimed_at for one in observed}
    by_worker: dict[str, list[Attempt]] = {}
    for one in among:
        for attempt in one.attempts:
            by_worker.setdefault(attempt.worker, []).append(attempt)
    seen: set[str] = set()
    for attempts in by_worker.values():
        attempts.sort(key=lambda attempt: attempt.claimed_at)
        for before, attempt in pairwise(attempts):
            if attempt.chunk is not None or attempt.job_id in seen or attempt.job_id not in starts:
                continue
            seen.add(attempt.job_id)
            accepted_at = attempt.claimed_at + starts[attempt.job_id]
            if accepted_at > before.finished_at:
                wake.append(max(0.0, attempt.claimed_at - accepted_at))
            elif accepted_at < before.claimed_at:
                turnaround.append(max(0.0, attempt.claimed_at - before.finished_at))
    return wake, turnaround


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(max(0.0, value), 3) for value in values)


def _rounded_pairs(pairs: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    # No deviation can be told from nothing.
    return tuple((pages, max(0.001, round(seconds, 3))) for pages, seconds in pairs)
