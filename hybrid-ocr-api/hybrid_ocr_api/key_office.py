"""What an operator does with API keys: make, list, revoke and rotate them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from hybrid_ocr_api import api_keys
from hybrid_ocr_api.access import Scope
from hybrid_ocr_api.api_keys import ApiKey
from hybrid_ocr_api.key_store import KeyNotFound, KeyStore
from hybrid_ocr_core.job import Clock, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOffice:
    """The command ``keys``. A key itself is returned once, by the method that makes it."""

    store: KeyStore
    clock: Clock = utc_now

    def create(self, *, tenant: str, scopes: frozenset[Scope], label: str) -> tuple[str, ApiKey]:
        """Make a key."""
        text, key = self._new(tenant, scopes, label)
        self.store.create(key)
        # A crash here leaves a key that nobody has seen; it is in the list, to be revoked.
        return text, key

    def list(self, tenant: str | None = None) -> list[ApiKey]:
        """The keys of one tenant or of all, those that ended included."""
        return self.store.list(tenant)

    def revoke(self, key_id: str) -> ApiKey:
        """Let a key end now. Processes that have read it lately believe it for ``OCR_KEY_CACHE_SECONDS``.

        Raises:
            KeyNotFound: see there.
        """
        return self.store.revoke(key_id)

    def rotate(self, key_id: str, *, overlap: dt.timedelta) -> tuple[str, ApiKey, ApiKey]:
        """Make a key like this one, which goes on for a while: the new key, what it is, and the old one.

        Raises:
            KeyNotFound: see there.
            KeyEnds: it is revoked, or is being rotated already.
        """
        old = self.store.get(key_id)
        if old is None:
            raise KeyNotFound(f"there is no key {key_id}")
        text, new = self._new(old.tenant, old.scopes, old.label)
        ends_at = self.clock() + overlap
        self.store.rotate(old, new, ends_at=ends_at)
        # A crash here leaves two keys, one of which nobody has seen; both are in the list.
        return text, new, replace(old, ends_at=ends_at)

    def _new(self, tenant: str, scopes: frozenset[Scope], label: str) -> tuple[str, ApiKey]:
        text = api_keys.generate()
        shown = api_keys.read(text)
        assert shown is not None
        key = ApiKey(
            key_id=shown.key_id,
            sha256=shown.sha256,
            tenant=tenant,
            scopes=scopes,
            label=label,
            created_at=self.clock(),
        )
        return text, key
