"""The OpenAPI 3.1 document, drawn from what the service goes by.

Routes are Flask's, scopes are ``access.py``'s, codes and statuses are ``errors.py``'s, bodies and parameters are the types
that validate (``forms.py``) and that the views return (``schemas.py``); ``operations.py`` says which belong to which route.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from werkzeug.routing import Rule

from hybrid_ocr_api import forms, schemas
from hybrid_ocr_api.access import OPEN_ENDPOINTS, SCOPES
from hybrid_ocr_api.errors import PROBLEMS
from hybrid_ocr_api.forms import Form
from hybrid_ocr_api.operations import ALWAYS, OPERATIONS, WHO_CALLS, Answer, Body, Operation
from hybrid_ocr_api.settings import ApiSettings

Json = dict[str, Any]

#: HEAD goes where GET goes, and OPTIONS tells the methods of a path; Flask sees to both.
IMPLIED_METHODS = frozenset({"HEAD", "OPTIONS"})

#: Of the contract: a new minor version only adds.
_VERSION = "1.0.0"
_REF = "#/components/schemas/{model}"
PROBLEM = "application/problem+json"
_DESCRIPTION = """\
Documents in, text out. A document is submitted and becomes a job; later there are its results.

Errors are `application/problem+json` (RFC 9457); go by their `code`, which is one of a closed list. A path asked for by a
method that it does not have is 405 with `Allow`, and a path that there is not is 404. Members may be added to any answer.
"""
_TAGS = {
    "jobs": "A job is one document.",
    "results": "What a job made.",
    "batches": "Many documents in one request.",
    "webhooks": "What was told to whom.",
    "operation": "For those who run the service.",
}
_PATH_PARAMETERS: dict[str, Json] = {
    "job_id": {"type": "string", "pattern": schemas.ID_PATTERN},
    "batch_id": {"type": "string", "pattern": schemas.ID_PATTERN},
    "output": {"enum": list(schemas.OUTPUTS)},
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
#: Of every answer to a caller who is known, if there is a limit.
_RATE = ("RateLimit", "RateLimit-Policy")


class _Generator(GenerateJsonSchema):
    """Pydantic's, less titles that only repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - asked of every member
        return False


class _Shapes:
    """The types that are drawn, each once, and references to them."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}

    def reference(self, shape: Any) -> Json:
        """A placeholder, until all are known and are drawn together."""
        self._found[id(shape)] = shape
        return {"$shape": id(shape)}

    def draw(self, document: Json) -> Json:
        """The document, with schemas in the place of placeholders."""
        made, definitions = TypeAdapter.json_schemas(
            [(key, "validation", TypeAdapter(shape)) for key, shape in self._found.items()],
            ref_template=_REF,
            schema_generator=_Generator,
        )
        schemas_made = {key: schema for (key, _), schema in made.items()}
        document["components"]["schemas"] = dict(sorted(definitions.get("$defs", {}).items()))
        drawn: Json = _replace(document, schemas_made)
        return drawn


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
                "headers": _headers(("X-Request-Id", *_ALWAYS_WITH.get(status, ())), common),
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


def _replace(value: Any, made: Mapping[Any, Json]) -> Any:
    if isinstance(value, dict):
        if "$shape" in value:
            return made[value["$shape"]]
        return {
            name: _markdown(each) if name == "description" else _replace(each, made) for name, each in value.items()
        }
    return [_replace(each, made) for each in value] if isinstance(value, list) else value


def _markdown(text: Any) -> Any:
    """What docstrings mark with two strokes, Markdown marks with one."""
    return text.replace("``", "`") if isinstance(text, str) else text


def document(app: Flask, settings: ApiSettings) -> Json:
    """All of it, for an application and its settings."""
    shapes = _Shapes()
    refusals = _Refusals(shapes.reference(schemas.Problem))
    paths: dict[str, Json] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: list(OPERATIONS).index(rule.endpoint)):
        for method in sorted((rule.methods or set()) - IMPLIED_METHODS):
            operation = _operation(app, rule, OPERATIONS[rule.endpoint], shapes, refusals, settings)
            paths.setdefault(path_of(rule), {})[method.lower()] = operation
    drawn = shapes.draw(
        {
            "openapi": "3.1.1",
            "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
            "info": {
                "title": "hybrid-ocr",
                "version": _VERSION,
                "description": _DESCRIPTION,
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
            "paths": paths,
            "components": {
                "securitySchemes": _security_schemes(settings),
                "responses": refusals.drawn,
                "headers": {name: {"required": True, **header} for name, header in HEADERS.items()},
            },
        }
    )
    _narrow(drawn["components"]["schemas"].values(), settings)
    return drawn


def _narrow(drawn: Iterable[Json], settings: ApiSettings) -> None:
    """Which languages there are, only the settings say."""
    for schema in drawn:
        languages = schema.get("properties", {}).get("languages", {})
        if "pattern" in languages:
            languages["pattern"] = forms.languages_pattern(f"(?:{'|'.join(settings.languages)})")
            languages["description"] += f" Installed are: {', '.join(settings.languages)}."


def _links(name: str, rules: Iterable[Rule]) -> Json:
    """From an answer that names a thing to what may be done with it as it is."""
    return {
        _operation_id(rule): {"operationId": _operation_id(rule), "parameters": {name: f"$response.body#/{name}"}}
        for rule in rules
        if rule.arguments == {name} and rule.rule.endswith(">")
    }


def _operation_id(rule: Rule) -> str:
    return rule.endpoint.replace(".", "_")


def path_of(rule: Rule) -> str:
    """The path of a route as OpenAPI spells it."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _security_schemes(settings: ApiSettings) -> Json:
    found: Json = {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
    if settings.tokens is not None:
        found["bearer"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return found


def _operation(
    app: Flask, rule: Rule, operation: Operation, shapes: _Shapes, refusals: _Refusals, settings: ApiSettings
) -> Json:
    view = inspect.getdoc(app.view_functions[rule.endpoint]) or ""
    is_open = rule.endpoint in OPEN_ENDPOINTS
    found: Json = {
        "operationId": _operation_id(rule),
        "tags": [operation.tag],
        "summary": view.partition("\n")[0],
    }
    if is_open:
        found["security"] = []
    else:
        scope = SCOPES[rule.endpoint].value
        found["description"] = f"Needs the scope `{scope}`."
        found["security"] = [{name: [scope]} for name in _security_schemes(settings)]
    parameters = [
        *(_path_parameter(name) for name in sorted(rule.arguments)),
        *_parameters("query", operation.query),
        *_parameters("header", operation.headers),
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = _body(operation.body, shapes, settings)
    common = () if is_open else _RATE
    responses = {
        status.value: _answer(answer, shapes, list(app.url_map.iter_rules()), common)
        for status, answer in operation.answers.items()
    }
    for status, codes in _by_status((*operation.refusals, *ALWAYS, *(() if is_open else WHO_CALLS))).items():
        if status.value not in responses:  # else the route says it in its own words
            responses[status.value] = refusals.reference(status, codes, common)
    found["responses"] = {str(status): responses[status] for status in sorted(responses)}
    return found


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}


def _parameters(place: str, shape: type[Form] | None) -> list[Json]:
    if shape is None:
        return []
    drawn = shape.model_json_schema(schema_generator=_Generator)
    return [
        {"name": name, "in": place, "description": schema.pop("description"), "schema": schema}
        for name, schema in drawn["properties"].items()
    ]


def _body(body: Body, shapes: _Shapes, settings: ApiSettings) -> Json:
    return {
        "description": body.limit(settings),
        "required": body.is_required,
        "content": {body.media_type: {"schema": shapes.reference(body.shape)}},
    }


def _answer(answer: Answer, shapes: _Shapes, rules: Sequence[Rule], common: Iterable[str]) -> Json:
    found: Json = {
        "description": answer.meaning,
        "headers": _headers(("X-Request-Id", *answer.headers), (*answer.at_times, *common)),
    }
    if answer.names is not None:
        found["links"] = _links(answer.names, rules)
    if answer.body is not None:
        found["content"] = {
            media_type: {"schema": shapes.reference(shape)} for media_type, shape in answer.body.items()
        }
    return found


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
