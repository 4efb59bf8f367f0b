"""The data plane as AWS gets it: what no emulator enforces is read here."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hybrid_ocr_core import direct_upload
from hybrid_ocr_core.errors import DOCUMENT_CODES
from hybrid_ocr_core.job import JobStatus, Lane, Triage
from hybrid_ocr_core.job_item import TOMBSTONE_KEPT
from hybrid_ocr_core.job_list import Selection, filter_of
from hybrid_ocr_core.job_queue import LONG_POLL_SECONDS
from tests.conftest import ROOT

_TEMPLATE = ROOT / "infra" / "data-plane.yaml"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    from cfnlint.decode import cfn_yaml

    decoded = cfn_yaml.load(str(_TEMPLATE))
    found: dict[str, Any] = json.loads(json.dumps(decoded["Resources"]))
    return {name: resource["Properties"] for name, resource in found.items()}


def test_the_template_is_sound() -> None:
    lint = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), str(_TEMPLATE)], capture_output=True, text=True, check=False
    )

    assert (lint.returncode, lint.stdout) == (0, "")


def test_tombstones_expire_by_the_attribute_that_the_store_writes(resources: dict[str, Any]) -> None:
    assert resources["Table"]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_a_tombstone_outlives_every_message(resources: dict[str, Any]) -> None:
    longest = max(resources[name]["MessageRetentionPeriod"] for name in ("Queue", "DeadLetterQueue"))

    assert TOMBSTONE_KEPT.total_seconds() > longest


def test_the_redrive_policy_is_a_backstop_and_the_dead_letters_are_kept_longer(resources: dict[str, Any]) -> None:
    assert resources["Queue"]["RedrivePolicy"]["maxReceiveCount"] == 20
    assert resources["DeadLetterQueue"]["MessageRetentionPeriod"] > resources["Queue"]["MessageRetentionPeriod"]
    assert resources["Queue"]["ReceiveMessageWaitTimeSeconds"] == LONG_POLL_SECONDS


@pytest.mark.parametrize("lane", ["High", "Low"])
def test_the_lanes_differ_in_nothing_but_their_names(resources: dict[str, Any], lane: str) -> None:
    named = {**resources[f"{lane}Queue"], "QueueName": resources["Queue"]["QueueName"]}

    assert named == resources["Queue"]


def test_the_bucket_is_private_and_encrypted(resources: dict[str, Any]) -> None:
    assert all(resources["Bucket"]["PublicAccessBlockConfiguration"].values())
    assert "BucketEncryption" in resources["Bucket"]
    rules = resources["Bucket"]["LifecycleConfiguration"]["Rules"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert any("ExpirationInDays" in rule and "Prefix" not in rule for rule in rules)


def test_uploads_that_nobody_submitted_expire_and_not_before_their_time(resources: dict[str, Any]) -> None:
    (rule,) = (rule for rule in resources["Bucket"]["LifecycleConfiguration"]["Rules"] if "Prefix" in rule)

    assert (rule["Prefix"], rule["Status"]) == ("uploads/", "Enabled")
    assert dt.timedelta(days=rule["ExpirationInDays"]) >= direct_upload.USABLE


def test_the_index_of_open_jobs_carries_what_the_sweeper_reads(resources: dict[str, Any]) -> None:
    assert _projected(resources, "open") == {"resends", "erased_at"}
    assert _projected(resources, "tenant") == {"erased_at"}


def test_the_list_of_jobs_carries_what_it_is_filtered_by(resources: dict[str, Any]) -> None:
    every = Selection(
        statuses=frozenset(JobStatus),
        lanes=frozenset(Lane),
        triages=frozenset(Triage),
        errors=frozenset(DOCUMENT_CODES),
        client_reference="order 7",
        batch_id="b",
    )
    conditions, _ = filter_of(every)

    asked = {re.match(r"#?(\w+)", condition)[1] for condition in conditions}  # type: ignore[index]
    assert _projected(resources, "listed") == asked


def _projected(resources: dict[str, Any], name: str) -> set[str]:
    (index,) = (index for index in resources["Table"]["GlobalSecondaryIndexes"] if index["IndexName"] == name)
    return set(index["Projection"]["NonKeyAttributes"])
