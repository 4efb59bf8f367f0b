"""S3, DynamoDB or SQS away for a while, on moto and a clock of our own: nothing is lost, nobody stampedes."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest
from flask.testing import FlaskClient
from moto.sqs.models import sqs_backends

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dead_letters import DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Job, JobId, JobStatus
from hybrid_ocr_core.job_queue import JobQueue, ReceivedMessage
from hybrid_ocr_core.job_store import JobStore, OpenJob
from hybrid_ocr_worker import sweeper as sweeper_module
from hybrid_ocr_worker.attempts import _LONGEST_BACKOFF_SECONDS
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.sweeper import MOST_PER_TURN, TURN, Sweeper
from tests.builders import LEASE, FakeClock, a_job, due_jobs
from tests.faults import away
from tests.recognisers import ScriptedRecogniser

_CAP_PER_SECOND = 50


def _receive(queue: JobQueue) -> ReceivedMessage:
    message = queue.receive(visibility_seconds=300, wait_seconds=0)
    assert message is not None
    return message


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long messages were hidden, with jitter at its most."""
    seconds: list[float] = []
    monkeypatch.setattr(JobQueue, "hide", lambda _self, _message, duration: seconds.append(duration))
    monkeypatch.setattr(random, "uniform", lambda _least, most: most)
    return seconds


@pytest.mark.failure(40)
@pytest.mark.parametrize("at", ["fetch", "upload"])
def test_with_the_bucket_away_the_job_is_given_back_with_a_growing_delay_and_a_whole_budget(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    hidden: list[float],
    at: str,
) -> None:
    message = _receive(queue)
    for count in range(1, 12):
        with ExitStack() as outage:
            if at == "fetch":
                outage.enter_context(away(clients.s3))
            recogniser.act = lambda outage=outage: outage.enter_context(away(clients.s3))  # type: ignore[misc]
            with pytest.raises(Unavailable):
                processor.process(
                    ReceivedMessage(
                        body=message.body, receipt_handle=message.receipt_handle, receive_count=count, sent_at=0
                    )
                )
            with pytest.raises(Unavailable):
                processor.recover()
        processor.recover()

    waiting = store.get(job)
    assert (waiting.status, waiting.budget_used, waiting.attempt) == (JobStatus.QUEUED, 0, 11)
    assert hidden == sorted(hidden)
    assert (hidden[0], hidden[3], hidden[-1]) == (10.0, 80.0, _LONGEST_BACKOFF_SECONDS)
    recogniser.act = lambda: None
    processor.process(message)
    assert store.get(job).status is JobStatus.DONE


@pytest.mark.failure(41)
def test_a_claim_that_an_outage_interrupts_is_given_back_after_it_and_costs_no_budget(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    clock: FakeClock,
) -> None:
    with ExitStack() as outage:
        recogniser.act = lambda: outage.enter_context(away(clients.dynamodb))
        with pytest.raises(Unavailable):
            processor.process(_receive(queue))
        clock.advance(600)
        with pytest.raises(Unavailable):
            processor.recover()
    assert store.get(job).status is JobStatus.PROCESSING

    processor.recover()

    given_back = store.get(job)
    assert (given_back.status, given_back.budget_used, processor.attempts.owed) == (JobStatus.QUEUED, 0, [])


@pytest.mark.failure(41)
def test_a_claim_that_someone_took_over_in_the_outage_is_not_given_back(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    clients: AwsClients,
    clock: FakeClock,
) -> None:
    with ExitStack() as outage:
        recogniser.act = lambda: outage.enter_context(away(clients.dynamodb))
        with pytest.raises(Unavailable):
            processor.process(_receive(queue))
    clock.advance(61)
    store.claim(job)

    processor.recover()

    assert (store.get(job).status, store.get(job).attempt, processor.attempts.owed) == (JobStatus.PROCESSING, 2, [])


class _Fleet:
    """Many sweepers, each at moments of its own, with a clock that they share."""

    def __init__(self, sweepers: list[Sweeper], clock: FakeClock, *, every_seconds: float, seed: int) -> None:
        self._clock = clock
        self._start = clock.now
        rng = random.Random(seed)
        self._moments: list[tuple[float, Sweeper]] = []
        for sweeper in sweepers:
            at = rng.uniform(0, every_seconds)
            while at < 10 * every_seconds:
                self._moments.append((at, sweeper))
                at += every_seconds * rng.uniform(0.9, 1.1)
        self._moments.sort(key=lambda moment: moment[0])

    def run(self) -> Iterator[tuple[float, int]]:
        """Sweep by sweep: when it was, and how many actions it did."""
        for at, sweeper in self._moments:
            self._clock.advance(at - (self._clock.now - self._start).total_seconds())
            yield at, sweeper.sweep()


@pytest.mark.failure(41)
@pytest.mark.parametrize("jobs", [250, pytest.param(1000, marks=pytest.mark.long)])
def test_jobs_whose_leases_lapse_all_at_once_are_sent_again_at_a_capped_rate(
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clients: AwsClients,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int,
) -> None:
    sent: list[JobId] = []
    monkeypatch.setattr(queue, "send", lambda job, _lane: sent.append(job))
    _run(store, clients, jobs)
    clock.advance(600)  # ten minutes without DynamoDB: nothing was renewed
    sweepers = [Sweeper(store, queue, documents, dispatch, clock=clock) for _ in range(100)]

    actions: list[tuple[float, int]] = []
    for moment in _Fleet(sweepers, clock, every_seconds=30, seed=41).run():
        actions.append(moment)
        if len(sent) == jobs:
            break

    acted = [(at, count) for at, count in actions if count]
    assert max(count for _, count in acted) == MOST_PER_TURN
    assert len(set(sent)) == jobs  # each of them, and none twice in this round
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(acted)]
    assert min(gaps) >= TURN.total_seconds() - 0.001
    assert MOST_PER_TURN / TURN.total_seconds() <= _CAP_PER_SECOND
    assert acted[-1][0] < 60  # and yet none waits for long


def _run(store: JobStore, clients: AwsClients, count: int) -> None:
    """So many jobs that are PROCESSING: one that is, and copies of its item."""
    job = a_job()
    store.create(job)
    store.claim(job.id)
    (item,) = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    ids = [f"{number:032x}" for number in range(count - 1)]
    copies = [item | {"job_id": {"S": it}, "pk": {"S": f"T#default#J#{it}"}} for it in ids]
    for start in range(0, len(copies), 25):
        batch = copies[start : start + 25]
        clients.dynamodb.batch_write_item(
            RequestItems={"hybrid-ocr": [{"PutRequest": {"Item": copy}} for copy in batch]}
        )


@pytest.mark.failure(41)
def test_resends_of_one_round_spread_out_for_the_next(store: JobStore, clock: FakeClock) -> None:
    for _ in range(20):
        store.create(a_job())
    clock.advance(61)
    entries = list(due_jobs(store, before=clock.now, limit=100))

    for entry in entries:
        store.resend(entry)

    far = list(due_jobs(store, before=clock.now + 10 * LEASE, limit=100))
    assert len(far) == 20
    assert len({entry.sweep_at for entry in far}) > 15
    assert far[-1].sweep_at - far[0].sweep_at <= 0.2 * LEASE.total_seconds() * 1000


@pytest.mark.failure(42, 8)
def test_with_the_queue_away_jobs_are_accepted_and_sent_when_it_is_back(
    client: FlaskClient,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clients: AwsClients,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper_module, "MOST_PER_TURN", 3)
    sweeper = Sweeper(store, queue, documents, dispatch, clock=clock)
    with away(clients.sqs):
        answers = [client.post("/jobs", data={"file": (io.BytesIO(b"%PDF-1.7"), "a.pdf")}) for _ in range(5)]
        clock.advance(61)
        before = _due(store, clock)
        for _ in range(20):
            clock.advance(30)
            with pytest.raises(Unavailable):
                sweeper.sweep()
        assert _due(store, clock) == before  # no job was put off for nothing

    assert [sweeper.sweep(), sweeper.sweep()] == [3, 0]
    clock.advance(TURN.total_seconds())
    assert sweeper.sweep() == 2

    received = {json.loads(_receive(queue).body)["job_id"] for _ in range(5)}
    assert {answer.status_code for answer in answers} == {202}
    assert received == {answer.get_json()["job_id"] for answer in answers}


def _due(store: JobStore, clock: FakeClock) -> list[OpenJob]:
    return list(due_jobs(store, before=clock.now + 2 * LEASE, limit=100))


@pytest.mark.failure(40, 41, 42)
def test_a_sweep_that_fails_leaves_the_timer_running(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Exception | None] = [Unavailable("DynamoDB", "away"), KeyError("a defect"), None]
    swept = 0

    class Flaky:
        has_more = False

        def sweep(self) -> int:
            nonlocal swept
            swept += 1
            error = outcomes[swept - 1]
            if error:
                raise error
            return 0

    class Stop:
        def wait(self, _seconds: float) -> bool:
            return swept == len(outcomes)

    sweeper_module.sweep_forever(Flaky(), every_seconds=1, stop=Stop())  # type: ignore[arg-type]

    assert swept == 3


@pytest.mark.failure(41)
def test_with_the_table_away_the_api_says_when_to_come_back_and_not_to_all_the_same(
    client: FlaskClient, clients: AwsClients
) -> None:
    with away(clients.dynamodb):
        answers = [client.get(f"/jobs/{'0' * 32}") for _ in range(30)]

    assert {answer.status_code for answer in answers} == {503}
    assert len({answer.headers["Retry-After"] for answer in answers}) > 3
    assert all(1 <= int(answer.headers["Retry-After"]) <= 15 for answer in answers)


@pytest.mark.failure(32)
def test_the_message_of_a_healthy_job_among_the_dead_letters_is_replaced(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clients: AwsClients,
    clock: FakeClock,
) -> None:
    letters = DeadLetterQueue(clients.sqs, queue._dead_letter_url)
    for _ in range(20):
        queue.hide(_receive(queue), 0)  # as if something bounced it
    assert queue.receive(visibility_seconds=1, wait_seconds=0) is None
    assert [letter.job for letter in letters.letters(hide_seconds=0, most=1)] == [job]

    clock.advance(61)
    assert (
        Sweeper(store, queue, documents, dispatch, letters, clock=clock).sweep() == 2
    )  # sent again; the letter removed
    processor.process(_receive(queue))

    assert store.get(job).status is JobStatus.DONE
    assert list(letters.letters(hide_seconds=0)) == []


@pytest.mark.failure(23)
def test_a_busy_job_costs_its_message_one_receive_a_lease(
    processor: Processor, job: JobId, store: JobStore, queue: JobQueue, clock: FakeClock, clients: AwsClients
) -> None:
    (backend,) = (
        found for found in sqs_backends["123456789012"]["eu-central-1"].queues.values() if found.name.endswith("jobs")
    )
    _, lease = store.claim(job)
    counts = []
    for _ in range(5):
        message = _receive(queue)
        counts.append(message.receive_count)
        processor.process(message)  # its visibility lapsed; the lease is alive
        (hidden,) = backend._messages
        left = hidden.visible_at / 1000 - message.sent_at
        assert left >= LEASE.total_seconds() - 1
        assert queue.receive(visibility_seconds=1, wait_seconds=0) is None
        hidden.visible_at = 0
        clock.advance(40)
        lease = store.renew(lease)

    assert counts == [1, 2, 3, 4, 5]


@pytest.mark.failure(20)
def test_a_message_that_is_received_again_after_its_delete_has_no_effect(
    processor: Processor, job: JobId, store: JobStore, queue: JobQueue, recogniser: ScriptedRecogniser
) -> None:
    message = _receive(queue)
    processor.process(message)
    done: Job = store.get(job)

    for _ in range(3):
        processor.process(message)

    assert (store.get(job), recogniser.calls) == (done, 1)


@pytest.mark.failure(48)
@pytest.mark.parametrize("order", ["erase first", "commit first"])
def test_when_a_cancel_races_the_commit_exactly_one_wins_and_the_cancel_is_final(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
) -> None:
    complete = store.complete
    outcome: list[str] = []

    def race(*arguments: object) -> None:
        if order == "commit first":
            complete(*arguments)  # type: ignore[arg-type]
            outcome.append(store.get(job).status)
        assert client.delete(f"/jobs/{job.job_id}").status_code == 204
        if order == "erase first":
            complete(*arguments)  # type: ignore[arg-type]
            outcome.append("committed in spite of it")

    monkeypatch.setattr(store, "complete", race)
    message = _receive(queue)
    processor.process(message)
    monkeypatch.undo()
    processor.process(message)

    assert outcome == (["DONE"] if order == "commit first" else [])
    assert client.get(f"/jobs/{job.job_id}").status_code == 404
    assert queue.receive(visibility_seconds=1, wait_seconds=0) is None


@pytest.mark.failure(49)
def test_what_is_uploaded_after_an_erasure_is_removed(
    processor: Processor,
    job: JobId,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clients: AwsClients,
    client: FlaskClient,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = documents.put_result

    def erase_then_put(*arguments: object, **options: object) -> None:
        client.delete(f"/jobs/{job.job_id}")  # purges; and then the upload that was under way arrives
        put(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(DocumentStore, "put_result", lambda _self, *a, **k: erase_then_put(*a, **k))
    processor.process(_receive(queue))
    assert "Contents" in clients.s3.list_objects_v2(Bucket="hybrid-ocr")

    clock.advance(LEASE.total_seconds() + 1)
    Sweeper(store, queue, documents, dispatch, clock=clock).sweep()

    assert "Contents" not in clients.s3.list_objects_v2(Bucket="hybrid-ocr")
