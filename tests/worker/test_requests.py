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
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.event import Try
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import heartbeat
from hybrid_ocr_worker.courier import Courier
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.sweeper import Sweeper
from hybrid_ocr_worker.webhook_post import Poster
from tests.builders import START, FakeClock
from tests.make_documents import GENERATED
from tests.observed import requests_of


@pytest.fixture
def requests(clients: AwsClients) -> Iterator[Counter[str]]:
    """Every request sent from here on, by operation."""
    with requests_of(clients.s3, clients.dynamodb, clients.sqs) as sent:
        yield sent


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


def test_to_tell_somebody_takes_seven_requests_more(
    client: FlaskClient,
    queue: JobQueue,
    store: JobStore,
    endpoints: EndpointStore,
    clock: FakeClock,
    processor: Processor,
    requests: Counter[str],
) -> None:
    sent = []
    for form in ({}, {"webhook_url": "https://hooks.example/"}):
        requests.clear()
        content = b"%PDF-1.7 " + str(form).encode()  # another one, lest it be copied
        client.post("/jobs", data={"file": (io.BytesIO(content), "a.pdf"), **form})
        message = queue.receive(visibility_seconds=60, wait_seconds=0)
        assert message is not None
        processor.process(message)
        sent.append(Counter(requests))
        requests.clear()
    (event,) = store.events.due(limit=9)
    requests.clear()
    Courier(store, endpoints, _Taking(allow_private=False), clock=clock).deliver(event)

    without, with_webhook = sent
    # Is there a secret to sign with? And the end is a transaction, which does not tell what it made.
    assert with_webhook - without == {"TransactWriteItems": 1, "GetItem": 2}
    assert without - with_webhook == {"UpdateItem": 1}
    assert requests == {"UpdateItem": 2, "GetItem": 3}  # claimed, told; the job, its receiver, the secret


class _Taking(Poster):
    def post(self, *_: object) -> Try:
        return Try(at=START, seconds=0.1, status=204)


def test_ten_idle_sweeps_are_eleven_requests(
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
    requests: Counter[str],
) -> None:
    sweeper = Sweeper(store, queue, documents, dispatch, clock=clock)
    for _ in range(10):
        sweeper.sweep()

    # One of them looks for what has been kept for long enough.
    assert requests == {"Query": 11}
