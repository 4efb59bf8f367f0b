"""A service that throttles or conflicts: a few sends with growing jitter, then Unavailable, and nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from tests.builders import a_document, a_job, a_result
from tests.faults import answering

_SENDS = 3
_THROTTLES = [
    ("dynamodb", 400, "ProvisionedThroughputExceededException"),
    ("dynamodb", 400, "ThrottlingException"),
    ("dynamodb", 400, "RequestLimitExceeded"),
    ("dynamodb", 500, "InternalServerError"),
    ("sqs", 400, "RequestThrottled"),
    ("sqs", 503, "ServiceUnavailable"),
    ("s3", 503, "SlowDown"),
    ("s3", 500, "InternalError"),
]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What botocore would have waited at most, without the wait."""
    windows: list[float] = []
    real = ExponentialBackoff.delay_amount

    def look(backoff: ExponentialBackoff, context: Any) -> float:
        monkeypatch.setattr(backoff, "_random", lambda: 1.0)
        windows.append(real(backoff, context))
        return 0.0

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", look)
    return windows


@pytest.mark.failure(11)
def test_a_service_that_throttles_is_asked_three_times_with_growing_jitter(
    clients: AwsClients, store: JobStore, queue: JobQueue, documents: DocumentStore, pauses: list[float]
) -> None:
    calls: dict[str, Callable[[], object]] = {
        "dynamodb": lambda: store.claim(a_job().id),
        "sqs": lambda: queue.send(a_job().id),
        "s3": lambda: documents.put_source(a_job().id, io.BytesIO(b"x"), "application/pdf"),
    }
    for service, status, code in _THROTTLES:
        pauses.clear()
        with answering(getattr(clients, service), status, code) as sent, pytest.raises(Unavailable, match=code):
            calls[service]()

        assert len(sent) == _SENDS
        assert len(pauses) == _SENDS - 1
        assert pauses[1] == 2 * pauses[0]
        assert sum(pauses) <= 3


@pytest.mark.failure(11)
def test_a_long_outage_uses_up_the_quota_of_retries(clients: AwsClients, store: JobStore, pauses: list[float]) -> None:
    with answering(clients.dynamodb, 500, "InternalServerError") as sent:
        for _ in range(100):
            with pytest.raises(Unavailable):
                store.get(a_job().id)

    assert 100 < len(sent) < 200
    assert len(pauses) == len(sent) - 100


@pytest.mark.failure(10)
@pytest.mark.parametrize(
    ("code", "sends"),
    # The first only the table sends again, the second only botocore.
    [("TransactionConflictException", 6), ("TransactionInProgressException", _SENDS)],
)
def test_a_conflict_that_stays_is_no_lost_lease(
    clients: AwsClients,
    store: JobStore,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    sends: int,
) -> None:
    monkeypatch.setattr("hybrid_ocr_core.table._CONFLICT_PAUSE_SECONDS", 0)
    job = a_job()
    store.create(job)
    with answering(clients.dynamodb, 400, code) as sent, pytest.raises(Unavailable, match=code):
        store.claim(job.id)
    assert len(sent) == sends
    _, lease = store.claim(job.id)

    with answering(clients.dynamodb, 400, code), pytest.raises(Unavailable, match=code):
        store.complete(lease, a_document(pages=2), a_result())

    assert store.get(job.id).status is JobStatus.PROCESSING
    store.complete(lease, a_document(pages=2), a_result())
