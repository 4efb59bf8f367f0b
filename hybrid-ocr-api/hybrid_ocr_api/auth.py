"""Who calls: ``x-api-key`` -> Caller, compared in constant time, before any body is read."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from flask import g, request

from hybrid_ocr_api.services import services
from hybrid_ocr_core.errors import HybridOcrError
from hybrid_ocr_core.job import DEFAULT_TENANT

#: Endpoints that need no key. Everything else does, unknown paths included; a test walks the route table.
OPEN_ENDPOINTS = frozenset({"health.health", "health.ready"})


class Unauthorized(HybridOcrError):
    """No key, or a wrong one."""

    code = "unauthorized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose behalf a request runs."""

    tenant: str


def require_key() -> None:
    """Flask hook: refuse a request without the right key.

    Raises:
        Unauthorized: the header ``x-api-key`` is missing or wrong.
    """
    if _is_open():
        return
    given = request.headers.get("x-api-key", "")
    # Compared as bytes: compare_digest refuses str with characters beyond ASCII.
    if not hmac.compare_digest(given.encode(), services().settings.api_key.encode()):
        raise Unauthorized("send your API key in the header x-api-key")
    g.caller = Caller(tenant=DEFAULT_TENANT)


def _is_open() -> bool:
    """May anybody send this request? The metrics are for who has a key, unless the operator opens them."""
    if request.endpoint == "metrics.show":
        return services().settings.metrics_open
    return request.endpoint in OPEN_ENDPOINTS


def caller() -> Caller:
    """The caller of the current request."""
    found: Caller = g.caller
    return found
