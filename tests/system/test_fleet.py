"""One document on several workers, real ones, some of them killed."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pikepdf import Pdf

from hybrid_ocr_core.options import OUTPUTS
from tests.make_documents import long_scan, numbered_scan, numbered_tiff
from tests.system import outcome
from tests.system.stack import Stack
from tests.worker.ocr.format_readers import lines_of_words

_PAGES = 40


_LONG = 1000


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Stack]:
    with Stack(
        tmp_path / "data",
        OCR_CHUNK_PAGES="4",
        OCR_CHUNKS_IN_LANE="3",
        OCR_LEASE_SECONDS="6",
        OCR_HEARTBEAT_SECONDS="2",
        OCR_SWEEP_SECONDS="2",
        OCR_WORKER_PROCESSES="3",
    ) as stack:
        yield stack


def test_a_long_scan_is_read_by_the_whole_fleet_while_workers_are_killed(fleet: Stack) -> None:
    content = numbered_scan(_PAGES)
    job_id = fleet.submit(content, outputs=",".join(OUTPUTS))
    kills = 0
    ended = threading.Event()
    while fleet.job(job_id)["status"] in {"QUEUED", "PROCESSING"} and not ended.wait(1):
        workers = fleet.workers()
        if workers and kills < 6:
            os.kill(workers[kills % len(workers)], signal.SIGKILL)
            kills += 1

    job = fleet.finish(job_id)

    assert (job["status"], job["document"]["pages"], job["failed_pages"]) == ("DONE", _PAGES, [])
    assert kills >= 2
    pages = json.loads(fleet.result(job_id, "json"))["pages"]
    assert [page["page"] for page in pages] == list(range(1, _PAGES + 1))
    assert [f"Page {number} " in page["text"] for number, page in enumerate(pages, 1)] == [True] * _PAGES
    with Pdf.open(io.BytesIO(fleet.result(job_id, "pdf"))) as pdf:
        assert len(pdf.pages) == _PAGES
    for output in ("hocr", "alto", "tsv", "textract"):
        found = lines_of_words(output, fleet.result(job_id, output))
        assert found == lines_of_words("json", fleet.result(job_id, "json")), output
    outcome.settle(fleet)
    outcome.check(fleet, {job_id: {"DONE"}}, b"Page", outputs=("txt", *OUTPUTS))
    fleet.wait_until(lambda: not list((fleet.data / "scratch").glob("**/chunk-*")), "the scratch to be clean")


@pytest.mark.long
def test_a_thousand_pages_while_a_worker_is_killed_every_ten_seconds(tmp_path: Path) -> None:
    content = numbered_scan(_LONG)
    with Stack(tmp_path / "data", OCR_WORKER_PROCESSES="3", OCR_LEASE_SECONDS="20", OCR_HEARTBEAT_SECONDS="5") as stack:
        job_id = stack.submit(content)
        started, kills = time.monotonic(), 0
        wait = threading.Event().wait
        while stack.job(job_id)["status"] in {"QUEUED", "PROCESSING"} and not wait(1):
            workers = stack.workers()
            if workers and time.monotonic() - started > 10 * (kills + 1):
                os.kill(workers[kills % len(workers)], signal.SIGKILL)
                kills += 1
        job = stack.finish(job_id)
        seconds = time.monotonic() - started
        pages = json.loads(stack.result(job_id, "json"))["pages"]

    print(f"\n{_LONG} pages, 3 workers, {kills} killed: {seconds:.0f} s")
    assert (job["status"], job["document"]["pages"], job["failed_pages"]) == ("DONE", _LONG, [])
    assert kills >= 3
    assert [page["page"] for page in pages] == list(range(1, _LONG + 1))
    assert [f"Page {number} " in page["text"] for number, page in enumerate(pages, 1)] == [True] * _LONG


def test_a_long_tiff_is_read_by_the_whole_fleet(fleet: Stack) -> None:
    read = fleet.read(numbered_tiff(9), "a.tiff")

    assert [f"Page {number} " in page["text"] for number, page in enumerate(read["pages"], 1)] == [True] * 9
    assert read["job"]["attempt"] == 3


def test_a_long_document_reads_as_in_one_piece(fleet: Stack, stack: Stack) -> None:
    content = long_scan(9)

    in_chunks, in_one = (running.read(content, outputs="json") for running in (fleet, stack))

    assert in_chunks["pages"] == in_one["pages"]
    assert (in_chunks["job"]["attempt"], in_one["job"]["attempt"]) == (3, 1)
