"""What a job costs: AWS requests of a small one, counted by operation."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import heartbeat
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.sweeper import Sweeper
from tests.builders import FakeClock
from tests.make_documents import GENERATED


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


@pytest.mark.parametrize(("name", "pages"), [("scan.pdf", 1), ("born-digital.pdf", 2)])
def test_a_small_job_takes_fourteen_requests(
    client: FlaskClient,
    queue: JobQueue,
    real_processor: Processor,
    requests: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    pages: int,
) -> None:
    monkeypatch.setattr(heartbeat, "_PROGRESS_SECONDS", 3600)  # a slow machine would show progress in between

    accepted = client.post("/jobs", data={"file": (io.BytesIO(GENERATED[name]()), name)})
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    real_processor.process(message)
    sent = Counter(requests)

    assert client.get(f"/jobs/{accepted.get_json()['job_id']}").get_json()["status"] == "DONE"
    assert sent == {
        "PutObject": 4,  # the source; json, txt and pdf
        "PutItem": 1,  # accepted
        "SendMessageBatch": 1,
        "ReceiveMessage": pages,  # its own; and between two pages a look for urgent ones
        "UpdateItem": 5,  # the first with its content, a place taken, claimed, done, the place left
        "GetObject": 1,
        "DeleteMessage": 1,
    }


def test_an_idle_sweep_is_one_request(
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
    requests: Counter[str],
) -> None:
    Sweeper(store, queue, documents, dispatch, clock=clock).sweep()

    assert requests == {"Query": 1}
