"""The fields of a form, sent as JSON."""

from __future__ import annotations

from typing import Any

from flask import Request

from hybrid_ocr_core.errors import BadRequest

_MOST_BYTES = 64 << 10
#: What stands between the words of a field that may be given as an array.
_JOINTS = {"languages": "+", "outputs": ","}


def read(request: Request) -> dict[str, str | None]:
    """Each field as it would stand in a form; None where it is null. Nothing at all is an empty object.

    Raises:
        BadRequest: the body is no JSON object of strings, numbers and arrays of strings.
    """
    return {name: None if value is None else _text(name, value) for name, value in _body(request).items()}


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
