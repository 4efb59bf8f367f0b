"""What ``POST /jobs/<id>/rerun`` asks for: what its job was asked for, but for what is named."""

from __future__ import annotations

from hybrid_ocr_api.forms import JobForm
from hybrid_ocr_core.job import Job


def form_of(job: Job, named: JobForm) -> JobForm:
    """The form that would have been sent with the document.

    What is not named is as it was; what is empty, as if it had never been said.
    """
    asked = {**JobForm.of(job).model_dump(), **named.model_dump(exclude_unset=True)}
    if named.retention_days and "source_retention_days" not in named.model_fields_set:
        # As it was, but no longer than the job.
        asked["source_retention_days"] = min(job.retention.source_days, named.retention_days)
    return JobForm.model_construct(**asked)
