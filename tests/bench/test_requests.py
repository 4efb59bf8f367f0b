"""The model's requests beside those that the real worker sends."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
import simpy
from flask.testing import FlaskClient

from bench.simulation.fleet import Fleet, Rules, Worker
from bench.simulation.requests import Tally
from bench.simulation.workload import Submission
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import heartbeat
from hybrid_ocr_worker.processing import Processor
from tests.bench.builders import a_long, a_scan, times
from tests.make_documents import long_scan, scan
from tests.worker.conftest import real_processor

__all__ = ["real_processor"]  # a fixture

#: How often an idle worker asks depends on its luck.
_NOT_COMPARED = ("ReceiveMessage",)


@pytest.fixture
def requests(clients: AwsClients) -> Iterator[Counter[str]]:
    """Every request sent from here on, by operation."""
    sent: Counter[str] = Counter()

    def count(event_name: str, **_: object) -> None:
        sent[event_name.rpartition(".")[2]] += 1

    parts = (clients.s3, clients.dynamodb, clients.sqs)
    for part in parts:
        part.meta.events.register_first("before-send", count)
    yield sent
    for part in parts:
        part.meta.events.unregister("before-send", count)


@pytest.fixture
def contents(clients: AwsClients, aws_settings: AwsSettings) -> Contents:
    return Contents(clients.dynamodb, aws_settings.table)


@pytest.mark.parametrize(
    ("content", "submission"), [(scan(), a_scan()), (long_scan(12), a_long(pages=12))], ids=["small", "long"]
)
def test_the_model_sends_what_the_service_sends(
    client: FlaskClient,
    queue: JobQueue,
    real_processor: Processor,
    requests: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    submission: Submission,
) -> None:
    monkeypatch.setattr(heartbeat, "_PROGRESS_SECONDS", 3600)  # a slow machine would show progress in between

    client.post("/jobs", data={"file": (io.BytesIO(content), "a.pdf")})
    while (message := queue.receive(visibility_seconds=60, wait_seconds=0)) is not None:
        real_processor.process(message)

    assert compared(requests) == compared(of_the_model(submission).operations)


def of_the_model(submission: Submission) -> Tally:
    fleet = Fleet(simpy.Environment(), Rules(), times(0.1), Random(1))
    Worker(fleet)
    fleet.submit(submission)
    fleet.env.run(until=100)
    assert fleet.unfinished == 0
    return fleet.tally


def compared(operations: Counter[str]) -> dict[str, int]:
    found = {name: count for name, count in operations.items() if name not in _NOT_COMPARED}
    # One message or several, it is a request.
    found["SendMessageBatch"] += found.pop("SendMessage", 0)
    return {name: count for name, count in found.items() if count}
