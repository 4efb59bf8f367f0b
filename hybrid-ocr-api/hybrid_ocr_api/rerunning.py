"""What ``POST /jobs/<id>/rerun`` is asked for: the options of a job, but for those that are named in JSON."""

from __future__ import annotations

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict

from hybrid_ocr_api import json_form
from hybrid_ocr_api.forms import JobOptions
from hybrid_ocr_core.job import Job


def read_form(request: Request, job: Job) -> ImmutableMultiDict[str, str]:
    """The form that would have been sent with the document.

    What is not named is as it was; what is null, as if it had never been said.

    Raises:
        BadRequest: the body is no JSON object of strings, numbers and arrays of strings.
    """
    named = json_form.read(request, JobOptions)
    fields = {**_as_submitted(job), **named}
    if named.get("retention_days") and "source_retention_days" not in named:
        # As it was, but no longer than the job.
        fields["source_retention_days"] = str(min(job.retention.source_days, int(named["retention_days"])))
    return ImmutableMultiDict(fields)


def _as_submitted(job: Job) -> dict[str, str]:
    options = job.options
    return {
        "languages": "+".join(options.languages),
        "mode": options.mode.value,
        "outputs": ",".join(options.outputs),
        "pages": str(options.pages),
        "priority": job.lane.value,
        "client_reference": job.client_reference or "",
        "webhook_url": job.webhook_url or "",
        "retention_days": str(job.retention.days),
        "source_retention_days": str(job.retention.source_days),
    }
