"""The service end to end, in a stack of its own: submit, and wait until all jobs are DONE."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contestant import Outcome
from bench.documents import Document, page_texts
from bench.tree import watch
from tests.system.stack import Stack, UncheckedStack

#: Each look is work for the API and the table, on the same cores; the next comes after this part of the time so far.
_LOOK_SHARE = 0.03
_LEAST_LOOK_SECONDS = 0.1
_LONGEST_SECONDS = 3600.0


class JobFailed(Exception):
    """A job did not end DONE, or not in time: there is nothing to compare."""


@contextmanager
def running_stack(directory: Path, *, workers: int, **settings: str) -> Iterator[Stack]:
    """A stack with so many worker processes that reads each document anew, though it may have read it before."""
    environment = {"OCR_WORKER_PROCESSES": str(workers), "OCR_DEDUPLICATE": "0", **settings}
    with UncheckedStack(directory / f"stack-{time.monotonic_ns()}" / "data", **environment) as stack:
        yield stack


class Service:
    """Through the API, as any client. ``results`` are the json results of the last documents read."""

    name = "hybrid-ocr"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.results: list[dict[str, Any]] = []

    def read(self, documents: Sequence[Document]) -> Outcome:
        """See Contestant."""
        contents = [document.path.read_bytes() for document in documents]
        with watch() as took:
            jobs = [
                self._stack.submit(content, document.path.name, languages=document.languages)
                for document, content in zip(documents, contents, strict=True)
            ]
            for job_id in jobs:
                wait(self._stack, job_id)
        self.results = [json.loads(self._stack.result(job_id, "json")) for job_id in jobs]
        texts = (self._stack.result(job_id, "txt").decode() for job_id in jobs)
        return Outcome(
            seconds=took.seconds,
            cpu_seconds=took.cpu_seconds,
            texts=tuple(
                tuple(page_texts(text, document.pages)) for text, document in zip(texts, documents, strict=True)
            ),
        )


def wait(stack: Stack, job_id: str, *, look_seconds: float = _LEAST_LOOK_SECONDS) -> None:
    """Until the job is DONE.

    Raises:
        JobFailed: it FAILED, or has not ended in an hour.
    """
    started = time.monotonic()
    while (passed := time.monotonic() - started) < _LONGEST_SECONDS:
        job = stack.job(job_id)
        if job["status"] == "DONE":
            return
        if job["status"] == "FAILED":
            raise JobFailed(f"job {job_id}: {job['error']}")
        time.sleep(max(look_seconds, _LOOK_SHARE * passed))
    raise JobFailed(f"job {job_id} has not ended")
