"""``?wait=20`` or ``Prefer: wait=20`` (RFC 7240), and ``If-None-Match``: what a client says of how it wants to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flask import Request

from hybrid_ocr_api import forms
from hybrid_ocr_api.forms import MOST_SECONDS, JobQuery
from hybrid_ocr_api.waiting import Knows

_PREFERENCE = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE | re.ASCII)


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
    if "wait" in request.args:
        asked = forms.validate(JobQuery, request.args.to_dict())
        return Wait(seconds=min(MOST_SECONDS, asked.wait))
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
