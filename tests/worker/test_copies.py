"""Seen before costs nothing: a result is copied, never shared, and a copy says whose it is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_core.job import JobId, JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.ocr.formats.hocr import rename_hocr, write_hocr
from hybrid_ocr_worker.ocr.formats.page_json import rename_json, write_json
from hybrid_ocr_worker.ocr.formats.writing import draw
from hybrid_ocr_worker.processing import Processor
from tests.builders import FakeClock, a_job
from tests.faults import away
from tests.recognisers import ScriptedRecogniser

_PDF = b"%PDF-1.7 the same bytes"


@pytest.fixture
def contents(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> Contents:
    return Contents(clients.dynamodb, aws_settings.table, clock)


def _submit(client: FlaskClient, content: bytes = _PDF, name: str = "a.pdf", **fields: str) -> JobId:
    answer = client.post("/jobs", data={"file": (io.BytesIO(content), name), **fields})
    assert answer.status_code == 202
    return JobId(tenant="default", job_id=answer.get_json()["job_id"])


def _drain(processor: Processor, queue: JobQueue) -> None:
    while message := queue.receive(visibility_seconds=60, wait_seconds=0):
        processor.process(message)


def _view(client: FlaskClient, job: JobId) -> dict[str, Any]:
    view: dict[str, Any] = client.get(f"/jobs/{job.job_id}").get_json()
    return view


def test_a_document_that_is_done_is_not_read_again(
    client: FlaskClient,
    processor: Processor,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    documents: DocumentStore,
    store: JobStore,
) -> None:
    first = _submit(client)
    _drain(processor, queue)
    second = _submit(client, name="other.pdf", client_reference="another label", priority="normal")
    _drain(processor, queue)

    assert recogniser.calls == 1
    assert (_view(client, first)["deduplicated_from"], _view(client, second)["deduplicated_from"]) == (
        None,
        first.job_id,
    )
    result = json.loads(b"".join(documents.result_lines(store.get(second))))
    assert (result["job_id"], result["document"]["filename"]) == (second.job_id, "other.pdf")


@pytest.mark.parametrize(
    ("content", "fields"),
    [(b"%PDF-1.7 other bytes", {}), (_PDF, {"mode": "force"}), (_PDF, {"pages": "1"}), (_PDF, {"languages": "deu"})],
)
def test_other_bytes_and_other_options_are_read(
    client: FlaskClient,
    processor: Processor,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    content: bytes,
    fields: dict[str, str],
) -> None:
    _submit(client)
    _drain(processor, queue)
    other = _submit(client, content, **fields)
    _drain(processor, queue)

    assert recogniser.calls == 2
    assert _view(client, other)["deduplicated_from"] is None


def test_copies_wait_for_the_one_that_is_running(
    client: FlaskClient, processor: Processor, queue: JobQueue, recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    first = _submit(client)
    joined: list[JobId] = []
    recogniser.script = [lambda: joined.extend(_submit(client) for _ in range(3))]
    waiting = _submit(client)
    _drain(processor, queue)

    assert recogniser.calls == 1
    assert {store.get(job).status for job in (waiting, *joined)} == {JobStatus.DONE}
    assert {_view(client, job)["deduplicated_from"] for job in (waiting, *joined)} == {first.job_id}


def test_a_copy_waits_for_its_leader_to_be_written(
    store: JobStore, queue: JobQueue, places: Places, contents: Contents, clock: FakeClock
) -> None:
    leader, follower = a_job(), a_job()
    contents.lead(leader)  # and the same document comes before its job is written

    dispatch = Dispatch(store, queue, places, contents, clock, sleep=lambda _: store.create(leader))
    committed = dispatch.commit(follower)

    assert (committed.is_held, committed.leader) == (True, leader.job_id)


def test_a_leader_that_never_comes_is_waited_for_once(
    store: JobStore, queue: JobQueue, places: Places, contents: Contents, clock: FakeClock
) -> None:
    contents.lead(a_job())  # and its API dies
    waited: list[float] = []

    dispatch = Dispatch(store, queue, places, contents, clock, sleep=waited.append)
    first, second = dispatch.commit(a_job()), dispatch.commit(a_job())

    assert 0.5 < sum(waited) < 1
    assert (first.is_held, first.leader) == (False, None)
    assert (second.is_held, second.leader) == (True, first.job_id)


def test_erasing_one_leaves_the_other(
    client: FlaskClient, processor: Processor, queue: JobQueue, documents: DocumentStore, store: JobStore
) -> None:
    first = _submit(client)
    _drain(processor, queue)
    second = _submit(client)
    _drain(processor, queue)

    client.delete(f"/jobs/{first.job_id}")

    assert json.loads(b"".join(documents.result_lines(store.get(second))))["read"] == _PDF.decode()


def test_when_the_one_they_wait_for_is_erased_one_of_them_is_read(
    client: FlaskClient, processor: Processor, queue: JobQueue, recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    first = _submit(client)
    second = _submit(client)
    client.delete(f"/jobs/{first.job_id}")
    _drain(processor, queue)

    assert recogniser.calls == 1
    assert store.get(second).status is JobStatus.DONE
    assert _view(client, second)["deduplicated_from"] is None


def test_those_who_wait_for_an_erased_one_go_on_though_the_bucket_is_away(
    client: FlaskClient, processor: Processor, queue: JobQueue, store: JobStore, clients: AwsClients
) -> None:
    first, second = _submit(client), _submit(client)
    with away(clients.s3):
        assert client.delete(f"/jobs/{first.job_id}").status_code == 204
    _drain(processor, queue)

    assert store.get(second).status is JobStatus.DONE


def test_erasing_one_that_waits_leaves_the_others_their_turn(
    client: FlaskClient, processor: Processor, queue: JobQueue, recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    first, gone, last = _submit(client), _submit(client), _submit(client)
    client.delete(f"/jobs/{gone.job_id}")
    _drain(processor, queue)

    assert recogniser.calls == 1
    assert _view(client, last)["deduplicated_from"] == first.job_id


def test_a_leader_whose_days_are_over_is_read_anew(
    client: FlaskClient, processor: Processor, queue: JobQueue, recogniser: ScriptedRecogniser, clock: FakeClock
) -> None:
    _submit(client, retention_days="1")
    _drain(processor, queue)
    clock.advance(24 * 3600)
    later = _submit(client)
    _drain(processor, queue)

    assert recogniser.calls == 2
    assert _view(client, later)["status"] == "DONE"


def test_what_failed_serves_nobody(
    client: FlaskClient, processor: Processor, queue: JobQueue, recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    def refuse() -> None:
        raise DocumentRejected("page_timeout", "too slow today")

    first = _submit(client)
    waiting = _submit(client)
    recogniser.script = [refuse]
    _drain(processor, queue)
    later = _submit(client)
    _drain(processor, queue)

    assert [store.get(job).status for job in (first, waiting, later)] == [
        JobStatus.FAILED,
        JobStatus.DONE,
        JobStatus.DONE,
    ]


def test_a_result_that_is_gone_is_made_anew(
    client: FlaskClient,
    processor: Processor,
    queue: JobQueue,
    recogniser: ScriptedRecogniser,
    documents: DocumentStore,
    store: JobStore,
) -> None:
    first = _submit(client)
    _drain(processor, queue)
    documents.purge(first)
    second = _submit(client)
    _drain(processor, queue)

    assert recogniser.calls == 2
    assert store.get(second).status is JobStatus.DONE


def test_the_hundred_and_first_copy_is_read_itself(
    client: FlaskClient, processor: Processor, queue: JobQueue, recogniser: ScriptedRecogniser, store: JobStore
) -> None:
    leader = _submit(client)
    for number in range(100):
        assert store.follow(leader, JobId(tenant="default", job_id=f"{number:032x}"))
    late = _submit(client)
    _drain(processor, queue)

    assert recogniser.calls == 2
    assert store.get(late).status is JobStatus.DONE


def test_json_is_renamed_line_by_line(tmp_path: Any) -> None:
    header = {"schema": "hybrid-ocr/1", "job_id": "a", "document": {"filename": "x\u2028.pdf"}, "engine": {"name": "e"}}
    draw(write_json(header, [], tmp_path / "theirs"))
    rename_json(tmp_path / "theirs", tmp_path / "ours", {"job_id": "b", "document": {"filename": "é\n.pdf"}})
    draw(write_json({**header, "job_id": "b", "document": {"filename": "é\n.pdf"}}, [], tmp_path / "expected"))

    assert (tmp_path / "ours").read_bytes() == (tmp_path / "expected").read_bytes()


def test_hocr_is_renamed(tmp_path: Any) -> None:
    draw(write_hocr([], tmp_path / "theirs", title="a & b", engine="e"))
    rename_hocr(tmp_path / "theirs", tmp_path / "ours", "<c>")
    draw(write_hocr([], tmp_path / "expected", title="<c>", engine="e"))

    assert (tmp_path / "ours").read_bytes() == (tmp_path / "expected").read_bytes()
