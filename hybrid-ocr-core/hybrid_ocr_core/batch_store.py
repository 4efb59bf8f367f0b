"""DynamoDB: batches, written once and never changed, so that nothing in them can be counted wrongly.

    T#<tenant>#B#<batch_id>   F#<page>   a page of the files, in order
                              META       the batch itself: without it there is no batch

A file with a long name and a refusal may take 2 kB, so one item could not hold a thousand of them.

IAM: as ``job_store``, and dynamodb:BatchWriteItem, and Query on the table itself.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from hybrid_ocr_core.batch import Batch, BatchId, Refusal
from hybrid_ocr_core.errors import BatchNotFound, NewerSchema
from hybrid_ocr_core.idempotency import KeyedRequest
from hybrid_ocr_core.job import Clock, JobId, utc_now
from hybrid_ocr_core.job_item import COMMON_SCHEMA, SCHEMA, Item, stamp
from hybrid_ocr_core.table import Put, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: At most 200 kB of the 400 kB that an item may have.
_FILES_A_PAGE = 100
_META = "META"
_IS_NEW = "attribute_not_exists(pk)"


class BatchStore:
    """The batches of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def create(self, batch: Batch, request: KeyedRequest | None = None) -> None:
        """Put a new batch, whose jobs are there. With a keyed request its record is put as well, or neither is.

        Raises:
            KeyUsed, IdempotencyMismatch: the key is taken; there is no such batch.
        """
        files = batch.files
        parts = [files[start : start + _FILES_A_PAGE] for start in range(0, len(files), _FILES_A_PAGE)]
        self._table.put_all(
            [
                {
                    "pk": _pk(batch.id),
                    "sk": f"F#{number:06d}",
                    "v": COMMON_SCHEMA,
                    **_end(batch),
                    "files": [_from_file(file) for file in part],
                }
                for number, part in enumerate(parts)
            ]
        )
        # A crash here leaves pages of a batch that does not exist: a few kB that nobody reads, and no job needs.
        if request is None:
            self._table.put(_from_batch(batch), condition=_IS_NEW)
            return
        written, refused = self._table.transact(
            [request.record(batch.id.batch_id), Put(item=_from_batch(batch), condition=_IS_NEW)]
        )
        if not written:
            request.check(refused[0], made=batch.id.batch_id)

    def get(self, batch: BatchId) -> Batch:
        """Read a batch, strongly consistent.

        Raises:
            BatchNotFound: there is no such batch, or not any more.
        """
        # The pages in order, and last META, as their keys sort.
        *pages, meta = list(self._table.items(_pk(batch))) or [{}]
        # The TTL is late, and may take the pages first.
        expires_at = meta.get("expires_at")
        if meta.get("sk") != _META or (expires_at is not None and expires_at <= self._clock().timestamp()):
            raise BatchNotFound("there is no such batch")
        if int(meta["v"]) > SCHEMA:
            raise NewerSchema(int(meta["v"]), SCHEMA)
        return Batch(
            id=batch,
            created_at=dt.datetime.fromisoformat(meta["created_at"]),
            client_reference=meta.get("client_reference"),
            expires_at=None if expires_at is None else dt.datetime.fromtimestamp(int(expires_at), dt.UTC),
            files=tuple(_to_file(batch.tenant, file) for page in pages for file in page["files"]),
        )


def _pk(batch: BatchId) -> str:
    return f"T#{batch.tenant}#B#{batch.batch_id}"


def _end(batch: Batch) -> Item:
    """For DynamoDB's TTL, which may remove the items of a batch in any order: there are no objects that they name."""
    return {} if batch.expires_at is None else {"expires_at": int(batch.expires_at.timestamp())}


def _from_batch(batch: Batch) -> Item:
    item: Item = {
        "pk": _pk(batch.id),
        "sk": _META,
        "v": COMMON_SCHEMA,
        "created_at": stamp(batch.created_at),
        **_end(batch),
    }
    if batch.client_reference is not None:
        item["client_reference"] = batch.client_reference
    return item


def _from_file(file: JobId | Refusal) -> dict[str, Any]:
    if isinstance(file, JobId):
        return {"job_id": file.job_id}
    return {"filename": file.filename, "code": file.code, "message": file.message}


def _to_file(tenant: str, item: dict[str, Any]) -> JobId | Refusal:
    if "job_id" in item:
        return JobId(tenant=tenant, job_id=item["job_id"])
    return Refusal(filename=item["filename"], code=item["code"], message=item["message"])
