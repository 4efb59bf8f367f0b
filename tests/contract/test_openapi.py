"""The document says what there is, all of it and nothing else; and what holds responses to it, would notice."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter

from hybrid_ocr_api import openapi, schemas
from hybrid_ocr_api.access import OPEN_ENDPOINTS, SCOPES
from hybrid_ocr_api.errors import PROBLEMS, problem
from hybrid_ocr_api.forms import JobForm, validate
from hybrid_ocr_core.errors import BadRequest
from tests.builders import a_page
from tests.conformance import NotAsDocumented, path_of
from tests.conftest import ROOT


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").get_json()


def _operations(document: Any) -> dict[str, Any]:
    """By ``GET /path``."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_documented_and_nothing_else(app: Flask, document: Any) -> None:
    routes = {
        f"{method} {path_of(rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert _operations(document).keys() == routes


def test_the_document_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    # What pydantic cannot say in JSON Schema, it says in words of its own, which bind nobody.
    assert not re.search(r'"(ge|gt|le|lt|multiple_of|max_digits|\$shape)":', json.dumps(document))


def test_it_is_open_and_says_who_may_do_the_rest(app: Flask, document: Any) -> None:
    assert app.test_client().get("/openapi.json").get_json() == document
    for endpoint, scope in SCOPES.items():
        operation = next(each for each in _operations(document).values() if each["operationId"] == _id(endpoint))
        assert operation["security"] == [{"apiKey": [scope.value]}]
        assert f"`{scope.value}`" in operation["description"]
        assert {"401", "403", "429", "503"} <= operation["responses"].keys()
    for endpoint in OPEN_ENDPOINTS:
        operation = next(each for each in _operations(document).values() if each["operationId"] == _id(endpoint))
        assert operation["security"] == []
        assert not {"401", "403", "429"} & operation["responses"].keys()


def test_tokens_are_a_way_in_where_they_are_taken(app: Flask) -> None:
    settings = app.extensions["hybrid_ocr"].settings
    tokens = replace(settings, tokens=object())
    found = openapi.document(app, tokens)

    assert found["components"]["securitySchemes"]["bearer"]["bearerFormat"] == "JWT"
    assert found["paths"]["/jobs"]["post"]["security"] == [{"apiKey": ["submit"]}, {"bearer": ["submit"]}]


def _id(endpoint: str) -> str:
    return endpoint.replace(".", "_")


def test_the_codes_of_errors_are_those_of_the_closed_list(document: Any) -> None:
    told = set()
    for answer in document["components"]["responses"].values():
        schema = answer["content"]["application/problem+json"]["schema"]["properties"]
        told |= set(schema["code"]["enum"])
        assert {PROBLEMS[code][0].value for code in schema["code"]["enum"]} == {schema["status"]["const"]}

    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(PROBLEMS)
    assert told == set(PROBLEMS)


def test_every_example_is_as_the_schema_beside_it_says(document: Any) -> None:
    def validator(schema: Any) -> Draft202012Validator:
        return Draft202012Validator({**schema, "components": document["components"]})

    answers = document["components"]["responses"].values()
    contents = [content for answer in answers for content in answer["content"].values()]
    for content in contents:
        for example in content["examples"].values():
            validator(content["schema"]).validate(example["value"])
    members = [
        member
        for schema in document["components"]["schemas"].values()
        for member in schema.get("properties", {}).values()
    ]
    examples = [(member, example) for member in members for example in member.get("examples", [])]
    for member, example in examples:
        validator(member).validate(example)
    assert len(contents) > 5
    assert len(examples) > 10


def test_a_page_is_what_the_schema_of_results_calls_a_page(document: Any) -> None:
    """It is told twice: in a file for those who have only the json, and here for those who have only the API."""
    result = json.loads((ROOT / "docs/result.schema.json").read_text())
    known = document["components"]["schemas"]

    for ours, theirs in ((known["Page"], result["$defs"]["page"]), (known["Word"], result["$defs"]["word"])):
        assert ours["properties"].keys() == theirs["properties"].keys()
        assert set(ours["required"]) == set(theirs["required"])
    wrong = [a_page(number=0), a_page(rotation=45), a_page(source="guess"), a_page(pixels=[1]), a_page(confidence=101)]
    theirs = {"$ref": "#/$defs/page", "$defs": result["$defs"]}
    ours = TypeAdapter(schemas.Page).json_schema()
    for schema in (theirs, ours):
        assert Draft202012Validator(schema).is_valid(a_page())
        assert not any(Draft202012Validator(schema).is_valid(page) for page in wrong)


def test_the_page_for_people_tells_all_of_it_and_runs_nothing(app: Flask, document: Any) -> None:
    page = app.test_client().get("/docs")

    for operation in _operations(document):
        method, path = operation.split()
        assert f"<b>{method}</b> {path}<" in page.text
    for code in document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]:
        assert f"<code>{code}</code>" in page.text
    targets = set(re.findall('href="#([^"]+)"', page.text))
    assert targets <= set(re.findall('id="([^"]+)"', page.text))
    assert not re.search(r"<script|<img|<link|https?://|\son\w+=", re.sub("<code>[^<]*</code>", "", page.text))
    [style] = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "fast"},
        {"outputs": "docx"},
        {"outputs": "txt,,pdf"},
        {"pages": "0"},
        {"pages": "1-"},
        {"pages": "1," * 600 + "1"},
        {"languages": "../eng"},
        {"priority": "urgent"},
        {"client_reference": "a\nb"},
        {"client_reference": "x" * 257},
        {"mode": ["auto"]},
        {"langauges": "eng"},
    ],
)
def test_what_the_document_does_not_allow_is_refused_by_the_same_schema(document: Any, given: Any) -> None:
    schema = {
        **document["components"]["schemas"]["JobSubmission"],
        "required": [],
        "components": document["components"],
    }

    assert not Draft202012Validator(schema).is_valid(given)
    with pytest.raises(BadRequest, match=next(iter(given))):
        validate(JobForm, given)


def _without_request_id(response: Response) -> Response:
    del response.headers["X-Request-Id"]
    return response


class TestTheWatch:
    """Does it see a response that is not as documented?"""

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            (Response("{}", 200, content_type="application/json"), "required property"),
            (Response('{"status":"ok","more":1}', 200, content_type="application/json"), "Additional properties"),
            (Response('{"status":"fine"}', 200, content_type="application/json"), "was expected"),
            (Response("ok", 200, content_type="text/plain"), "text/plain is not documented"),
            (Response("", 418), "status is not documented"),
            (Response('{"status":"ok"}', 200, {"X-New": "1"}, content_type="application/json"), "X-New"),
        ],
    )
    def test_an_answer_of_another_form(self, app: Flask, wrong: Response, told: str) -> None:
        app.view_functions["health.health"] = lambda: wrong

        with pytest.raises(NotAsDocumented, match=told):
            app.test_client().get("/health")

    def test_a_header_that_is_missing(self, app: Flask, client: FlaskClient) -> None:
        app.after_request_funcs.setdefault(None, []).insert(0, _without_request_id)

        with pytest.raises(NotAsDocumented, match="X-Request-Id is missing"):
            client.get("/health")

    def test_a_code_that_the_route_does_not_have(self, app: Flask, client: FlaskClient) -> None:
        app.view_functions["jobs.show"] = lambda job_id: problem("file_empty", "of a route that takes no files")

        with pytest.raises(NotAsDocumented, match="file_empty"):
            client.get(f"/jobs/{'0' * 32}")


def test_a_route_that_nobody_documented_ends_the_start(app: Flask) -> None:
    app.view_functions["jobs.new"] = lambda: "new"

    with pytest.raises(RuntimeError, match=r"jobs\.new"):
        openapi.check(app)
