"""Types -> JSON Schema 2020-12, which OpenAPI 3.1 speaks: those of ``forms.py`` and ``schemas.py``, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

Json = dict[str, Any]

_PLACE = "#/components/schemas/{model}"


class _Generator(GenerateJsonSchema):
    """Pydantic's, less titles that only repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's signature
        return False


class Shapes:
    """The types that a document speaks of."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}

    def reference(self, shape: object) -> Json:
        """A placeholder, until all are known and are drawn together."""
        self._found[id(shape)] = shape
        return {"$shape": id(shape)}

    def draw(self, document: Json) -> Json:
        """The document with schemas in the place of placeholders, and what these refer to among its components."""
        made, definitions = TypeAdapter.json_schemas(
            [(key, "validation", TypeAdapter(shape)) for key, shape in self._found.items()],
            ref_template=_PLACE,
            schema_generator=_Generator,
        )
        document["components"]["schemas"] = dict(sorted(definitions.get("$defs", {}).items()))
        drawn: Json = _replace(document, {key: schema for (key, _), schema in made.items()})
        return drawn


def members(shape: type[BaseModel]) -> dict[str, Json]:
    """The schemas of a type's members, by their names in a request."""
    drawn = shape.model_json_schema(schema_generator=_Generator)
    found: dict[str, Json] = _replace(drawn["properties"], {})
    return found


def _replace(value: Any, made: Mapping[int, Json]) -> Any:  # noqa: ANN401 - any JSON
    """Placeholders by schemas, and what docstrings mark with two strokes by what Markdown marks with one."""
    if isinstance(value, dict):
        if key := value.get("$shape"):
            return _replace(made[key], made)
        # That there is nothing is no value, so it is no default.
        said = {name: each for name, each in value.items() if name != "default" or each not in {"", None}}
        return {name: _replace(each, made) for name, each in said.items()}
    if isinstance(value, str):
        return value.replace("``", "`")
    return [_replace(each, made) for each in value] if isinstance(value, list) else value
