"""Dead letters: listed, redriven, and removed where the job lives."""

from __future__ import annotations

import datetime as dt

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dead_letters import DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.job import Job, JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.dead_letters import DeadLetterOffice
from tests.builders import a_document, a_job, a_result
from tests.faults import lost_response


@pytest.fixture
def office(
    clients: AwsClients, aws_settings: AwsSettings, store: JobStore, queue: JobQueue, dispatch: Dispatch
) -> DeadLetterOffice:
    letters = DeadLetterQueue(clients.sqs, aws_settings.dead_letter_queue_url)
    return DeadLetterOffice(store=store, dispatch=dispatch, letters=letters)


def _given_up(store: JobStore, queue: JobQueue) -> Job:
    """A job that used up its budget, with its dead letter, and nothing left in the queue."""
    job = a_job()
    store.create(job)
    queue.send(job.id)
    for _ in range(3):
        store.release(store.claim(job.id)[1], reason="crash", spend_budget=True, retry_in=dt.timedelta())
    store.exhaust(store.get(job.id))
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    queue.send_to_dead_letters(message, job=job.id, reason="gave up")
    queue.delete(message)
    return job


def test_letters_are_listed_with_job_and_reason_and_stay(
    office: DeadLetterOffice, store: JobStore, queue: JobQueue
) -> None:
    jobs = {_given_up(store, queue).id for _ in range(12)}

    found = list(office.list())

    assert {letter.job for letter in found} == jobs
    assert {letter.reason for letter in found} == {"gave up"}
    assert len(found) == 12


def test_a_redriven_job_is_queued_with_a_new_budget_and_a_higher_attempt(
    office: DeadLetterOffice, store: JobStore, queue: JobQueue
) -> None:
    job = _given_up(store, queue)

    ((_, outcome),) = office.redrive([])

    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert outcome == "sent again"
    assert message is not None
    assert message.work() == job.id
    claimed, lease = store.claim(job.id)
    assert (claimed.budget_used, lease.attempt, claimed.failure) == (1, 4, None)
    assert list(office.redrive([])) == []


def test_only_the_jobs_that_are_named_are_redriven(office: DeadLetterOffice, store: JobStore, queue: JobQueue) -> None:
    named, other = _given_up(store, queue), _given_up(store, queue)

    outcomes = [letter.job for letter, _ in office.redrive([named.job_id])]

    assert outcomes == [named.id]
    assert store.get(named.id).status is JobStatus.QUEUED
    assert store.get(other.id).status is JobStatus.FAILED


def test_a_lost_response_to_a_redrive_still_sends(
    office: DeadLetterOffice, store: JobStore, queue: JobQueue, clients: AwsClients
) -> None:
    _given_up(store, queue)

    with lost_response(clients.dynamodb, "UpdateItem") as lost:
        ((_, outcome),) = office.redrive([])

    assert lost
    assert outcome == "sent again"


@pytest.mark.failure(32)
def test_a_letter_of_a_job_that_lives_or_is_done_or_erased_is_removed(
    office: DeadLetterOffice, store: JobStore, queue: JobQueue
) -> None:
    kept, living, done, erased = (a_job() for _ in range(4))
    for job in (kept, living, done, erased):
        store.create(job)
        queue.send(job.id)
        message = queue.receive(visibility_seconds=60, wait_seconds=0)
        assert message is not None
        queue.send_to_dead_letters(message, job=None, reason="strayed")
    for _ in range(3):
        store.release(store.claim(kept.id)[1], reason="crash", spend_budget=True, retry_in=dt.timedelta())
    store.exhaust(store.get(kept.id))
    store.complete(store.claim(done.id)[1], a_document(pages=2), a_result())
    store.erase(erased.id)

    assert office.sort(100) == 3


def test_a_letter_that_nobody_can_read_is_kept(
    office: DeadLetterOffice, clients: AwsClients, aws_settings: AwsSettings
) -> None:
    clients.sqs.send_message(QueueUrl=aws_settings.dead_letter_queue_url, MessageBody="rubbish")

    ((letter, outcome),) = office.redrive([])

    assert letter.job is None
    assert outcome.startswith("kept")
