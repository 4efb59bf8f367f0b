"""What ``POST /jobs/<id>/rerun`` asks for: what its job was asked for, but for what is named."""

from __future__ import annotations

from hybrid_ocr_api.forms import JobForm
from hybrid_ocr_api.settings import RetentionSettings
from hybrid_ocr_core.job import Job


def form_of(job: Job, named: JobForm, settings: RetentionSettings) -> JobForm:
    """The form that would have been sent with the document.

    What is not named is as it was, but nothing is kept for longer than can be asked for now: only who names too many
    days is refused. What is empty is as if it had never been said.
    """
    asked = {**JobForm.of(job).model_dump(), **named.model_dump(exclude_unset=True)}
    if "retention_days" not in named.model_fields_set:
        asked["retention_days"] = min(job.retention.days, settings.most_days)
    if "source_retention_days" not in named.model_fields_set:
        days = asked["retention_days"] or settings.usual.days
        asked["source_retention_days"] = min(job.retention.source_days, days)
    return JobForm.model_construct(**asked)
