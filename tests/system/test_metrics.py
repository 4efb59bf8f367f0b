"""The metrics of real processes: one scrape sees all of them, and no death of one makes a count fall."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from hybrid_ocr_core import exposition
from tests.conftest import ROOT
from tests.make_documents import GENERATED, numbered_scan
from tests.system.stack import Stack, _free_port

_SMALL = GENERATED["born-digital.pdf"]()
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class _Measured:
    """A stack whose workers answer at a port."""

    def __init__(self, data: Path) -> None:
        self.port = _free_port()
        self.stack = Stack(data, OCR_METRICS_PORT=str(self.port), OCR_METRICS_OPEN="0", OCR_CHUNK_PAGES="3")

    def api(self) -> dict[str, float]:
        return _numbers(self.stack.get("/metrics").text)

    def workers(self) -> dict[str, float]:
        return _scrape(self.port)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Measured]:
    found = _Measured(tmp_path_factory.mktemp("metrics") / "data")
    with found.stack:
        yield found


def _numbers(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{{{','.join(f'{label}={word}' for label, word in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _done(numbers: dict[str, float]) -> float:
    return numbers["hybrid_ocr_job_transitions_total{lane=normal,state=DONE,transition=complete}"]


def _pages(numbers: dict[str, float]) -> float:
    return sum(value for name, value in numbers.items() if name.startswith("hybrid_ocr_pages_total"))


def test_every_job_of_every_process_is_counted_once_and_a_killed_worker_takes_none_away(measured: _Measured) -> None:
    stack = measured.stack
    before, pages = _done(measured.workers()), _pages(measured.workers())

    for job_id in [stack.submit(_SMALL) for _ in range(12)]:
        assert stack.finish(job_id)["status"] == "DONE"
    counts = [_done(measured.workers()) for _ in range(10)]  # answered by either process

    assert set(counts) == {before + 12}
    assert _pages(measured.workers()) == pages + 24

    old = stack.workers()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    stack.wait_until(lambda: len(set(stack.workers()) - set(old)) == 2, "the workers to be back")
    stack.finish(stack.submit(_SMALL))
    stack.wait_until(
        lambda: (now := measured.workers()) and _done(now) == before + 13,
        "the count to go on",
    )


def test_the_children_of_a_supervisor_are_one_too(measured: _Measured) -> None:
    stack, port = measured.stack, _free_port()
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "infra.local.operate", "worker", "consume", "--processes", "2"],
        cwd=ROOT,
        env={**stack._environment, "OCR_METRICS_PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        stack.wait_until(lambda: len(_processes(supervisor.pid)) == 2 and _scrape(port), "both children to count")
        before = _done(measured.workers())
        for job_id in [stack.submit(_SMALL) for _ in range(40)]:
            assert stack.finish(job_id)["status"] == "DONE"
        seen = {_done(_scrape(port)) for _ in range(10)}
        others = _done(measured.workers()) - before
    finally:
        supervisor.terminate()
        supervisor.wait(60)

    (theirs,) = seen
    assert theirs > 0
    assert theirs + others == 40
    assert _processes(supervisor.pid) == []


def _processes(owner: int) -> list[Path]:
    """Those that have joined in the directory of their starter."""
    root = exposition._MEMORY if exposition._MEMORY.is_dir() else Path(tempfile.gettempdir())
    return list(root.glob(f"hybrid-ocr-metrics.{owner}.*/*.lock"))


def _scrape(port: int) -> dict[str, float]:
    """Nothing, while nobody answers."""
    try:
        return _numbers(requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text)
    except requests.ConnectionError:
        return {}


def test_whichever_process_of_the_api_answers_it_counts_for_all(measured: _Measured) -> None:
    name = "hybrid_ocr_http_requests_total{method=GET,route=/health,status=200}"
    before = measured.api().get(name, 0.0)

    for _ in range(20):
        # Each by a connection of its own, so that either process gets some.
        assert measured.stack.client().get(f"{measured.stack.url}/health", timeout=30).status_code == 200
    seen = {_numbers(_fetch(measured))[name] for _ in range(10)}

    assert seen == {before + 20}
    assert measured.stack.client("").get(f"{measured.stack.url}/metrics", timeout=30).status_code == 401


def _fetch(measured: _Measured) -> str:
    return measured.stack.client().get(f"{measured.stack.url}/metrics", timeout=30).text


def test_the_trace_of_a_request_is_found_in_the_logs_of_every_worker_that_read_a_part(measured: _Measured) -> None:
    stack = measured.stack
    accepted = stack.post(
        "/jobs",
        files={"file": ("a.pdf", numbered_scan(12))},
        headers={"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "from-the-test"},
    )
    job_id = accepted.json()["job_id"]
    assert stack.finish(job_id)["status"] == "DONE"

    assert accepted.headers["X-Request-Id"] == "from-the-test"
    of_api = _lines(stack.data / "logs" / "api.log", job_id)
    assert {(line["trace_id"], line["request_id"]) for line in of_api} == {(_TRACE, "from-the-test")}
    of_workers = [_lines(stack.data / "logs" / f"worker-{number}.log", job_id) for number in (1, 2)]
    assert all(of_workers)  # both read chunks
    assert {line["trace_id"] for lines in of_workers for line in lines} == {_TRACE}


def _lines(log: Path, job_id: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("job_id") == job_id]
