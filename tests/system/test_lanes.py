"""Lanes, places and copies, with one real worker and a queue that is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hybrid_ocr_core.options import OUTPUTS
from tests.make_documents import GENERATED, numbered_scan
from tests.system import outcome
from tests.system.stack import Stack

_SMALL = GENERATED["born-digital.pdf"]()


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("lanes") / "data",
        OCR_CHUNK_PAGES="6",
        OCR_WORKER_PROCESSES="1",
        OCR_TENANT_JOBS_IN_LANE="8",
        OCR_SWEEP_SECONDS="2",
    ) as stack:
        yield stack


def test_an_urgent_job_overtakes_a_long_document_in_hand(one_worker: Stack) -> None:
    long = one_worker.submit(numbered_scan(24), priority="low")
    one_worker.wait_until(lambda: one_worker.job(long)["progress"]["pages_done"], "the first chunk to be home")

    urgent = one_worker.finish(one_worker.submit(_SMALL, priority="high"))
    behind = one_worker.job(long)
    done = one_worker.finish(long)

    assert (urgent["status"], urgent["priority"]) == ("DONE", "high")
    assert behind["status"] == "PROCESSING"
    pages = json.loads(one_worker.result(long, "json"))["pages"]
    assert done["status"] == "DONE"
    assert [f"Page {number} " in page["text"] for number, page in enumerate(pages, 1)] == [True] * 24


def test_a_full_lane_of_urgent_jobs_starves_nobody(one_worker: Stack) -> None:
    """Twice over: by weight, and by the urgent jobs that have no place yet."""

    def submit_urgent(count: int) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: one_worker.submit(_SMALL, priority="high"), range(count)))

    urgent = submit_urgent(20)
    low = one_worker.submit(_SMALL, priority="low")
    urgent += submit_urgent(20)

    ended = {job_id: one_worker.finish(job_id)["updated_at"] for job_id in [low, *urgent]}

    assert ended[low] < sorted(ended.values())[-5]
    outcome.settle(one_worker)


@pytest.fixture(scope="module")
def thrifty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("copies") / "data", OCR_DEDUPLICATE="1", OCR_SWEEP_SECONDS="2") as stack:
        yield stack


def test_the_same_document_at_once_is_read_once_and_each_has_a_result_of_its_own(thrifty: Stack) -> None:
    content = numbered_scan(3)
    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(lambda _: thrifty.submit(content), range(6)))
    jobs = [thrifty.finish(job_id) for job_id in ids]
    copied_from = {job["deduplicated_from"] for job in jobs}
    (leader,) = copied_from - {None}

    assert [job["status"] for job in jobs] == ["DONE"] * 6
    assert sum(job["deduplicated_from"] is None for job in jobs) == 1
    assert thrifty.delete(f"/jobs/{leader}").status_code == 204
    for job_id in set(ids) - {leader}:
        result = json.loads(thrifty.result(job_id, "json"))
        assert (result["job_id"], len(result["pages"])) == (job_id, 3)
        assert thrifty.result(job_id, "pdf").startswith(b"%PDF")


def test_a_copy_has_every_format_of_its_leader(thrifty: Stack) -> None:
    content, outputs = GENERATED["mixed.pdf"](), ",".join(OUTPUTS)
    leader = thrifty.finish(thrifty.submit(content, "theirs.pdf", outputs=outputs))["job_id"]
    copy = thrifty.finish(thrifty.submit(content, "ours.pdf", outputs=outputs))
    assert thrifty.get(f"/jobs/{copy['job_id']}").json()["deduplicated_from"] == leader

    for output in OUTPUTS:
        theirs, ours = thrifty.result(leader, output), thrifty.result(copy["job_id"], output)
        is_named = output in {"json", "hocr"}
        assert (theirs == ours) != is_named
        assert b"theirs" not in ours
        assert leader.encode() not in ours
