"""``/health``: the process is alive, nothing is touched. ``/ready``: may it take traffic, part by part."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from hybrid_ocr_api.answers import Answer, Answers
from hybrid_ocr_api.contract import api
from hybrid_ocr_api.schemas import Health, Readiness
from hybrid_ocr_api.services import services
from hybrid_ocr_core.errors import Unavailable

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@api.validate(
    resp=Answers({HTTPStatus.OK: Answer(meaning="It lives.", body=Health)}, is_open=True), tags=("operation",)
)
def health() -> Response:
    """Alive."""
    return jsonify(status="ok")


@blueprint.get("/ready")
@api.validate(
    resp=Answers(
        {
            HTTPStatus.OK: Answer(meaning="All of them answer.", body=Readiness),
            HTTPStatus.SERVICE_UNAVAILABLE: Answer(meaning="One does not.", body=Readiness),
        },
        is_open=True,
    ),
    tags=("operation",),
)
def ready() -> tuple[Response, int]:
    """Ready when bucket, table and queue answer; 503 names the one that does not."""
    parts = services()
    checks = {
        "bucket": _check(parts.documents.ping),
        "table": _check(parts.jobs.ping),
        "queue": _check(parts.queue.ping),
    }
    is_ready = all(state == "ok" for state in checks.values())
    return jsonify(status="ready" if is_ready else "unavailable", checks=checks), 200 if is_ready else 503


def _check(ping: Callable[[], None]) -> str:
    try:
        ping()
    except Unavailable as error:
        return str(error)
    return "ok"
