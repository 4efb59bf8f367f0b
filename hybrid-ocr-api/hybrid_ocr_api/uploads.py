"""Multipart form -> Upload, or a typed refusal. Only the first bytes are looked at: parsing is the worker's."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import IO

from flask import Request
from werkzeug.datastructures import FileStorage, ImmutableMultiDict

from hybrid_ocr_api import json_form
from hybrid_ocr_api.settings import RetentionSettings
from hybrid_ocr_core import media, webhook_url
from hybrid_ocr_core.errors import BadRequest, FileEmpty, FileMissing, FileTooLarge, UnsupportedMediaType
from hybrid_ocr_core.job import Document, Lane, Retention
from hybrid_ocr_core.options import JobOptions, PageSelection, parse_languages, parse_mode, parse_outputs

_BLOCK = 1 << 20
_LONGEST_NAME = 255
_NO_FILE = (
    "send the document as the multipart field 'file', as in: curl -F file=@scan.pdf;"
    " or the 'upload_id' that POST /uploads gave for it"
)
_LONGEST_REFERENCE = 256

FIELDS = frozenset(
    {
        "languages",
        "mode",
        "outputs",
        "pages",
        "priority",
        "client_reference",
        "webhook_url",
        "retention_days",
        "source_retention_days",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as received: on disk or in memory as Werkzeug spooled it, at its beginning."""

    stream: IO[bytes]
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a client asks for, beside the document itself."""

    options: JobOptions
    lane: Lane
    client_reference: str | None
    retention: Retention
    webhook_url: str | None = None


def refuse_other_forms(media_type: str) -> None:
    """Only a multipart body is spooled as it is read; any other would be taken into memory as a whole.

    Raises:
        FileMissing: there can be no file in it.
    """
    if media_type != "multipart/form-data":
        raise FileMissing(_NO_FILE)


def read_form(request: Request) -> tuple[str | None, ImmutableMultiDict[str, str]]:
    """The upload that is submitted, None where it is a file of the request; and the form's other fields.

    Raises:
        FileMissing: there can be neither.
        BadRequest: there are both, or the form is malformed.
    """
    if request.mimetype == "application/json":
        fields = json_form.read(request)
        form = ImmutableMultiDict({name: text for name, text in fields.items() if text is not None})
    else:
        refuse_other_forms(request.mimetype)
        form = request.form
    ids = form.getlist("upload_id")
    if len(ids) + len(request.files.getlist("file")) > 1:
        raise BadRequest("send one document: the field 'file' or the field 'upload_id', once")
    others = ImmutableMultiDict((name, text) for name, text in form.items(multi=True) if name != "upload_id")
    return ids[0] if ids else None, others


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
    form: ImmutableMultiDict[str, str],
    *,
    languages: tuple[str, ...],
    retention: RetentionSettings,
    allow_private_webhooks: bool = False,
) -> Wishes:
    """Take the options, the priority, the label, how long things are to be kept, and the webhook.

    Raises:
        BadRequest: a field is unknown, malformed or given twice.
        UnsupportedLanguage: a language is not among ``languages``.
        WebhookUrlDenied: nothing is sent to such a URL.
    """
    for name in form:
        if name not in FIELDS:
            raise BadRequest(f"field {name[:32]!r} is unknown; known are: file, {', '.join(sorted(FIELDS))}")
        if len(form.getlist(name)) > 1:
            raise BadRequest(f"field {name!r} is given more than once")
    options = JobOptions(
        languages=parse_languages(form.get("languages", ""), languages),
        mode=parse_mode(form.get("mode", "")),
        outputs=parse_outputs(form.get("outputs", "")),
        pages=PageSelection.parse(form.get("pages", "")),
    )
    url = form.get("webhook_url") or None
    if url is not None:
        webhook_url.read(url, allow_private=allow_private_webhooks)
    return Wishes(
        options=options,
        lane=_read_priority(form),
        client_reference=_read_client_reference(form),
        retention=_read_retention(form, retention),
        webhook_url=url,
    )


def _read_priority(form: ImmutableMultiDict[str, str]) -> Lane:
    word = form.get("priority", "").strip()
    try:
        return Lane(word or Lane.NORMAL)
    except ValueError as error:
        raise BadRequest(f"priority: {word[:32]!r} is unknown; known are: {', '.join(Lane)}") from error


def _read_client_reference(form: ImmutableMultiDict[str, str]) -> str | None:
    """The caller's own label, echoed wherever the job is shown."""
    reference = form.get("client_reference") or None
    if reference is not None and len(reference) > _LONGEST_REFERENCE:
        raise BadRequest(f"client_reference: at most {_LONGEST_REFERENCE} characters")
    if reference is not None and any(unicodedata.category(character) == "Cc" for character in reference):
        raise BadRequest("client_reference: no control characters")
    return reference


def _read_retention(form: ImmutableMultiDict[str, str], settings: RetentionSettings) -> Retention:
    """What was submitted is kept no longer than the job."""
    usual = settings.usual
    days = _read_days(form, "retention_days", usual.days, least=1, most=settings.most_days)
    source_days = _read_days(form, "source_retention_days", min(usual.source_days, days), least=0, most=days)
    return Retention(days=days, source_days=source_days)


def _read_days(form: ImmutableMultiDict[str, str], name: str, usual: int, *, least: int, most: int) -> int:
    text = form.get(name, "").strip() or str(usual)
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not least <= int(text) <= most:
        raise BadRequest(f"{name}: a whole number from {least} to {most}")
    return int(text)


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
