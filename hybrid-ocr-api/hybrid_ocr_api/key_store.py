"""DynamoDB: API keys, found by their id.

    pk = K#<key id>, sk = META                 the key: its hash, tenant, scopes, end
    pk = KEYS, sk = <tenant>#<key id>          that there is such a key, so that somebody can list them

    method    guard in the ConditionExpression                  change
    create    attribute_not_exists(pk)                          the key is there, and in the list
    rotate    it exists and has no end yet                      it has one, and another key is there; in one transaction
    revoke    it exists and has not ended                       it ends now
    used      it exists and was last used before                last_used_at

A key never leaves the table: the list is also the record of who had access, and until when.

IAM: dynamodb:GetItem, UpdateItem on the table; for the operator's command also BatchGetItem and Query.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hybrid_ocr_api.access import known_scopes
from hybrid_ocr_api.api_keys import ApiKey
from hybrid_ocr_core.errors import HybridOcrError, NewerSchema
from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.job_item import Item, milliseconds, stamp
from hybrid_ocr_core.table import Key, Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: Raised by a change after which an older version must not let a key in.
_SCHEMA = 1
_META = "META"
_LIST = "KEYS"

CONDITIONS = {
    "create": "attribute_not_exists(pk)",
    "rotate": "attribute_exists(pk) AND attribute_not_exists(ends_at)",
    "revoke": "attribute_exists(pk) AND (attribute_not_exists(ends_at) OR ends_at > :now)",
    "used": "attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at < :now)",
}


class KeyNotFound(HybridOcrError):
    """There is no key of this id."""


class KeyEnds(HybridOcrError):
    """The key is revoked, or is being rotated already."""


class KeyStore:
    """The keys of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def get(self, key_id: str) -> ApiKey | None:
        """Read a key, strongly consistent; None if there is none."""
        item = self._table.get(_key_of(key_id))
        return _to_key(item) if item else None

    def create(self, key: ApiKey) -> None:
        """Put a new key.

        Raises:
            KeyEnds: its id is taken; nobody meets that twice.
        """
        written, items = self._table.transact(_creation(key))
        if not written and not _shows(items[0], key):
            raise KeyEnds("the id is taken; try again")

    def rotate(self, old: ApiKey, new: ApiKey, *, ends_at: dt.datetime) -> None:
        """Put a new key, and let the old one end. Both are live until then.

        Raises:
            KeyEnds: the old one has an end already. So there are two live keys at most.
        """
        end = Write(
            key=_key_of(old.key_id),
            condition=CONDITIONS["rotate"],
            update="SET ends_at = :ends_at",
            values={":ends_at": milliseconds(ends_at)},
        )
        written, items = self._table.transact([end, *_creation(new)])
        if not written and not _shows(items[1], new):
            raise KeyEnds("the key is revoked, or is being rotated already")

    def revoke(self, key_id: str) -> ApiKey:
        """Let a key end now; revoking twice changes nothing.

        Raises:
            KeyNotFound: see there.
        """
        now = milliseconds(self._clock())
        _, item = self._table.update(
            Write(
                key=_key_of(key_id),
                condition=CONDITIONS["revoke"],
                update="SET ends_at = :now",
                values={":now": now},
            )
        )
        if not item:
            raise KeyNotFound(f"there is no key {key_id}")
        return _to_key(item)

    def used(self, key_id: str) -> None:
        """Note that the key is in use."""
        self._table.update(
            Write(
                key=_key_of(key_id),
                condition=CONDITIONS["used"],
                update="SET last_used_at = :now",
                values={":now": milliseconds(self._clock())},
            )
        )

    def list(self, tenant: str | None = None) -> list[ApiKey]:
        """The keys of one tenant or of all, in the order of tenants and creation."""
        condition, values = "pk = :pk", {":pk": _LIST}
        if tenant is not None:
            condition, values = f"{condition} AND begins_with(sk, :tenant)", {**values, ":tenant": f"{tenant}#"}
        found: list[Item] = []
        start: Key | None = None
        while True:
            items, start = self._table.query(condition, values, start=start, ConsistentRead=True)
            found += items
            if start is None:
                break
        keys = [_to_key(item) for item in self._table.get_all([_key_of(row["sk"].split("#")[1]) for row in found])]
        return sorted(keys, key=lambda key: (key.tenant, key.created_at, key.key_id))


def _key_of(key_id: str) -> Item:
    return {"pk": f"K#{key_id}", "sk": _META}


def _creation(key: ApiKey) -> list[Write]:
    item = _from_key(key)
    return [
        Write(
            key=_key_of(key.key_id),
            condition=CONDITIONS["create"],
            update="SET " + ", ".join(f"{name} = :{name}" for name in item),
            values={f":{name}": value for name, value in item.items()},
        ),
        Write(
            key={"pk": _LIST, "sk": f"{key.tenant}#{key.key_id}"},
            update="SET v = :v",
            values={":v": _SCHEMA},
        ),
    ]


def _shows(item: Item, key: ApiKey) -> bool:
    """Is it what this very write made, whose response was lost?"""
    return bool(item.get("sha256") == key.sha256)


def _from_key(key: ApiKey) -> Item:
    return {
        "v": _SCHEMA,
        "key_id": key.key_id,
        "sha256": key.sha256,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "label": key.label,
        "created_at": stamp(key.created_at),
    }


def _to_key(item: Item) -> ApiKey:
    if int(item["v"]) > _SCHEMA:
        raise NewerSchema(int(item["v"]), _SCHEMA)
    return ApiKey(
        key_id=item["key_id"],
        sha256=item["sha256"],
        tenant=item["tenant"],
        scopes=known_scopes(item["scopes"]),
        label=item["label"],
        created_at=dt.datetime.fromisoformat(item["created_at"]),
        ends_at=_to_time(item.get("ends_at")),
        last_used_at=_to_time(item.get("last_used_at")),
    )


def _to_time(value: int | None) -> dt.datetime | None:
    return None if value is None else dt.datetime.fromtimestamp(int(value) / 1000, dt.UTC)
