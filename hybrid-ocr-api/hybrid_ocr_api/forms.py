"""What requests say beside documents, as types: pydantic validates by them, the OpenAPI document is drawn from them.

What a schema cannot say (is that language installed? may a webhook go there?) is asked later, of what was let through
here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
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


#: With quotation marks, as the draft has it, or without, as most clients send it.
IDEMPOTENCY_KEY = '(?:"[A-Za-z0-9_.:-]{1,255}"|[A-Za-z0-9_.:-]{1,255})'
#: Well below the time after which proxies give up a connection on which nothing moves, which is 30 or 60 s.
MOST_SECONDS = 25


def _digits(given: object) -> object:
    """Pydantic would read more as a number than the document calls one."""
    if isinstance(given, str) and not re.fullmatch("[0-9]{1,9}", given):
        raise ValueError("write it in whole seconds")
    return given


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


class JobQuery(Form):
    """How long to wait for news of a job."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    wait: Annotated[
        int,
        # Before the next: pydantic finds no minimum for what a function made.
        Field(
            ge=0,
            le=999_999_999,
            description=f"Seconds to wait for the job to change or to end; more than {MOST_SECONDS} count as these.",
            examples=[20],
        ),
        BeforeValidator(_digits),
    ] = 0


class JobHeaders(Form):
    """What a client says of the state that it knows."""

    prefer: Annotated[
        str, Field(alias="Prefer", description="`wait=20`: as the parameter, which counts first.", examples=["wait=20"])
    ] = ""
    if_none_match: Annotated[
        str,
        Field(
            alias="If-None-Match",
            description="An `ETag`: the job is told only if it is another; with `wait`, as soon as it is.",
            examples=['"3"'],
        ),
    ] = ""


class SubmissionHeaders(Form):
    """What makes a request safe to be sent again."""

    idempotency_key: Annotated[
        str,
        Field(
            alias="Idempotency-Key",
            pattern=f"^{IDEMPOTENCY_KEY}$",
            description="A new one for each new request. The same request with it gets the same answer, for 7 days.",
            examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        ),
    ] = ""


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
