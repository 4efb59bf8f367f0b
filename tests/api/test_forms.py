"""The three ways to a form: the fields of a multipart body, those of JSON, and a job that was submitted by one."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_ocr_api.forms import JobFields, JobForm, validate
from hybrid_ocr_core.job import Job, Lane, Retention
from hybrid_ocr_core.options import JobOptions, Mode, PageSelection
from tests.builders import a_job


def test_each_knows_every_field() -> None:
    assert JobFields.model_fields.keys() == JobForm.model_fields.keys() == JobForm.of(a_job()).model_fields_set


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        a_job(
            options=JobOptions(
                languages=("deu", "eng"), mode=Mode.FORCE, outputs=("json",), pages=PageSelection(((1, 1), (3, 5)))
            ),
            lane=Lane.HIGH,
            client_reference="order 7",
            webhook_url="https://example.com/ocr",
            retention=Retention(days=2, source_days=0),
        ),
    ],
    ids=["by default", "by wish"],
)
def test_that_of_a_job_is_what_its_text_is_read_as(job: Job) -> None:
    form = JobForm.of(job)

    assert validate(JobForm, {name: str(value) for name, value in form}) == form


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"languages": ["deu", "eng"], "outputs": ["txt", "pdf"]}, {"languages": "deu,eng", "outputs": "txt,pdf"}),
        ({"pages": 3, "retention_days": 30}, {"pages": "3", "retention_days": "30"}),
        ({"mode": "force", "priority": None}, {"mode": "force", "priority": ""}),
        ({"source_retention_days": 0, "client_reference": ""}, {"source_retention_days": "0", "client_reference": ""}),
        ({}, {}),
    ],
)
def test_that_of_json_is_what_its_text_is_read_as(body: dict[str, Any], text: dict[str, str]) -> None:
    form, same = validate(JobFields, body).form(), validate(JobForm, text)

    assert (form, form.model_fields_set) == (same, same.model_fields_set)
