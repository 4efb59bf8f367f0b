"""Clients that race with one key, through the processes of a real API, on an emulator whose transactions are atomic."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.make_documents import GENERATED
from tests.system.stack import Stack

_CLIENTS = 12
_ROUNDS = 5
_SMALL = GENERATED["born-digital.pdf"]()


def _race(stack: Stack, path: str, files: list[Any]) -> list[requests.Response]:
    """The same request from many clients, all let go at once."""
    barrier = threading.Barrier(_CLIENTS)
    key = uuid.uuid4().hex

    def send(_number: int) -> requests.Response:
        client = stack.client()
        barrier.wait(30)
        return client.post(stack.url + path, files=files, headers={"Idempotency-Key": key}, timeout=120)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        answers = list(pool.map(send, range(_CLIENTS)))
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == _CLIENTS - 1
    return answers


def _sources(stack: Stack) -> set[str]:
    """The ids of jobs that have a source in the bucket."""
    pages = stack.aws("s3").get_paginator("list_objects_v2").paginate(Bucket="hybrid-ocr", Prefix="jobs/default/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {key.split("/")[2] for key in keys if key.endswith("/source")}


@pytest.mark.failure(6)
def test_clients_that_race_with_one_key_get_one_job(stack: Stack) -> None:
    before = _sources(stack)
    made = set()
    for _ in range(_ROUNDS):
        (job_id,) = {answer.json()["job_id"] for answer in _race(stack, "/jobs", [("file", ("a.pdf", _SMALL))])}
        made.add(job_id)

    assert [stack.finish(job_id)["status"] for job_id in made] == ["DONE"] * _ROUNDS
    assert _sources(stack) - before == made


@pytest.mark.failure(6)
def test_clients_that_race_with_one_key_get_one_batch(stack: Stack) -> None:
    before = _sources(stack)
    files = [("file", (f"{number}.pdf", _SMALL)) for number in range(3)]

    answers = _race(stack, "/batches", files)

    (batch_id,) = {answer.json()["batch_id"] for answer in answers}
    jobs = {file["job_id"] for file in answers[0].json()["files"]}
    batch = stack.wait_until(
        lambda: (found := stack.get(f"/batches/{batch_id}").json())["status"] == "DONE" and found, "the batch"
    )
    assert batch["counts"]["done"] == 3
    assert _sources(stack) - before == jobs
