"""Does a response keep what the OpenAPI document promises? Asked of every response that a test gets, by Flask's test
client (``CheckedClient``) or from a running stack (``hold``).

Members of a body that the document does not know are a fault here; clients have to expect them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import requests
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from requests.structures import CaseInsensitiveDict
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from hybrid_ocr_api import answers, openapi

_URN = "urn:document"
#: Of every response, whatever it says: of HTTP itself, and for browsers.
_OF_HTTP = {"content-type", "content-length", "date", "server", "connection", "vary", "allow"}
_FOR_BROWSERS = {
    "cache-control",
    "content-security-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
}
_texts: dict[str, str] = {}
_documents: WeakKeyDictionary[Flask, Conformance] = WeakKeyDictionary()


class NotAsDocumented(AssertionError):
    """A response differs from the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request, and what was answered."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return parse_options_header(self.headers.get("Content-Type"))[0]


class CheckedClient(FlaskClient):
    """Flask's, but each response of this service is held to the document."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        app = self.application
        if "hybrid_ocr" in app.extensions:
            if app not in _documents:
                _documents[app] = Conformance(app)
            _documents[app].check(
                Answered(
                    method=response.request.method,
                    path=response.request.path,
                    status=response.status_code,
                    headers=CaseInsensitiveDict(response.headers.items()),
                    body=response.data,
                )
            )
        return response


def hold(session: requests.Session, url: str, conformance: Conformance) -> None:
    """Check each response that the session gets from the service at this URL, and from nobody else."""

    def check(response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
        if str(response.request.url).startswith(f"{url}/"):
            conformance.check(
                Answered(
                    method=str(response.request.method),
                    path=urlsplit(response.request.url or "").path,
                    status=response.status_code,
                    headers=response.headers,
                    body=response.content,
                )
            )

    session.hooks["response"].append(check)


class Conformance:
    """The document of one application."""

    def __init__(self, app: Flask) -> None:
        self._urls = app.url_map.bind("localhost")
        settings = app.extensions["hybrid_ocr"].settings
        # Most tests have the same, and an application of their own.
        known = repr(settings)
        if known not in _texts:
            _texts[known] = json.dumps(openapi.document(app, settings))
        self._document, self._validator = _of(_texts[known])

    def check(self, answered: Answered) -> None:
        """Raises NotAsDocumented."""
        try:
            rule, _ = self._urls.match(answered.path, method=answered.method, return_rule=True)
        except HTTPException as error:
            self._check_no_route(answered, error.code)
            return
        if answered.method == "OPTIONS" and answered.status == HTTPStatus.OK:
            _demand("Allow" in answered.headers and not answered.body, answered, "OPTIONS tells Allow, and no more")
            return
        method = "get" if answered.method == "HEAD" else answered.method.lower()
        path = path_of(rule)
        if answered.method == "OPTIONS":
            method = next(iter(self._document["paths"][path]))
        operation = self._document["paths"].get(path, {}).get(method)
        _demand(operation is not None, answered, "the route is not documented")
        self._check_answer(answered, ("paths", path, method, "responses", str(answered.status)))

    def _check_no_route(self, answered: Answered, status: int | None) -> None:
        """Known callers are told that there is none; others, that they are none."""
        refused = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
        _demand(answered.status in {status, *refused}, answered, f"{status} is right where there is no route")
        if answered.method != "HEAD":
            self._check_body(answered, {answers.PROBLEM: None}, ("components", "schemas", "Problem"))
        if answered.status == HTTPStatus.METHOD_NOT_ALLOWED:
            _demand("Allow" in answered.headers, answered, "Allow is missing")

    def _check_answer(self, answered: Answered, place: tuple[str, ...]) -> None:
        answer = self._find(place)
        _demand(answer is not None, answered, "the status is not documented")
        assert answer is not None
        if "$ref" in answer:
            place = tuple(answer["$ref"].split("/")[1:])
            answer = self._find(place)
            assert answer is not None
        self._check_headers(answered, answer["headers"])
        if answered.method == "HEAD":
            return
        content = answer.get("content")
        if content is None:
            _demand(not answered.body, answered, "there is a body, and none is documented")
        else:
            self._check_body(answered, content, (*place, "content", answered.media_type, "schema"))

    def _check_headers(self, answered: Answered, documented: dict[str, Any]) -> None:
        for name, header in documented.items():
            known = self._document["components"]["headers"][name] if "$ref" in header else header
            value = answered.headers.get(name)
            _demand(value is not None or not known.get("required"), answered, f"the header {name} is missing")
            if value is not None:
                schema = known["schema"]
                is_number = schema["type"] == "integer" and re.fullmatch("[0-9]+", value)
                errors = list(_validator_of(json.dumps(schema)).iter_errors(int(value) if is_number else value))
                _demand(not errors, answered, f"{name}: {errors}")
        silent = _OF_HTTP | _FOR_BROWSERS | {name.lower() for name in documented}
        others = {name for name in answered.headers if name.lower() not in silent}
        _demand(not others, answered, f"not documented: the headers {others}")

    def _check_body(self, answered: Answered, content: dict[str, Any], place: tuple[str, ...]) -> None:
        _demand(answered.media_type in content, answered, f"{answered.media_type} is not documented")
        is_json = answered.media_type.endswith("json")
        body = json.loads(answered.body) if is_json else answered.body.decode()
        pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in place)
        errors = list(self._validator(pointer).iter_errors(body))
        _demand(not errors, answered, "\n".join(f"{error.json_path}: {error.message}" for error in errors))

    def _find(self, place: tuple[str, ...]) -> dict[str, Any] | None:
        found: Any = self._document
        for part in place:
            found = found.get(part, {})
        return found or None


def path_of(rule: Rule) -> str:
    """The path of a route as OpenAPI spells it."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", str(rule.rule))


@cache
def _of(text: str) -> tuple[dict[str, Any], Any]:
    """The document, closed, and what makes a validator for a place in it; kept, for most tests have the same one."""
    document = json.loads(text)
    closed = copy.deepcopy(document)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    registry = Registry().with_resource(_URN, DRAFT202012.create_resource(closed))

    @cache
    def validator(pointer: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"{_URN}#/{pointer}"}, registry=registry)

    return document, validator


@cache
def _validator_of(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))


def _demand(is_so: bool, answered: Answered, wrong: str) -> None:
    if not is_so:
        shown = answered.body.decode(errors="replace")[:2000]
        raise NotAsDocumented(f"{answered.method} {answered.path}: {answered.status}: {wrong}\n{shown}")
