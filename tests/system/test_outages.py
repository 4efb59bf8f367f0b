"""AWS away under real processes: requests are answered in time, accepted jobs end, and no attempt is charged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import ROOT
from tests.make_documents import DOCUMENTS, GENERATED
from tests.proxy import PASS, REFUSE, SILENT, Mode, Proxy
from tests.system.outcome import items
from tests.system.stack import KEY, Stack

_LONG = (DOCUMENTS / "jbig2.pdf").read_bytes()
#: Longer than three tries of DynamoDB, shorter than three of S3: reads are refused, uploads are waited for.
_SILENCE_SECONDS = 18.0
#: connect and read time-outs of three tries, and a slow machine.
_BOUND_SECONDS = 40.0


@contextlib.contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    """Processes that hold their sockets and say nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _timed(method: str, url: str, **options: Any) -> tuple[requests.Response, float]:
    started = time.monotonic()
    response = requests.request(method, url, headers={"x-api-key": KEY}, timeout=90, **options)
    return response, time.monotonic() - started


@pytest.mark.failure(12, 40, 41, 42)
def test_a_silent_aws_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with Stack(tmp_path / "data") as stack:
        running = [stack.submit(_LONG) for _ in range(2)]
        stack.wait_until(lambda: all(stack.job(it)["status"] == "PROCESSING" for it in running), "both workers to work")

        with ThreadPoolExecutor() as pool, _stopped(stack.pids("emulator.py")):
            file = {"file": ("a.pdf", GENERATED["born-digital.pdf"]())}
            posted = pool.submit(_timed, "POST", f"{stack.url}/jobs", files=file)
            asked = pool.submit(_timed, "GET", f"{stack.url}/jobs/{running[0]}")
            alive = [_timed("GET", f"{stack.url}/health") for _ in range(3)]
            threading.Event().wait(_SILENCE_SECONDS)
            answer, seconds = asked.result(0)

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"].isdigit()
        assert seconds < _SILENCE_SECONDS
        assert all(health.status_code == 200 and took < 2 for health, took in alive)
        response, seconds = posted.result(_BOUND_SECONDS)
        assert response.status_code in {202, 503}
        accepted = [*running, *([response.json()["job_id"]] if response.status_code == 202 else [])]
        for job_id in accepted:
            assert stack.finish(job_id)["status"] == "DONE"
        found = items(stack)
        assert {int(found[job_id]["budget_used"]["N"]) for job_id in accepted} == {1}
        stack.wait_until(lambda: stack.messages() == 0, "the queue to be empty")


class _StackBehindProxy(Stack):
    """The launcher, API and workers of it behind a proxy."""

    def __init__(self, data: Path, **environment: str) -> None:
        super().__init__(data, **environment)
        self.network = Proxy(self.emulator_port)
        self._environment |= {"BEHIND_PROXY_URL": self.network.url}

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.network.__enter__()
        with (self.data.parent / "launcher.log").open("ab") as log:
            self._launcher = subprocess.Popen(
                [sys.executable, "-m", "tests.system.behind_proxy"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.wait_until(self._is_ready, "the stack to be ready")

    def stop(self) -> None:
        self.network.mode = PASS
        super().stop()
        self.network.__exit__(None, None, None)


@pytest.mark.long
@pytest.mark.failure(11, 12, 40, 41, 42)
def test_a_bad_network_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    seconds = {"OCR_LEASE_SECONDS": "6", "OCR_HEARTBEAT_SECONDS": "2", "OCR_SWEEP_SECONDS": "2"}
    accepted: list[str] = []
    with _StackBehindProxy(tmp_path / "data", **seconds) as stack:
        for mode in (REFUSE, SILENT, Mode(cut_after=300), Mode(delay_seconds=0.5), Mode(bytes_per_second=20_000)):
            accepted += [stack.submit(GENERATED["scan.pdf"]()) for _ in range(4)]
            stack.network.mode = mode
            with contextlib.suppress(requests.RequestException):
                file = {"file": ("a.pdf", GENERATED["scan.pdf"]())}
                response, took = _timed("POST", f"{stack.url}/jobs", files=file)
                assert took < _BOUND_SECONDS + 20
                assert response.status_code in {202, 503}
                accepted += [response.json()["job_id"]] if response.status_code == 202 else []
            threading.Event().wait(8)
            stack.network.mode = PASS

        ends = {job_id: stack.finish(job_id)["status"] for job_id in accepted}

        assert set(ends.values()) == {"DONE"}
        stack.wait_until(lambda: stack.messages() == 0, "the queue to be empty")
        found = items(stack)
        assert max(int(found[job_id]["budget_used"]["N"]) for job_id in accepted) < 5
