"""What the log lines of one request have in common: its id, and its trace.

Both may come from the client, who finds them in our log again. What is no id by its looks is replaced by one of ours:
it would be a foreign string in the log.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from hybrid_ocr_core import trace
from hybrid_ocr_core.logs import fresh_log_context

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = "hybrid_ocr.request_id"


def register(app: Flask) -> None:
    """Give every request its context, around everything else, and tell the client its id."""
    app.wsgi_app = _InContext(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(_name)
    app.after_request(_tell)


class _InContext:
    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        environ[_KEY] = request_id
        with fresh_log_context(request_id=request_id), trace.span(environ.get("HTTP_TRACEPARENT")):
            return self._application(environ, start_response)


def _name() -> None:
    g.request_id = request.environ[_KEY]


def _tell(response: Response) -> Response:
    response.headers["X-Request-Id"] = request.environ[_KEY]
    return response
