"""The fields of a form, sent as JSON."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict

from hybrid_ocr_core.errors import BadRequest

_MOST_BYTES = 64 << 10
#: What stands between the words of a field that may be given as an array.
_JOINTS = {"languages": "+", "outputs": ","}


def read_form(request: Request) -> ImmutableMultiDict[str, str]:
    """The form that says the same; what is null is not said.

    Raises:
        BadRequest: the body is no JSON object of strings, numbers and arrays of strings.
    """
    request.max_content_length = _MOST_BYTES
    body: Any = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise BadRequest('send a JSON object, as in {"mode": "force"}')
    return ImmutableMultiDict({name: _text(name, value) for name, value in body.items() if value is not None})


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
