"""What ``POST /jobs/<id>/rerun`` is asked for: the options of a job, but for those that are named in JSON."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict

from hybrid_ocr_core.errors import BadRequest
from hybrid_ocr_core.job import Job

_MOST_BYTES = 64 << 10
#: What stands between the words of an option that may be given as an array.
_JOINTS = {"languages": "+", "outputs": ","}


def read_form(request: Request, job: Job) -> ImmutableMultiDict[str, str]:
    """The form that would have been sent with the document.

    What is not named is as it was; what is null, as if it had never been said.

    Raises:
        BadRequest: the body is no JSON object of strings, numbers and arrays of strings.
    """
    named = {name: None if value is None else _text(name, value) for name, value in _body(request).items()}
    fields = {**_as_submitted(job), **named}
    return ImmutableMultiDict({name: text for name, text in fields.items() if text is not None})


def _as_submitted(job: Job) -> dict[str, str | None]:
    options = job.options
    return {
        "languages": "+".join(options.languages),
        "mode": options.mode.value,
        "outputs": ",".join(options.outputs),
        "pages": str(options.pages),
        "priority": job.lane.value,
        "client_reference": job.client_reference,
        "webhook_url": job.webhook_url,
        "retention_days": str(job.retention.days),
        "source_retention_days": str(job.retention.source_days),
    }


def _body(request: Request) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one."""
    request.max_content_length = _MOST_BYTES
    if not request.get_data():
        return {}
    # Flask answers another media type or broken JSON itself.
    body = request.get_json()
    if not isinstance(body, dict):
        raise BadRequest('send a JSON object, as in {"mode": "force"}')
    return body


def _text(name: str, value: object) -> str:
    """A value as it would stand in a form."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if name in _JOINTS and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return _JOINTS[name].join(value)
    arrays = " or an array of strings" if name in _JOINTS else ""
    raise BadRequest(f"{name[:32]!r}: a string{arrays}")
