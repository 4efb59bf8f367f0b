"""A body that is JSON."""

from __future__ import annotations

import json
from typing import TypeVar

from flask import Request

from hybrid_ocr_api.forms import Form, validate
from hybrid_ocr_core.errors import BadRequest

_MOST_BYTES = 64 << 10
_Form = TypeVar("_Form", bound=Form)


def read(request: Request, kind: type[_Form]) -> _Form:
    """A JSON object; nothing at all is an empty one.

    Raises:
        BadRequest: the body is none, or not as ``kind`` wants it.
    """
    request.max_content_length = _MOST_BYTES
    text = request.get_data()
    try:
        body = json.loads(text) if text and request.is_json else None if text else {}
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BadRequest('send a JSON object as application/json, as in {"mode": "force"}')
    return validate(kind, body)
