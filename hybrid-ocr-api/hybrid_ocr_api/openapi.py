"""The OpenAPI 3.1 document: what spectree drew from the views, and what only the running service knows.

That is who may call what (``access.py``), which limits are set, and the errors that routes share.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask

from hybrid_ocr_api import forms
from hybrid_ocr_api.access import SCOPES, is_open
from hybrid_ocr_api.answers import HEADERS, Json, refusal
from hybrid_ocr_api.contract import TOKEN, api, operation_id
from hybrid_ocr_api.settings import ApiSettings

_TAGS = {
    "jobs": "A job is one document.",
    "results": "What a job made.",
    "uploads": "For documents that are to go to S3 directly.",
    "batches": "Many documents in one request.",
    "webhooks": "What was told to whom.",
    "operation": "For those who run the service.",
}


def check(app: Flask) -> None:
    """Raises RuntimeError unless the document has each route."""
    with app.app_context():
        known = {operation["operationId"] for operation in _operations(api.spec)}
    if unknown := sorted(name for name in app.view_functions if operation_id(name) not in known):
        raise RuntimeError(f"api.validate does not say what these routes take and give: {', '.join(unknown)}")


def document(app: Flask, settings: ApiSettings) -> Json:
    """All of it, for an application and its settings."""
    with app.app_context():
        drawn: Json = copy.deepcopy(api.spec)
    drawn["jsonSchemaDialect"] = "https://spec.openapis.org/oas/3.1/dialect/base"
    drawn["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    components = drawn["components"]
    components["headers"] = {name: {"required": True, **header} for name, header in HEADERS.items()}
    components["responses"] = {}
    # The members of these are parameters.
    schemas = components["schemas"]
    for kind in (forms.ListQuery, forms.JobQuery, forms.JobHeaders, forms.SubmissionHeaders):
        del schemas[kind.__name__]
    if settings.tokens is None:
        del components["securitySchemes"][TOKEN]
    endpoints = {operation_id(endpoint): endpoint for endpoint in app.view_functions}
    for operation in _operations(drawn):
        operation.update(_access(endpoints[operation["operationId"]], components["securitySchemes"], settings))
        for answer in operation["responses"].values():
            if "$ref" in answer:
                name = _name(answer["$ref"])
                components["responses"][name] = refusal(name)
        if "requestBody" in operation:
            # Where all members have defaults, so has the body.
            shapes = [content["schema"]["$ref"] for content in operation["requestBody"]["content"].values()]
            operation["requestBody"]["required"] = any("required" in schemas[_name(shape)] for shape in shapes)
    _narrow(schemas, settings)
    tidied: Json = _tidy(drawn)
    return tidied


def _operations(drawn: Json) -> Iterator[Json]:
    return (operation for methods in drawn["paths"].values() for operation in methods.values())


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _access(endpoint: str, schemes: Iterable[str], settings: ApiSettings) -> Json:
    if is_open(endpoint, metrics_open=settings.metrics_open):
        return {"security": []}
    scope = SCOPES[endpoint].value
    return {"description": f"Needs the scope `{scope}`.", "security": [{name: [scope]} for name in schemes]}


def _narrow(schemas: Json, settings: ApiSettings) -> None:
    """Put in what only the settings say."""
    pattern = forms.languages_pattern(f"(?:{'|'.join(settings.languages)})")
    for schema in schemas.values():
        known = schema.get("properties", {})
        for languages in _alternatives(known.get("languages", {})):
            if "maxLength" in languages:
                languages["pattern"] = pattern
                languages["description"] += f" Installed are: {', '.join(settings.languages)}."
            elif languages.get("type") == "array":
                languages["items"] = {"enum": list(settings.languages)}
        for name in ("retention_days", "source_retention_days"):
            for days in _alternatives(known.get(name, {})):
                if "maximum" in days:
                    days["maximum"] = settings.retention.most_days
    limits = {
        forms.JobSubmission: f" At most {settings.max_upload_bytes >> 20} MB.",
        forms.BatchSubmission: f" At most {settings.max_batch_bytes >> 20} MB, and {settings.max_batch_files} files.",
    }
    for kind, limit in limits.items():
        schemas[kind.__name__]["properties"]["file"]["description"] += limit
    schemas[forms.UploadAnnouncement.__name__]["properties"]["bytes"]["maximum"] = settings.max_direct_upload_bytes


def _alternatives(schema: Json) -> list[Json]:
    found: list[Json] = schema.get("anyOf", [schema])
    return found


def _tidy(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """What docstrings mark with two strokes by what Markdown marks with one; and no default that is no value."""
    if isinstance(value, dict):
        return {name: _tidy(each) for name, each in value.items() if name != "default" or each not in {"", None}}
    if isinstance(value, str):
        return value.replace("``", "`")
    return [_tidy(each) for each in value] if isinstance(value, list) else value
