"""What the model writes by hand of chunks is what the real store does: every write, on every chunk and every job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from hybrid_ocr_core import aws
from hybrid_ocr_core.chunk import Chunk as StoredChunk
from hybrid_ocr_core.chunk import ChunkId, ChunkLease
from hybrid_ocr_core.chunk_store import CONDITIONS, ChunkStore
from hybrid_ocr_core.errors import ChunkExhausted, ChunkHome, JobNotFound, LeaseHeld, LeaseLost
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import LEASE, FakeClock, a_failure
from tests.faults import lost_response
from tests.model.chunks import why_not_taken
from tests.model.real import JOB, PAGES, RealTable
from tests.model.state import Chunk, Faults, Item, Write
from tests.model.store import OF_CHUNKS, Answer, Model, Protocol, Scenario, send

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SCENARIO = Scenario(name="any", faults=Faults(), budget=2, chunks=2)
_MODEL = Model(Protocol(), _SCENARIO)
_CHUNK = ChunkId(job=JOB.id, split=1, number=2)
#: Error -> what the model calls it.
_REASONS: dict[type[Exception], str] = {
    ChunkHome: "home",
    LeaseHeld: "busy",
    ChunkExhausted: "spent",
    JobNotFound: "no chunk",
    LeaseLost: str(Answer.REFUSED),
}
_TRANSACTIONS = ("chunk renew", "chunk home", "chunk fail job")

_OUT = Item(exists=True, status="PROCESSING", attempt=2, is_open=True, split=1, chunks_left=2)
#: The jobs that a chunk of split 1 may meet.
_JOBS = (
    _OUT,
    _OUT._replace(chunks_left=1),
    _OUT._replace(chunks_left=0),
    _OUT._replace(chunks_left=0, attempt=3, lease="live"),
    _OUT._replace(chunks_left=0, attempt=3, status="QUEUED"),
    _OUT._replace(chunks_left=0, attempt=3, status="DONE", result=3, is_open=False),
    _OUT._replace(status="FAILED", failure="document", is_open=False),
    _OUT._replace(chunks_left=0, attempt=3, status="FAILED", failure="out_of_attempts", is_open=False),
    _OUT._replace(split=3, attempt=4),  # split anew
    _OUT._replace(split=0, chunks_left=0, attempt=1, lease="live"),  # not yet
    _OUT._replace(split=0, chunks_left=0, attempt=3, is_erased=True),
    Item(),
)


class Case(NamedTuple):
    """A write, and what it meets."""

    job: Item
    chunk: Chunk | None
    write: Write


def _writes(transition: str, chunk: Chunk | None) -> list[Write]:
    """The write by the current and by a stale attempt, with and without a refund, with and without a page stored."""
    is_fenced = transition not in {"chunk create", "chunk claim"}
    attempts = {chunk.attempt, chunk.attempt - 1} if chunk and is_fenced else {0}
    return [
        Write(transition, attempt, is_refund=is_refund, split=1, number=2, has_stored=has_stored)
        for attempt in sorted(attempts)
        for is_refund in ([False, True] if transition == "chunk release" else [False])
        for has_stored in ([False, True] if transition == "chunk renew" else [False])
    ]


def _chunks() -> list[Chunk | None]:
    """Every chunk that writes and time can bring about; all attempts but the first few count as one."""
    found: list[Chunk | None] = [None]
    for chunk in found:
        afters = [_by_the_model(Case(_OUT, chunk, write))[2] for name in OF_CHUNKS for write in _writes(name, chunk)]
        if chunk and chunk.lease == "live":
            afters.append(chunk._replace(lease="lapsed"))
        capped = [after and after._replace(attempt=min(after.attempt, 3)) for after in afters]
        found += [after for after in dict.fromkeys(capped) if after not in found]
    return found


def _by_the_model(case: Case) -> tuple[str, Item, Chunk | None]:
    chunks = (case.chunk,) if case.chunk else ()
    state = _SCENARIO.start()._replace(item=case.job, chunks=chunks)
    answer, after = next(iter(send(_MODEL, state, case.write)))
    chunk = after.chunk(1, 2)
    if answer is Answer.REFUSED and case.write.transition in {"chunk claim", "chunk skip"}:
        return why_not_taken(state, 1, 2), after.item, chunk
    return str(answer), after.item, chunk


def _cases(transition: str) -> Iterator[Case]:
    """Every chunk of a job that waits for it; and where the job is asked, each kind of chunk of any job."""
    for chunk in _CHUNKS:
        for write in _writes(transition, chunk):
            is_asked = transition in _TRANSACTIONS and chunk in _KINDS
            for job in _JOBS if is_asked else _JOBS[:1]:
                yield Case(job, chunk, write)


_CHUNKS = _chunks()
_KINDS = {chunk and (chunk.status, chunk.lease): chunk for chunk in _CHUNKS}.values()


@pytest.fixture
def table(aws_settings: AwsSettings, clock: FakeClock) -> RealTable:
    return RealTable(aws.connect(aws_settings), aws_settings.table, clock, chunks=_SCENARIO.chunks)


@pytest.fixture
def client(aws_settings: AwsSettings) -> DynamoDBClient:
    return aws.connect(aws_settings).dynamodb


@pytest.mark.parametrize("transition", OF_CHUNKS)
def test_the_store_does_with_chunks_what_the_model_does(
    client: DynamoDBClient, aws_settings: AwsSettings, table: RealTable, clock: FakeClock, transition: str
) -> None:
    store = _store(client, aws_settings, clock)
    differences = []
    for case in _cases(transition):
        _put(table, case)
        found = _call(store, case.write), table.item(), table.chunk(_CHUNK)
        if found != _by_the_model(case):
            differences.append((case, found))

    assert differences == []


def test_the_store_sends_the_conditions_of_the_model_with_chunks(
    client: DynamoDBClient, aws_settings: AwsSettings, clock: FakeClock
) -> None:
    for transition in OF_CHUNKS:
        with _noted(client) as sent:
            _call(_store(client, aws_settings, clock), Write(transition, 1, split=1, number=2))

        names = [OF_CHUNKS[transition], *(["chunk wanted"] if transition in _TRANSACTIONS else [])]
        assert sent == [_MODEL.protocol.conditions[name] for name in names]


@pytest.mark.failure(18)
@pytest.mark.parametrize("transition", OF_CHUNKS)
def test_a_lost_response_of_a_write_on_a_chunk_changes_neither_the_answer_nor_the_items(
    aws_settings: AwsSettings, table: RealTable, clock: FakeClock, transition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # botocore waits before it sends again
    operation = "PutItem" if transition == "chunk create" else "UpdateItem"
    if transition in _TRANSACTIONS:
        operation = "TransactWriteItems"
    differences = []
    for number, case in enumerate(case for case in _cases(transition) if _holds(case)):
        if number % 20 == 0:  # a client has a quota of what it sends again
            client = aws.connect(aws_settings).dynamodb
            store = _store(client, aws_settings, clock)
        _put(table, case)
        with lost_response(client, operation) as lost:
            found = _call(store, case.write), table.item(), table.chunk(_CHUNK)
        if found != _by_the_model(case) or not lost:
            differences.append((case, found))

    assert differences == []


def test_the_comparisons_are_about_something() -> None:
    assert {chunk.status for chunk in _CHUNKS if chunk} == {"QUEUED", "PROCESSING", "DONE"}
    assert all(any(_holds(case) for case in _cases(transition)) for transition in OF_CHUNKS)
    assert {name.removeprefix("chunk ") for name in OF_CHUNKS} - {"fail job"} == set(CONDITIONS) - {"wanted"}


def _holds(case: Case) -> bool:
    state = _SCENARIO.start()._replace(item=case.job, chunks=(case.chunk,) if case.chunk else ())
    return _MODEL.holds(state, case.write)


def _store(client: DynamoDBClient, settings: AwsSettings, clock: FakeClock) -> ChunkStore:
    """A store with the model's budget."""
    return ChunkStore(client, settings.table, lease=LEASE, attempt_budget=_SCENARIO.budget, clock=clock)


def _put(table: RealTable, case: Case) -> None:
    table.put(case.job)
    table.put_chunk(_CHUNK, case.chunk)


@contextmanager
def _noted(client: DynamoDBClient) -> Iterator[list[str]]:
    """The conditions that are sent."""
    sent: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        parts = [part for item in params.get("TransactItems", [params]) for part in (item, *item.values())]
        sent.extend(part["ConditionExpression"] for part in parts if "ConditionExpression" in part)

    client.meta.events.register("provide-client-params.dynamodb", note)
    try:
        yield sent
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb", note)


def _call(store: ChunkStore, write: Write) -> str:
    lease = ChunkLease(chunk=_CHUNK, attempt=write.attempt, owner="mine", expires_at=JOB.created_at)
    calls: dict[str, Callable[[], object]] = {
        "chunk create": lambda: store.create([StoredChunk(id=_CHUNK, pages=PAGES)]),
        "chunk claim": lambda: store.claim(_CHUNK),
        "chunk skip": lambda: store.skip(_CHUNK, seen=write.attempt),
        "chunk renew": lambda: store.renew(lease, has_stored=write.has_stored),
        "chunk release": lambda: store.release(lease, spend_budget=not write.is_refund),
        "chunk home": lambda: store.home(lease, pages=len(PAGES)),
        "chunk fail job": lambda: store.fail_job(lease, a_failure()),
    }
    try:
        calls[write.transition]()
    except tuple(_REASONS) as error:
        return _REASONS[type(error)]
    return str(Answer.DONE)
