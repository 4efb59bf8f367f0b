"""Waiting without polling, on the real stack: real gunicorn, real threads, a real worker that ends the job."""

from __future__ import annotations

import datetime as dt
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hybrid_ocr_core.job_store import JobStore
from tests.builders import LEASE, a_job
from tests.make_documents import GENERATED
from tests.system.stack import Stack

_SMALL = GENERATED["born-digital.pdf"]()
#: Many times the requests that are worked on at a time.
_CLIENTS = 120


def test_a_client_that_waits_hears_of_every_end_without_asking_again_and_again(stack: Stack) -> None:
    job_id = stack.submit(_SMALL)
    seen: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    while not seen or seen[-1][1] != "DONE":
        response = stack.get(f"/jobs/{job_id}?wait=25", headers=headers)
        assert response.status_code == 200, response.text
        seen.append((response.headers["ETag"], response.json()["status"]))
        headers["If-None-Match"] = response.headers["ETag"]

    assert len(seen) < 10
    assert len({tag for tag, _ in seen}) == len(seen)
    assert stack.get(f"/jobs/{job_id}", headers=headers).status_code == 304


def test_while_many_wait_documents_are_accepted_and_read_and_a_stop_ends_the_waits_at_once(own_stack: Stack) -> None:
    """Held jobs are waited for, which nobody touches."""
    store = JobStore(own_stack.aws("dynamodb"), "hybrid-ocr", lease=LEASE, attempt_budget=1)
    # Of this moment: the sweeper sends those that were held for long.
    jobs = [a_job(is_held=True, created_at=dt.datetime.now(dt.UTC)) for _ in range(_CLIENTS)]
    for job in jobs:
        store.create(job)
    (master,) = _parents(own_stack)

    def wait(job: Any) -> int:
        url, headers = f"{own_stack.url}/jobs/{job.job_id}?wait=25", {"If-None-Match": '"1"'}
        return own_stack.client().get(url, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(_CLIENTS) as pool:
        answers = [pool.submit(wait, job) for job in jobs]
        own_stack.wait_until(lambda: _threads(own_stack) > _CLIENTS, "the clients to wait")
        job_id = own_stack.submit(_SMALL)
        were_waiting = sum(not answer.done() for answer in answers)
        # What waits longer than the time of grace gets no answer at all.
        os.kill(master, signal.SIGTERM)
        codes = {answer.result() for answer in answers}

    assert own_stack.finish(job_id)["status"] == "DONE"
    assert were_waiting == _CLIENTS
    assert codes == {304}


def _parents(stack: Stack) -> list[int]:
    """The API's process that has the others."""
    pids = set(stack.pids("gunicorn"))
    parents = {pid: int(_status(pid, "PPid")) for pid in pids}
    return [pid for pid in pids if parents[pid] not in pids]


def _threads(stack: Stack) -> int:
    return sum(int(_status(pid, "Threads")) for pid in stack.pids("gunicorn"))


def _status(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:  # noqa: PTH123 - one line of /proc
        return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
