"""Multipart form -> Upload, or a typed refusal. Only the first bytes are looked at: parsing is the worker's."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import IO, Literal

from flask import Request
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MultiDict

from hybrid_ocr_api import forms, json_form
from hybrid_ocr_api.forms import JobForm, UploadSubmission
from hybrid_ocr_api.settings import RetentionSettings
from hybrid_ocr_core import media, webhook_url
from hybrid_ocr_core.errors import BadRequest, FileEmpty, FileMissing, FileTooLarge, UnsupportedMediaType
from hybrid_ocr_core.job import Document, Lane, Retention
from hybrid_ocr_core.options import JobOptions, Mode, PageSelection, parse_languages, parse_outputs

_BLOCK = 1 << 20
_LONGEST_NAME = 255
_NO_FILE = (
    "send the document as the multipart field 'file', as in: curl -F file=@scan.pdf;"
    " or the 'upload_id' that POST /uploads gave for it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as received: on disk or in memory as Werkzeug spooled it, at its beginning."""

    stream: IO[bytes]
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a client asks for, beside the document itself."""

    #: The fields as they were sent, less empty ones.
    fields: Mapping[str, object]
    options: JobOptions
    lane: Lane
    client_reference: str | None
    retention: Retention
    webhook_url: str | None = None


def read_form(request: Request) -> tuple[str | None, JobForm]:
    """The upload that is submitted, None where it is a file of the request; and the form's other fields.

    Raises:
        FileMissing: there can be neither.
        BadRequest: there are both, or a field is unknown, malformed or given twice.
    """
    if request.mimetype == "application/json":
        submission = json_form.read(request, UploadSubmission)
        return submission.upload_id or None, submission.form()
    refuse_other_forms(request.mimetype, _NO_FILE)
    ids = request.form.getlist("upload_id")
    if len(ids) + len(request.files.getlist("file")) > 1:
        raise BadRequest("send one document: the field 'file' or the field 'upload_id', once")
    return ids[0] if ids else None, read_fields(request.form, beside=("file", "upload_id"))


def refuse_other_forms(media_type: str, advice: str) -> None:
    """Only a multipart body is spooled as it is read; any other would be taken into memory as a whole.

    Raises:
        FileMissing: there can be no file in it.
    """
    if media_type != "multipart/form-data":
        raise FileMissing(advice)


def read_fields(form: MultiDict[str, str], *, beside: Collection[str] = ("file",)) -> JobForm:
    """The fields of a multipart form that stand ``beside`` what brings the documents.

    Raises:
        FileMissing: a document came as text.
        BadRequest: a field is unknown, malformed or given twice.
    """
    if "file" in form:
        raise FileMissing("the field 'file' came as text: send it as a file, as in: curl -F file=@scan.pdf")
    fields = {name: text for name, text in forms.once_each(form, "field").items() if name not in beside}
    return forms.validate(JobForm, fields, beside=beside)


def read_upload(files: ImmutableMultiDict[str, FileStorage], *, max_bytes: int) -> Upload:
    """Take the part ``file``.

    Raises:
        FileMissing, FileEmpty, FileTooLarge, UnsupportedMediaType.
    """
    part = files.get("file")
    if part is None:
        raise FileMissing(_NO_FILE)
    return read_document(part.stream, filename=clean_name(part.filename), max_bytes=max_bytes)


def read_document(stream: IO[bytes], *, filename: str, max_bytes: int) -> Upload:
    """Take a file that was received, by its first bytes; ``filename`` is only shown.

    Raises:
        FileEmpty, FileTooLarge, UnsupportedMediaType.
    """
    media_type = kind_of(stream.read(media.SNIFF_BYTES))
    size, sha256 = _measure(stream)
    if size > max_bytes:
        raise FileTooLarge(f"the file has {size} bytes; the limit is {max_bytes}")
    document = Document(filename=filename, media_type=media_type, bytes=size, sha256=sha256)
    return Upload(stream=stream, document=document)


def kind_of(head: bytes) -> str:
    """The media type of a document by its first bytes.

    Raises:
        FileEmpty, UnsupportedMediaType.
    """
    if not head:
        raise FileEmpty("the file has no bytes")
    media_type = media.sniff(head)
    if media_type is None:
        raise UnsupportedMediaType(f"the content is none of: {', '.join(media.MEDIA_TYPES)}")
    return media_type


def read_wishes(
    asked: JobForm,
    *,
    languages: tuple[str, ...],
    retention: RetentionSettings,
    allow_private_webhooks: bool = False,
) -> Wishes:
    """What the fields of a form mean here.

    Raises:
        BadRequest: things cannot be kept for so long, or a range of pages runs backwards.
        UnsupportedLanguage: a language is not among ``languages``.
        WebhookUrlDenied: nothing is sent to such a URL.
    """
    options = JobOptions(
        languages=parse_languages(asked.languages, languages),
        mode=Mode(asked.mode or Mode.AUTO),
        outputs=parse_outputs(asked.outputs),
        pages=PageSelection.parse(asked.pages),
    )
    if asked.webhook_url:
        webhook_url.read(asked.webhook_url, allow_private=allow_private_webhooks)
    return Wishes(
        fields=asked.model_dump(exclude_defaults=True),
        options=options,
        lane=Lane(asked.priority or Lane.NORMAL),
        client_reference=asked.client_reference or None,
        retention=_retention(asked, retention),
        webhook_url=asked.webhook_url or None,
    )


def _retention(asked: JobForm, settings: RetentionSettings) -> Retention:
    """What was submitted is kept no longer than the job."""
    usual = settings.usual
    days = _days("retention_days", asked.retention_days, usual.days, most=settings.most_days)
    usual_source_days = min(usual.source_days, days)
    return Retention(
        days=days,
        source_days=_days("source_retention_days", asked.source_retention_days, usual_source_days, most=days),
    )


def _days(name: str, asked: int | Literal[""], usual: int, *, most: int) -> int:
    days = usual if asked == "" else asked
    if days > most:
        raise BadRequest(f"{name}: {most} at most")
    return days


def _measure(stream: IO[bytes]) -> tuple[int, str]:
    """Size and SHA-256, block by block; leaves the stream at its beginning."""
    digest = hashlib.sha256()
    size = 0
    stream.seek(0)
    while block := stream.read(_BLOCK):
        digest.update(block)
        size += len(block)
    stream.seek(0)
    return size, digest.hexdigest()


def clean_name(filename: str | None) -> str:
    """The last part of the name, to be shown only: it is never used as a path."""
    return clean_path(filename).rpartition("/")[2]


def clean_path(filename: str | None) -> str:
    """The name with its directories, as in an archive; to be shown only, too."""
    printable = "".join(character for character in filename or "" if unicodedata.category(character)[0] != "C")
    parts = (part.strip() for part in re.split(r"[/\\]", printable))
    return "/".join(part for part in parts if part not in {"", ".", ".."})[-_LONGEST_NAME:] or "document"
