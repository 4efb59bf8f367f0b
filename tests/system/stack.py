"""A running stack of its own ports and data directory, and a client for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import requests

from hybrid_ocr_api import create_app
from hybrid_ocr_api.settings import ApiSettings
from infra.local.environment import LauncherSettings
from tests.conformance import Conformance, hold
from tests.conftest import ROOT

KEY = "a-key-of-the-system-tests"
_PATIENCE_SECONDS = 150


class Stack:
    """`make run`, less the set-up. A context manager. What it answers is held to the OpenAPI document."""

    is_checked = True

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.port, self.emulator_port = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.emulator_url = f"http://127.0.0.1:{self.emulator_port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OCR_", "AWS_"))}
        self._environment = {
            **kept,
            "OCR_API_KEY": KEY,
            "OCR_PORT": str(self.port),
            "OCR_EMULATOR_PORT": str(self.emulator_port),
            "OCR_DATA_DIR": str(data),
            "OCR_WORKER_PROCESSES": "2",
            # The same few documents are sent again and again, and are to be read each time.
            "OCR_DEDUPLICATE": "0",
            **environment,
        }
        self._launcher: subprocess.Popen[bytes] | None = None
        self._conformance = self._drawn() if self.is_checked else None
        self._session = self.client()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._session.close()

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data.parent / "launcher.log").open("ab") as log:
            self._launcher = subprocess.Popen(
                [sys.executable, "-m", "infra.local.run"], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        self.wait_until(self._is_ready, "the stack to be ready")

    def stop(self) -> None:
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.send_signal(signal.SIGTERM)
            launcher.wait(_PATIENCE_SECONDS)

    def kill_everything(self) -> None:
        """kill -9 of the launcher; whatever it started goes with it."""
        launcher, self._launcher = self._launcher, None
        assert launcher is not None
        pids = [launcher.pid, *self.pids("")]
        for pid in pids:
            _kill(pid, signal.SIGKILL)
        launcher.wait()
        self.wait_until(lambda: not self.pids(""), "everything to be dead")

    def client(self, key: str = KEY) -> requests.Session:
        """Another client, whose responses are checked too. Of many threads each has its own."""
        session = requests.Session()
        session.headers["x-api-key"] = key
        if self._conformance is not None:
            hold(session, self.url, self._conformance)
        return session

    def _drawn(self) -> Conformance:
        """The document that this stack has, by an application with its settings that nobody asks anything."""
        variables = LauncherSettings.from_env(self._environment).variables
        return Conformance(create_app(ApiSettings.from_env(variables)))

    def pids(self, pattern: str) -> list[int]:
        """Processes of this stack, told by its data directory or ports in their environment, and by their command."""
        found = []
        for directory in Path("/proc").iterdir():
            try:
                environment = (directory / "environ").read_bytes()
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            is_ours = f"OCR_DATA_DIR={self.data}\0".encode() in environment
            if is_ours and pattern in command and int(directory.name) != os.getpid() and command:
                found.append(int(directory.name))
        return [pid for pid in found if self._launcher is None or pid != self._launcher.pid]

    def workers(self) -> list[int]:
        return self.pids("aws_worker.py consume")

    def operate(self, *arguments: str, program: str = "worker") -> subprocess.CompletedProcess[str]:
        """`make worker`, or `make keys`: a sub-command of a service on this stack."""
        command = [sys.executable, "-m", "infra.local.operate", program, *arguments]
        return subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False)

    def submit(self, content: bytes, name: str = "document.pdf", **fields: str) -> str:
        response = self._session.post(f"{self.url}/jobs", files={"file": (name, content)}, data=fields, timeout=60)
        return str(_answer(response, 202)["job_id"])

    def announce(self, size: int, name: str = "document.pdf", media_type: str = "application/pdf") -> dict[str, Any]:
        """The answer to POST /uploads."""
        announced = {"filename": name, "bytes": size, "media_type": media_type}
        response = self.post("/uploads", json=announced)
        return _answer(response, 201)

    def submit_upload(self, content: bytes, name: str = "document.pdf", **fields: str) -> str:
        """As ``submit``, past the API."""
        upload = self.announce(len(content), name)
        sent = requests.post(upload["url"], data=upload["fields"], files={"file": (name, content)}, timeout=60)
        assert sent.status_code == 201, sent.text
        response = self.post("/jobs", json={"upload_id": upload["upload_id"], **fields})
        return str(_answer(response, 202)["job_id"])

    def submit_batch(self, contents: list[bytes], **fields: str) -> list[str]:
        """Returns the ids of the jobs; each file must be accepted."""
        files = [("file", (f"{number}.pdf", content)) for number, content in enumerate(contents)]
        response = self.post("/batches", files=files, data=fields)
        return [str(file["job_id"]) for file in _answer(response, 202)["files"]]

    def post(self, path: str, **options: Any) -> requests.Response:
        return self._session.post(self.url + path, timeout=120, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self._session.get(self.url + path, timeout=60, **options)

    def delete(self, path: str) -> requests.Response:
        return self._session.delete(self.url + path, timeout=60)

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/jobs/{job_id}").json()
        return found

    def finish(self, job_id: str) -> dict[str, Any]:
        """Wait until the job is terminal."""
        job: dict[str, Any] = self.wait_until(
            lambda: (job := self.job(job_id)).get("status") in {"DONE", "FAILED"} and job, f"job {job_id} to end"
        )
        return job

    def read(self, content: bytes, name: str = "document.pdf", **fields: str) -> dict[str, Any]:
        """Submit, wait, and fetch the json; the job itself is under ``job``."""
        job = self.finish(self.submit(content, name, **fields))
        assert job["status"] == "DONE", job["error"]
        result: dict[str, Any] = json.loads(self.result(job["job_id"], "json"))
        return {**result, "job": job}

    def result(self, job_id: str, output: str) -> bytes:
        """Through the redirect, without our key at the bucket."""
        redirect = self.get(f"/jobs/{job_id}/result.{output}", allow_redirects=False)
        assert redirect.status_code == 303, redirect.text
        response = requests.get(redirect.headers["Location"], timeout=60)
        assert response.status_code == 200, response.text
        return response.content

    def aws(self, service: str) -> Any:
        """A client for the emulator, to look behind the scenes."""
        return boto3.Session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.emulator_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def messages(self) -> int:
        """Messages in the queue of jobs, visible or in flight."""
        sqs = self.aws("sqs")
        url = sqs.get_queue_url(QueueName="hybrid-ocr-jobs")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])

    def wait_until(self, condition: Any, what: str, *, seconds: float = _PATIENCE_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.1)
        log = (self.data.parent / "launcher.log").read_text()[-2000:]
        raise TimeoutError(f"waited in vain for {what}\n{log}")

    def _is_ready(self) -> bool:
        assert self._launcher is not None
        assert self._launcher.poll() is None, (self.data.parent / "launcher.log").read_text()
        try:
            return self._session.get(f"{self.url}/ready", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False  # the launcher holds the port before the API answers at it


class Refused(AssertionError):
    """503: a part of the service is away, and nothing was accepted. Some tests bring that about."""


def _answer(response: requests.Response, status: int) -> dict[str, Any]:
    if response.status_code == 503:
        raise Refused(response.text)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


class UncheckedStack(Stack):
    """For those who measure: checking costs the time of the same cores."""

    is_checked = False


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
