"""What it costs, at the list prices of ``bench/prices.json``, beside what Textract would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.simulation.requests import Tally
from bench.simulation.workload import HOUR, MONTH

PRICES = Path(__file__).resolve().parents[1] / "prices.json"
#: S3 prices these as PUT; DeleteObject is free, everything else a GET.
_AS_PUT = ("PutObject", "ListObjectsV2")
_OF_SQS = ("SendMessageBatch", "ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars, one region, before tax, free tiers and discounts."""

    read_on: str
    fargate_vcpu_hour: float
    fargate_gb_hour: float
    #: Of the price on demand.
    spot_share: float
    sqs_million: float
    dynamodb_million_writes: float
    dynamodb_million_reads: float
    s3_thousand_puts: float
    s3_thousand_gets: float
    s3_gb_month: float
    textract_thousand_pages: float
    textract_thousand_pages_beyond: float
    textract_first_pages: int

    @classmethod
    def load(cls, path: Path = PRICES) -> Self:
        """The figures of the file; their sources stand there beside them."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(read_on=found["read_on"], **{name: entry["usd"] for name, entry in found["prices"].items()})

    def textract(self, pages: float) -> float:
        """DetectDocumentText for so many pages in a month."""
        first = min(pages, self.textract_first_pages)
        return (
            first / 1000 * self.textract_thousand_pages + (pages - first) / 1000 * self.textract_thousand_pages_beyond
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSize:
    """Of one Fargate task."""

    vcpus: float = 1
    gb: float = 2
    is_spot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the people at the other end cause: assumptions."""

    looks_per_job: int = 3
    downloads_per_job: int = 1
    retention_days: float = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What some seconds of the service took."""

    seconds: float
    jobs: int
    task_seconds: float
    tally: Tally
    stored_bytes: float
    task: TaskSize = TaskSize()
    #: Two small ones, all the time.
    api: TaskSize = TaskSize(vcpus=0.5, gb=1)
    api_tasks: int = 2
    client: Client = Client()


def bill(usage: Usage, prices: Prices) -> Mapping[str, float]:
    """Dollars by part."""
    operations, client = usage.tally.operations, usage.client
    puts = sum(operations[name] for name in _AS_PUT)
    gets = operations["GetObject"] + client.downloads_per_job * usage.jobs
    reads = usage.tally.read_units + client.looks_per_job * usage.jobs
    return {
        "workers": usage.task_seconds / HOUR * _an_hour_of(usage.task, prices),
        "API": usage.api_tasks * usage.seconds / HOUR * _an_hour_of(usage.api, prices),
        "SQS": sum(operations[name] for name in _OF_SQS) / 1e6 * prices.sqs_million,
        "DynamoDB": usage.tally.write_units / 1e6 * prices.dynamodb_million_writes
        + reads / 1e6 * prices.dynamodb_million_reads,
        "S3 requests": puts / 1000 * prices.s3_thousand_puts + gets / 1000 * prices.s3_thousand_gets,
        # What stays so long after each of these seconds, paid by the month.
        "S3 storage": usage.stored_bytes / 1e9 * (client.retention_days * 86400 / MONTH) * prices.s3_gb_month,
    }


def _an_hour_of(task: TaskSize, prices: Prices) -> float:
    a_full = task.vcpus * prices.fargate_vcpu_hour + task.gb * prices.fargate_gb_hour
    return a_full * (prices.spot_share if task.is_spot else 1)
