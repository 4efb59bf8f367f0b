"""The real table in the words of the model: items are written and read past the stores."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from hybrid_ocr_core import job_item
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.job import JobFailure, JobStatus
from tests.builders import FakeClock, a_failure, a_job, a_result
from tests.model.state import Chunk, Item

JOB = a_job()
SWEEP_AT = 1_000
PAGES = (1, 2)


class RealTable:
    """One job, and its chunks. The model's number of a split is its attempt."""

    def __init__(self, clients: AwsClients, table: str, clock: FakeClock, *, chunks: int) -> None:
        self._client = clients.dynamodb
        self._table = table
        self._clock = clock
        self._chunks = chunks

    def put(self, item: Item) -> None:
        """The job as in the model."""
        self._replace(job_item.key_of(JOB.id), self._from_item(item) if item.exists else None)

    def item(self) -> Item:
        """As the model has it."""
        raw = self._get(job_item.key_of(JOB.id))
        return self._to_item(raw) if raw else Item()

    def put_chunk(self, chunk: ChunkId, found: Chunk | None) -> None:
        """A chunk as in the model, or none."""
        self._replace(_key(chunk), self._from_chunk(chunk, found) if found else None)

    def chunk(self, chunk: ChunkId) -> Chunk | None:
        """As the model has it."""
        raw = self._get(_key(chunk))
        return self._to_chunk(chunk, raw) if raw else None

    def _replace(self, key: dict[str, Any], item: dict[str, Any] | None) -> None:
        if item is None:
            self._client.delete_item(TableName=self._table, Key=_serialise(key))
        else:
            self._client.put_item(TableName=self._table, Item=_serialise(item))

    def _get(self, key: dict[str, Any]) -> dict[str, Any]:
        raw = self._client.get_item(TableName=self._table, Key=_serialise(key), ConsistentRead=True).get("Item", {})
        return {name: TypeDeserializer().deserialize(value) for name, value in raw.items()}

    def _from_item(self, item: Item) -> dict[str, Any]:
        job = a_job(
            job_id=JOB.job_id, status=JobStatus(item.status), attempt=item.attempt, budget_used=item.budget_used
        )
        raw = job_item.from_job(job, sweep_at=SWEEP_AT) | self._lease(item.lease)
        if item.failure:
            code = "out_of_attempts" if item.failure == "out_of_attempts" else None
            failure = JobFailure(code=code, message="m", retryable=True) if code else a_failure()
            raw["failure"] = job_item.from_failure(failure)
        if item.result:
            raw["result"] = job_item.from_result(a_result(attempt=item.result))
        if item.split:
            raw |= {"split_by": item.split, "chunks": self._chunks, "chunks_left": item.chunks_left}
            raw["progress"] = {"pages_done": 0, "pages_total": self._chunks * len(PAGES)}
        if not item.is_open:
            del raw["open_shard"], raw["sweep_at"]
        if item.is_erased:
            raw["erased_at"] = job_item.stamp(self._clock())
            del raw["document"], raw["options"]
        return raw

    def _to_item(self, raw: dict[str, Any]) -> Item:
        assert ("open_shard" in raw) == ("sweep_at" in raw)
        assert ("split_by" in raw) == ("chunks_left" in raw) == ("chunks" in raw)
        code = raw.get("failure", {}).get("code", "")
        return Item(
            exists=True,
            status=raw["status"],
            attempt=int(raw["attempt"]),
            budget_used=int(raw["budget_used"]),
            lease=self._to_lease(raw),
            failure=code if code in {"", "out_of_attempts"} else "document",
            result=int(raw["result"]["attempt"]) if "result" in raw else 0,
            is_open="open_shard" in raw,
            is_erased="erased_at" in raw,
            split=int(raw.get("split_by", 0)),
            chunks_left=int(raw.get("chunks_left", 0)),
        )

    def _from_chunk(self, chunk: ChunkId, found: Chunk) -> dict[str, Any]:
        return {
            **_key(chunk),
            "v": job_item.SCHEMA,
            "status": found.status,
            "attempt": found.attempt,
            "budget_used": found.budget_used,
            "pages": list(PAGES),
            **self._lease(found.lease),
        }

    def _to_chunk(self, chunk: ChunkId, raw: dict[str, Any]) -> Chunk:
        return Chunk(
            split=chunk.split,
            number=chunk.number,
            status=raw["status"],
            attempt=int(raw["attempt"]),
            budget_used=int(raw["budget_used"]),
            lease=self._to_lease(raw),
        )

    def _lease(self, lease: str) -> dict[str, Any]:
        if not lease:
            return {}
        now = job_item.milliseconds(self._clock())
        return {"owner": "somebody", "lease_expires_at": now + (1 if lease == "live" else -1)}

    def _to_lease(self, raw: dict[str, Any]) -> str:
        assert ("owner" in raw) == ("lease_expires_at" in raw)
        if "lease_expires_at" not in raw:
            return ""
        return "live" if raw["lease_expires_at"] >= job_item.milliseconds(self._clock()) else "lapsed"


def _key(chunk: ChunkId) -> dict[str, Any]:
    return {"pk": job_item.key_of(chunk.job)["pk"], "sk": f"C#{chunk.split:06d}#{chunk.number:06d}"}


def _serialise(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}
