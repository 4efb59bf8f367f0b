"""Who calls, whether it may, and whether it may so soon: before any body is read."""

from __future__ import annotations

from flask import Response, current_app, g, request
from werkzeug.exceptions import MethodNotAllowed

from hybrid_ocr_api.access import SCOPES, Caller, is_open
from hybrid_ocr_api.rate_limit import SECONDS, Window
from hybrid_ocr_api.refusals import Forbidden, RateLimited
from hybrid_ocr_api.services import services


def let_in() -> None:
    """Flask hook: refuse a request without a good key or token, one too many, or one without its route's scope.

    Raises:
        Unauthorized: nobody knows who calls.
        RateLimited: that is known, but its tenant called too often in this minute.
        Forbidden: the caller may not do this.
        Unavailable: nobody can tell now.
    """
    # An unknown path has no endpoint, and tells a stranger nothing.
    if is_open(_endpoint(), metrics_open=services().settings.metrics_open):
        return
    g.caller = services().identities.caller_of(request.headers.get("x-api-key"), request.headers.get("Authorization"))
    g.window = services().quotas.count_request(g.caller.tenant)
    if g.window is not None and g.window.is_full:
        raise RateLimited(f"your limit is {g.window.most} requests in {SECONDS} seconds", retry_after=g.window.seconds)
    if request.endpoint is not None and not g.caller.may(SCOPES[request.endpoint]):
        raise Forbidden(SCOPES[request.endpoint])


def tell_rate(response: Response) -> Response:
    """Flask hook: say how many requests are left, as in draft-ietf-httpapi-ratelimit-headers."""
    window: Window | None = g.get("window")
    if window is not None:
        response.headers["RateLimit-Policy"] = f'"default";q={window.most};w={SECONDS}'
        response.headers["RateLimit"] = f'"default";r={window.left};t={window.seconds}'
        if not window.left and "Retry-After" in response.headers:
            # Before that it would only be refused.
            response.headers["Retry-After"] = str(max(window.seconds, int(response.headers["Retry-After"])))
    return response


def _endpoint() -> str | None:
    """The route; if the method is wrong, one of those that the path has."""
    error = request.routing_exception
    routes = current_app.create_url_adapter(request)
    if isinstance(error, MethodNotAllowed) and error.valid_methods and routes is not None:
        return str(routes.match(method=next(iter(error.valid_methods)))[0])
    return request.endpoint


def caller() -> Caller:
    """The caller of the current request."""
    found: Caller = g.caller
    return found
