"""An API key as it comes with a request -> the caller it stands for.

A key that was read is believed for ``keep_seconds``, so that not every request costs a read. That is also how long a
revoked key may still work, in each process of the API; the end of a rotated key is known beforehand, and is exact.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

from hybrid_ocr_api import api_keys
from hybrid_ocr_api.access import Caller
from hybrid_ocr_api.api_keys import ApiKey
from hybrid_ocr_api.key_store import KeyStore
from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Clock, utc_now

_MOST_KEYS = 10_000
#: ``last_used_at`` is written so often at most, by each process.
_NOTE = dt.timedelta(minutes=1)


class KeyRing:
    """The keys that this process has seen. Shared by its threads."""

    def __init__(
        self,
        store: KeyStore,
        *,
        keep_seconds: float,
        clock: Clock = utc_now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        #: Only those that exist: made-up ids must not crowd out the keys in use.
        self._found: TTLCache[str, ApiKey] = TTLCache(_MOST_KEYS, ttl=keep_seconds, timer=timer)
        self._noted: TTLCache[str, bool] = TTLCache(_MOST_KEYS, ttl=_NOTE.total_seconds(), timer=timer)

    def caller_of(self, text: str) -> Caller | None:
        """Who shows this key; None if it is no key, an unknown one, a wrong one, or one that has ended.

        Raises:
            Unavailable: DynamoDB is away, and the key is not among those read lately.
        """
        shown = api_keys.read(text)
        if shown is None:
            return None
        key = self._find(shown.key_id)
        if key is None or not hmac.compare_digest(key.sha256, shown.sha256) or not key.is_live(self._clock()):
            return None
        self._note_use(key)
        return key.caller

    def _find(self, key_id: str) -> ApiKey | None:
        with self._lock:
            found: ApiKey | None = self._found.get(key_id)
        if found is None:
            # Not under the lock: other keys need not wait for this read.
            found = self._store.get(key_id)
            if found is not None:
                with self._lock:
                    self._found[key_id] = found
        return found

    def _note_use(self, key: ApiKey) -> None:
        with self._lock:
            is_noted = key.key_id in self._noted
            self._noted.setdefault(key.key_id, True)
        if is_noted or (key.last_used_at is not None and self._clock() - key.last_used_at < _NOTE):
            return
        # It is only for people: no request fails for it.
        with contextlib.suppress(Unavailable):
            self._store.used(key.key_id)
