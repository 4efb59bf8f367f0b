"""Bodies that are not ours, and what a later version of this project wrote: neither stops a worker, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hybrid_ocr_core import job_item
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.chunk import Chunk, ChunkId
from hybrid_ocr_core.dead_letters import DeadLetterQueue
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import NewerSchema
from hybrid_ocr_core.job import JobId
from hybrid_ocr_core.job_queue import JobQueue, MalformedMessage, ReceivedMessage, parse_body
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import processing
from hybrid_ocr_worker.dead_letters import DeadLetterOffice
from hybrid_ocr_worker.orphans import remove_orphans
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.sweeper import Sweeper
from tests.builders import FakeClock, a_document, a_job
from tests.recognisers import ScriptedRecogniser

_JOB_ID = "a" * 32
_HOSTILE = st.text(st.characters(codec=None), max_size=40)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_HOSTILE, inner, max_size=3),
    max_leaves=6,
)
_ENVELOPES = st.fixed_dictionaries(
    {"v": st.sampled_from([1, 1, 1, 0, -1, True, 1.0, "1", None]) | _VALUES},
    optional={"tenant": st.just("default") | _VALUES, "job_id": st.just(_JOB_ID) | _VALUES, "more": _VALUES},
)
_BODIES = _HOSTILE | _VALUES.map(json.dumps) | _ENVELOPES.map(json.dumps)
_QUICK = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class _Sent:
    """An SQS that takes what SQS takes, and remembers it."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []
        self.deleted = 0
        self.hidden: list[int] = []

    def send_message(self, **call: Any) -> None:
        texts = [call["MessageBody"], *(value["StringValue"] for value in call["MessageAttributes"].values())]
        for text in texts:
            assert text
            assert all(c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" for c in text)
        self.letters.append(call)

    def delete_message(self, **_: Any) -> None:
        self.deleted += 1

    def change_message_visibility(self, **call: Any) -> None:
        self.hidden.append(call["VisibilityTimeout"])


@pytest.fixture
def sqs(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> _Sent:
    sent = _Sent()
    monkeypatch.setattr(queue, "_client", sent)
    return sent


def _message(body: str) -> ReceivedMessage:
    return ReceivedMessage(body=body, receipt_handle="h", receive_count=1, sent_at=0)


@pytest.mark.failure(31)
@_QUICK
@given(body=_BODIES)
@example(body="[" * 100_000)  # deeper than the parser goes
@example(body="1" * 5000)
@example(body='{"v": 1, "tenant": "default", "job_id": "\\ud800"}')
@example(body='{"v": 1, "tenant": "\\u0000", "job_id": "' + _JOB_ID + '"}')
@example(body="\x00\ud800\uffff")
def test_whatever_a_body_holds_it_is_a_job_or_a_dead_letter_and_the_worker_lives(
    body: str, processor: Processor, sqs: _Sent
) -> None:
    sqs.letters, sqs.hidden, sqs.deleted = [], [], 0
    try:
        parse_body(body)
    except MalformedMessage:
        processor.process(_message(body))
        assert (len(sqs.letters), sqs.deleted) in {(1, 1), (0, 0)}
        assert len(sqs.letters) + len(sqs.hidden) == 1
    else:
        processor.process(_message(body))  # a job that does not exist, and the message is old
        assert (sqs.letters, sqs.deleted) == ([], 1)


@pytest.mark.failure(31)
def test_an_item_that_cannot_be_read_ends_no_worker(
    processor: Processor, job: JobId, queue: JobQueue, clients: AwsClients
) -> None:
    key = {"pk": {"S": f"T#default#J#{job.job_id}"}, "sk": {"S": "META"}}
    clients.dynamodb.update_item(TableName="hybrid-ocr", Key=key, UpdateExpression="REMOVE options")
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None

    processor.process(message)


@pytest.mark.failure(50)
def test_a_message_of_a_later_version_is_left_to_a_newer_worker(processor: Processor, sqs: _Sent) -> None:
    processor.process(_message('{"v": 3, "whatever": "comes"}'))

    assert (sqs.letters, sqs.deleted) == ([], 0)
    assert 240 <= sqs.hidden[0] <= 360


@pytest.fixture
def newer(job: JobId, clients: AwsClients) -> dict[str, Any]:
    """The submitted job, as a later version might have written it."""
    key = {"pk": {"S": f"T#default#J#{job.job_id}"}, "sk": {"S": "META"}}
    clients.dynamodb.update_item(
        TableName="hybrid-ocr",
        Key=key,
        UpdateExpression="SET v = :newer, options = :other",
        ExpressionAttributeValues={":newer": {"N": str(job_item.SCHEMA + 1)}, ":other": {"S": "a shape of tomorrow"}},
    )
    item: dict[str, Any] = clients.dynamodb.get_item(TableName="hybrid-ocr", Key=key)["Item"]
    return item


@pytest.mark.failure(50)
def test_a_job_of_a_later_version_is_left_as_it_is(
    processor: Processor,
    job: JobId,
    newer: dict[str, Any],
    store: JobStore,
    queue: JobQueue,
    clients: AwsClients,
    recogniser: ScriptedRecogniser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden: list[float] = []
    monkeypatch.setattr(JobQueue, "hide", lambda _self, _message, seconds: hidden.append(seconds))
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    with pytest.raises(NewerSchema):
        store.claim(job)

    processor.process(message)

    found = clients.dynamodb.get_item(TableName="hybrid-ocr", Key={"pk": newer["pk"], "sk": newer["sk"]})["Item"]
    assert (found, recogniser.calls) == (newer, 0)
    assert hidden[0] >= 0.8 * processing._NEWER_RETRY_SECONDS


@pytest.mark.failure(50)
def test_a_split_job_of_a_later_version_is_left_as_it_is(
    processor: Processor, job: JobId, store: JobStore, sqs: _Sent, clients: AwsClients
) -> None:
    _, lease = store.claim(job)
    chunk = ChunkId(job=job, split=lease.attempt, number=1)
    store.chunks.create([Chunk(id=chunk, pages=(1,))])
    store.split(lease, a_document(), chunks=1, pages=1)
    key = {"pk": {"S": f"T#default#J#{job.job_id}"}, "sk": {"S": "META"}}
    newer = {":newer": {"N": str(job_item.SCHEMA + 1)}}
    clients.dynamodb.update_item(
        TableName="hybrid-ocr", Key=key, UpdateExpression="SET v = :newer", ExpressionAttributeValues=newer
    )

    processor.process(_message(json.dumps({"v": 2, "tenant": "default", "job_id": job.job_id, "split": 1, "chunk": 1})))
    store.chunks.home(store.chunks.claim(chunk)[1], pages=1)  # by a newer worker
    with pytest.raises(NewerSchema):
        store.claim(job)

    assert (sqs.letters, sqs.deleted) == ([], 0)
    assert 240 <= sqs.hidden[0] <= 360


@pytest.mark.failure(50)
def test_asking_an_old_api_for_a_job_of_a_later_version_says_come_back(
    client: FlaskClient, job: JobId, newer: dict[str, Any]
) -> None:
    response = client.get(f"/jobs/{job.job_id}")

    assert (response.status_code, response.get_json()["code"]) == (503, "unavailable")


@pytest.mark.failure(50)
def test_sweepers_and_operators_of_an_old_version_pass_over_newer_jobs(
    job: JobId,
    newer: dict[str, Any],
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clients: AwsClients,
    aws_settings: AwsSettings,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    letters = DeadLetterQueue(clients.sqs, aws_settings.dead_letter_queue_url)
    office = DeadLetterOffice(store=store, dispatch=dispatch, letters=letters)
    queue.send_to_dead_letters(_message(_body(job)), job=job, reason="strayed")
    clock.advance(61)

    assert Sweeper(store, queue, documents, dispatch, clock=clock).sweep() == 1  # a message does no harm
    assert office.sort(10) == 0
    assert remove_orphans(store, documents, clock=lambda: clock.now.replace(year=2100)) == 0
    assert clients.s3.list_objects_v2(Bucket="hybrid-ocr")["KeyCount"] == 1


def _body(job: JobId) -> str:
    return json.dumps({"v": 1, "tenant": job.tenant, "job_id": job.job_id})


@pytest.mark.failure(50)
def test_what_this_version_writes_says_so(job: JobId, queue: JobQueue, clients: AwsClients) -> None:
    (item,) = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None

    assert item["v"] == {"N": "2"}
    assert json.loads(message.body)["v"] == 1


@pytest.mark.failure(50)
@pytest.mark.parametrize("webhook_url", [None, "https://hooks.example/"])
def test_a_version_that_knows_neither_webhooks_nor_days_does_not_end_a_job_that_has_them(
    store: JobStore, clients: AwsClients, monkeypatch: pytest.MonkeyPatch, webhook_url: str | None
) -> None:
    job = a_job(webhook_url=webhook_url)
    store.create(job)
    monkeypatch.setattr(job_item, "SCHEMA", 1)

    with pytest.raises(NewerSchema):
        store.claim(job.id)


@pytest.mark.failure(50)
def test_an_item_without_a_version_is_of_the_first(job: JobId, store: JobStore, clients: AwsClients) -> None:
    key = {"pk": {"S": f"T#default#J#{job.job_id}"}, "sk": {"S": "META"}}
    clients.dynamodb.update_item(TableName="hybrid-ocr", Key=key, UpdateExpression="REMOVE v")

    assert store.claim(job)[1].attempt == 1
