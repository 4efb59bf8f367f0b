"""What a route answers, in its decorator: its own answers by status, and the codes of its errors.

Spectree's ``Response`` knows a type in JSON for each status. Headers, other media types, links, and which codes of the
closed list an error may have, are added here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from spectree import Response
from typing_extensions import override

from hybrid_ocr_api.errors import PROBLEMS
from hybrid_ocr_api.schemas import Problem

Json = dict[str, Any]

PROBLEM = "application/problem+json"
TEXT: Json = {"type": "string"}

#: Of a request for one job.
ABSENT = ("not_found", "job_expired")
#: Of one that makes jobs. The same may have come before, and what it made was erased.
WISHES = ("unsupported_language", "webhook_url_denied", "quota_exceeded", "idempotency_mismatch", *ABSENT)
#: Of one that brings documents.
FILES = ("file_missing", "file_empty", "file_too_large", "unsupported_media_type")
#: Of every route: what went wrong here, and what is malformed before any route looks at it.
_ALWAYS = ("bad_request", "internal")
#: Of every route that is not open.
_WHO_CALLS = ("unauthorized", "forbidden", "rate_limited", "unavailable")

HEADERS: dict[str, Json] = {
    "X-Request-Id": {
        "description": "As the request had it, or a new one. The log has the request under it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "Location": {"description": "Where to go on.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {
        "description": "Seconds after which it is worth asking again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "ETag": {"description": "The state of the job.", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}},
    "Preference-Applied": {
        "description": "How much of `Prefer` was heeded.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
    },
    "Idempotent-Replayed": {
        "description": "This is what an earlier request with the same key made.",
        "schema": {"type": "string", "const": "true"},
    },
    "WWW-Authenticate": {"description": "What to show instead.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": "What is left of the limit, and for how many seconds; only where there is a limit.",
        "schema": {"type": "string", "pattern": '^"default";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimit-Policy": {
        "description": "The limit of requests, and in how many seconds.",
        "schema": {"type": "string", "pattern": '^"default";q=[0-9]+;w=[0-9]+$'},
    },
}
#: Status of an error -> headers that it always has.
_ALWAYS_WITH = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.FORBIDDEN: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
#: Status of an error -> headers that it has with some of its codes.
_AT_TIMES_WITH = {HTTPStatus.CONFLICT: ("Retry-After",)}
#: Of every answer to a caller who is known, if there is a limit.
_RATE = ("RateLimit", "RateLimit-Policy")
#: Where the errors are that routes share.
REFUSALS = "#/components/responses/"
_OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status of a route. ``headers`` are always there, ``at_times`` are not; without a body, there is none."""

    meaning: str
    #: A type of ``schemas.py``, in JSON.
    body: object = None
    #: Or by media type what is no such type.
    other_bodies: Mapping[str, Json] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    at_times: tuple[str, ...] = ()
    #: The operations that its body has a parameter for -> that parameter.
    links: Mapping[str, str] = field(default_factory=dict)


class Answers(Response):
    """All that a route answers. ``refusals`` are the codes of its errors, beyond those that all have.

    A status that is among ``answers`` is theirs only.
    """

    def __init__(self, answers: Mapping[HTTPStatus, Answer], *refusals: str, is_open: bool = False) -> None:
        super().__init__(**{f"HTTP_{status.value}": (each.body, each.meaning) for status, each in answers.items()})
        self._answers = answers
        self._common = () if is_open else _RATE
        codes = _by_status((*refusals, *_ALWAYS, *(() if is_open else _WHO_CALLS)))
        self._refusals = {
            status: ".".join([*of_status, *([_OPEN] if is_open else [])])
            for status, of_status in codes.items()
            if status not in answers
        }

    @override
    def generate_spec(self, *args: Any, **kwargs: Any) -> Json:
        found: Json = super().generate_spec(*args, **kwargs)
        for status, answer in self._answers.items():
            drawn = found[str(status.value)]
            drawn["headers"] = _headers(("X-Request-Id", *answer.headers), (*answer.at_times, *self._common))
            if answer.other_bodies:
                drawn["content"] = {kind: {"schema": schema} for kind, schema in answer.other_bodies.items()}
            if answer.links:
                drawn["links"] = {
                    name: {"operationId": name, "parameters": {member: f"$response.body#/{member}"}}
                    for name, member in answer.links.items()
                }
        for status, name in self._refusals.items():
            found[str(status.value)] = {"$ref": REFUSALS + name}
        return dict(sorted(found.items()))


def _by_status(codes: Iterable[str]) -> dict[HTTPStatus, list[str]]:
    found: dict[HTTPStatus, list[str]] = {}
    for code in dict.fromkeys(codes):
        found.setdefault(PROBLEMS[code][0], []).append(code)
    return found


def refusal(name: str) -> Json:
    """An error that routes refer to, by its name: the codes that it may have, and whether the routes are open."""
    codes = name.removesuffix(f".{_OPEN}").split(".")
    status = PROBLEMS[codes[0]][0]
    at_times = (*_AT_TIMES_WITH.get(status, ()), *(() if name.endswith(f".{_OPEN}") else _RATE))
    return {
        "description": "; or: ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
        "headers": _headers(("X-Request-Id", *_ALWAYS_WITH.get(status, ())), at_times),
        "content": {
            PROBLEM: {
                "schema": {
                    "allOf": [{"$ref": f"#/components/schemas/{Problem.__name__}"}],
                    "properties": {"status": {"const": status.value}, "code": {"enum": codes}},
                },
                "examples": {code: {"value": _example(status, code)} for code in codes},
            }
        },
    }


def _headers(always: Iterable[str], at_times: Iterable[str]) -> Json:
    return {
        **{name: {"$ref": f"#/components/headers/{name}"} for name in always},
        # Only here, for one schema must not be promised at one place and not at another.
        **{name: HEADERS[name] for name in at_times},
    }


def _example(status: HTTPStatus, code: str) -> Problem:
    return {
        "type": f"urn:hybrid-ocr:problem:{code}",
        "title": PROBLEMS[code][1],
        "status": status.value,
        "detail": "what exactly is wrong, and what would be right",
        "instance": "/jobs",
        "code": code,
        "request_id": "5f0c2c5b7f2e4a11",
    }
