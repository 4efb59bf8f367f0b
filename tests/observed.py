"""What a test sees of the service: metrics, requests to AWS, log lines, objects, messages, refusals."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore.client import BaseClient
from werkzeug.test import TestResponse

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.logs import JsonFormatter

#: For what comes to pass in another thread.
_PATIENCE_SECONDS = 30


@contextmanager
def counted(prefix: str) -> Iterator[dict[str, float]]:
    """Filled when the block ends: how much each number with such a name grew, as ``name{label=value,…}``.

    Of histograms the counts and sums; what did not change is left out.
    """
    grown: dict[str, float] = {}
    before = _numbers(prefix)
    yield grown
    for name, value in _numbers(prefix).items():
        if value != before.get(name, 0.0):
            grown[name] = value - before.get(name, 0.0)


def _numbers(prefix: str) -> dict[str, float]:
    return {
        f"{sample.name}{{{','.join(f'{label}={value}' for label, value in sample.labels.items())}}}": sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith(prefix) and not sample.name.endswith(("_bucket", "_created"))
    }


@contextmanager
def requests_of(*clients: BaseClient) -> Iterator[Counter[str]]:
    """Every request that they send, by operation; one that is sent again counts again."""
    sent: Counter[str] = Counter()

    def count(event_name: str, **_: object) -> None:
        sent[event_name.rpartition(".")[2]] += 1

    for client in clients:
        client.meta.events.register_first("before-send", count)
    yield sent
    for client in clients:
        client.meta.events.unregister("before-send", count)


@contextmanager
def log_lines_of(name: str) -> Iterator[list[dict[str, str]]]:
    """What a logger writes, formatted at that very moment: some of it is of the context, and gone afterwards."""
    lines: list[dict[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    handler, logger = Handler(), logging.getLogger(name)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def until(holds: Callable[[], object]) -> None:
    """Wait until it is so; a test that waits in vain fails."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def stored(clients: AwsClients) -> dict[str, bytes]:
    """All objects in the bucket, by key."""
    keys = [item["Key"] for item in clients.s3.list_objects_v2(Bucket="hybrid-ocr").get("Contents", [])]
    return {key: clients.s3.get_object(Bucket="hybrid-ocr", Key=key)["Body"].read() for key in keys}


def sent_jobs(queue: JobQueue) -> list[str]:
    """The ids of the jobs that have a message, each taken."""
    found = []
    while (message := queue.receive(visibility_seconds=30, wait_seconds=0)) is not None:
        work = message.work()
        assert isinstance(work, JobId)
        found.append(work.job_id)
    return found


def code_of(response: TestResponse) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert response.content_type == "application/problem+json"
    return response.status_code, response.get_json()["code"]
