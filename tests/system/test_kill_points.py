"""Real processes that are killed, stopped past their lease, or asked to stop, at every named step."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import itertools
import json
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from standardwebhooks import Webhook

from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import JobId, Lane, utc_now
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from tests.builders import a_document, a_job
from tests.conftest import WEBHOOK_SECRET
from tests.make_documents import GENERATED, long_scan
from tests.receiver import Receiver, receiving
from tests.system import outcome
from tests.system.kill_points import POINTS, SIGNALS, Fired, KillPoints
from tests.system.stack import Refused, Stack

LEASE_SECONDS = 4
_PATIENCE_SECONDS = 1500
_MOST_OPEN = 10
#: A worker is asked to stop so often, where that is what the armed points wait for.
_DEPLOYMENT_SECONDS = 4.0
#: Larger than usual: a worker that is hit over one job takes another's attempt with it.
_BUDGET = 12
#: The long document on a busy machine.
_OWN_WORK_SECONDS = 30
#: A sender that dies keeps its event for two minutes, and so may the next one.
_TOLD_SECONDS = 400
_SMALL = GENERATED["born-digital.pdf"]()
_BROKEN = _SMALL[: len(_SMALL) // 2]
#: Some seconds of work, so that the heartbeat beats; and so many pages more that the document is split.
_LONG = long_scan(10)
_LONGER = long_scan(13)


_STEPS_OF_A_LONG_DOCUMENT = (
    "Recogniser.split",
    "DocumentStore.put_chunk",
    "ChunkStore.",
    "JobStore.split",
    "JobQueue.send_all",
    "DocumentStore.get_chunk",
    "DocumentStore.put_page",
    "DocumentStore.get_page",
    "DocumentStore.tidy",
)


class Clients:
    """Submit what the armed points need, and remember how each may end. Their connections may break at any time."""

    def __init__(self, stack: Stack, webhook_url: str) -> None:
        self._stack = stack
        self._webhook_url = webhook_url
        self._store = JobStore(
            stack.aws("dynamodb"), "hybrid-ocr", lease=dt.timedelta(seconds=LEASE_SECONDS), attempt_budget=_BUDGET
        )
        self._documents = DocumentStore(stack.aws("s3"), "hybrid-ocr")
        #: Accepted jobs, and the ends that each may come to.
        self.ends: dict[str, set[str]] = {}
        #: Those of which the receiver is told.
        self.told: set[str] = set()

    def small(self) -> None:
        self._submit(_SMALL, {"DONE"})

    def long(self) -> None:
        self._submit(_LONG, {"DONE"})

    def split(self) -> None:
        self._submit(_LONGER, {"DONE"})

    def batch(self) -> None:
        for job_id in self._stack.submit_batch([_SMALL, _SMALL]):
            self.ends[job_id] = {"DONE"}

    def uploaded(self) -> None:
        self.ends[self._stack.submit_upload(_SMALL)] = {"DONE"}

    def broken(self) -> None:
        self._submit(_BROKEN, {"corrupt_document"})

    def with_webhook(self) -> None:
        self.told.add(self._submit(_SMALL, {"DONE"}, webhook_url=self._webhook_url))

    def erased(self) -> None:
        job_id = self._submit(_SMALL, {"DONE", "erased"})
        if job_id and self._stack.delete(f"/jobs/{job_id}").status_code == 204:
            self.ends[job_id] = {"erased"}

    def unsent(self) -> None:
        """As an API leaves a job that dies before it sends."""
        self._put(budget_used=0, ends={"DONE"})

    def exhausted(self) -> None:
        """As workers leave a job that killed each of them."""
        job = self._put(budget_used=_BUDGET, ends={"out_of_attempts", "DONE"})
        url = self._stack.aws("sqs").get_queue_url(QueueName="hybrid-ocr-jobs")["QueueUrl"]
        JobQueue(self._stack.aws("sqs"), dict.fromkeys(Lane, url), "").send(job)

    def _submit(self, content: bytes, ends: set[str], **fields: str) -> str:
        job_id = self._stack.submit(content, **fields)
        self.ends[job_id] = ends
        return job_id

    def _put(self, *, budget_used: int, ends: set[str]) -> JobId:
        now = utc_now()
        document = a_document(_SMALL)
        job = a_job(document=document, budget_used=budget_used, created_at=now, updated_at=now)
        self._documents.put_source(job.id, io.BytesIO(_SMALL), document.media_type)
        self._store.create(job)
        self.ends[job.job_id] = ends
        return job.id


def _needs(armed: list[str], clients: Clients) -> list[Callable[[], None]]:
    """What must happen so that the steps which are still armed are reached."""
    by_step = {
        "worker.JobStore.renew": clients.long,
        "worker.JobQueue.hide": clients.long,
        "worker.JobStore.release": clients.long,
        **{f"worker.{step}": clients.split for step in _STEPS_OF_A_LONG_DOCUMENT},
        "worker.JobStore.fail": clients.broken,
        "worker.JobStore.exhaust": clients.exhausted,
        "worker.JobQueue.send_to_dead_letters": clients.exhausted,
        "operator.": clients.exhausted,
        "worker.JobStore.resend": clients.unsent,
        "worker.JobQueue.send.": clients.unsent,
        "api.JobStore.erase": clients.erased,
        "api.BatchStore.create": clients.batch,
        "api.DocumentStore.pin_upload": clients.uploaded,
        "api.DocumentStore.delete_upload": clients.uploaded,
        "worker.DocumentStore.purge": clients.erased,
        "worker.JobStore.purged": clients.erased,
        "worker.EventStore.": clients.with_webhook,
        "worker.Poster.": clients.with_webhook,
    }
    found = {need for step, need in by_step.items() for point in armed if point.startswith(step)}
    if any(not point.startswith(tuple(by_step)) for point in armed):
        found.add(clients.small)
    return list(found)


def _run(stack: Stack, kill_points: KillPoints, receiver: Receiver, points: Iterable[tuple[str, str]]) -> Clients:
    """Arm, and submit until each point was reached; then wait until everything has ended, and was told."""
    clients = Clients(stack, receiver.url)
    kill_points.arm(points)
    rng = random.Random(1)

    def attempt(need: Callable[[], None]) -> None:
        with contextlib.suppress(requests.RequestException, Refused):  # the API died or refused: nothing accepted
            need()

    with ThreadPoolExecutor(8) as pool:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        next_deployment = 0.0
        while (armed := kill_points.armed()) and time.monotonic() < deadline:
            if len(outcome.open_jobs(stack)) < _MOST_OPEN:
                list(pool.map(attempt, _needs(armed, clients)))
            if any("release" in point for point in armed) and time.monotonic() > next_deployment:
                next_deployment = time.monotonic() + _DEPLOYMENT_SECONDS
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(rng.choice(stack.workers()), signal.SIGTERM)  # a deployment
            if any(point.startswith("operator") for point in armed):
                stack.operate("dlq", "redrive")
            time.sleep(0.5)
    assert not armed, f"never reached: {armed}"
    outcome.settle(stack)
    stack.wait_until(lambda: not outcome.open_events(stack), "all webhooks to be told", seconds=_TOLD_SECONDS)
    return clients


@pytest.fixture
def kill_points(tmp_path: Path) -> Iterator[KillPoints]:
    with KillPoints(tmp_path / "points", pause_seconds=LEASE_SECONDS + 2) as kill_points:
        yield kill_points


def _stack(tmp_path: Path, kill_points: KillPoints) -> Stack:
    return Stack(
        tmp_path / "data",
        OCR_LEASE_SECONDS=str(LEASE_SECONDS),
        OCR_HEARTBEAT_SECONDS="1",
        OCR_SWEEP_SECONDS="2",
        OCR_GRACE_SECONDS="0",
        OCR_ATTEMPT_BUDGET=str(_BUDGET),
        OCR_TENANT_JOBS_IN_LANE="3",  # so that some are held
        OCR_WORKER_PROCESSES="3",
        OCR_WEBHOOK_SECRET=WEBHOOK_SECRET,
        OCR_WEBHOOK_ALLOW_PRIVATE="1",
        **kill_points.environment,
    )


def _check_told(stack: Stack, clients: Clients, receiver: Receiver) -> None:
    """Each job at least once, and under the one id of its end."""
    found = outcome.items(stack)
    ids: dict[str, set[str]] = {}
    for request in receiver.received:
        # Not by ``verify``, which refuses what is older than five minutes: so long ago it may have been told.
        webhook_id = request.headers["webhook-id"]
        told_at = dt.datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), dt.UTC)
        signature = Webhook(WEBHOOK_SECRET).sign(webhook_id, told_at, request.body.decode())
        assert request.headers["webhook-signature"] == signature
        ids.setdefault(json.loads(request.body)["data"]["job_id"], set()).add(webhook_id)
    assert clients.told
    assert clients.told <= ids.keys()
    assert ids == {job_id: {f"evt_{job_id}_{found[job_id]['attempt']['N']}"} for job_id in ids}


def _judge(stack: Stack, clients: Clients, watch: outcome.Watch, fired: list[Fired]) -> float:
    """The checks, and the figures in a line; returns the p99 of the seconds from a SIGKILL to the job's end."""
    assert watch.looks > 3
    assert not watch.broken
    outcome.check(stack, clients.ends, b"Invoice")
    took = watch.seconds_to_end((shot.job_id, shot.at) for shot in fired if shot.signal == "SIGKILL")
    p99 = took[math.ceil(len(took) * 0.99) - 1]
    jobs = len(outcome.items(stack))
    median = took[len(took) // 2]
    print(
        f"\n{len(fired)} signals, {jobs} jobs; from a SIGKILL to the job's end: median {median:.1f} s, p99 {p99:.1f} s"
    )
    return p99


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.mark.failure(13, 14, 15, 16, 26, 33, 35, 46)
def test_a_signal_at_every_step_loses_nothing_and_doubles_nothing(
    tmp_path: Path, kill_points: KillPoints, receiver: Receiver
) -> None:
    points = zip(POINTS, itertools.cycle(SIGNALS), strict=False)
    with _stack(tmp_path, kill_points) as stack:
        with outcome.Watch(stack, every_seconds=0.3) as watch:
            clients = _run(stack, kill_points, receiver, points)
        _judge(stack, clients, watch, kill_points.fired())
        _check_told(stack, clients, receiver)
        stack.wait_until(lambda: not list((stack.data / "scratch").glob("**/job-*")), "the scratch to be clean")


@pytest.mark.long
@pytest.mark.parametrize("turn", [1, 2])
def test_every_signal_at_every_step(tmp_path: Path, kill_points: KillPoints, receiver: Receiver, turn: int) -> None:
    with _stack(tmp_path, kill_points) as stack:
        with outcome.Watch(stack, every_seconds=0.5) as watch:
            clients = _run(stack, kill_points, receiver, itertools.product(POINTS, SIGNALS))
        p99 = _judge(stack, clients, watch, kill_points.fired())
        _check_told(stack, clients, receiver)
    assert p99 < LEASE_SECONDS + 30 + _OWN_WORK_SECONDS
