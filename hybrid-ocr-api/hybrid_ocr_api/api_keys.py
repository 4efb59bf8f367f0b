"""What an API key looks like, and the making of one. No AWS here.

    ocr_live_ + key id, 12 + secret, 22 (131 bits) + checksum, 6; all base62

The prefix lets secret scanners find a key that somebody published. By the checksum, CRC-32 of all before it, they tell
a key from what only looks like one, and so do we, without a look at the table. What is stored is the SHA-256 of the
key: nobody guesses 131 random bits, so a slow hash would protect nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass

from hybrid_ocr_api.access import Caller, Scope

_PREFIX = "ocr_live_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_CHARACTERS = 12
_SECRET_CHARACTERS = 22
_CHECKSUM_CHARACTERS = 6
_CHARACTERS = _ID_CHARACTERS + _SECRET_CHARACTERS + _CHECKSUM_CHARACTERS
_KEY = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_CHARACTERS}}}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A key as it came with a request, or was just made: its name, and what the table has of its secret."""

    key_id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as the table has it: not the key itself."""

    key_id: str
    sha256: str
    tenant: str
    scopes: frozenset[Scope]
    #: For people.
    label: str
    created_at: dt.datetime
    #: Good until then; None: without end. Revoking sets it to now, rotating to a later moment.
    ends_at: dt.datetime | None = None
    #: To the minute or so.
    last_used_at: dt.datetime | None = None

    @property
    def caller(self) -> Caller:
        """Who it stands for."""
        return Caller(tenant=self.tenant, scopes=self.scopes)

    def is_live(self, now: dt.datetime) -> bool:
        """Is it good?"""
        return self.ends_at is None or now < self.ends_at


def generate() -> str:
    """A new key. To be shown once, and kept nowhere."""
    body = _PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_ID_CHARACTERS + _SECRET_CHARACTERS))
    return body + _checksum(body)


def read(text: str) -> Shown | None:
    """Take a key apart; None if it is none: its form or its checksum is wrong."""
    if not _KEY.fullmatch(text) or _checksum(text[:-_CHECKSUM_CHARACTERS]) != text[-_CHECKSUM_CHARACTERS:]:
        return None
    key_id = text.removeprefix(_PREFIX)[:_ID_CHARACTERS]
    return Shown(key_id=key_id, sha256=hashlib.sha256(text.encode()).hexdigest())


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
