"""The fields of a form, sent as JSON."""

from __future__ import annotations

import json
from typing import Any

from flask import Request

from hybrid_ocr_api.forms import JobOptions, validate
from hybrid_ocr_core.errors import BadRequest

_MOST_BYTES = 64 << 10
#: What stands between the words of a field that may be given as an array.
_JOINTS = {"languages": "+", "outputs": ","}


def read(request: Request, kind: type[JobOptions]) -> dict[str, str]:
    """Each field as it would stand in a form; null as if it stood there empty. Nothing at all is an empty object.

    Raises:
        BadRequest: the body is not as ``kind`` wants it.
    """
    given = validate(kind, body_of(request)).model_dump(exclude_unset=True, mode="json")
    return {name: "" if value is None else _text(name, value) for name, value in given.items()}


def body_of(request: Request) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one.

    Raises:
        BadRequest: it is none.
    """
    request.max_content_length = _MOST_BYTES
    text = request.get_data()
    try:
        body = json.loads(text) if text and request.is_json else None if text else {}
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BadRequest('send a JSON object as application/json, as in {"mode": "force"}')
    return body


def _text(name: str, value: str | int | list[str]) -> str:
    return _JOINTS[name].join(value) if isinstance(value, list) else str(value)
