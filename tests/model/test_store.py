"""What the model writes by hand is what the real store does: every write, on every item that can come about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from hybrid_ocr_core import aws
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import (
    AttemptsExhausted,
    ChunksOut,
    JobErased,
    JobFinished,
    JobNotFound,
    LeaseHeld,
    LeaseLost,
)
from hybrid_ocr_core.job import JobStatus, Lease
from hybrid_ocr_core.job_store import CONDITIONS, SOURCE_KEPT, JobStore, OpenJob, Resend
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import LEASE, FakeClock, a_document, a_failure, a_job, a_result
from tests.faults import lost_response
from tests.model.real import JOB, SWEEP_AT, RealTable
from tests.model.state import Faults, Item, Write
from tests.model.store import Answer, Model, Protocol, Scenario, second_write, send, to_be_sent
from tests.model.workers import why_not_claimed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SCENARIO = Scenario(name="any", faults=Faults(), budget=2, chunks=2)
_MODEL = Model(Protocol(), _SCENARIO)
_NO_TIME = dt.timedelta()
_FENCED = ("renew", "complete", "fail", "release", "exhaust", "split")
#: Error -> what the model calls it.
_REASONS: dict[type[Exception], str] = {
    JobFinished: "over",
    JobErased: "over",
    LeaseHeld: "busy",
    ChunksOut: "out",
    AttemptsExhausted: "spent",
    LeaseLost: str(Answer.REFUSED),
}
#: The methods of the store; some send a second write when the first is refused.
_GONE = f" AND {SOURCE_KEPT}"
_METHODS = (*CONDITIONS, "split")


def _writes(transition: str, item: Item) -> list[Write]:
    """The write by the current and by a stale attempt, on a fresh and on a stale sight, with and without a refund."""
    attempts = {0}
    if transition in _FENCED:
        # The attempt of a tombstone is nobody's, and so is that of a job that is left to its chunks.
        is_nobodys = item.is_erased or item.is_unheld
        attempts = {item.attempt - 1} if is_nobodys else {item.attempt, item.attempt - 1}
    return [
        Write(
            transition, attempt, is_fresh=is_fresh, is_refund=is_refund, split=attempt if transition == "split" else 0
        )
        for attempt in sorted(attempts)
        if attempt > 0 or transition != "split"
        for is_fresh in ([False, True] if transition == "resend" else [False])
        for is_refund in ([False, True] if transition == "release" else [False])
    ]


def _items() -> list[Item]:
    """Every item that writes and time can bring about; all attempts but the first few count as one, and all splits."""
    found = [Item()]
    for item in found:
        afters = [
            after
            for transition in _METHODS
            for write in _writes(transition, item)
            for answer, after in [_by_the_model(item, write)]
            if after != item
        ]
        if item.lease == "live":
            afters.append(item._replace(lease="lapsed"))
        if item.is_unheld and item.chunks_left:
            afters.append(item._replace(chunks_left=item.chunks_left - 1))
            afters.append(item._replace(status="FAILED", failure="document", is_open=False))
        found += [after for after in dict.fromkeys(map(_capped, afters)) if after not in found]
    return found


def _capped(item: Item) -> Item:
    most = 3 if item.split else 2
    return item._replace(attempt=min(item.attempt, most), result=min(item.result, most), split=min(item.split, 1))


def _by_the_model(item: Item, write: Write) -> tuple[str, Item]:
    state = _SCENARIO.start()._replace(item=item)
    answer, after = next(iter(send(_MODEL, state, write)))
    second = second_write(item, write.transition)
    if answer is Answer.REFUSED and second:
        answer, after = next(iter(send(_MODEL, state, write._replace(transition=second))))
    if answer is Answer.REFUSED and write.transition == "claim":
        return why_not_claimed(item), after.item
    if answer is Answer.DONE and write.transition == "resend":
        return f"sends {to_be_sent(after.item) or 'the job'}", after.item
    return str(answer), after.item


_ITEMS = _items()
_UNHELD = [item for item in _ITEMS if item.is_unheld and item.attempt == item.split + 1]
_ALL = {
    transition: [(item, write) for item in _ITEMS for write in _writes(transition, item)] for transition in _METHODS
}


@pytest.fixture
def table(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> RealTable:
    return RealTable(clients, aws_settings.table, clock, chunks=_SCENARIO.chunks)


@pytest.fixture
def small_store(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> JobStore:
    """A store with the model's budget."""
    return _small(clients.dynamodb, aws_settings, clock)


@pytest.mark.parametrize("transition", _METHODS)
def test_the_store_does_what_the_model_does(small_store: JobStore, table: RealTable, transition: str) -> None:
    differences = []
    for item, write in _ALL[transition]:
        table.put(item)
        found = _call(small_store, write), table.item()
        if found != _by_the_model(item, write):
            differences.append((item, write, found))

    assert differences == []


@pytest.mark.parametrize("transition", _METHODS)
def test_the_store_sends_the_condition_of_the_model(
    small_store: JobStore, clients: AwsClients, table: RealTable, transition: str
) -> None:
    sent: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.append(params["ConditionExpression"])

    differences = []
    for item in (Item(), *_UNHELD):
        table.put(item)
        clients.dynamodb.meta.events.register("provide-client-params.dynamodb.UpdateItem", note)
        clients.dynamodb.meta.events.register("provide-client-params.dynamodb.PutItem", note)
        _call(small_store, Write(transition))
        clients.dynamodb.meta.events.unregister("provide-client-params.dynamodb.UpdateItem", note)
        clients.dynamodb.meta.events.unregister("provide-client-params.dynamodb.PutItem", note)
        expected = [name for name in (transition, second_write(item, transition)) if name]
        # What is added can only refuse more: the guards against items of a later version, and documents that are gone.
        is_same = [one.split(" AND (attribute_not_exists(v)")[0].removesuffix(_GONE) for one in sent] == [
            _MODEL.protocol.conditions[name] for name in expected
        ]
        if not is_same:
            differences.append((item, sent[:]))
        sent.clear()

    assert differences == []


@pytest.mark.failure(18)
@pytest.mark.parametrize("transition", _METHODS)
def test_a_lost_response_changes_neither_the_answer_nor_the_item(
    aws_settings: AwsSettings, table: RealTable, clock: FakeClock, transition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # botocore waits before it sends again
    operation = "PutItem" if transition == "create" else "UpdateItem"
    standing = [
        (item, write, place)
        for item, write in _ALL[transition]
        for place, one in enumerate(_sent(item, write))
        if _holds(item, one)
    ]
    differences = []
    for number, (item, write, place) in enumerate(standing):
        if number % 20 == 0:  # a client has a quota of what it sends again
            client = aws.connect(aws_settings).dynamodb
            store = _small(client, aws_settings, clock)
        table.put(item)
        with lost_response(client, operation, after=place) as lost:
            found = _call(store, write), table.item()
        if found != _by_the_model(item, write) or not lost:
            differences.append((item, write, found))

    assert differences == []


def test_the_comparisons_are_about_something() -> None:
    assert {item.status for item in _ITEMS} == {"", *JobStatus}
    assert sum(len(writes) for writes in _ALL.values()) > 500
    assert all(any(_holds(*one) for one in writes) for writes in _ALL.values())
    assert {item.chunks_left for item in _UNHELD} == {0, 1, 2}


def _small(client: DynamoDBClient, settings: AwsSettings, clock: FakeClock) -> JobStore:
    return JobStore(client, settings.table, lease=LEASE, attempt_budget=_SCENARIO.budget, clock=clock)


def _sent(item: Item, write: Write) -> list[Write]:
    """The writes that the store tries, one after the other."""
    second = second_write(item, write.transition)
    return [write, write._replace(transition=second)] if second else [write]


def _holds(item: Item, write: Write) -> bool:
    return _MODEL.holds(_SCENARIO.start()._replace(item=item), write)


def _call(store: JobStore, write: Write) -> str:
    lease = Lease(job=JOB.id, attempt=write.attempt, owner="mine", expires_at=JOB.created_at)
    entry = OpenJob(job=JOB.id, sweep_at=SWEEP_AT if write.is_fresh else 1, resends=0, is_erased=False)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: store.create(JOB),
        "claim": lambda: store.claim(JOB.id),
        "renew": lambda: store.renew(lease),
        "complete": lambda: store.complete(lease, a_document(pages=2), a_result(attempt=write.attempt)),
        "fail": lambda: store.fail(lease, a_failure()),
        "release": lambda: store.release(lease, reason="r", spend_budget=not write.is_refund, retry_in=_NO_TIME),
        "exhaust": lambda: store.exhaust(a_job(job_id=JOB.job_id, attempt=write.attempt, budget_used=_SCENARIO.budget)),
        "resend": lambda: _told(store.resend(entry)),
        "split": lambda: store.split(lease, a_document(pages=2), chunks=_SCENARIO.chunks, pages=2),
        "redrive": lambda: store.redrive(JOB.id) is not None,
        "erase": lambda: store.erase(JOB.id),
        "purged": lambda: store.purged(entry),
    }
    try:
        answer = calls[write.transition]()
    except tuple(_REASONS) as error:
        return _REASONS[type(error)]
    except JobNotFound:
        return "no job" if write.transition == "claim" else str(Answer.REFUSED)
    if isinstance(answer, str):
        return answer
    return str(Answer.REFUSED if answer is False else Answer.DONE)


def _told(resend: Resend | None) -> str | bool:
    return False if resend is None else f"sends {resend.split or 'the job'}"
