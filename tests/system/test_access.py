"""Keys and quotas on the whole service: two API processes, real workers, and the command that makes keys."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.conftest import ROOT
from tests.system.stack import Stack

#: Requests a minute, where those are limited.
_MOST = 10
_DOCUMENT = (ROOT / "tests/documents/phototest.tif").read_bytes()


def test_a_key_is_made_used_and_revoked_on_a_running_stack(stack: Stack) -> None:
    made = stack.operate("create", "--tenant", "acme", "--scopes", "submit,read", program="keys")
    assert made.returncode == 0, made.stderr
    client = stack.client(made.stdout.strip())

    accepted = client.post(f"{stack.url}/jobs", files={"file": ("a.tif", _DOCUMENT)}, timeout=60)
    path = f"{stack.url}{accepted.headers['Location']}"
    assert accepted.status_code == 202
    assert client.get(path, timeout=60).status_code == 200
    assert stack.get(accepted.headers["Location"]).status_code == 404  # the tenant of the settings' key is another

    listed = stack.operate("list", "--tenant", "acme", program="keys").stdout
    assert made.stdout.strip() not in listed
    key_id = listed.splitlines()[1].split()[0]
    assert stack.operate("revoke", key_id, program="keys").returncode == 0
    stack.wait_until(lambda: client.get(path, timeout=60).status_code == 401, "the key to end")


def test_the_command_of_the_image_serves_until_sigterm() -> None:
    """What the image runs, less the image; nothing of AWS is needed for /health."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"AWS_REGION": "r", "OCR_S3_BUCKET": "b", "OCR_DDB_TABLE": "t", "OCR_SQS_URL": "q"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "hybrid-ocr-core"), **settings}
    command = [sys.executable, str(ROOT / "hybrid-ocr-api/app.py"), "serve", "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, env={**environment, "PYTHON_DOTENV_DISABLED": "1"}) as server:
        deadline = time.monotonic() + 60
        while not _is_healthy(port):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        server.send_signal(signal.SIGTERM)

        assert server.wait(60) == 0


def _is_healthy(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_pages_of_a_day_and_the_jobs_in_flight_are_limited_on_a_running_stack(tmp_path: Path) -> None:
    limits = {"OCR_TENANT_JOBS_IN_FLIGHT": "1", "OCR_TENANT_PAGES_A_DAY": "2", "OCR_TENANT_REQUESTS_A_MINUTE": "100000"}
    with Stack(tmp_path / "data", **limits) as stack:

        def submit() -> requests.Response:
            return stack.post("/jobs", files={"file": ("a.tif", _DOCUMENT)})

        for worker in stack.workers():
            os.kill(worker, signal.SIGSTOP)
        first = submit()
        meanwhile = [submit() for _ in range(10)]  # by either process
        for worker in stack.workers():
            os.kill(worker, signal.SIGCONT)

        assert first.status_code == 202
        assert {(answer.status_code, answer.json()["code"]) for answer in meanwhile} == {(429, "quota_exceeded")}
        assert all("at a time" in answer.json()["detail"] for answer in meanwhile)
        assert stack.finish(first.json()["job_id"])["status"] == "DONE"
        stack.wait_until(lambda: submit().status_code == 202, "a place to be free")
        stack.wait_until(lambda: "pages of this day" in submit().text, "the pages to be counted")
        refused = submit()
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert "q=100000;w=60" in refused.headers["RateLimit-Policy"]


def test_of_many_requests_at_once_just_as_many_pass_as_the_limit_says_whichever_process_answers(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", OCR_TENANT_REQUESTS_A_MINUTE=str(_MOST)) as stack:
        stack.wait_until(lambda: len(stack.pids("gunicorn")) == 3, "the master, and two processes that answer")
        # Not across the border of a minute, beyond which there are as many again.
        stack.wait_until(lambda: 2 < time.time() % 60 < 40, "the beginning of a minute", seconds=60)
        barrier = threading.Barrier(4 * _MOST)

        def ask(_number: int) -> requests.Response:
            client = stack.client()  # a connection of its own
            barrier.wait(30)
            return client.get(f"{stack.url}/jobs", timeout=60)

        with ThreadPoolExecutor(4 * _MOST) as pool:
            answers = list(pool.map(ask, range(4 * _MOST)))

        passed = [answer for answer in answers if answer.status_code == 200]
        assert sorted(_left(answer) for answer in passed) == list(range(_MOST))
        refused = [answer for answer in answers if answer not in passed]
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(429, "rate_limited")}


def _left(answer: requests.Response) -> int:
    found = re.search(r"r=(\d+)", answer.headers["RateLimit"])
    assert found is not None
    return int(found[1])
