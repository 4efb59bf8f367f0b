"""``/openapi.json`` for programs, ``/docs`` for people: the same document, and nobody needs a key for it."""

from __future__ import annotations

import json
from typing import Any, cast

from flask import Blueprint, Response, current_app

from hybrid_ocr_api import openapi
from hybrid_ocr_api.services import services

blueprint = Blueprint("reference", __name__)

_DOCUMENT = "hybrid_ocr.document"


@blueprint.get("/openapi.json")
def document() -> Response:
    """This document."""
    return Response(json.dumps(_document(), ensure_ascii=False) + "\n", content_type="application/json")


@blueprint.get("/docs")
def page() -> Response:
    """This document, for people."""
    return Response("", content_type="text/html; charset=utf-8")


def _document() -> dict[str, Any]:
    """Drawn at the first request: two that come together draw the same."""
    extensions = current_app.extensions
    if _DOCUMENT not in extensions:
        extensions[_DOCUMENT] = openapi.document(current_app, services().settings)
    return cast("dict[str, Any]", extensions[_DOCUMENT])
