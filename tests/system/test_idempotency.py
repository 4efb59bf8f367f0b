"""Clients that race with one key, through the processes of a real API, on an emulator whose transactions are atomic."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.make_documents import GENERATED
from tests.system.stack import Stack

_CLIENTS = 24
_ROUNDS = 5
#: The moment in which one may see the upload of another, gone already, is short.
_ROUNDS_OF_UPLOADS = 20
_SMALL = GENERATED["born-digital.pdf"]()


def _at_once(stack: Stack, path: str, headers: Mapping[str, str], **body: Any) -> list[requests.Response]:
    """The same request from many clients, all let go at once."""
    barrier = threading.Barrier(_CLIENTS)

    def send(_number: int) -> requests.Response:
        client = stack.client()
        barrier.wait(30)
        return client.post(stack.url + path, headers=headers, timeout=120, **body)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        return list(pool.map(send, range(_CLIENTS)))


def _race(stack: Stack, path: str, **body: Any) -> list[requests.Response]:
    """With one key: all are accepted, and one of them first."""
    answers = _at_once(stack, path, {"Idempotency-Key": uuid.uuid4().hex}, **body)
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
        (job_id,) = {answer.json()["job_id"] for answer in _race(stack, "/jobs", files=[("file", ("a.pdf", _SMALL))])}
        made.add(job_id)

    assert [stack.finish(job_id)["status"] for job_id in made] == ["DONE"] * _ROUNDS
    assert _sources(stack) - before == made


@pytest.mark.failure(6)
def test_clients_that_race_with_one_key_get_one_batch(stack: Stack) -> None:
    before = _sources(stack)
    files = [("file", (f"{number}.pdf", _SMALL)) for number in range(3)]

    answers = _race(stack, "/batches", files=files)

    (batch_id,) = {answer.json()["batch_id"] for answer in answers}
    jobs = {file["job_id"] for file in answers[0].json()["files"]}
    batch = stack.wait_until(
        lambda: (found := stack.get(f"/batches/{batch_id}").json())["status"] == "DONE" and found, "the batch"
    )
    assert batch["counts"]["done"] == 3
    assert _sources(stack) - before == jobs


def _upload(stack: Stack) -> dict[str, Any]:
    """The body of a submission of what is in S3 already."""
    upload = stack.announce(len(_SMALL))
    sent = requests.post(upload["url"], data=upload["fields"], files={"file": ("a.pdf", _SMALL)}, timeout=60)
    assert sent.status_code == 201
    return {"upload_id": upload["upload_id"]}


@pytest.mark.failure(6)
def test_clients_that_race_with_one_upload_and_one_key_get_one_job(stack: Stack) -> None:
    before = _sources(stack)
    made = set()
    for _ in range(_ROUNDS_OF_UPLOADS):
        (job_id,) = {answer.json()["job_id"] for answer in _race(stack, "/jobs", json=_upload(stack))}
        made.add(job_id)

    assert [stack.finish(job_id)["status"] for job_id in made] == ["DONE"] * _ROUNDS_OF_UPLOADS
    assert _sources(stack) - before == made


@pytest.mark.failure(6)
def test_of_clients_that_race_with_one_upload_one_gets_a_job_and_the_others_are_told_so(stack: Stack) -> None:
    before = _sources(stack)
    made = set()
    for _ in range(_ROUNDS_OF_UPLOADS):
        answers = _at_once(stack, "/jobs", {}, json=_upload(stack))
        (accepted,) = (answer.json()["job_id"] for answer in answers if answer.status_code == 202)
        refused = [answer for answer in answers if answer.status_code != 202]
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(409, "upload_used")}
        assert all(accepted in answer.json()["detail"] for answer in refused)
        made.add(accepted)

    assert [stack.finish(job_id)["status"] for job_id in made] == ["DONE"] * _ROUNDS_OF_UPLOADS
    assert _sources(stack) - before == made
