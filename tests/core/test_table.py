"""Transactions, and what comes back when one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_core.table import Table, Write

_WRITE = Write(key={"pk": "a", "sk": "b"}, condition="attribute_not_exists(pk)", update="SET n = :n", values={":n": 1})


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


def test_a_refused_transaction_writes_nothing_and_shows_what_refused_it(
    clients: AwsClients, aws_settings: AwsSettings
) -> None:
    table = Table(clients.dynamodb, aws_settings.table)
    assert table.put({"pk": "c", "sk": "d", "n": 7}, condition="attribute_not_exists(pk)")
    other = Write(key={"pk": "c", "sk": "d"}, condition="n = :eight", values={":eight": 8})

    done, refused = table.transact([_WRITE, other])

    assert (done, refused) == (False, [{}, {"pk": "c", "sk": "d", "n": 7}])
    assert table.get(_WRITE.key) == {}
