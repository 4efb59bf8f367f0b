"""The heartbeat: a worker that nobody renews for stops itself, and no job is kept for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from hybrid_ocr_core.errors import DocumentRejected, Unavailable
from hybrid_ocr_core.job import Job, JobId, JobStatus
from hybrid_ocr_core.job_queue import MAX_VISIBILITY_SECONDS, JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker import heartbeat as heartbeat_module
from hybrid_ocr_worker.heartbeat import Heartbeat, HeartbeatDied
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.settings import WorkerSettings
from tests.builders import a_job
from tests.recognisers import ScriptedRecogniser

_LONG_AGO = 10**6
_PATIENCE_SECONDS = 10.0


@pytest.fixture
def claimed(store: JobStore, queue: JobQueue) -> Callable[..., Heartbeat]:
    job = a_job()
    store.create(job)
    queue.send(job.id)
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    lease = store.claim(job.id)[1]

    def beat(**seconds: float) -> Heartbeat:
        numbers = {"lease_seconds": 60, "beat_seconds": 0.01, "job_seconds": _LONG_AGO} | seconds
        return Heartbeat(lambda: store.renew(lease), queue, message, **numbers)  # type: ignore[arg-type]

    return beat


def _until_it_raises(check: Callable[[], None]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        check()
        time.sleep(0.005)


@pytest.mark.failure(24)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [KeyError("a defect"), SystemExit()])
def test_a_worker_whose_heartbeat_died_stops_before_its_lease_ends(
    store: JobStore, claimed: Callable[..., Heartbeat], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def die(*_: object) -> None:
        raise error

    monkeypatch.setattr(store, "renew", die)
    with claimed() as heartbeat, pytest.raises(HeartbeatDied):
        _until_it_raises(heartbeat.check)


@pytest.mark.failure(24)
def test_a_dead_heartbeat_costs_the_attempt_for_it_may_be_a_defect_of_every_attempt(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(store, "renew", die)
    monkeypatch.setattr(WorkerSettings, "heartbeat_seconds", 0.01, raising=False)
    recogniser.act = lambda: _until_it_raises(processor.sandbox.still_wanted)
    message = queue.receive(visibility_seconds=300, wait_seconds=0)
    assert message is not None
    processor.process(message)

    given_back: Job = store.get(job)
    assert (given_back.status, given_back.budget_used) == (JobStatus.QUEUED, 1)
    assert given_back.last_error == "HeartbeatDied in the worker"


@pytest.mark.failure(24, 26)
def test_a_worker_that_could_not_renew_for_nearly_a_lease_stops_by_its_own_clock(
    claimed: Callable[..., Heartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(heartbeat_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with claimed(beat_seconds=3600) as heartbeat:
        now[0] += 53
        heartbeat.check()
        now[0] += 2
        with pytest.raises(Unavailable, match="renewed"):
            heartbeat.check()


@pytest.mark.failure(25)
def test_no_attempt_lasts_longer_than_its_deadline_and_nothing_is_renewed_after_it(
    store: JobStore, claimed: Callable[..., Heartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = threading.Event()
    now = [1000.0]
    monkeypatch.setattr(heartbeat_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with claimed(job_seconds=6 * 3600) as heartbeat:
        now[0] += 12 * 3600
        heartbeat._thread.join(_PATIENCE_SECONDS)
        monkeypatch.setattr(store, "renew", lambda *_: renewed.set())
        with pytest.raises(DocumentRejected) as error:
            heartbeat.check()

    assert error.value.document_code == "page_timeout"
    assert not renewed.wait(0.05)


@pytest.mark.failure(25)
def test_a_document_that_takes_for_ever_ends_failed(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(WorkerSettings, "job_seconds", 0.05, raising=False)
    recogniser.act = lambda: _until_it_raises(processor.sandbox.still_wanted)
    message = queue.receive(visibility_seconds=300, wait_seconds=0)
    assert message is not None
    processor.process(message)

    failure = store.get(job).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("page_timeout", True)


@pytest.mark.failure(25)
def test_the_deadline_is_well_within_what_sqs_hides_a_message_for() -> None:
    least = {"AWS_REGION": "r", "OCR_S3_BUCKET": "b", "OCR_DDB_TABLE": "t", "OCR_SQS_URL": "q"}

    assert WorkerSettings.from_env(least).job_seconds <= MAX_VISIBILITY_SECONDS / 2
    longest = WorkerSettings.from_env(least | {"OCR_JOB_SECONDS": "36000", "OCR_LEASE_SECONDS": "3600"})
    assert longest.job_seconds + longest.lease_seconds < MAX_VISIBILITY_SECONDS


@pytest.mark.failure(25)
def test_a_message_is_never_hidden_for_longer_than_sqs_allows_nor_for_less_than_nothing(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        queue._client, "change_message_visibility", lambda **call: asked.append(call["VisibilityTimeout"])
    )
    message = ReceivedMessage(body="", receipt_handle="h", receive_count=1, sent_at=0)

    for seconds in (-600.0, 0.4, 10.0**9):
        queue.hide(message, seconds)

    assert asked == [0, 0, MAX_VISIBILITY_SECONDS]
