"""The public keys of an identity provider, by their ids, as it publishes them (JWKS, RFC 7517).

Fetched when first needed, again when they are old, and when a token names a key that is not among them; but never twice
within ``_SPACING``, whatever tokens come and whether the provider answers or not. While it does not, the keys at hand
are used on, and nobody waits for the fetch who can do without it.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import jwt

from hybrid_ocr_api.token_settings import PublicKey, TokenSettings
from hybrid_ocr_core.errors import Unavailable

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 3
_SPACING = 10.0
_OLD = 300.0
#: An outage longer than this is none: a key that was withdrawn must not be good for ever.
_TOO_OLD = 24 * 3600.0
_PART = "the identity provider"


class KeySource(Protocol):
    """Where the keys are that tokens are verified by."""

    def find(self, key_id: str | None) -> PublicKey | None:
        """The key of this id; None if there is none. Raises Unavailable."""


class OneKey:
    """A key from the settings, whatever tokens call it."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key

    def find(self, key_id: str | None) -> PublicKey | None:  # noqa: ARG002 - as KeySource
        """That key."""
        return self._key


class Jwks:
    """Shared by the threads of a process."""

    def __init__(self, settings: TokenSettings, *, timer: Callable[[], float] = time.monotonic) -> None:
        assert settings.jwks_url is not None
        # Its own cache forgets all keys when they are old and the provider is away.
        self._client = jwt.PyJWKClient(settings.jwks_url, cache_jwk_set=False, timeout=_TIMEOUT_SECONDS)
        self._key_type = settings.key_type
        self._algorithms = settings.algorithms
        self._timer = timer
        self._lock = threading.Lock()
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_at = self._tried_at = -_TOO_OLD
        self._is_away = False

    def find(self, key_id: str | None) -> PublicKey | None:
        """The key of this id; None if the provider has none.

        Raises:
            Unavailable: the provider does not answer, or not yet, and the key is not among those that it had.
        """
        if key_id is None:
            return None
        now = self._timer()
        if (key_id not in self._keys or now - self._fetched_at >= _OLD) and now - self._tried_at >= _SPACING:
            self._refresh()
        # Before the keys are looked at: what a fetch brings in between is found.
        is_at_it = self._lock.locked()
        key = None if now - self._fetched_at >= _TOO_OLD else self._keys.get(key_id)
        if key is None and (self._is_away or is_at_it):
            raise Unavailable(_PART, "its keys are not there")
        return key

    def _refresh(self) -> None:
        if not self._lock.acquire(blocking=not self._keys):
            return  # somebody is at it
        try:
            now = self._timer()
            if now - self._tried_at < _SPACING:
                return  # somebody was at it
            self._tried_at = now
            self._keys = self._fetch()
            self._fetched_at = now
            self._is_away = False
        except (jwt.PyJWTError, http.client.HTTPException, OSError, ValueError) as error:
            self._is_away = True
            _log.warning(
                "The keys of the identity provider cannot be fetched: %s.",
                type(error).__name__,
                extra={"action": "jwks_away"},
            )
        finally:
            self._lock.release()

    def _fetch(self) -> dict[str, PublicKey]:
        found = {}
        for jwk in self._client.get_signing_keys():
            is_meant = jwk.public_key_use in {"sig", None} and isinstance(jwk.key, self._key_type)
            if is_meant and jwk.key_id is not None:
                found[jwk.key_id] = jwk.key
        return found
