"""Transactions, and what comes back when one is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_core.table import Table, Write
from tests.faults import changed_answer, refused

_WRITE = Write(key={"pk": "a", "sk": "b"}, condition="attribute_not_exists(pk)", update="SET n = :n", values={":n": 1})

_OLD = {"pk": "o", "sk": "b"}


class _Conflicts:
    """The other transaction is there so often."""

    def __init__(self, clients: AwsClients, times: int) -> None:
        self._client = clients.dynamodb
        self._transact = clients.dynamodb.transact_write_items
        self.left = times

    def transact_write_items(self, **call: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            return self._transact(**call)
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise self._client.exceptions.TransactionCanceledException(response, "TransactWriteItems")


def _table(clients: AwsClients, settings: AwsSettings, monkeypatch: pytest.MonkeyPatch, conflicts: int) -> Table:
    monkeypatch.setattr("hybrid_ocr_core.table._CONFLICT_PAUSE_SECONDS", 0)
    fake = _Conflicts(clients, conflicts)
    monkeypatch.setattr(clients.dynamodb, "transact_write_items", fake.transact_write_items)
    return Table(clients.dynamodb, settings.table)


@pytest.mark.failure(10)
def test_a_transaction_that_meets_another_is_sent_again(
    clients: AwsClients, aws_settings: AwsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _table(clients, aws_settings, monkeypatch, conflicts=3)

    assert table.transact([_WRITE]) == (True, [])
    assert table.get(_WRITE.key)["n"] == 1


@pytest.mark.failure(10)
def test_a_transaction_that_always_meets_another_is_an_outage_and_never_a_lost_lease(
    clients: AwsClients, aws_settings: AwsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _table(clients, aws_settings, monkeypatch, conflicts=99)

    with pytest.raises(Unavailable):
        table.transact([_WRITE])


@pytest.mark.failure(10)
@pytest.mark.parametrize(
    ("operation", "write"),
    [
        ("PutItem", lambda table: table.put({**_WRITE.key, "n": 1}, condition=_WRITE.condition)),
        ("UpdateItem", lambda table: table.update(_WRITE)[0]),
        ("DeleteItem", lambda table: table.delete(_OLD) is None),
    ],
)
def test_a_single_write_that_meets_a_transaction_is_sent_again(
    clients: AwsClients,
    aws_settings: AwsSettings,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    write: Callable[[Table], bool],
) -> None:
    monkeypatch.setattr("hybrid_ocr_core.table._CONFLICT_PAUSE_SECONDS", 0)
    table = Table(clients.dynamodb, aws_settings.table)
    table.put_all([_OLD])

    with refused(clients.dynamodb, operation, "TransactionConflictException", times=3) as conflicts:
        assert write(table)

    assert conflicts == [operation] * 3
    assert table.get(_WRITE.key).get("n", 1) == 1
    assert table.get(_OLD) == ({} if operation == "DeleteItem" else _OLD)


def test_a_refused_transaction_writes_nothing_and_shows_what_refused_it(
    clients: AwsClients, aws_settings: AwsSettings
) -> None:
    table = Table(clients.dynamodb, aws_settings.table)
    assert table.put({"pk": "c", "sk": "d", "n": 7}, condition="attribute_not_exists(pk)")
    other = Write(key={"pk": "c", "sk": "d"}, condition="n = :eight", values={":eight": 8})

    done, refused = table.transact([_WRITE, other])

    assert (done, refused) == (False, [{}, {"pk": "c", "sk": "d", "n": 7}])
    assert table.get(_WRITE.key) == {}


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid_ocr_core.table._BATCH_PAUSE_SECONDS", 0)


def _items(count: int) -> list[dict[str, Any]]:
    return [{"pk": f"x{number}", "sk": "b", "n": number} for number in range(count)]


def _keys(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"pk": item["pk"], "sk": item["sk"]} for item in items]


def _numbers(items: list[dict[str, Any]]) -> list[int]:
    return sorted(int(item["n"]) for item in items)


def test_many_items_are_put_and_read_whatever_their_number(clients: AwsClients, aws_settings: AwsSettings) -> None:
    table = Table(clients.dynamodb, aws_settings.table)

    table.put_all(_items(130))

    assert _numbers(table.get_all(_keys(_items(131)))) == list(range(130))
    assert table.get_all([]) == []


@pytest.mark.failure(9)
@pytest.mark.usefixtures("without_pauses")
def test_items_that_a_batch_leaves_unread_are_asked_for_again_and_only_those(
    clients: AwsClients, aws_settings: AwsSettings
) -> None:
    table = Table(clients.dynamodb, aws_settings.table)
    table.put_all(_items(4))

    def answer_one(answer: dict[str, Any]) -> None:
        first, *rest = answer["Responses"][aws_settings.table]
        answer["Responses"][aws_settings.table] = [first]
        keys = [{name: item[name] for name in ("pk", "sk")} for item in rest]
        answer["UnprocessedKeys"] = {aws_settings.table: {"Keys": keys}} if keys else {}

    with changed_answer(clients.dynamodb, "BatchGetItem", answer_one) as asked:
        found = table.get_all(_keys(_items(4)))

    assert _numbers(found) == [0, 1, 2, 3]
    assert [len(call["RequestItems"][aws_settings.table]["Keys"]) for call in asked] == [4, 3, 2, 1]
    assert all(call["RequestItems"][aws_settings.table]["ConsistentRead"] for call in asked)


@pytest.mark.failure(9)
@pytest.mark.usefixtures("without_pauses")
def test_items_that_a_batch_leaves_unwritten_are_sent_again_and_only_those(
    clients: AwsClients, aws_settings: AwsSettings
) -> None:
    table = Table(clients.dynamodb, aws_settings.table)
    refused = [{"PutRequest": {"Item": {"pk": {"S": "x1"}, "sk": {"S": "b"}, "n": {"N": "1"}}}}]
    answers = [{aws_settings.table: refused}, {}]

    with changed_answer(
        clients.dynamodb, "BatchWriteItem", lambda answer: answer.update(UnprocessedItems=answers.pop(0))
    ) as asked:
        table.put_all(_items(3))

    assert [call["RequestItems"][aws_settings.table] for call in asked][1:] == [refused]
    assert _numbers(table.get_all(_keys(_items(3)))) == [0, 1, 2]


@pytest.mark.failure(9)
@pytest.mark.usefixtures("without_pauses")
def test_a_batch_that_is_never_done_is_an_outage(clients: AwsClients, aws_settings: AwsSettings) -> None:
    table = Table(clients.dynamodb, aws_settings.table)
    nothing = {aws_settings.table: [{"PutRequest": {"Item": {"pk": {"S": "x0"}, "sk": {"S": "b"}}}}]}

    with (
        changed_answer(clients.dynamodb, "BatchWriteItem", lambda answer: answer.update(UnprocessedItems=nothing)),
        pytest.raises(Unavailable),
    ):
        table.put_all(_items(1))
