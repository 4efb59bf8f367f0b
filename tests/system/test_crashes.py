"""Real processes, really killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.make_documents import DOCUMENTS, GENERATED
from tests.system.stack import Stack

#: A dense page: some seconds of work on any machine.
_LONG = (DOCUMENTS / "jbig2.pdf").read_bytes()
#: Four of them, two on their side.
_LONGER = (DOCUMENTS / "cardinal.pdf").read_bytes()


def _is_running(stack: Stack, job_id: str) -> bool:
    return bool(stack.job(job_id)["status"] == "PROCESSING")


def _owner_pid(stack: Stack, job_id: str) -> int:
    """The worker that holds the only running job: the one with a job's directory in its scratch."""
    for pid in stack.workers():
        if list((stack.data / "scratch").glob(f"**/worker-{pid}/job-*")):
            return pid
    raise AssertionError(f"nobody works on {job_id}")


@pytest.mark.failure(14, 35)
def test_a_worker_killed_in_the_middle_of_a_job_costs_an_attempt_and_nothing_else(own_stack: Stack) -> None:
    job_id = own_stack.submit(_LONG)
    own_stack.wait_until(lambda: _is_running(own_stack, job_id), "the job to run")
    os.kill(_owner_pid(own_stack, job_id), signal.SIGKILL)

    job = own_stack.finish(job_id)

    assert (job["status"], job["attempt"]) == ("DONE", 2)
    assert len(json.loads(own_stack.result(job_id, "json"))["pages"]) == 1
    own_stack.wait_until(lambda: own_stack.messages() == 0, "the queue to be empty")
    own_stack.wait_until(lambda: len(own_stack.workers()) == 2, "the worker to be started again")
    own_stack.wait_until(lambda: not list((own_stack.data / "scratch").glob("**/job-*")), "the scratch to be clean")


@pytest.mark.failure(33)
def test_a_worker_that_is_stopped_gives_its_job_back_at_once(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", OCR_GRACE_SECONDS="0") as stack:
        job_id = stack.submit(_LONG)
        stack.wait_until(lambda: _is_running(stack, job_id), "the job to run")
        os.kill(_owner_pid(stack, job_id), signal.SIGTERM)

        job = stack.finish(job_id)  # far sooner than the lease of 60 s

        assert (job["status"], job["attempt"]) == ("DONE", 2)


@pytest.mark.failure(26)
def test_a_paused_worker_cannot_overwrite_the_one_that_took_over(own_stack: Stack) -> None:
    job_id = own_stack.submit(_LONG)
    own_stack.wait_until(lambda: _is_running(own_stack, job_id), "the job to run")
    paused = _owner_pid(own_stack, job_id)
    os.kill(paused, signal.SIGSTOP)
    try:
        job = own_stack.finish(job_id)
    finally:
        os.kill(paused, signal.SIGCONT)

    after = own_stack.finish(own_stack.submit(GENERATED["born-digital.pdf"]()))
    own_stack.wait_until(lambda: own_stack.messages() == 0, "the queue to be empty")

    assert (job["status"], job["attempt"], after["status"]) == ("DONE", 2, "DONE")
    shown = own_stack.job(job_id)
    assert (shown["attempt"], shown["updated_at"]) == (job["attempt"], job["updated_at"])


@pytest.mark.failure(14, 35)
def test_after_kill_9_of_everything_the_next_run_goes_on(own_stack: Stack) -> None:
    done = own_stack.finish(own_stack.submit(GENERATED["scan.pdf"]()))
    running = own_stack.submit(_LONGER)
    own_stack.wait_until(lambda: _is_running(own_stack, running), "the job to run")
    waiting = [own_stack.submit(GENERATED["born-digital.pdf"]()) for _ in range(3)]
    threading.Event().wait(3)  # the emulator saves its state every two seconds
    own_stack.kill_everything()

    own_stack.start()

    assert own_stack.job(done["job_id"])["status"] == "DONE"
    assert b"Invoice" in own_stack.result(done["job_id"], "txt")
    assert [own_stack.finish(job_id)["status"] for job_id in (running, *waiting)] == ["DONE"] * 4


@pytest.mark.failure(21)
def test_the_same_message_many_times_is_one_job(own_stack: Stack) -> None:
    job_id = own_stack.submit(GENERATED["scan.pdf"]())
    sqs = own_stack.aws("sqs")
    url = sqs.get_queue_url(QueueName="hybrid-ocr-jobs")["QueueUrl"]
    body = json.dumps({"v": 1, "tenant": "default", "job_id": job_id})
    for _ in range(10):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    job = own_stack.finish(job_id)
    own_stack.wait_until(lambda: own_stack.messages() == 0, "the queue to be empty")

    keys = [
        item["Key"]
        for item in own_stack.aws("s3").list_objects_v2(Bucket="hybrid-ocr", Prefix=_prefix(job_id))["Contents"]
    ]
    assert own_stack.job(job_id)["attempt"] == job["attempt"] == 1
    assert len([key for key in keys if key.endswith("result.json")]) == 1


@pytest.mark.failure(49)
def test_a_job_that_is_erased_while_it_runs_stops_and_leaves_nothing(own_stack: Stack) -> None:
    job_id = own_stack.submit(_LONG)
    own_stack.wait_until(lambda: _is_running(own_stack, job_id), "the job to run")

    assert own_stack.delete(f"/jobs/{job_id}").status_code == 204

    assert own_stack.get(f"/jobs/{job_id}").status_code == 404
    s3 = own_stack.aws("s3")
    own_stack.wait_until(lambda: own_stack.messages() == 0, "the message to be gone")
    own_stack.wait_until(
        lambda: "Contents" not in s3.list_objects_v2(Bucket="hybrid-ocr", Prefix=_prefix(job_id)), "an empty prefix"
    )
    own_stack.wait_until(lambda: not list((own_stack.data / "scratch").glob("**/job-*")), "the scratch to be clean")


def test_an_upload_does_not_grow_the_api(own_stack: Stack) -> None:
    content = b"%PDF-1.7\n" + bytes(100 << 20)
    before = _memory(own_stack)

    own_stack.submit(content)

    assert _memory(own_stack) - before < 30 << 20


def _prefix(job_id: str) -> str:
    return f"jobs/default/{job_id}/"


def _memory(stack: Stack) -> int:
    """Peak resident bytes of the API's largest process."""
    peaks = []
    for pid in stack.pids("gunicorn"):
        status = Path(f"/proc/{pid}/status").read_text()
        peaks.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10)
    return max(peaks)
