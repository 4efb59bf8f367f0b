from __future__ import annotations

import json
from collections import Counter

import pytest

from bench.simulation.costs import PRICES, Client, Prices, TaskSize, Usage, bill
from bench.simulation.requests import Request, Tally, assemble, split
from bench.simulation.workload import MONTH


@pytest.fixture
def prices() -> Prices:
    return Prices(
        read_on="2026-11-21",
        fargate_vcpu_hour=0.04,
        fargate_gb_hour=0.005,
        spot_share=0.4,
        sqs_million=0.40,
        dynamodb_million_writes=0.625,
        dynamodb_million_reads=0.125,
        s3_thousand_puts=0.005,
        s3_thousand_gets=0.0004,
        s3_gb_month=0.023,
        textract_thousand_pages=1.5,
        textract_thousand_pages_beyond=0.6,
        textract_first_pages=1_000_000,
    )


def test_a_bill_by_hand(prices: Prices) -> None:
    tally = Tally()
    tally.add(Request.PUT_OBJECT, 3000)
    tally.add(Request.LIST_OBJECTS, 1000)
    tally.add(Request.DELETE_OBJECT, 5000)  # free
    tally.add(Request.GET_OBJECT, 1500)
    tally.add(Request.CREATE_JOB, 1000)  # two units each
    tally.add(Request.CHUNK_HOME, 500)  # six
    tally.add(Request.LOOK_AT_JOB, 7000)
    tally.add(Request.SEND, 400_000)
    tally.add(Request.RECEIVE, 500_000)
    tally.add(Request.DELETE_MESSAGE, 100_000)
    usage = Usage(
        seconds=2 * 3600,
        jobs=1000,
        task_seconds=10 * 3600,
        tally=tally,
        stored_bytes=2e9,
        task=TaskSize(vcpus=1, gb=2),
        client=Client(looks_per_job=3, downloads_per_job=1, retention_days=MONTH / 86400),
    )

    assert bill(usage, prices) == pytest.approx(
        {
            "workers": 10 * (0.04 + 2 * 0.005),
            "API": 2 * 2 * (0.5 * 0.04 + 0.005),
            "SQS": 0.40,
            "DynamoDB": 5000 / 1e6 * 0.625 + 10_000 / 1e6 * 0.125,
            "S3 requests": 4 * 0.005 + 2.5 * 0.0004,
            "S3 storage": 2 * 0.023,
        }
    )


def test_spot_is_a_share_of_the_price(prices: Prices) -> None:
    def workers(task: TaskSize) -> float:
        return bill(Usage(seconds=0, jobs=0, task_seconds=3600, tally=Tally(), stored_bytes=0, task=task), prices)[
            "workers"
        ]

    assert workers(TaskSize(is_spot=True)) == pytest.approx(0.4 * workers(TaskSize()))


def test_textract_is_cheaper_beyond_the_first_million(prices: Prices) -> None:
    assert prices.textract(1000) == pytest.approx(1.5)
    assert prices.textract(3_000_000) == pytest.approx(1500 + 1200)


def test_the_places_of_a_tenant_with_many_jobs_cost_more_units() -> None:
    few, many = Tally(), Tally()

    few.move_place(1)
    many.move_place(100)

    assert (few.write_units, many.write_units) == (1, 4)  # 3.6 kB


def test_a_long_document_of_25_pages_by_hand() -> None:
    assert split(3)[Request.PUT_OBJECT] == split(3)[Request.CREATE_CHUNK] == 3
    assert assemble(3, 25) == Counter(
        {
            Request.REFUSED_CLAIM: 1,
            Request.CLAIM_JOB: 1,
            Request.GET_OBJECT: 26,
            Request.PUT_OBJECT: 3,
            Request.COMPLETE_JOB: 1,
            Request.LIST_OBJECTS: 2,
            Request.DELETE_OBJECT: 28,
            Request.DELETE_MESSAGE: 1,
        }
    )


def test_every_price_has_a_source_and_its_date() -> None:
    found = json.loads(PRICES.read_text())

    assert Prices.load().read_on == found["read_on"]
    for name, entry in found["prices"].items():
        assert entry["usd"] > 0, name
        assert entry["source"].startswith("https://"), name
        assert entry["of"], name
