"""What the model writes by hand is what the real store does: every write, on every item that can come about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from hybrid_ocr_core import job_item
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import AttemptsExhausted, JobErased, JobFinished, JobNotFound, LeaseHeld, LeaseLost
from hybrid_ocr_core.job import JobFailure, JobStatus, Lease
from hybrid_ocr_core.job_store import CONDITIONS, JobStore, OpenJob
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import LEASE, FakeClock, a_document, a_failure, a_job, a_result
from tests.faults import lost_response
from tests.model.state import Faults, Item, Write
from tests.model.store import Answer, Model, Protocol, Scenario, send
from tests.model.workers import why_not_claimed

_SCENARIO = Scenario(name="any", faults=Faults(), budget=2)
_MODEL = Model(Protocol(), _SCENARIO)
_SWEEP_AT = 1_000
_NO_TIME = dt.timedelta()
_JOB = a_job()
_FENCED = ("renew", "complete", "fail", "release", "exhaust")


def _writes(transition: str, item: Item) -> list[Write]:
    """The write by the current and by a stale attempt, on a fresh and on a stale sight, with and without a refund."""
    attempts = {0}
    if transition in _FENCED:
        # The attempt of a tombstone is nobody's.
        attempts = {item.attempt - 1} if item.is_erased else {item.attempt, item.attempt - 1}
    return [
        Write(transition, attempt, is_fresh=is_fresh, is_refund=is_refund)
        for attempt in sorted(attempts)
        for is_fresh in ([False, True] if transition == "resend" else [False])
        for is_refund in ([False, True] if transition == "release" else [False])
    ]


def _items() -> list[Item]:
    """Every item that writes and time can bring about; all attempts after the first count as the second."""
    found = [Item()]
    for item in found:
        afters = [
            _MODEL.written(item, write)
            for transition in CONDITIONS
            for write in _writes(transition, item)
            if _MODEL.holds(item, write)
        ]
        if item.lease == "live":
            afters.append(item._replace(lease="lapsed"))
        known = [after._replace(attempt=min(after.attempt, 2), result=min(after.result, 2)) for after in afters]
        found += [after for after in dict.fromkeys(known) if after not in found]
    return found


_ITEMS = _items()
_ALL = {
    transition: [(item, write) for item in _ITEMS for write in _writes(transition, item)] for transition in CONDITIONS
}


class _Table:
    """One real item, written and read past the store."""

    def __init__(self, clients: AwsClients, table: str, clock: FakeClock) -> None:
        self._client = clients.dynamodb
        self._table = table
        self._clock = clock

    def put(self, item: Item) -> None:
        key = _serialise(job_item.key_of(_JOB.id))
        self._client.delete_item(TableName=self._table, Key=key)
        if item.exists:
            self._client.put_item(TableName=self._table, Item=_serialise(self._concrete(item)))

    def item(self) -> Item:
        key = _serialise(job_item.key_of(_JOB.id))
        raw = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return (
            self._abstract({name: TypeDeserializer().deserialize(value) for name, value in raw.items()})
            if raw
            else Item()
        )

    def _concrete(self, item: Item) -> dict[str, Any]:
        job = a_job(
            job_id=_JOB.job_id, status=JobStatus(item.status), attempt=item.attempt, budget_used=item.budget_used
        )
        raw = job_item.from_job(job, sweep_at=_SWEEP_AT)
        now = job_item.milliseconds(self._clock())
        if item.lease:
            raw |= {"owner": "somebody", "lease_expires_at": now + (1 if item.lease == "live" else -1)}
        if item.failure:
            code = "out_of_attempts" if item.failure == "out_of_attempts" else a_failure().code
            raw["failure"] = job_item.from_failure(JobFailure(code=code, message="m", retryable=True))
        if item.result:
            raw["result"] = job_item.from_result(a_result(attempt=item.result))
        if not item.is_open:
            del raw["open_shard"], raw["sweep_at"]
        if item.is_erased:
            raw["erased_at"] = job_item.stamp(self._clock())
            del raw["document"], raw["options"]
        return raw

    def _abstract(self, raw: dict[str, Any]) -> Item:
        assert ("open_shard" in raw) == ("sweep_at" in raw)
        assert ("owner" in raw) == ("lease_expires_at" in raw)
        is_live = "lease_expires_at" in raw and raw["lease_expires_at"] >= job_item.milliseconds(self._clock())
        code = raw.get("failure", {}).get("code", "")
        return Item(
            exists=True,
            status=raw["status"],
            attempt=int(raw["attempt"]),
            budget_used=int(raw["budget_used"]),
            lease=("live" if is_live else "lapsed") if "lease_expires_at" in raw else "",
            failure=code if code in {"", "out_of_attempts"} else "document",
            result=int(raw["result"]["attempt"]) if "result" in raw else 0,
            is_open="open_shard" in raw,
            is_erased="erased_at" in raw,
        )


@pytest.fixture
def table(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> _Table:
    return _Table(clients, aws_settings.table, clock)


@pytest.fixture
def small_store(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> JobStore:
    """A store with the model's budget."""
    return JobStore(clients.dynamodb, aws_settings.table, lease=LEASE, attempt_budget=_SCENARIO.budget, clock=clock)


@pytest.mark.parametrize("transition", CONDITIONS)
def test_the_store_does_what_the_model_does(small_store: JobStore, table: _Table, transition: str) -> None:
    differences = []
    for item, write in _ALL[transition]:
        table.put(item)
        found = _call(small_store, write), table.item()
        if found != _by_the_model(item, write):
            differences.append((item, write, found))

    assert differences == []


@pytest.mark.parametrize("transition", CONDITIONS)
def test_the_store_sends_the_condition_of_the_model(
    small_store: JobStore, clients: AwsClients, transition: str
) -> None:
    sent: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.append(params["ConditionExpression"])

    clients.dynamodb.meta.events.register("provide-client-params.dynamodb", note)
    _call(small_store, Write(transition))

    # What is added can only refuse more: the guard against items of a later version.
    (expression,) = sent
    assert expression == CONDITIONS[transition] or expression.startswith(f"{CONDITIONS[transition]} AND ")


@pytest.mark.failure(18)
@pytest.mark.parametrize("transition", CONDITIONS)
def test_a_lost_response_changes_neither_the_answer_nor_the_item(
    small_store: JobStore, clients: AwsClients, table: _Table, transition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # botocore waits before it sends again
    operation = "PutItem" if transition == "create" else "UpdateItem"
    differences = []
    for item, write in _ALL[transition]:
        if _MODEL.holds(item, write):
            table.put(item)
            with lost_response(clients.dynamodb, operation) as lost:
                found = _call(small_store, write), table.item()
            if found != _by_the_model(item, write) or not lost:
                differences.append((item, write, found))

    assert differences == []


def test_the_comparisons_are_about_something() -> None:
    assert {item.status for item in _ITEMS} == {"", *JobStatus}
    assert sum(len(writes) for writes in _ALL.values()) > 500
    assert all(any(_MODEL.holds(*one) for one in writes) for writes in _ALL.values())


def _by_the_model(item: Item, write: Write) -> tuple[str, Item]:
    state = _SCENARIO.start()._replace(item=item)
    answer, after = next(iter(send(_MODEL, state, write)))
    is_refused = answer is Answer.REFUSED
    if write.transition == "claim" and is_refused:
        return why_not_claimed(item), after.item
    return str(answer), after.item


def _call(store: JobStore, write: Write) -> str:
    lease = Lease(job=_JOB.id, attempt=write.attempt, owner="mine", expires_at=_JOB.created_at)
    entry = OpenJob(job=_JOB.id, sweep_at=_SWEEP_AT if write.is_fresh else 1, resends=0, is_erased=False)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: store.create(_JOB),
        "claim": lambda: store.claim(_JOB.id),
        "renew": lambda: store.renew(lease),
        "complete": lambda: store.complete(lease, a_document(pages=2), a_result(attempt=write.attempt)),
        "fail": lambda: store.fail(lease, a_failure()),
        "release": lambda: store.release(lease, reason="r", spend_budget=not write.is_refund, retry_in=_NO_TIME),
        "exhaust": lambda: store.exhaust(
            a_job(job_id=_JOB.job_id, attempt=write.attempt, budget_used=_SCENARIO.budget)
        ),
        "resend": lambda: store.resend(entry) is not None,
        "redrive": lambda: store.redrive(_JOB.id) is not None,
        "erase": lambda: store.erase(_JOB.id),
        "purged": lambda: store.purged(entry),
    }
    try:
        is_refused = calls[write.transition]() is False
    except (JobFinished, JobErased):
        return "over"
    except JobNotFound:
        return "no job" if write.transition == "claim" else str(Answer.REFUSED)
    except LeaseHeld:
        return "busy"
    except AttemptsExhausted:
        return "spent"
    except LeaseLost:
        is_refused = True
    return str(Answer.REFUSED if is_refused else Answer.DONE)


def _serialise(values: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeSerializer().serialize(value) for name, value in values.items()}
