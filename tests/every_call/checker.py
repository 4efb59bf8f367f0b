"""An independent reader of DynamoDB, S3 and SQS: it knows the promises, and nothing of the code that keeps them."""

from __future__ import annotations

import json
from typing import Any

from hybrid_ocr_core.job import Lane
from tests.every_call.scenarios import Scenario
from tests.every_call.world import CONTENT, World

_TERMINAL = {"DONE", "FAILED"}


class Watch:
    """Looks at the table after every call: what is terminal stays as it is, erasing excepted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ended: dict[str, tuple[Any, ...]] = {}
        self._attempts: dict[str, int] = {}

    def look(self) -> None:
        for item in self._world.items():
            key, attempt = item["pk"]["S"], int(item["attempt"]["N"])
            assert attempt >= self._attempts.get(key, 0), "the fencing token went backwards"
            self._attempts[key] = attempt
            if "erased_at" in item:
                self._ended.pop(key, None)
            elif item["status"]["S"] in _TERMINAL:
                end = (item["status"], item.get("result"), item.get("failure"))
                assert self._ended.setdefault(key, end) == end, "a terminal state was overwritten"
            else:
                assert key not in self._ended, "a terminal state was undone"


def check(world: World, scenario: Scenario) -> None:
    """After recovery: every accepted job ended once and rightly, and nothing is left behind."""
    items = {item["job_id"]["S"]: item for item in world.items()}
    for job in world.accepted:
        assert job.job_id in items, "an accepted job is lost"
    _check_keys(world, jobs=len(items))
    expected: set[str] = set()
    for job_id, item in items.items():
        end = _end(item)
        assert end in scenario.ends, f"the job ended as {end}"
        assert "open_shard" not in item, "the sweeper still has to look after a job that has ended"
        if end == "erased":
            assert not {"document", "result", "options"} & item.keys(), "a tombstone holds something of the job"
        else:
            expected.add(f"jobs/default/{job_id}/source")
        if end == "DONE":
            key = f"jobs/default/{job_id}/{item['result']['M']['attempt']['N']}/0/result.json"
            expected.add(key)
            body = world.clients.s3.get_object(Bucket=world.settings.bucket, Key=key)["Body"].read()
            result = json.loads(body)
            assert (result["job_id"], result["read"]) == (job_id, CONTENT.decode()), "a result of another job"
        _check_events(world, job_id, item)
        if end == "DONE":
            _check_chunks(item, [chunk for chunk in world.chunks() if chunk["pk"] == item["pk"]])
    for batch_id in world.batches:
        counts = {word: count for word, count in world.counts(batch_id).items() if count}
        assert counts == {"files": 2, "done": 2}, f"a batch counts {counts}"
    for job in world.erased:
        assert _end(items[job.job_id]) == "erased", "an acknowledged erasure was undone"
    found = world.clients.s3.list_objects_v2(Bucket=world.settings.bucket).get("Contents", [])
    assert {entry["Key"] for entry in found} == expected, "objects are lost or orphaned"
    assert world.depth(world.settings.queue_urls[Lane.NORMAL]) == 0, "the queue is not empty"
    for row in world.lanes():
        name = row["sk"]["S"]
        assert name == "PLACES" or name.rpartition("#")[2] not in items, "somebody still waits for a place"
        assert "open_shard" not in row, "the sweeper still has to look after a lane for which nobody waits"
    letters = world.depth(world.settings.dead_letter_queue_url)
    given_up = sum(_end(item) == "out_of_attempts" for item in items.values())
    # A fault, or a second copy of the message, may leave one too many; none may be missing.
    assert bool(letters) == bool(given_up), f"{letters} letters for {given_up} jobs that were given up"


def _check_keys(world: World, *, jobs: int) -> None:
    """What was sent again under its key is there once."""
    if world.keys:
        assert jobs == len(world.keys), f"{jobs} jobs for {len(world.keys)} keys"
    if world.uploads:
        assert jobs == len(world.uploads) == len(world.accepted), f"{jobs} jobs for {len(world.uploads)} uploads"
    if world.batch_keys:
        assert len(set(world.batches)) == len(world.batch_keys), f"{world.batches} for {len(world.batch_keys)} keys"


def _check_events(world: World, job_id: str, job: dict[str, Any]) -> None:
    """Whoever is to be told was told once or more, of this end, under one id; and nobody of a job that is erased."""
    events = [event for event in world.events() if event["pk"] == job["pk"]]
    told = {(key, body) for key, body in world.receiver.told if key.split("_")[1] == job_id}
    if "webhook_url" not in job:
        assert events == [], "an event of a job that nobody is to be told of"
        return
    (event,) = events
    assert event["delivery"]["S"] == "delivered", f"an event is {event['delivery']['S']}"
    assert not {"open_shard", "sweep_at", "owner"} & event.keys(), "an event that was told is still due"
    ((key, body),) = told
    assert key == f"evt_{job_id}_{job['attempt']['N']}", "an event of another attempt"
    assert json.loads(body)["data"]["status"] == job["status"]["S"], "another end was told"


def _check_chunks(job: dict[str, Any], chunks: list[dict[str, Any]]) -> None:
    """Those of the split that counted are all home, and were counted once."""
    if "split_by" not in job:
        return
    counted = [chunk for chunk in chunks if chunk["sk"]["S"].startswith(f"C#{int(job['split_by']['N']):06d}#")]
    assert job["chunks_left"]["N"] == "0", "a job is done while chunks are out"
    assert len(counted) == int(job["chunks"]["N"])
    assert all(chunk["status"]["S"] == "DONE" for chunk in counted), "a chunk is not home"


def _end(item: dict[str, Any]) -> str:
    if "erased_at" in item:
        return "erased"
    status = str(item["status"]["S"])
    return str(item["failure"]["M"]["code"]["S"]) if status == "FAILED" else status
