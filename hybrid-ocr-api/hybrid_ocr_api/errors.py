"""Exception -> one error shape, RFC 9457 ``application/problem+json``. The only place that knows its HTTP codes."""

from __future__ import annotations

import json
import logging
import random
from http import HTTPStatus

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from hybrid_ocr_api.refusals import Forbidden, TooMany, Unauthorized
from hybrid_ocr_api.services import services
from hybrid_ocr_core.errors import HybridOcrError, Unavailable, WebhookUnderWay

_log = logging.getLogger(__name__)

#: Public code of an error -> HTTP status and a title that never changes.
PROBLEMS = {
    "unauthorized": (HTTPStatus.UNAUTHORIZED, "The key or token is missing or not good"),
    "forbidden": (HTTPStatus.FORBIDDEN, "This caller may not do that"),
    "not_found": (HTTPStatus.NOT_FOUND, "There is nothing here"),
    "job_expired": (HTTPStatus.GONE, "The job is not kept any more"),
    "source_gone": (HTTPStatus.GONE, "The document is not kept any more"),
    "bad_request": (HTTPStatus.BAD_REQUEST, "The request is malformed"),
    "invalid_cursor": (HTTPStatus.BAD_REQUEST, "The cursor does not continue this list"),
    "file_missing": (HTTPStatus.BAD_REQUEST, "The file is missing"),
    "file_empty": (HTTPStatus.BAD_REQUEST, "The file is empty"),
    "file_too_large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The file is too large"),
    "unsupported_media_type": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The content is no document that can be read"),
    "unsupported_language": (HTTPStatus.UNPROCESSABLE_ENTITY, "A language is not installed"),
    "webhook_url_denied": (HTTPStatus.UNPROCESSABLE_ENTITY, "No webhook is sent there"),
    "idempotency_mismatch": (HTTPStatus.UNPROCESSABLE_ENTITY, "The key was used for another request"),
    "upload_incomplete": (HTTPStatus.CONFLICT, "The upload has not arrived"),
    "upload_used": (HTTPStatus.CONFLICT, "The upload became a job before"),
    "upload_expired": (HTTPStatus.GONE, "The upload was not submitted in time"),
    "webhook_under_way": (HTTPStatus.CONFLICT, "The webhook is being told at this moment"),
    "rate_limited": (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests in a minute"),
    "quota_exceeded": (HTTPStatus.TOO_MANY_REQUESTS, "A quota is used up"),
    "unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, "A part of the service is away"),
    "internal": (HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here"),
}

_REALM = "hybrid-ocr"
#: A random number between them, so that those who were refused together do not come back together.
_RETRY_AFTER_SECONDS = (5, 15)


def problem(code: str, detail: str, status: HTTPStatus | None = None) -> Response:
    """Draw an error. ``detail`` is for the client: it never holds what came from the inside."""
    usual_status, title = PROBLEMS[code]
    status = status or usual_status
    body = {
        "type": f"urn:hybrid-ocr:problem:{code}",
        "title": title,
        "status": status.value,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "request_id": g.get("request_id", ""),
    }
    response = Response(json.dumps(body) + "\n", status=status.value, content_type="application/problem+json")
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(random.randint(*_RETRY_AFTER_SECONDS))  # noqa: S311 - not cryptography
    return response


def register(app: Flask) -> None:
    """Install the handlers."""
    app.register_error_handler(HybridOcrError, _from_own_error)
    app.register_error_handler(HTTPException, _from_http_exception)
    app.register_error_handler(Exception, _from_surprise)


def _from_own_error(error: HybridOcrError) -> Response:
    if isinstance(error, Unavailable):
        _log.warning("%s", error, extra={"action": "unavailable"})
        return problem("unavailable", f"{error.part} does not answer; try again")
    if error.code not in PROBLEMS or error.code == "internal":
        return _from_surprise(error)
    response = problem(error.code, str(error))
    if isinstance(error, TooMany | WebhookUnderWay):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized | Forbidden):
        response.headers["WWW-Authenticate"] = ", ".join(_challenges(error))
    return response


def _challenges(error: Unauthorized | Forbidden) -> list[str]:
    """What to show instead (RFC 9110), and what a token lacks (RFC 6750)."""
    key, bearer = f'ApiKey realm="{_REALM}"', f'Bearer realm="{_REALM}"'
    if isinstance(error, Forbidden):
        bearer += f', error="insufficient_scope", scope="{error.scope}"'
    elif error.is_token:
        bearer += ', error="invalid_token"'
    return [key, bearer] if services().identities.takes_tokens else [key]


def _from_http_exception(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    if isinstance(error, RequestEntityTooLarge):
        return problem("file_too_large", _what_is_too_large())
    code = "not_found" if status is HTTPStatus.NOT_FOUND else "bad_request" if status < 500 else "internal"
    response = problem(code, error.description or status.phrase, status)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _what_is_too_large() -> str:
    most = request.max_content_length or 0
    if request.content_length is not None and request.content_length <= most:
        return "the form has too many parts, or too much text beside the file"
    return f"the limit is {f'{most >> 20} MB' if most >> 20 else f'{most >> 10} kB'} for the whole request"


def _from_surprise(error: Exception) -> Response:
    _log.exception("A request failed: %s.", type(error).__name__, exc_info=error, extra={"action": "request_failed"})
    return problem("internal", f"the log has the reason under request id {g.get('request_id', '')}")
