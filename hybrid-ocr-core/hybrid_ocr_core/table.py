"""One DynamoDB table: reads, and conditional writes that tell what refused them.

A write that meets a transaction on its item is refused, and nothing is written, whatever its condition. No SDK sends
that again by itself; here it is.

A write whose response was lost is sent again by botocore and then fails its own condition. So every write asks for
``ALL_OLD``, and its caller looks whether the item that refused it already shows this very write.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from hybrid_ocr_core.aws import unavailable_on_error
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job_item import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: As DynamoDB gave it.
Key = Mapping[str, Any]
_Answer = TypeVar("_Answer")

_PART = "DynamoDB"
#: DynamoDB's reserved words among our attribute names; it refuses an alias that is not used.
_RESERVED = ("#status", "#owner", "#result")
#: Why a transaction was cancelled, and what a single write is told.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
_CONFLICTS = {"TransactionConflict", "TransactionConflictException"}
_CONFLICT_TRIES = 6
_CONFLICT_PAUSE_SECONDS = 0.05
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html, API_BatchWriteItem.html
_READS_A_BATCH = 100
_WRITES_A_BATCH = 25
#: What a batch leaves undone, for want of capacity, is to be sent again after a pause; no SDK does that by itself.
_BATCH_TRIES = 6
_BATCH_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One conditional update. Without ``update`` it only checks the condition, inside a transaction."""

    key: Item
    condition: str = ""
    update: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, table: str) -> dict[str, Any]:
        """As DynamoDB wants it, but for what it shall return."""
        found: dict[str, Any] = {
            "TableName": table,
            "Key": serialise(self.key),
        }
        if self.condition:
            found["ConditionExpression"] = self.condition
            found["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if self.update:
            found["UpdateExpression"] = self.update
        aliases = {alias: alias[1:] for alias in _RESERVED if alias in self.condition + self.update}
        if aliases:
            found["ExpressionAttributeNames"] = aliases
        if self.values:
            found["ExpressionAttributeValues"] = serialise(self.values)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One conditional put, inside a transaction."""

    item: Item
    condition: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, table: str) -> dict[str, Any]:
        """As DynamoDB wants it."""
        found: dict[str, Any] = {
            "TableName": table,
            "Item": serialise(self.item),
            "ConditionExpression": self.condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self.values:
            found["ExpressionAttributeValues"] = serialise(self.values)
        return found


class Table:
    """Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: Item) -> Item:
        """An item, strongly consistent; empty if there is none."""
        with unavailable_on_error(_PART):
            response = self._client.get_item(TableName=self._name, Key=serialise(key), ConsistentRead=True)
        return deserialise(response.get("Item"))

    def get_all(self, keys: Sequence[Item], *, only: Sequence[str] = ()) -> list[Item]:
        """Items, each strongly consistent, in any order; those that do not exist are left out.

        ``only`` names the attributes that are wanted. That costs as much, but there is less to send and to parse.
        """
        found: list[Item] = []
        aliases = {f"#{name}": name for name in only}
        options = {"ProjectionExpression": ", ".join(aliases), "ExpressionAttributeNames": aliases} if only else {}

        def read(left: list[Any]) -> list[Any]:
            wanted: Any = {self._name: {"Keys": left, "ConsistentRead": True, **options}}
            response = self._client.batch_get_item(RequestItems=wanted)
            found.extend(deserialise(item) for item in response["Responses"].get(self._name, []))
            unread: Any = response["UnprocessedKeys"]
            return list(unread.get(self._name, {}).get("Keys", []))

        for start in range(0, len(keys), _READS_A_BATCH):
            _until_all_is_done(read, [serialise(key) for key in keys[start : start + _READS_A_BATCH]])
        return found

    def put_all(self, items: Sequence[Item]) -> None:
        """Put items without a condition: only such as nobody else writes. An outage may leave some of them."""

        def write(left: list[Any]) -> list[Any]:
            response = self._client.batch_write_item(RequestItems={self._name: left})
            return list(response["UnprocessedItems"].get(self._name, []))

        for start in range(0, len(items), _WRITES_A_BATCH):
            some = items[start : start + _WRITES_A_BATCH]
            _until_all_is_done(write, [{"PutRequest": {"Item": serialise(item)}} for item in some])

    def put(self, item: Item, *, condition: str) -> bool:
        """Put an item; False when the condition refused it."""

        def send() -> bool:
            try:
                self._client.put_item(
                    TableName=self._name,
                    Item=serialise(item),
                    ConditionExpression=condition,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
            return True

        return _despite_conflicts(send)

    def update(self, write: Write) -> tuple[bool, Item]:
        """One conditional write: (True, the item as it is now), or (False, the item that refused it)."""

        def send() -> tuple[bool, Item]:
            try:
                response = self._client.update_item(ReturnValues="ALL_NEW", **write.arguments(self._name))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                # Raw DynamoDB JSON even where a resource made the call; absent when there was no item at all.
                refused: Any = error.response.get("Item")
                return False, deserialise(refused)
            return True, deserialise(response.get("Attributes"))

        return _despite_conflicts(send)

    def delete(self, key: Item) -> None:
        """Delete an item, if there is one."""
        _despite_conflicts(lambda: self._client.delete_item(TableName=self._name, Key=serialise(key)))

    def transact(self, writes: Sequence[Write | Put]) -> tuple[bool, list[Item]]:
        """All of the writes or none: (True, []), or (False, for each write the item that refused it, or empty)."""
        items: Any = [{_kind(write): write.arguments(self._name)} for write in writes]

        def send() -> tuple[bool, list[Item]]:
            try:
                self._client.transact_write_items(TransactItems=items)
            except ClientError as error:
                reasons: Any = error.response.get("CancellationReasons", [])
                if "ConditionalCheckFailed" not in _codes(error):
                    raise
                return False, [deserialise(reason.get("Item")) for reason in reasons]
            return True, []

        return _despite_conflicts(send)

    def query(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        start: Key | None = None,
        **options: Any,  # noqa: ANN401 - boto3's own
    ) -> tuple[list[Item], Key | None]:
        """The items of one page of a query, and where the next one starts; None after the last."""
        if start is not None:
            options["ExclusiveStartKey"] = start
        with unavailable_on_error(_PART):
            response = self._client.query(
                TableName=self._name,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=serialise(values),
                **options,
            )
        return [deserialise(item) for item in response["Items"]], response.get("LastEvaluatedKey")

    def items(self, pk: str, prefix: str = "") -> Iterator[Item]:
        """All items of a partition whose sort key begins so, in its order, strongly consistent."""
        condition, values = "pk = :pk", {":pk": pk}
        if prefix:
            condition, values = f"{condition} AND begins_with(sk, :prefix)", {**values, ":prefix": prefix}
        start: Key | None = None
        while True:
            page, start = self.query(condition, values, start=start, ConsistentRead=True)
            yield from page
            if start is None:
                return

    def count(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        most: int,
        **options: Any,  # noqa: ANN401 - boto3's own
    ) -> int:
        """How many items a query finds; not all of them are counted if they are more than ``most``."""
        found = 0
        while True:
            with unavailable_on_error(_PART):
                response = self._client.query(
                    TableName=self._name,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=serialise(values),
                    Select="COUNT",
                    **options,
                )
            found += response["Count"]
            if found > most or "LastEvaluatedKey" not in response:
                return found
            options["ExclusiveStartKey"] = response["LastEvaluatedKey"]


def _kind(write: Write | Put) -> str:
    if isinstance(write, Put):
        return "Put"
    return "Update" if write.update else "ConditionCheck"


def _codes(error: ClientError) -> set[str]:
    """Why it was refused; a transaction has reasons for each of its writes."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return {error.response["Error"]["Code"], *(reason.get("Code") for reason in reasons)}


def _despite_conflicts(send: Callable[[], _Answer]) -> _Answer:
    """Send until no transaction is in the way. Raises Unavailable when one always is."""
    for turn in range(1, _CONFLICT_TRIES + 1):
        with unavailable_on_error(_PART):
            try:
                return send()
            except ClientError as error:
                if turn == _CONFLICT_TRIES or not _codes(error) & _CONFLICTS:
                    raise
        time.sleep(random.uniform(0, _CONFLICT_PAUSE_SECONDS * 2**turn))  # noqa: S311 - not cryptography
    raise AssertionError("unreachable")


def _until_all_is_done(call: Callable[[list[Any]], list[Any]], left: list[Any]) -> None:
    """Call with what is left, until nothing is. Raises Unavailable when DynamoDB does not come to an end."""
    for turn in range(1, _BATCH_TRIES + 1):
        with unavailable_on_error(_PART):
            left = call(left)
        if not left:
            return
        if turn < _BATCH_TRIES:
            time.sleep(random.uniform(0, _BATCH_PAUSE_SECONDS * 2**turn))  # noqa: S311 - not cryptography
    raise Unavailable(_PART, "a batch was not done to its end")


_serialiser = TypeSerializer()
_deserialiser = TypeDeserializer()


def serialise(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python values -> raw DynamoDB JSON."""
    return {name: _serialiser.serialize(value) for name, value in values.items()}


def deserialise(raw: Mapping[str, Any] | None) -> Item:
    """Raw DynamoDB JSON -> Python values; nothing gives an empty item."""
    return {name: _deserialiser.deserialize(value) for name, value in (raw or {}).items()}
