"""What a request shows of itself -> the caller. The only place that knows in which ways one may show it."""

from __future__ import annotations

import hmac

from hybrid_ocr_api.access import Caller, Scope
from hybrid_ocr_api.key_ring import KeyRing
from hybrid_ocr_api.refusals import Unauthorized
from hybrid_ocr_api.tokens import Tokens
from hybrid_ocr_core.job import DEFAULT_TENANT

_EVERYTHING = Caller(tenant=DEFAULT_TENANT, scopes=frozenset({Scope.ADMIN}))


class Identities:
    """The one key of the settings, the keys in the table, and the tokens of an identity provider, if there is one."""

    def __init__(self, *, one_key: str, keys: KeyRing, tokens: Tokens | None) -> None:
        """``one_key`` may be empty: then there is none."""
        self._one_key = one_key.encode()
        self._keys = keys
        self._tokens = tokens

    def caller_of(self, api_key: str | None, authorization: str | None) -> Caller:
        """Who shows these headers.

        Raises:
            Unauthorized: there is none of them, or both, or what is there is not good.
            Unavailable: nobody can tell now.
        """
        if api_key and authorization:
            raise Unauthorized("send one of x-api-key and Authorization, not both")
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if self._tokens is None or scheme.lower() != "bearer":
                raise Unauthorized(f"send {self._wanted}")
            return self._tokens.caller_of(token.strip())
        if not api_key:
            raise Unauthorized(f"send {self._wanted}")
        # Compared as bytes: compare_digest refuses str with characters beyond ASCII.
        if self._one_key and hmac.compare_digest(api_key.encode(), self._one_key):
            return _EVERYTHING
        caller = self._keys.caller_of(api_key)
        if caller is None:
            raise Unauthorized("the API key is not good")
        return caller

    @property
    def takes_tokens(self) -> bool:
        """Is there an identity provider?"""
        return self._tokens is not None

    @property
    def _wanted(self) -> str:
        return "your API key in the header x-api-key" + (", or a bearer token" if self.takes_tokens else "")
