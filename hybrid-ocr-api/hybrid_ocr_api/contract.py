"""What stands on every view: ``api.validate``. By it spectree validates queries and headers, and draws the document.

Its types are pydantic's: ``forms.py`` has what comes in, ``schemas.py`` what goes out. Spectree is told, by the means
that it has for it, how these are drawn and how they refuse (a model adapter), what of requests and answers is left to
the views (a plugin), and what an answer has beside a body (``answers.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from flask import current_app
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from spectree import SecurityScheme, SecuritySchemeData, SpecTree
from spectree.model_adapter.protocol import ModelAdapter, SchemaMode
from spectree.model_adapter.pydantic_adapter import PydanticModelAdapter
from spectree.models import InType, SecureType, Server
from spectree.plugins.flask_plugin import FlaskPlugin
from typing_extensions import is_typeddict, override

from hybrid_ocr_api import forms
from hybrid_ocr_api.answers import Json
from hybrid_ocr_api.schemas import Problem
from hybrid_ocr_core.options import OUTPUTS

_DESCRIPTION = """\
Documents in, text out. A document is submitted and becomes a job; later there are its results.

Errors are `application/problem+json` (RFC 9457); go by their `code`, which is one of a closed list. A method that a
path does not have is 405 with `Allow`, a path that there is not is 404. Members may be added to any answer.
"""
_PATH: dict[str, Json] = {
    "job_id": {"type": "string", "pattern": forms.ID_PATTERN},
    "batch_id": {"type": "string", "pattern": forms.ID_PATTERN},
    "output": {"enum": list(OUTPUTS)},
    "number": {"type": "integer", "minimum": 1, "maximum": 999_999},
}
#: The ways to say who calls.
KEY, TOKEN = "apiKey", "bearer"


class _Schemas(GenerateJsonSchema):
    """Pydantic's, less titles that only repeat names."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Types(PydanticModelAdapter):
    """Also typed dictionaries; and what is not as it should be, is refused as everywhere in this service."""

    @override
    def is_model_type(self, value: Any) -> bool:
        return is_typeddict(value) or super().is_model_type(value)

    @override
    def validate_obj(self, model: type[Any], value: Any) -> Any:
        return forms.validate(model, value) if issubclass(model, forms.Form) else super().validate_obj(model, value)

    @override
    def json_schema(self, model: Any, *, ref_template: str, mode: SchemaMode = "validation") -> Json:
        return _draw(model, ref_template, mode)


@functools.cache
def _draw(model: Any, place: str, mode: SchemaMode) -> Json:  # noqa: ANN401 - any type
    """Each once, for several routes have the same."""
    return TypeAdapter(model).json_schema(ref_template=place, mode=mode, schema_generator=_Schemas)


class _Routes(FlaskPlugin):
    """Flask's. Queries and headers are validated; bodies and answers are the views'."""

    @override
    def request_validation(self, request: Any, query: Any, json: Any, form: Any, headers: Any, cookies: Any) -> None:
        # Quotas are asked before a body is read, and no document is ever in memory as a whole.
        super().request_validation(request, query, None, None, headers, cookies)  # type: ignore[no-untyped-call]  # it has none

    @override
    def validate_response(self, resp: Any, *args: Any, **kwargs: Any) -> tuple[Any, None]:
        # It goes out as the view made it, by a type that mypy holds it to; the tests hold all to the document.
        return resp, None

    @override
    def parse_path(self, route: Any, path_parameter_descriptions: Mapping[str, str] | None) -> tuple[str, list[Json]]:
        path, parameters = super().parse_path(route, path_parameter_descriptions)
        return path, [{**parameter, "schema": _PATH[parameter["name"]]} for parameter in parameters]

    @override
    def get_func_operation_id(self, func: Any, path: str, method: str) -> str:
        return next(operation_id(name) for name, view in current_app.view_functions.items() if view is func)


_types: ModelAdapter[Any, Any, Any] = _Types()
#: Its ``validate`` stands on every view.
api = SpecTree(
    backend=_Routes,
    model_adapter=_types,
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _, name: name,
    validation_error_status=400,
    validation_error_model=Problem,
    mode="strict",
    openapi_version="3.1.1",
    title="hybrid-ocr",
    # Of the contract: a new minor version only adds.
    version="1.0.0",
    description=_DESCRIPTION,
    servers=[Server(url="/")],
    security_schemes=[
        SecurityScheme(KEY, SecuritySchemeData(SecureType.API_KEY, name="x-api-key", field_in=InType.HEADER)),
        SecurityScheme(TOKEN, SecuritySchemeData(SecureType.HTTP, scheme="bearer", bearer_format="JWT")),
    ],
)


def operation_id(endpoint: str) -> str:
    """The name of a route in the document."""
    return endpoint.replace(".", "_")
