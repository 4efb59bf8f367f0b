"""The OpenAPI 3.1 document, drawn from what the service goes by.

Routes are Flask's, scopes are ``access.py``'s, codes and their statuses ``errors.py``'s; bodies and parameters are the
types that validate (``forms.py``) and that the views return (``schemas.py``). Which of them belong to which route,
``operations.py`` says.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from flask import Flask
from werkzeug.routing import Rule

from hybrid_ocr_api import forms, schemas
from hybrid_ocr_api.access import OPEN_ENDPOINTS, SCOPES
from hybrid_ocr_api.errors import PROBLEMS
from hybrid_ocr_api.forms import Form
from hybrid_ocr_api.operations import ALWAYS, OPERATIONS, WHO_CALLS, Answer, Body, Operation
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_api.shapes import Json, Shapes, members
from hybrid_ocr_core.options import OUTPUTS

#: HEAD goes where GET goes, and OPTIONS tells the methods of a path; Flask sees to both.
IMPLIED_METHODS = frozenset({"HEAD", "OPTIONS"})

#: Of the contract: a new minor version only adds.
_VERSION = "1.0.0"
PROBLEM = "application/problem+json"
_DESCRIPTION = """\
Documents in, text out. A document is submitted and becomes a job; later there are its results.

Errors are `application/problem+json` (RFC 9457); go by their `code`, which is one of a closed list. A method that a
path does not have is 405 with `Allow`, a path that there is not is 404. Members may be added to any answer.
"""
_TAGS = {
    "jobs": "A job is one document.",
    "results": "What a job made.",
    "uploads": "For documents that are to go to S3 directly.",
    "batches": "Many documents in one request.",
    "webhooks": "What was told to whom.",
    "operation": "For those who run the service.",
}
PATH: dict[str, Json] = {
    "job_id": {"type": "string", "pattern": forms.ID_PATTERN},
    "batch_id": {"type": "string", "pattern": forms.ID_PATTERN},
    "output": {"enum": list(OUTPUTS)},
    "number": {"type": "integer", "minimum": 1, "maximum": 999_999},
}
_SECONDS: Json = {"type": "integer", "minimum": 0}
HEADERS: dict[str, Json] = {
    "X-Request-Id": {
        "description": "As the request had it, or a new one. The log has the request under it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "Location": {"description": "Where to go on.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "Seconds after which it is worth asking again.", "schema": _SECONDS},
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


def document(app: Flask, settings: ApiSettings) -> Json:
    """All of it, for an application and its settings.

    Raises:
        RuntimeError: a route is not in ``operations.py``.
    """
    shapes = Shapes()
    drawing = _Drawing(app, settings, shapes)
    paths: dict[str, Json] = {}
    for rule in drawing.rules:
        for method in sorted((rule.methods or set()) - IMPLIED_METHODS):
            paths.setdefault(path_of(rule), {})[method.lower()] = drawing.operation(rule)
    drawn = shapes.draw(
        {
            "openapi": "3.1.1",
            "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
            "info": {"title": "hybrid-ocr", "version": _VERSION, "description": _DESCRIPTION},
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
            "paths": paths,
            "components": {
                "securitySchemes": drawing.security_schemes,
                "responses": drawing.refusals.drawn,
                "headers": {name: {"required": True, **header} for name, header in HEADERS.items()},
            },
        }
    )
    _narrow(drawn["components"]["schemas"].values(), settings)
    return drawn


def path_of(rule: Rule) -> str:
    """The path of a route as OpenAPI spells it."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", str(rule.rule))


class _Drawing:
    """The operations of one application."""

    def __init__(self, app: Flask, settings: ApiSettings, shapes: Shapes) -> None:
        self.rules = _in_order(app.url_map.iter_rules())
        self.refusals = _Refusals(shapes.reference(schemas.Problem))
        self.security_schemes: Json = {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
        if settings.tokens is not None:
            self.security_schemes["bearer"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        self._views = app.view_functions
        self._settings = settings
        self._shapes = shapes

    def operation(self, rule: Rule) -> Json:
        """What a route takes and gives."""
        operation = OPERATIONS[rule.endpoint]
        found: Json = {
            "operationId": _operation_id(rule),
            "tags": [operation.tag],
            "summary": (inspect.getdoc(self._views[rule.endpoint]) or "").partition("\n")[0],
            **self._access(rule.endpoint),
        }
        parameters = [
            *({"name": name, "in": "path", "required": True, "schema": PATH[name]} for name in sorted(rule.arguments)),
            *_parameters("query", operation.query),
            *_parameters("header", operation.headers),
        ]
        if parameters:
            found["parameters"] = parameters
        if operation.body is not None:
            found["requestBody"] = self._body(operation.body)
        found["responses"] = self._responses(operation, is_open=rule.endpoint in OPEN_ENDPOINTS)
        return found

    def _access(self, endpoint: str) -> Json:
        if endpoint in OPEN_ENDPOINTS:
            return {"security": []}
        scope = SCOPES[endpoint].value
        security = [{name: [scope]} for name in self.security_schemes]
        return {"description": f"Needs the scope `{scope}`.", "security": security}

    def _body(self, body: Body) -> Json:
        return {
            "description": body.limit(self._settings),
            "required": body.is_required,
            "content": {kind: {"schema": self._shapes.reference(shape)} for kind, shape in body.shapes.items()},
        }

    def _responses(self, operation: Operation, *, is_open: bool) -> Json:
        common = () if is_open else _RATE
        found = {status.value: self._answer(answer, common) for status, answer in operation.answers.items()}
        for status, codes in _by_status((*operation.refusals, *ALWAYS, *(() if is_open else WHO_CALLS))).items():
            if status.value not in found:  # else the route says it in its own words
                found[status.value] = self.refusals.reference(status, codes, common)
        return {str(status): found[status] for status in sorted(found)}

    def _answer(self, answer: Answer, common: Sequence[str]) -> Json:
        found: Json = {
            "description": answer.meaning,
            "headers": _headers(("X-Request-Id", *answer.headers), (*answer.at_times, *common)),
        }
        if answer.names is not None:
            found["links"] = _links(answer.names, self.rules)
        if answer.body is not None:
            content = answer.body.items()
            found["content"] = {kind: {"schema": self._shapes.reference(shape)} for kind, shape in content}
        return found


class _Refusals:
    """The answers that are errors, each once. ``problem`` is the schema of all of them."""

    def __init__(self, problem: Json) -> None:
        self._problem = problem
        self.drawn: dict[str, Json] = {}

    def reference(self, status: HTTPStatus, codes: Sequence[str], common: Sequence[str]) -> Json:
        """One of these codes, with this status; ``common`` are headers."""
        name = ".".join([*codes, *(["open"] if not common else [])])
        if name not in self.drawn:
            self.drawn[name] = {
                "description": "; or: ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
                "headers": _headers(
                    ("X-Request-Id", *_ALWAYS_WITH.get(status, ())), (*_AT_TIMES_WITH.get(status, ()), *common)
                ),
                "content": {
                    PROBLEM: {
                        "schema": {
                            "allOf": [self._problem],
                            "properties": {"status": {"const": status.value}, "code": {"enum": list(codes)}},
                        },
                        "examples": {code: {"value": _example(status, code)} for code in codes},
                    }
                },
            }
        return {"$ref": f"#/components/responses/{name}"}


def _in_order(rules: Iterable[Rule]) -> list[Rule]:
    """As ``operations.py`` has them."""
    found = list(rules)
    if unknown := sorted({rule.endpoint for rule in found} - OPERATIONS.keys()):
        raise RuntimeError(f"operations.py does not say what these routes take and give: {', '.join(unknown)}")
    places = {endpoint: place for place, endpoint in enumerate(OPERATIONS)}
    return sorted(found, key=lambda rule: places[rule.endpoint])


def _narrow(drawn: Iterable[Json], settings: ApiSettings) -> None:
    """Put in what only the settings say."""
    pattern = forms.languages_pattern(f"(?:{'|'.join(settings.languages)})")
    installed = f" Installed are: {', '.join(settings.languages)}."
    for schema in drawn:
        known = schema.get("properties", {})
        for languages in _alternatives(known.get("languages", {})):
            if "maxLength" in languages:
                languages["pattern"] = pattern
                languages["description"] += installed
            elif languages.get("type") == "array":
                languages["items"] = {"enum": list(settings.languages)}
        for name in ("retention_days", "source_retention_days"):
            for days in _alternatives(known.get(name, {})):
                if "maximum" in days:
                    days["maximum"] = settings.retention.most_days
        if schema["title"] == forms.UploadAnnouncement.__name__:
            known["bytes"]["maximum"] = settings.max_direct_upload_bytes


def _alternatives(schema: Json) -> list[Json]:
    found: list[Json] = schema.get("anyOf", [schema])
    return found


def _links(name: str, rules: Iterable[Rule]) -> Json:
    """From an answer that names a thing to what may be done with it as it is."""
    return {
        _operation_id(rule): {"operationId": _operation_id(rule), "parameters": {name: f"$response.body#/{name}"}}
        for rule in rules
        if rule.arguments == {name} and rule.rule.endswith(">")
    }


def _operation_id(rule: Rule) -> str:
    return str(rule.endpoint).replace(".", "_")


def _parameters(place: str, shape: type[Form] | None) -> list[Json]:
    found = members(shape).items() if shape is not None else ()
    return [
        {"name": name, "in": place, "description": schema.pop("description", ""), "schema": schema}
        for name, schema in found
    ]


def _headers(always: Iterable[str], at_times: Iterable[str]) -> Json:
    return {
        **{name: {"$ref": f"#/components/headers/{name}"} for name in always},
        # Only here, for one schema must not be promised at one place and not at another.
        **{name: HEADERS[name] for name in at_times},
    }


def _by_status(codes: Iterable[str]) -> dict[HTTPStatus, list[str]]:
    found: dict[HTTPStatus, list[str]] = {}
    for code in dict.fromkeys(codes):
        found.setdefault(PROBLEMS[code][0], []).append(code)
    return found


def _example(status: HTTPStatus, code: str) -> schemas.Problem:
    return {
        "type": f"urn:hybrid-ocr:problem:{code}",
        "title": PROBLEMS[code][1],
        "status": status.value,
        "detail": "what exactly is wrong, and what would be right",
        "instance": "/jobs",
        "code": code,
        "request_id": "5f0c2c5b7f2e4a11",
    }
