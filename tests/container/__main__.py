"""``make test-container``: the sandbox and the hostile files inside the worker's container, and how that one stops.

Needs a Docker Engine with Compose v2. The image is the one that is shipped: the tests, and the pure Python of pytest,
are mounted into it read-only.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import JobId, JobStatus, Lane
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from tests.builders import a_document, a_job
from tests.conftest import ROOT
from tests.make_documents import DOCUMENTS

_FILES = ("docker-compose.yml", "tests/container/compose.yml")
_EMULATOR_PORT = "14566"
_QUEUE_URL = f"http://127.0.0.1:{_EMULATOR_PORT}/000000000000/hybrid-ocr-jobs"
_PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")
_TESTS = ("tests/worker/test_sandbox.py", "tests/worker/test_hostile.py")
_PATIENCE_SECONDS = 120.0
#: "At once", on a busy machine: far less than Docker's own patience before it kills.
_STOP_SECONDS = 15.0


class Failed(Exception):
    """A check did not hold."""


@dataclass(frozen=True, slots=True)
class Compose:
    """The project under a name of its own, beside one that may be running."""

    environment: dict[str, str]

    def __call__(self, *arguments: str, capture: bool = False) -> str:
        files = [argument for name in _FILES for argument in ("--file", name)]
        command = ["docker", "compose", "--project-name", "hybrid-ocr-check", "--env-file", ".env.example", *files]
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE if capture else None,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"docker compose {' '.join(arguments[:2])} ended with {done.returncode}")
        return (done.stdout or "").strip()


def main() -> int:
    missing = _missing()
    if missing:
        print(f"make test-container needs a Docker Engine with Compose v2: {missing}", file=sys.stderr)
        return 2
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OCR_", "AWS_"))}
    settings = {"COMPOSE_PROFILES": "local", "OCR_LANGUAGES": "eng", "OCR_EMULATOR_PORT": _EMULATOR_PORT}
    compose = Compose(environment | settings)
    try:
        with _torn_down(compose):
            compose("build", "worker", "aws")
            _run_tests(compose)
            _stop_a_worker(compose)
    except Failed as failed:
        print(f"failed: {failed}", file=sys.stderr)
        return 1
    print("The worker's container holds.")
    return 0


def _missing() -> str:
    for command in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "there is no docker command"
        if done.returncode:
            return done.stderr.strip().splitlines()[-1] if done.stderr else f"{' '.join(command)} fails"
    return ""


@contextmanager
def _torn_down(compose: Compose) -> Iterator[None]:
    try:
        yield
    finally:
        compose("down", "--volumes", "--timeout", "5")


def _run_tests(compose: Compose) -> None:
    """Without the conftest: it wants AWS, which the worker's image cannot play."""
    mounts = [f"{ROOT / 'tests'}:/checks/tests:ro"]
    for name in _PYTEST:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        path = Path(found.origin)
        path = path.parent if path.stem == "__init__" else path
        mounts.append(f"{path}:/checks/{path.name}:ro")
    volumes = [argument for mount in mounts for argument in ("--volume", mount)]
    variables = ["--env", "PYTHONPATH=/app:/checks", "--env", "PYTHONDONTWRITEBYTECODE=1"]
    pytest = ["-m", "pytest", "-q", "--noconftest", "-c", os.devnull, "--rootdir", "/checks", "-p", "no:cacheprovider"]
    chosen = ["-m", "not long", "-W", "ignore::pytest.PytestUnknownMarkWarning", "-rs"]
    paths = [f"/checks/{path}" for path in _TESTS]
    run = ["run", "--rm", "--no-deps", "-T", *volumes, *variables, "--entrypoint", "python", "worker"]
    compose(*run, *pytest, *chosen, *paths)


def _stop_a_worker(compose: Compose) -> None:
    """SIGTERM to process 1 of the container: it must arrive, and the job go back."""
    compose("up", "--detach", "worker")
    clients = {name: _client(name) for name in ("s3", "dynamodb", "sqs")}
    store = JobStore(clients["dynamodb"], "hybrid-ocr", lease=dt.timedelta(seconds=60), attempt_budget=5)
    content = (DOCUMENTS / "cardinal.pdf").read_bytes()
    job = a_job(document=a_document(content), created_at=_now(), updated_at=_now())
    DocumentStore(clients["s3"], "hybrid-ocr").put_source(job.id, io.BytesIO(content), "application/pdf")
    store.create(job)
    JobQueue(clients["sqs"], dict.fromkeys(Lane, _QUEUE_URL), "").send(job.id)
    _wait_for(store, job.id, JobStatus.PROCESSING)

    container = compose("ps", "--quiet", "worker", capture=True)
    started = time.monotonic()
    compose("exec", "-T", "worker", "sh", "-c", "kill -TERM 1")
    code = subprocess.run(["docker", "wait", container], capture_output=True, text=True, check=True).stdout.strip()
    took = time.monotonic() - started

    after = store.get(job.id)
    if code != "0" or took > _STOP_SECONDS:
        raise Failed(f"kill -TERM 1: exit code {code} after {took:.1f} s")
    if (after.status, after.budget_used) != (JobStatus.QUEUED, 0):
        raise Failed(f"the job of a stopped worker is {after.status}, {after.budget_used} attempts spent")
    print(f"kill -TERM 1: exit code 0 after {took:.1f} s, the job was given back")
    compose("start", "worker")
    _wait_for(store, job.id, JobStatus.DONE)


def _client(name: str) -> Any:
    return boto3.Session().client(
        name,  # type: ignore[call-overload]
        endpoint_url=f"http://127.0.0.1:{_EMULATOR_PORT}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _wait_for(store: JobStore, job_id: JobId, status: JobStatus) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while store.get(job_id).status is not status:
        if time.monotonic() > deadline:
            raise Failed(f"the job is not {status} after {_PATIENCE_SECONDS:g} s")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
