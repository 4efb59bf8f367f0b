"""What requests say beside documents, as types: pydantic validates by them, the OpenAPI document is drawn from them.

What a schema cannot say (is that language installed? may a webhook go there?) is asked later, of what was let through
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from hybrid_ocr_core.errors import BadRequest
from hybrid_ocr_core.job import Lane
from hybrid_ocr_core.options import OUTPUTS, Mode

_LANGUAGE = "[A-Za-z][A-Za-z0-9_]{1,30}"
_OUTPUT = f"(?:{'|'.join(OUTPUTS)})"
_PAGES = "[1-9][0-9]{0,5}(?:-[1-9][0-9]{0,5})?"
_Form = TypeVar("_Form", bound=BaseModel)


def _joined(word: str, joint: str) -> str:
    """The pattern of words with something between them; nothing at all will do, too."""
    return f"^(?:{word}(?:{joint}{word})*)?$"


def languages_pattern(language: str) -> str:
    """That of a field ``languages``, by the pattern of one of them."""
    return _joined(language, "[+, ]+")


class Form(BaseModel):
    """Superclass of those that know all their members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobForm(Form):
    """What a client asks for, beside the document itself. An empty field is as good as none."""

    languages: Annotated[
        str,
        Field(
            pattern=languages_pattern(_LANGUAGE),
            max_length=1000,
            description="Tesseract languages; none: the first that is installed.",
            examples=["eng+deu"],
        ),
    ] = ""
    mode: Annotated[
        Mode | Literal[""],
        Field(description="`force`: OCR every page; `native_only`: text layers only; none: `auto`.", examples=["auto"]),
    ] = ""
    outputs: Annotated[
        str,
        Field(
            pattern=_joined(_OUTPUT, " *, *"),
            max_length=1000,
            description="Formats of the result; json is always made. None: txt, json and pdf.",
            examples=["txt,json,pdf"],
        ),
    ] = ""
    pages: Annotated[
        str,
        Field(
            pattern=_joined(_PAGES, " *, *"),
            max_length=1000,
            description="Pages and ranges that run upwards; none: all.",
            examples=["1-5,9"],
            json_schema_extra={"format": "page-ranges"},
        ),
    ] = ""
    priority: Annotated[
        Lane | Literal[""], Field(description="The lane that it waits in; none: `normal`.", examples=["normal"])
    ] = ""
    client_reference: Annotated[
        str,
        Field(
            pattern=r"^[^\u0000-\u001f\u007f-\u009f]*$",
            max_length=256,
            description="A label of yours, echoed.",
            examples=["order 7"],
        ),
    ] = ""
    webhook_url: Annotated[
        str,
        Field(
            max_length=2048,
            description="Is told when the job has ended: https, port 443 or 8443, a public address.",
            examples=["https://example.com/ocr"],
            json_schema_extra={"format": "webhook-url"},
        ),
    ] = ""


class JobSubmission(JobForm):
    """A document, and what is asked for."""

    file: Annotated[bytes, Field(description="PDF, JPEG, PNG, TIFF, BMP, GIF or WebP: told by content, not by name.")]


class BatchSubmission(JobForm):
    """Documents, and what is asked for, of each of them."""

    file: Annotated[list[bytes], Field(min_length=1, description="Documents, and ZIP archives of documents.")]


def validate(kind: type[_Form], given: Mapping[str, Any]) -> _Form:
    """What a client sent.

    Raises:
        BadRequest: it is not as the type wants it; says what is wrong with the first such member, and what is right.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise BadRequest(_tell(kind, error.errors(include_url=False)[0])) from error


def _tell(kind: type[BaseModel], error: ErrorDetails) -> str:
    """The error in our words; what was sent is repeated as far as it is short."""
    name, sent = str(error["loc"][0])[:32], str(error["input"])[:32]
    if error["type"] == "extra_forbidden":
        return f"{name!r} is unknown; known are: {', '.join(sorted(kind.model_fields))}"
    if error["type"] == "enum":
        return f"{name}: {sent!r} is unknown; known are: {error['ctx']['expected']}"
    examples = kind.model_fields[name].examples
    if error["type"] == "string_pattern_mismatch" and examples:
        return f"{name}: {sent!r} is not understood; write it like {examples[0]}"
    return f"{name}: {error['msg']}"
