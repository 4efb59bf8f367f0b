"""``?wait=20`` or ``Prefer: wait=20`` (RFC 7240), and ``If-None-Match``: what a client says of how it wants to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flask import Request

from hybrid_ocr_api.waiting import Knows
from hybrid_ocr_core.errors import BadRequest

#: Well below the time after which proxies give up a connection on which nothing moves, which is 30 or 60 s.
MOST_SECONDS = 25

_NUMBER = re.compile(r"\d{1,9}")
_PREFERENCE = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long a request may wait, and the headers that say so in its answer."""

    seconds: int
    headers: dict[str, str] = field(default_factory=dict)


def read(request: Request) -> Wait:
    """How long a client wants to wait; the query counts before the header.

    Raises:
        BadRequest: ``wait`` is no number of seconds.
    """
    asked = request.args.get("wait")
    if asked is not None:
        if not _NUMBER.fullmatch(asked):
            raise BadRequest(f"wait: write it in whole seconds; more than {MOST_SECONDS} count as {MOST_SECONDS}")
        return Wait(seconds=min(MOST_SECONDS, int(asked)))
    for preference in request.headers.get("Prefer", "").split(","):
        # A preference that is not understood is left out of account.
        if found := _PREFERENCE.fullmatch(preference.partition(";")[0].strip()):
            seconds = min(MOST_SECONDS, int(found[1]))
            return Wait(seconds=seconds, headers={"Preference-Applied": f"wait={seconds}"})
    return Wait(seconds=0)


def known_versions(request: Request) -> Knows | None:
    """Which versions the client has, by ``If-None-Match``; None: it does not say."""
    tags = request.if_none_match
    return (lambda version: tags.contains_weak(str(version))) if tags else None
