"""Does a response keep what the OpenAPI document promises? Asked of every response that a test gets.

Members of a body that the document does not know are a fault here; clients have to expect them.
"""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
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


class CheckedClient(FlaskClient):
    """Flask's, but each response of this service is held to the document."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        app = self.application
        if "hybrid_ocr" in app.extensions:
            if app not in _documents:
                _documents[app] = Conformance(app)
            _documents[app].check(response)
        return response


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

    def check(self, response: TestResponse) -> None:
        """Raises NotAsDocumented."""
        request = response.request
        try:
            rule, _ = self._urls.match(request.path, method=request.method, return_rule=True)
        except HTTPException as error:
            self._check_no_route(response, error.code)
            return
        if request.method == "OPTIONS" and response.status_code == HTTPStatus.OK:
            _demand("Allow" in response.headers and not response.data, response, "OPTIONS tells Allow, and no more")
            return
        method = "get" if request.method == "HEAD" else request.method.lower()
        path = path_of(rule)
        if request.method == "OPTIONS":
            method = next(iter(self._document["paths"][path]))
        operation = self._document["paths"].get(path, {}).get(method)
        _demand(operation is not None, response, "the route is not documented")
        self._check_answer(response, ("paths", path, method, "responses", str(response.status_code)))

    def _check_no_route(self, response: TestResponse, status: int | None) -> None:
        """Known callers are told that there is none; others, that they are none."""
        refused = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
        _demand(response.status_code in {status, *refused}, response, f"{status} is right where there is no route")
        if response.request.method != "HEAD":
            self._check_body(response, {answers.PROBLEM: None}, ("components", "schemas", "Problem"))
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            _demand("Allow" in response.headers, response, "Allow is missing")

    def _check_answer(self, response: TestResponse, place: tuple[str, ...]) -> None:
        answer = self._find(place)
        _demand(answer is not None, response, "the status is not documented")
        assert answer is not None
        if "$ref" in answer:
            place = tuple(answer["$ref"].split("/")[1:])
            answer = self._find(place)
            assert answer is not None
        self._check_headers(response, answer["headers"])
        if response.request.method == "HEAD":
            return
        content = answer.get("content")
        if content is None:
            _demand(not response.data, response, "there is a body, and none is documented")
        else:
            self._check_body(response, content, (*place, "content", str(response.mimetype), "schema"))

    def _check_headers(self, response: TestResponse, documented: dict[str, Any]) -> None:
        for name, header in documented.items():
            known = self._document["components"]["headers"][name] if "$ref" in header else header
            value = response.headers.get(name)
            _demand(value is not None or not known.get("required"), response, f"the header {name} is missing")
            if value is not None:
                schema = known["schema"]
                is_number = schema["type"] == "integer" and re.fullmatch("[0-9]+", value)
                errors = list(_validator_of(json.dumps(schema)).iter_errors(int(value) if is_number else value))
                _demand(not errors, response, f"{name}: {errors}")
        silent = _OF_HTTP | _FOR_BROWSERS | {name.lower() for name in documented}
        others = {name for name in response.headers.keys() if name.lower() not in silent}  # noqa: SIM118 - no dict
        _demand(not others, response, f"not documented: the headers {others}")

    def _check_body(self, response: TestResponse, content: dict[str, Any], place: tuple[str, ...]) -> None:
        _demand(response.mimetype in content, response, f"{response.mimetype} is not documented")
        is_json = str(response.mimetype).endswith("json")
        body = json.loads(response.data) if is_json else response.text
        pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in place)
        errors = list(self._validator(pointer).iter_errors(body))
        _demand(not errors, response, "\n".join(f"{error.json_path}: {error.message}" for error in errors))

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


def _demand(is_so: bool, response: TestResponse, wrong: str) -> None:
    if not is_so:
        request = response.request
        raise NotAsDocumented(f"{request.method} {request.path}: {response.status}: {wrong}\n{response.text[:2000]}")
