"""A bearer token (JWT, RFC 7519) -> the caller it stands for, by the keys of one identity provider.

Nothing in a token says how to verify it: algorithms, issuer, audience and where the keys are come from the settings. Of
its header only ``kid`` is looked at, to choose among those keys; ``jku``, ``x5u`` and ``jwk`` are not.
"""

from __future__ import annotations

import logging

import jwt

from hybrid_ocr_api.access import Caller, known_scopes
from hybrid_ocr_api.jwks import KeySource
from hybrid_ocr_api.refusals import Unauthorized
from hybrid_ocr_api.token_settings import TokenSettings
from hybrid_ocr_core.tenant import is_tenant

_log = logging.getLogger(__name__)

#: For clocks that differ.
_LEEWAY_SECONDS = 30
_REQUIRED = ["exp", "iat", "aud", "iss"]
#: The first of them that a token has: RFC 8693 and RFC 9068, and what others say instead.
_SCOPE_CLAIMS = ("scope", "scp")


class Tokens:
    """The tokens of one identity provider."""

    def __init__(self, settings: TokenSettings, keys: KeySource) -> None:
        self._settings = settings
        self._keys = keys

    def caller_of(self, token: str) -> Caller:
        """Who shows this token.

        Raises:
            Unauthorized: it is not good, or names no tenant.
            Unavailable: the key that it was signed with cannot be fetched.
        """
        try:
            key = self._keys.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise Unauthorized("the token is signed with an unknown key", is_token=True)
            claims = jwt.decode(
                token,
                key,
                algorithms=sorted(self._settings.algorithms),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("the token has expired", is_token=True) from error
        except jwt.PyJWTError as error:
            _log.info("A token was refused: %s.", type(error).__name__, extra={"action": "token_refused"})
            raise Unauthorized("the token is not good", is_token=True) from error
        tenant = claims.get(self._settings.tenant_claim)
        if not is_tenant(tenant):
            raise Unauthorized("the token names no tenant", is_token=True)
        return Caller(tenant=tenant, scopes=known_scopes(_words(claims)))


def _words(claims: dict[str, object]) -> list[object]:
    """The scopes that a token has: words in one string, or a list."""
    found = next((claims[name] for name in _SCOPE_CLAIMS if name in claims), None)
    if isinstance(found, str):
        return list(found.split())
    return list(found) if isinstance(found, list) else []
