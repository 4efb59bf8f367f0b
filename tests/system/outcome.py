"""What came of the jobs of a stack, read from DynamoDB, S3 and SQS: it knows nothing of the code it judges."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from hybrid_ocr_core.document_store import FILES, DocumentStore
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker.orphans import remove_orphans
from tests.system.stack import Stack

_BUCKET = "hybrid-ocr"
#: Also what is stored by a clock ahead of ours.
_AT_ONCE = -dt.timedelta(days=1)
_TABLE = "hybrid-ocr"
_TERMINAL = {"DONE", "FAILED"}

Item = dict[str, Any]


class Watch:
    """Looks at the table all the time, while it is entered: what has ended stays as it is, and attempts only grow."""

    def __init__(self, stack: Stack, *, every_seconds: float) -> None:
        self._stack = stack
        self._every_seconds = every_seconds
        self._ends: dict[str, tuple[Any, ...]] = {}
        self._attempts: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._seen_ending: dict[str, list[float]] = {}
        #: Broken promises, in words.
        self.broken: list[str] = []
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._ended.wait(self._every_seconds)
            for item in items(self._stack).values():
                self._look_at(item)
            self.looks += 1

    def seconds_to_end(self, kills: Iterable[tuple[str, float]]) -> list[float]:
        """From each kill (job id, Unix time) to the next end of the job in hand; 0 where it had ended before."""
        found = []
        for job_id, at in kills:
            ends = self._seen_ending.get(job_id, [])
            later = [end - at for end in ends if end >= at]
            if ends:
                found.append(min(later) if later and min(ends) >= at else 0.0)
        return sorted(found)

    def _look_at(self, item: Item) -> None:
        job_id, attempt = item["job_id"]["S"], int(item["attempt"]["N"])
        if attempt < self._attempts.get(job_id, 0):
            self.broken.append(f"{job_id}: the fencing token went backwards")
        self._attempts[job_id] = attempt
        was = self._ends.get(job_id)
        if was is None and is_over(item):
            self._seen_ending.setdefault(job_id, []).append(time.time())
        if "erased_at" in item:
            self._ends[job_id] = ("erased",)
        elif item["status"]["S"] in _TERMINAL:
            end = (item["status"]["S"], item.get("result"), item.get("failure"))
            if was is not None and was != end and not _may_be_redriven(was):
                self.broken.append(f"{job_id}: {was} was overwritten by {end}")
            self._ends[job_id] = end
        elif was is not None:
            if not _may_be_redriven(was):
                self.broken.append(f"{job_id}: {was} was undone")
            del self._ends[job_id]


def _may_be_redriven(end: tuple[Any, ...] | None) -> bool:
    return end is not None and end[0] == "FAILED" and bool(end[2]["M"]["code"]["S"] == "out_of_attempts")


def items(stack: Stack) -> dict[str, Item]:
    """The item of every job by its id, as raw DynamoDB JSON."""
    pages = stack.aws("dynamodb").get_paginator("scan").paginate(TableName=_TABLE, ConsistentRead=True)
    return {item["job_id"]["S"]: item for page in pages for item in page["Items"] if _is_job(item)}


def end_of(item: Item) -> str:
    """DONE, an error code, ``erased``, or the status of a job that has not ended."""
    if "erased_at" in item:
        return "erased"
    return str(item["failure"]["M"]["code"]["S"]) if item["status"]["S"] == "FAILED" else str(item["status"]["S"])


def is_over(item: Item) -> bool:
    """Ended, and nothing is left for the sweeper."""
    return ("erased_at" in item or item["status"]["S"] in _TERMINAL) and "open_shard" not in item


def _is_job(item: dict[str, Any]) -> bool:
    return item["sk"]["S"] == "META" and "#J#" in item["pk"]["S"]


def open_jobs(stack: Stack) -> list[str]:
    """Job ids that someone still has to look after."""
    return [job_id for job_id, item in items(stack).items() if not is_over(item)]


def open_events(stack: Stack) -> list[str]:
    """Webhooks that are still to be told: the ids of their jobs."""
    pages = stack.aws("dynamodb").get_paginator("scan").paginate(TableName=_TABLE, ConsistentRead=True)
    return [item["pk"]["S"] for page in pages for item in page["Items"] if _is_open_event(item)]


def _is_open_event(item: Item) -> bool:
    return item["sk"]["S"].startswith("E#") and "sweep_at" in item


def settle(stack: Stack) -> None:
    """Wait until every job has ended and the queue is empty."""
    stack.wait_until(lambda: not open_jobs(stack) and stack.messages() == 0, "all jobs to end")


def check(
    stack: Stack, ends: Mapping[str, Collection[str]], word: bytes, *, outputs: Sequence[str] = ("txt", "json", "pdf")
) -> None:
    """After ``settle``: every job of ``ends`` came to one of its ends; what is DONE has one result, which is right.

    Jobs that are not in ``ends`` are those whose client never got an answer: they ended too.
    """
    found = items(stack)
    for job_id, allowed in ends.items():
        assert job_id in found, f"{job_id}: an accepted job is lost"
        assert end_of(found[job_id]) in allowed, f"{job_id} ended as {end_of(found[job_id])}: {found[job_id]}"
    s3 = stack.aws("s3")
    store = JobStore(stack.aws("dynamodb"), _TABLE, lease=dt.timedelta(seconds=60), attempt_budget=5)
    remove_orphans(store, DocumentStore(s3, _BUCKET), least_age=_AT_ONCE, least_upload_age=_AT_ONCE)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET)
    keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    expected = set()
    for job_id, item in found.items():
        if end_of(item) == "erased":
            continue
        expected.add(f"jobs/default/{job_id}/source")
        if end_of(item) == "DONE":
            attempt = item["result"]["M"]["attempt"]["N"]
            files = [f"jobs/default/{job_id}/{attempt}/0/{FILES[output][0]}" for output in outputs]
            expected.update(files)
            text = s3.get_object(Bucket=_BUCKET, Key=files[0])["Body"].read()
            assert word in text, f"{job_id}: DONE without its text"
    assert keys == expected, f"objects are missing or orphaned: {sorted(keys ^ expected)[:5]}"
