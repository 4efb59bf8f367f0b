"""What requests say beside documents, as types: pydantic validates by them, the OpenAPI document is drawn from them.

What a schema cannot say (is that language installed? may a webhook go there?) is asked later, of what was let through
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from werkzeug.datastructures import MultiDict

from hybrid_ocr_core.errors import DOCUMENT_CODES, BadRequest
from hybrid_ocr_core.job import ID, LONGEST_RETENTION_DAYS, Job, JobStatus, Lane, Triage
from hybrid_ocr_core.media import MEDIA_TYPES
from hybrid_ocr_core.options import OUTPUTS, PAGES, Mode
from hybrid_ocr_core.webhook_url import LONGEST_URL

_LANGUAGE = "[A-Za-z][A-Za-z0-9_]{1,30}"
_OUTPUT = f"(?:{'|'.join(OUTPUTS)})"
_Form = TypeVar("_Form", bound=BaseModel)


def _joined(word: str, joint: str) -> str:
    """The pattern of words with something between them; nothing at all will do, too."""
    return f"^(?:{word}(?:{joint}{word})*)?$"


def _some_of(words: Iterable[str]) -> str:
    """The pattern of one or several of the words."""
    word = f"(?:{'|'.join(words)})"
    return f"^{word}(?: *, *{word})*$"


def languages_pattern(language: str) -> str:
    """That of a field ``languages``, by the pattern of one of them."""
    return _joined(language, "[+, ]+")


ID_PATTERN = f"^{ID.pattern}$"
MOST_JOBS = 100
#: With quotation marks, as the draft has it, or without, as most clients send it.
IDEMPOTENCY_KEY = '(?:"[A-Za-z0-9_.:-]{1,255}"|[A-Za-z0-9_.:-]{1,255})'
#: Well below the time after which proxies give up a connection on which nothing moves, which is 30 or 60 s.
MOST_SECONDS = 25


def _digits(given: object) -> object:
    """Pydantic would read more as a number than the document calls one."""
    if isinstance(given, str) and not re.fullmatch("[0-9]{0,9}", given):
        raise ValueError("a whole number")
    return given


def _first(given: object) -> object:
    """Of a parameter that is given more than once."""
    return given[0] if isinstance(given, list) else given


def _key(given: object) -> object:
    key = str(given).strip()
    if not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise ValueError("1 to 255 of A-Z a-z 0-9 _ . : - with or without quotation marks around them")
    return key


def _number(given: object) -> object:
    """A number in JSON; for pydantic, ``true`` and ``"1"`` are some, too."""
    if isinstance(given, bool | str):
        raise ValueError("a whole number")  # noqa: TRY004 - what pydantic turns into an error of its own
    return given


class Form(BaseModel):
    """Superclass of those that know all their members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_Languages = Annotated[
    str,
    Field(
        pattern=languages_pattern(_LANGUAGE),
        max_length=1000,
        description="Tesseract languages; none: the first that is installed.",
        examples=["eng+deu"],
    ),
]
_Mode = Annotated[
    Mode | Literal[""],
    Field(description="`force`: OCR every page; `native_only`: text layers only; none: `auto`.", examples=["auto"]),
]
_Outputs = Annotated[
    str,
    Field(
        pattern=_joined(_OUTPUT, " *, *"),
        max_length=1000,
        description="Formats of the result; json is always made. None: txt, json and pdf.",
        examples=["txt,json,pdf"],
    ),
]
_Pages = Annotated[
    str,
    Field(
        pattern=_joined(PAGES, " *, *"),
        max_length=1000,
        description="Pages and ranges that run upwards; none: all.",
        examples=["1-5,9"],
        json_schema_extra={"format": "page-ranges"},
    ),
]
_Priority = Annotated[
    Lane | Literal[""], Field(description="The lane that it waits in; none: `normal`.", examples=["normal"])
]
_ClientReference = Annotated[
    str,
    Field(
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]*$",
        max_length=256,
        description="A label of yours, echoed.",
        examples=["order 7"],
    ),
]
_WebhookUrl = Annotated[
    str,
    Field(
        max_length=LONGEST_URL,
        description="Is told when the job has ended: https, port 443 or 8443, a public address.",
        examples=["https://example.com/ocr"],
        json_schema_extra={"format": "webhook-url"},
    ),
]
_Days = Annotated[int, Field(ge=1, le=LONGEST_RETENTION_DAYS)]
_SourceDays = Annotated[int, Field(ge=0, le=LONGEST_RETENTION_DAYS)]
_KEPT = "Days from its end for which the job is kept, with its results."
_SOURCE_KEPT = "Days for which the document itself is kept: no more than the job."


class JobForm(Form):
    """What a client asks for, beside the document itself. An empty field is as good as none."""

    languages: _Languages = ""
    mode: _Mode = ""
    outputs: _Outputs = ""
    pages: _Pages = ""
    priority: _Priority = ""
    client_reference: _ClientReference = ""
    webhook_url: _WebhookUrl = ""
    retention_days: Annotated[
        _Days | Literal[""], Field(description=_KEPT, examples=[30]), BeforeValidator(_digits)
    ] = ""
    source_retention_days: Annotated[
        _SourceDays | Literal[""], Field(description=_SOURCE_KEPT, examples=[14]), BeforeValidator(_digits)
    ] = ""

    @classmethod
    def of(cls, job: Job) -> JobForm:
        """The form by which a job could have been submitted."""
        return cls.model_construct(
            **job.options.spelled(),
            priority=job.lane,
            client_reference=job.client_reference or "",
            webhook_url=job.webhook_url or "",
            retention_days=job.retention.days,
            source_retention_days=job.retention.source_days,
        )


class JobSubmission(JobForm):
    """A document, and what is asked for."""

    file: Annotated[
        bytes,
        Field(
            description="PDF, JPEG, PNG, TIFF, BMP, GIF or WebP: told by content, not by name."
            " `upload_id` may stand in its place."
        ),
    ]


class BatchSubmission(JobForm):
    """Documents, and what is asked for, of each of them."""

    file: Annotated[list[bytes], Field(min_length=1, description="Documents, and ZIP archives of documents.")]


class JobFields(Form):
    """The fields of a form in JSON, at most 64 kB. null is as good as nothing."""

    languages: _Languages | list[Annotated[str, Field(pattern=f"^{_LANGUAGE}$")]] | None = None
    mode: _Mode | None = None
    outputs: _Outputs | list[Annotated[str, Field(pattern=f"^{_OUTPUT}$")]] | None = None
    pages: _Pages | Annotated[int, Field(ge=1, le=999_999), BeforeValidator(_number)] | None = None
    priority: _Priority | None = None
    client_reference: _ClientReference | None = None
    webhook_url: _WebhookUrl | None = None
    retention_days: Annotated[_Days | None, Field(description=_KEPT), BeforeValidator(_number)] = None
    source_retention_days: Annotated[_SourceDays | None, Field(description=_SOURCE_KEPT), BeforeValidator(_number)] = (
        None
    )

    def form(self) -> JobForm:
        """The fields that are named, as a form has them: null is empty there."""
        named = self.model_dump(exclude_unset=True, include=set(JobForm.model_fields))
        return JobForm.model_construct(**{name: _in_a_form(name, value) for name, value in named.items()})


def _in_a_form(name: str, value: Any) -> Any:  # noqa: ANN401 - of any field
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(value)
    return str(value) if name == "pages" else value


class UploadSubmission(JobFields):
    """What was sent to S3, and what is asked for: at most 64 kB."""

    # That it is missing, has a code of its own.
    model_config = ConfigDict(json_schema_extra={"required": ["upload_id"]})

    upload_id: Annotated[str, Field(pattern=ID_PATTERN)] = ""


class UploadAnnouncement(Form):
    """The file that is to be sent to S3: at most 64 kB."""

    filename: Annotated[str, Field(examples=["scan.pdf"])]
    #: That there are none, has a code of its own; and so has another media type.
    bytes: Annotated[
        int,
        Field(ge=0, description="Its size.", examples=[123456], json_schema_extra={"minimum": 1}),
        BeforeValidator(_number),
    ]
    media_type: Annotated[str, Field(json_schema_extra={"enum": list(MEDIA_TYPES)})]


#: A day, which begins in UTC, or a time with its zone.
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2}))?$"
_Moment = Annotated[
    str,
    Field(
        pattern=_MOMENT,
        description="A day, which begins in UTC, or a time with its zone.",
        examples=["2026-11-21T09:30:00Z"],
        json_schema_extra={"format": "moment"},
    ),
]


class ListQuery(Form):
    """Which jobs, and how many of them. Of words, several may stand with commas between them."""

    status: Annotated[str, Field(pattern=_some_of(JobStatus), examples=["QUEUED,PROCESSING"])] = ""
    priority: Annotated[str, Field(pattern=_some_of(Lane), examples=["high"])] = ""
    triage: Annotated[str, Field(pattern=_some_of(Triage), examples=["review"])] = ""
    error: Annotated[str, Field(pattern=_some_of(DOCUMENT_CODES), examples=["encrypted_document"])] = ""
    client_reference: Annotated[str, Field(min_length=1, max_length=256, description="This very label.")] = ""
    batch_id: Annotated[str, Field(pattern=ID_PATTERN, description="Those of a batch.")] = ""
    created_after: _Moment = ""
    created_before: _Moment = ""
    limit: Annotated[
        int,
        Field(ge=1, le=MOST_JOBS, description="How many at a time; none: 50.", examples=[50]),
        BeforeValidator(_digits),
    ] = 50
    #: What is wrong with one, has a code of its own.
    cursor: Annotated[str, Field(description="The `next_cursor` of the page before, with the same filters.")] = ""

    @model_validator(mode="before")
    @classmethod
    def _once(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name, value in given.items():
            if isinstance(value, list):
                raise BadRequest(f"parameter {name[:32]!r} is given more than once")
        return given


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
        BeforeValidator(_first),
    ] = 0


class Headers(Form):
    """Superclass of those that read some headers, and leave the others to others."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class JobHeaders(Headers):
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


class SubmissionHeaders(Headers):
    """What makes a request safe to be sent again."""

    idempotency_key: Annotated[
        str,
        Field(
            alias="Idempotency-Key",
            pattern=f"^{IDEMPOTENCY_KEY}$",
            description="A new one for each new request. The same request with it gets the same answer, for 7 days.",
            examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        ),
        BeforeValidator(_key),
    ] = ""


def validate(kind: type[_Form], given: Mapping[str, Any], *, beside: Iterable[str] = ()) -> _Form:
    """What a client sent; ``beside`` are names that are known, too, and were taken out before.

    Raises:
        BadRequest: it is not as the type wants it; says what is wrong with the first such member, and what is right.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise BadRequest(_tell(kind, beside, error.errors(include_url=False)[0])) from error


def once_each(given: MultiDict[str, str], what: str) -> dict[str, str]:
    """Names and values; ``what`` is the word for one of them.

    Raises:
        BadRequest: a name stands there more than once.
    """
    for name in given:
        if len(given.getlist(name)) > 1:
            raise BadRequest(f"{what} {name[:32]!r} is given more than once")
    return given.to_dict()


def _tell(kind: type[BaseModel], beside: Iterable[str], error: ErrorDetails) -> str:
    """The error in our words; what was sent is repeated as far as it is short."""
    name, sent = str(error["loc"][0])[:32], str(error["input"])[:32]
    if error["type"] == "extra_forbidden":
        return f"{name!r} is unknown; known are: {', '.join(sorted([*kind.model_fields, *beside]))}"
    if error["type"] == "enum":
        return f"{name}: {sent!r} is unknown; known are: {error['ctx']['expected']}"
    field = kind.model_fields.get(name)
    if error["type"] == "string_pattern_mismatch" and field is not None and field.examples:
        return f"{name}: {sent!r} is not understood; write it like {field.examples[0]}"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
