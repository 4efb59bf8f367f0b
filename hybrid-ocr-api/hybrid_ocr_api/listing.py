"""What ``GET /jobs`` is asked for: filters, how many, and from where on.

A cursor is opaque: where the next page starts, and a digest of that with the tenant and the filters. So one that is
damaged, of another list or of another tenant is refused, and not taken for something else. It needs no secret: whoever
made one up would choose a place in a list of his own, for the tenant is always the caller's.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from hybrid_ocr_api.forms import ListQuery
from hybrid_ocr_core.errors import BadRequest, InvalidCursor
from hybrid_ocr_core.job import JobStatus, Lane, Triage
from hybrid_ocr_core.job_list import Selection

_DIGEST_BYTES = 12
_PLACE = re.compile(r"\d{15}#[0-9a-f]{32}", re.ASCII)

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One page of the list."""

    tenant: str
    selection: Selection
    limit: int
    #: What the page is of, however it was spelled.
    digest_of: str
    below: str | None

    def cursor(self, place: str) -> str:
        """Names the page of this list that starts below a place."""
        return base64.urlsafe_b64encode(_seal(self.digest_of, place) + place.encode()).decode().rstrip("=")


def read(asked: ListQuery, *, tenant: str) -> Asked:
    """Read the query of a URL.

    Raises:
        BadRequest: there is no such day or time.
        InvalidCursor: the cursor is not one of this list.
    """
    selection = Selection(
        statuses=_some(asked.status, JobStatus),
        lanes=_some(asked.priority, Lane),
        triages=_some(asked.triage, Triage),
        errors=_words(asked.error),
        client_reference=asked.client_reference or None,
        batch_id=asked.batch_id or None,
        created_after=_time("created_after", asked.created_after),
        created_before=_time("created_before", asked.created_before),
    )
    digest_of = json.dumps([tenant, _spelled(selection)])
    return Asked(
        tenant=tenant,
        selection=selection,
        limit=asked.limit,
        digest_of=digest_of,
        below=_read_cursor(asked.cursor, digest_of) if "cursor" in asked.model_fields_set else None,
    )


def _spelled(selection: Selection) -> list[str]:
    return [
        *(",".join(sorted(words)) for words in (selection.statuses, selection.lanes, selection.triages)),
        ",".join(sorted(selection.errors)),
        *(repr(label) for label in (selection.client_reference, selection.batch_id)),
        *(str(time and time.astimezone(dt.UTC)) for time in (selection.created_after, selection.created_before)),
    ]


def _seal(digest_of: str, place: str) -> bytes:
    return hashlib.sha256(json.dumps([digest_of, place]).encode()).digest()[:_DIGEST_BYTES]


def _read_cursor(text: str, digest_of: str) -> str:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        seal, place = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        seal, place = b"", ""
    if not _PLACE.fullmatch(place) or seal != _seal(digest_of, place):
        raise InvalidCursor("send next_cursor as it was given, with the same filters; or none, to start anew")
    return place


def _some(text: str, kind: type[_Word]) -> frozenset[_Word]:
    return frozenset(kind(word) for word in _words(text))


def _words(text: str) -> frozenset[str]:
    """One word, or several with commas between them."""
    return frozenset(word.strip() for word in text.split(",")) if text else frozenset()


def _time(name: str, text: str) -> dt.datetime | None:
    """A time with its zone, or a day, which begins in UTC."""
    if not text:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
        # ``ListQuery`` has let through a day, or a time with its zone.
        return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{name}: there is no such day or time") from error
