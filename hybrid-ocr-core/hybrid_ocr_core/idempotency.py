"""DynamoDB: what a request with an ``Idempotency-Key`` made, so that the same request again makes nothing.

    pk = T#<tenant>#I#<operation>#<key>, sk = KEY     ``made`` (the id of a job or batch), ``fingerprint``,
                                                      ``expires_at``

A record is written in one transaction with the job or batch that it names. So there is neither without the other: of
requests that race one wins, and no request is ever "in progress", to be waited for or to be given up after a crash. A
request that was refused, or met an outage, has written nothing, and may be sent again under its key.

A record counts for a week. The TTL deletes late, so whoever reads one looks at the time as well.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core.errors import IdempotencyMismatch, KeyUsed
from hybrid_ocr_core.job_item import COMMON_SCHEMA, Item
from hybrid_ocr_core.table import Put, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = dt.timedelta(days=7)

CONDITIONS = {
    "record": "attribute_not_exists(pk) OR expires_at <= :now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request with a key of its client's. ``fingerprint`` tells it from others; ``at`` is the time of the request."""

    tenant: str
    operation: str
    key: str
    fingerprint: str
    at: dt.datetime

    @property
    def item_key(self) -> Item:
        """The primary key of its record."""
        return _item_key(self.tenant, self.operation, self.key)

    def record(self, made: str) -> Put:
        """The write that belongs into the transaction which makes ``made``."""
        item = {
            **self.item_key,
            "v": COMMON_SCHEMA,
            "made": made,
            "fingerprint": self.fingerprint,
            "expires_at": int((self.at + KEPT).timestamp()),
        }
        return Put(item=item, condition=CONDITIONS["record"], values={":now": int(self.at.timestamp())})

    def check(self, record: Item, *, made: str | None = None) -> None:
        """Whether the key is free, going by its record. It is, too, if the record shows our own write: ``made``.

        Raises:
            KeyUsed: this request was there before.
            IdempotencyMismatch: another one was.
        """
        if not _counts(record, self.at) or record["made"] == made:
            return
        if record["fingerprint"] != self.fingerprint:
            raise IdempotencyMismatch("the Idempotency-Key was used for another document, or with other fields")
        raise KeyUsed(str(record["made"]))


class IdempotencyKeys:
    """Those of all tenants. Raises ``Unavailable`` when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def check(self, request: KeyedRequest) -> None:
        """Before anything is stored: most requests that come again come after the first has ended.

        Raises:
            KeyUsed, IdempotencyMismatch: see ``KeyedRequest.check``.
        """
        request.check(self._table.get(request.item_key))

    def is_used(self, tenant: str, operation: str, key: str, at: dt.datetime) -> bool:
        """Was some request accepted under this key?"""
        return _counts(self._table.get(_item_key(tenant, operation, key)), at)


def _item_key(tenant: str, operation: str, key: str) -> Item:
    return {"pk": f"T#{tenant}#I#{operation}#{key}", "sk": "KEY"}


def _counts(record: Item, at: dt.datetime) -> bool:
    return bool(record) and record["expires_at"] > int(at.timestamp())
