"""Batches: what is put comes back in order, at any size; a half-written one does not exist."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from hybrid_ocr_core import job_item
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.batch import Batch, BatchId, Refusal
from hybrid_ocr_core.batch_store import BatchStore
from hybrid_ocr_core.errors import BatchNotFound, NewerSchema, Unavailable
from hybrid_ocr_core.job import JobId
from tests.builders import START, FakeClock
from tests.faults import lost_response

_ID = BatchId(tenant="default", batch_id="b" * 32)
#: As long as a file's entry may be: a name of 255 characters of four bytes, and a long message.
_WORST = Refusal(filename="\N{GRINNING FACE}" * 255, code="unsupported_media_type", message="x" * 900)


def _batch(*files: JobId | Refusal, reference: str | None = "order 7") -> Batch:
    return Batch(
        id=_ID, created_at=START, client_reference=reference, files=files, expires_at=START + dt.timedelta(days=60)
    )


def _job(number: int) -> JobId:
    return JobId(tenant="default", job_id=f"{number:032x}")


@pytest.mark.parametrize("count", [1, 100, 101, 1000])
def test_a_batch_comes_back_as_it_was_put(batches: BatchStore, count: int) -> None:
    batch = _batch(*(_job(number) if number % 3 else _WORST for number in range(count)))

    batches.create(batch)

    assert batches.get(_ID) == batch


def test_a_batch_is_gone_with_its_days_whether_or_not_the_ttl_has_come_by(
    batches: BatchStore, clients: AwsClients, clock: FakeClock
) -> None:
    batches.create(_batch(_job(1)))
    clock.advance(60 * 24 * 3600 - 1)
    assert batches.get(_ID)
    clock.advance(1)

    with pytest.raises(BatchNotFound):
        batches.get(_ID)
    items = clients.dynamodb.query(
        TableName="hybrid-ocr",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"T#default#B#{_ID.batch_id}"}},
    )["Items"]
    assert {item["expires_at"]["N"] for item in items} == {str(int(clock.now.timestamp()))}


@pytest.mark.failure(50)
def test_a_batch_that_was_written_before_batches_had_an_end_is_there(batches: BatchStore, clock: FakeClock) -> None:
    batch = replace(_batch(_job(1), _WORST), expires_at=None)
    batches.create(batch)
    clock.advance(400 * 24 * 3600)

    assert batches.get(_ID) == batch


def test_a_batch_of_refusals_only_and_without_a_label_comes_back_too(batches: BatchStore) -> None:
    batch = _batch(_WORST, reference=None)

    batches.create(batch)

    assert batches.get(_ID) == batch


@pytest.mark.parametrize(
    "other", [BatchId(tenant="default", batch_id="c" * 32), BatchId(tenant="other", batch_id=_ID.batch_id)]
)
def test_an_unknown_batch_or_another_tenants_is_not_found(batches: BatchStore, other: BatchId) -> None:
    batches.create(_batch(_job(1)))

    with pytest.raises(BatchNotFound):
        batches.get(other)


@pytest.mark.failure(2)
def test_a_batch_whose_writing_was_cut_off_does_not_exist(
    batches: BatchStore, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(**_: object) -> None:
        raise Unavailable("DynamoDB", "cut off")

    with monkeypatch.context() as patch:
        patch.setattr(clients.dynamodb, "put_item", die)
        with pytest.raises(Unavailable):
            batches.create(_batch(_job(1)))

    assert len(clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]) == 1
    with pytest.raises(BatchNotFound):
        batches.get(_ID)


@pytest.mark.failure(18)
@pytest.mark.parametrize("operation", ["PutItem", "BatchWriteItem"])
def test_a_batch_whose_response_was_lost_is_there_once(
    batches: BatchStore, clients: AwsClients, operation: str
) -> None:
    batch = _batch(_job(1), _WORST)
    with lost_response(clients.dynamodb, operation) as lost:
        batches.create(batch)

    assert lost
    assert batches.get(_ID) == batch


@pytest.mark.failure(50)
def test_a_batch_of_a_later_version_is_left_to_a_newer_api(
    batches: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("hybrid_ocr_core.batch_store.COMMON_SCHEMA", job_item.SCHEMA + 1)
        batches.create(_batch(_job(1)))

    with pytest.raises(NewerSchema):
        batches.get(_ID)
