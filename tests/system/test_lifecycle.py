"""What becomes of jobs after they were accepted: listed, erased, run again, expired. Real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.make_documents import GENERATED, numbered_scan
from tests.system.stack import Stack

_PAGES = 24


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Stack]:
    with Stack(
        tmp_path / "data",
        OCR_CHUNK_PAGES="2",
        OCR_DEDUPLICATE="1",
        OCR_LEASE_SECONDS="6",
        OCR_HEARTBEAT_SECONDS="2",
        OCR_SWEEP_SECONDS="2",
    ) as stack:
        yield stack


def _keys(stack: Stack, job_id: str) -> list[str]:
    prefix = f"jobs/default/{job_id}/"
    pages = stack.aws("s3").get_paginator("list_objects_v2").paginate(Bucket="hybrid-ocr", Prefix=prefix)
    return [found["Key"].removeprefix(prefix) for page in pages for found in page.get("Contents", [])]


def _rows(stack: Stack, job_id: str) -> dict[str, dict[str, Any]]:
    """The job's items in the table, by sort key."""
    rows = stack.aws("dynamodb").query(
        TableName="hybrid-ocr",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"T#default#J#{job_id}"}},
        ConsistentRead=True,
    )["Items"]
    return {row["sk"]["S"]: row for row in rows}


@pytest.mark.failure(49)
def test_erasing_a_long_document_that_many_workers_read_leaves_nothing_and_its_copies_go_on(fleet: Stack) -> None:
    content = numbered_scan(_PAGES)
    leader, follower, gone = (fleet.submit(content) for _ in range(3))
    fleet.wait_until(lambda: any("/pages/" in key for key in _keys(fleet, leader)), "the first pages")
    assert any(name.startswith("C#") for name in _rows(fleet, leader))

    for job_id in (leader, gone):
        assert fleet.delete(f"/jobs/{job_id}").status_code == 204
        assert fleet.get(f"/jobs/{job_id}").status_code == 404
    listed = {job["job_id"] for job in fleet.get("/jobs").json()["jobs"]}

    assert (listed & {leader, follower, gone}) == {follower}
    job = fleet.finish(follower)
    assert (job["status"], job["deduplicated_from"], job["document"]["pages"]) == ("DONE", None, _PAGES)
    for job_id in (leader, gone):
        fleet.wait_until(lambda: "open_shard" not in _rows(fleet, job_id)["META"], "the sweeper to have been there")  # noqa: B023 - called at once
    fleet.wait_until(lambda: fleet.messages() == 0, "the queue to be empty")
    fleet.wait_until(lambda: not list((fleet.data / "scratch").glob("**/worker-*/*-*")), "nobody to work on anything")
    # From here on nobody is left who could write.
    assert [_keys(fleet, job_id) for job_id in (leader, gone)] == [[], []]
    assert [list(_rows(fleet, job_id)) for job_id in (leader, gone)] == [["META"], ["META"]]
    assert {"source", "json", "txt", "pdf"} <= {key.rpartition(".")[2] for key in _keys(fleet, follower)}


def test_jobs_are_listed_run_again_and_let_go(fleet: Stack) -> None:
    scan = GENERATED["scan.pdf"]()
    first = fleet.submit(scan, client_reference="order 7", source_retention_days="0")
    refused = fleet.submit(b"%PDF-1.7 broken", client_reference="order 8")
    assert fleet.finish(first)["status"] == "DONE"
    assert fleet.finish(refused)["status"] == "FAILED"

    again = fleet.post(f"/jobs/{first}/rerun", json={"mode": "force", "outputs": ["txt"], "source_retention_days": 1})

    rerun = fleet.finish(again.json()["job_id"])
    assert (rerun["status"], rerun["rerun_of"], rerun["options"]["mode"]) == ("DONE", first, "force")
    assert (rerun["deduplicated_from"], set(rerun["results"])) == (None, {"json", "txt"})
    by_filter = {
        "status=FAILED&error=corrupt_document": [refused],
        "triage=approved,review": [rerun["job_id"], first],
        "client_reference=order+7&priority=normal": [rerun["job_id"], first],
        "created_after=2000-01-01&created_before=2000-01-02": [],
    }
    for query, ids in by_filter.items():
        fleet.wait_until(lambda: _listed(fleet, query) == ids, f"the list of {query}")  # noqa: B023 - called at once
    # The document of the first is not to be kept; its result is.
    fleet.wait_until(lambda: "source" not in _keys(fleet, first), "the document to be gone")
    gone = fleet.post(f"/jobs/{first}/rerun")
    assert (gone.status_code, gone.json()["code"]) == (410, "source_gone")
    assert json.loads(fleet.result(first, "json"))["pages"]
    assert "source" in _keys(fleet, rerun["job_id"])


def _listed(stack: Stack, query: str) -> list[str]:
    """By pages of one."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = stack.get(f"/jobs?{query}&limit=1{cursor and '&cursor='}{cursor}").json()
        found += [job["job_id"] for job in body["jobs"]]
        cursor = body["next_cursor"]
    return found
