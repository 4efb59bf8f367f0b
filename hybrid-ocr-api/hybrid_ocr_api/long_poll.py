"""``?wait=20`` or ``Prefer: wait=20`` (RFC 7240), and ``If-None-Match``: what a client says of how it wants to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from werkzeug.http import parse_etags

from hybrid_ocr_api.forms import MOST_SECONDS, JobHeaders, JobQuery
from hybrid_ocr_api.waiting import Knows

_PREFERENCE = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long a request may wait, and the headers that say so in its answer."""

    seconds: int
    headers: dict[str, str] = field(default_factory=dict)


def read(query: JobQuery, headers: JobHeaders) -> Wait:
    """How long a client wants to wait; the query counts before the header."""
    if "wait" in query.model_fields_set:
        return Wait(seconds=min(MOST_SECONDS, query.wait))
    for preference in headers.prefer.split(","):
        # A preference that is not understood is left out of account.
        if found := _PREFERENCE.fullmatch(preference.partition(";")[0].strip()):
            seconds = min(MOST_SECONDS, int(found[1]))
            return Wait(seconds=seconds, headers={"Preference-Applied": f"wait={seconds}"})
    return Wait(seconds=0)


def known_versions(headers: JobHeaders) -> Knows | None:
    """Which versions the client has, by ``If-None-Match``; None: it does not say."""
    tags = parse_etags(headers.if_none_match)
    return (lambda version: tags.contains_weak(str(version))) if tags else None
