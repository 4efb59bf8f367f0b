"""``/metrics``, and what is counted of requests. What is counted of jobs, the job store tells by itself."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import Counter, Histogram

from hybrid_ocr_api.answers import TEXT, Answer, Answers
from hybrid_ocr_api.contract import api
from hybrid_ocr_core import exposition

_log = logging.getLogger(__name__)

blueprint = Blueprint("metrics", __name__)

#: A client may send any word for a method, and any path: neither may become a label.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"

_answered = Counter(
    "hybrid_ocr_http_requests",
    "Requests that were answered, by the route's pattern.",
    ("route", "method", "status"),
    registry=exposition.REGISTRY,
)
_took = Histogram(
    "hybrid_ocr_http_request_seconds",
    "From a request's headers to its answer, the upload included.",
    ("route", "method"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=exposition.REGISTRY,
)


def register(app: Flask) -> None:
    """Count every request, also one that is refused by another hook: so before all of them."""
    app.before_request(_start)
    app.after_request(_count)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
@api.validate(
    resp=Answers(
        {
            HTTPStatus.OK: Answer(
                meaning="In the format that Accept asks for.",
                other_bodies={"text/plain": TEXT, "application/openmetrics-text": TEXT},
            )
        }
    ),
    tags=("operation",),
)
def show() -> Response:
    """The numbers of all processes of this API, for Prometheus. Who may see them, ``auth`` says."""
    body, content_type = exposition.render(request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)


def _start() -> None:
    g.started = time.monotonic()


def _count(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else _OTHER
    method = request.method if request.method in _METHODS else _OTHER
    seconds = time.monotonic() - g.started
    _answered.labels(route, method, response.status_code).inc()
    _took.labels(route, method).observe(seconds)
    _log.debug(
        "Answered a request.",
        extra={
            "action": "request_answered",
            "route": route,
            "method": method,
            "status": response.status_code,
            "seconds": round(seconds, 3),
        },
    )
    return response
