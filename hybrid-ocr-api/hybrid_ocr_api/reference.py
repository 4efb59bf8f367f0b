"""``/openapi.json`` for programs, ``/docs`` for people: the same document, and nobody needs a key for it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http import HTTPStatus
from typing import NamedTuple

from flask import Blueprint, Response, current_app, render_template
from markupsafe import Markup, escape

from hybrid_ocr_api import openapi
from hybrid_ocr_api.answers import HEADERS, TEXT, Answer, Answers
from hybrid_ocr_api.contract import api
from hybrid_ocr_api.services import services

blueprint = Blueprint("reference", __name__, template_folder="templates")

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
section { border-top: 1px solid #8884; margin: 1.5rem 0 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
td { border-top: 1px solid #8882; padding: .2rem .8rem .2rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { width: 12rem }
small { opacity: .7 }
:root { color-scheme: light dark }
"""
#: Nothing but this one style sheet, by its digest.
_ONLY_STYLE = f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
#: Headers that say something of one route.
_TOLD = set(HEADERS) - {"X-Request-Id", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"}
_DRAWN = "hybrid_ocr.reference"


class _Drawn(NamedTuple):
    document: str
    page: str


@blueprint.get("/openapi.json")
@api.validate(
    resp=Answers(
        {HTTPStatus.OK: Answer(meaning="OpenAPI 3.1.", other_bodies={"application/json": {"type": "object"}})},
        is_open=True,
    ),
    tags=("operation",),
)
def document() -> Response:
    """This document."""
    return Response(_drawn().document, content_type="application/json")


@blueprint.get("/docs")
@api.validate(
    resp=Answers(
        {HTTPStatus.OK: Answer(meaning="This document, for people.", other_bodies={"text/html": TEXT})}, is_open=True
    ),
    tags=("operation",),
)
def page() -> Response:
    """This document, for people."""
    response = Response(_drawn().page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = f"default-src 'none'; {_ONLY_STYLE}; frame-ancestors 'none'"
    return response


@blueprint.app_template_filter("marked")
def _marked(text: str) -> Markup:
    """Of Markdown we use the one mark."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _drawn() -> _Drawn:
    """Both, at the first request: two that come together draw the same."""
    extensions = current_app.extensions
    if _DRAWN not in extensions:
        found = openapi.document(current_app, services().settings)
        text = json.dumps(found, ensure_ascii=False) + "\n"
        extensions[_DRAWN] = _Drawn(text, render_template("reference.html", **found, style=_STYLE, told=_TOLD))
    drawn: _Drawn = extensions[_DRAWN]
    return drawn
