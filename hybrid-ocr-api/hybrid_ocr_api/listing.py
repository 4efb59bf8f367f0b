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
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from werkzeug.datastructures import MultiDict

from hybrid_ocr_core.errors import DOCUMENT_CODES, BadRequest, InvalidCursor
from hybrid_ocr_core.job import JobStatus, Lane, Triage
from hybrid_ocr_core.job_list import Selection

MOST = 100
_USUALLY = 50
_DIGEST_BYTES = 12
_LONGEST_CURSOR = 200
_LONGEST_REFERENCE = 256
_ID = re.compile(r"[0-9a-f]{32}")
_PLACE = re.compile(r"\d{15}#[0-9a-f]{32}", re.ASCII)

FILTERS = (
    "status",
    "priority",
    "triage",
    "error",
    "client_reference",
    "batch_id",
    "created_after",
    "created_before",
)
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


def read(arguments: MultiDict[str, str], *, tenant: str) -> Asked:
    """Read the query of a URL.

    Raises:
        BadRequest: something is unknown, malformed or given twice.
        InvalidCursor: the cursor is not one of this list.
    """
    known = (*FILTERS, "limit", "cursor")
    for name in arguments:
        if name not in known:
            raise BadRequest(f"parameter {name[:32]!r} is unknown; known are: {', '.join(known)}")
        if len(arguments.getlist(name)) > 1:
            raise BadRequest(f"parameter {name!r} is given more than once")
    selection = Selection(
        statuses=_words(arguments, "status", JobStatus),
        lanes=_words(arguments, "priority", Lane),
        triages=_words(arguments, "triage", Triage),
        errors=_among(arguments, "error", DOCUMENT_CODES),
        client_reference=_text(arguments, "client_reference"),
        batch_id=_batch(arguments),
        created_after=_time(arguments, "created_after"),
        created_before=_time(arguments, "created_before"),
    )
    digest_of = json.dumps([tenant, _spelled(selection)])
    return Asked(
        tenant=tenant,
        selection=selection,
        limit=_limit(arguments),
        digest_of=digest_of,
        below=_read_cursor(arguments, digest_of),
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


def _read_cursor(arguments: MultiDict[str, str], digest_of: str) -> str | None:
    text = arguments.get("cursor")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text[:_LONGEST_CURSOR] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        seal, place = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        seal, place = b"", ""
    if not _PLACE.fullmatch(place) or seal != _seal(digest_of, place):
        raise InvalidCursor("send next_cursor as it was given, with the same filters; or none, to start anew")
    return place


def _limit(arguments: MultiDict[str, str]) -> int:
    text = arguments.get("limit", str(_USUALLY))
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= MOST:
        raise BadRequest(f"limit: a number from 1 to {MOST}")
    return int(text)


def _words(arguments: MultiDict[str, str], name: str, kind: type[_Word]) -> frozenset[_Word]:
    return frozenset(kind(word) for word in _among(arguments, name, kind))


def _among(arguments: MultiDict[str, str], name: str, known: Iterable[str]) -> frozenset[str]:
    """One word of a list, or several with commas between them."""
    text = arguments.get(name)
    if text is None:
        return frozenset()
    words = [str(word) for word in known]
    found = frozenset(word.strip() for word in text.split(","))
    for word in sorted(found):
        if word not in words:
            raise BadRequest(f"{name}: {word[:32]!r} is unknown; known are: {', '.join(words)}")
    return found


def _text(arguments: MultiDict[str, str], name: str) -> str | None:
    text = arguments.get(name)
    if text is not None and not 1 <= len(text) <= _LONGEST_REFERENCE:
        raise BadRequest(f"{name}: 1 to {_LONGEST_REFERENCE} characters")
    return text


def _batch(arguments: MultiDict[str, str]) -> str | None:
    text = arguments.get("batch_id")
    if text is not None and not _ID.fullmatch(text):
        raise BadRequest("batch_id: as POST /batches gave it")
    return text


def _time(arguments: MultiDict[str, str], name: str) -> dt.datetime | None:
    """A time with its zone, or a day, which begins in UTC."""
    text = arguments.get(name)
    if text is None:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
        if len(text) == len("2026-11-21"):
            return time.replace(tzinfo=dt.UTC)
        if time.tzinfo is not None:
            return time.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(f"{name}: write 2026-11-21, or 2026-11-21T09:30:00Z (the + of +01:00 is %2B in a URL)")
