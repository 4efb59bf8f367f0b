"""Requests that are refused for who sends them, or how many. ``errors.py`` makes HTTP of it."""

from __future__ import annotations

from hybrid_ocr_core.errors import HybridOcrError


class Unauthorized(HybridOcrError):
    """No key and no token, or one that is not good."""

    code = "unauthorized"

    def __init__(self, message: str, *, is_token: bool = False) -> None:
        super().__init__(message)
        self.is_token = is_token


class Forbidden(HybridOcrError):
    """The caller is known, but has not the scope that this route demands."""

    code = "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs the scope {scope!r}")
        self.scope = scope


class TooMany(HybridOcrError):
    """Superclass of those that a later request does not meet."""

    retryable = True

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        #: Whole seconds.
        self.retry_after = retry_after


class RateLimited(TooMany):
    """Too many requests of this tenant in this minute."""

    code = "rate_limited"


class QuotaExceeded(TooMany):
    """The tenant has as many jobs, or as many pages, as it may have."""

    code = "quota_exceeded"
