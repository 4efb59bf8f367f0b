"""A request of many files -> each of them, or why it is refused. One that is refused does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, NamedTuple, cast

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.formparser import FormDataParser
from werkzeug.wsgi import get_input_stream

from hybrid_ocr_api import uploads
from hybrid_ocr_api.archives import Member, Unpacking
from hybrid_ocr_api.forms import JobForm
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_api.spool import Part, Spool
from hybrid_ocr_api.unzip import Limits
from hybrid_ocr_api.uploads import Upload
from hybrid_ocr_core import media
from hybrid_ocr_core.batch import Refusal
from hybrid_ocr_core.errors import BadRequest, FileMissing, FileTooLarge, RequestError, UnsupportedMediaType

#: What the form may hold beside the bytes of its files, all of it in memory: fields, and headers for each file.
_FORM_BYTES = 256 << 10
_HEADER_BYTES_A_FILE = 1 << 10
_MOST_FIELDS = 20

_NO_FILE = "send the documents as multipart fields 'file', as in: curl -F file=@a.pdf -F file=@b.zip"


class Received(NamedTuple):
    """A part of the form that is a file; the name is fit to be shown."""

    filename: str
    part: Part


def read_request(request: Request, spool: Spool, settings: ApiSettings) -> tuple[JobForm, list[Received]]:
    """Take the form apart: its fields, and its parts named ``file``.

    Raises:
        FileMissing: there is none of these.
        FileTooLarge: there are more than a batch may hold.
        BadRequest: a file part has another name, and would be lost; or as ``uploads.read_fields``.
        Unavailable: the disk is full.
    """
    uploads.refuse_other_forms(request.mimetype, _NO_FILE)
    # Other routes take smaller bodies with fewer parts. Too long a body is refused before it is read. The parser is our
    # own because the usual one keeps each part up to 500 kB in memory.
    overhead = _FORM_BYTES + _HEADER_BYTES_A_FILE * settings.max_batch_files
    request.max_content_length = settings.max_batch_bytes + overhead
    body = get_input_stream(request.environ, max_content_length=request.max_content_length)
    parser = FormDataParser(
        stream_factory=spool.new_part,
        max_form_memory_size=_FORM_BYTES,
        max_form_parts=settings.max_batch_files + _MOST_FIELDS,
        cls=ImmutableMultiDict,
    )
    _, form, files = parser.parse(
        cast("IO[bytes]", _Form(body, spool, most_beside=overhead)),
        request.mimetype,
        request.content_length,
        request.mimetype_params,
    )
    for name in files:
        if name != "file":
            raise BadRequest(f"send every file as the multipart field 'file'; there is one named {name[:32]!r}")
    asked = uploads.read_fields(form)
    parts = files.getlist("file")
    if not parts:
        raise FileMissing(_NO_FILE)
    return asked, [Received(uploads.clean_name(part.filename), cast("Part", part.stream)) for part in parts]


class _Form:
    """The body as the parser reads it: what does not go to the spool stays in memory, and is limited as a whole."""

    def __init__(self, body: IO[bytes], spool: Spool, *, most_beside: int) -> None:
        self._body = body
        self._spool = spool
        self._most_beside = most_beside
        self._read = 0

    def read(self, amount: int) -> bytes:
        """The next bytes.

        Raises:
            FileTooLarge: too much of them is no file.
        """
        found = self._body.read(amount)
        self._read += len(found)
        if self._read - self._spool.received_bytes > self._most_beside:
            raise FileTooLarge("the fields of the form are too long")
        return found


def read_files(received: Sequence[Received], spool: Spool, settings: ApiSettings) -> list[Upload | Refusal]:
    """Look at each file, in order; the members of an archive are files, the archive itself is none.

    Raises:
        FileMissing: there are only archives, and they are empty.
        FileTooLarge: too many files, or archives that unpack to too much.
        UnsupportedMediaType: an archive cannot be read at all.
        Unavailable: the disk is full.
    """
    limits = Limits(
        files=settings.max_batch_files, file_bytes=settings.max_upload_bytes, total_bytes=settings.max_batch_bytes
    )
    unpacking = Unpacking(spool, limits)
    found: list[Upload | Refusal] = []
    for filename, part in received:
        stream = cast("IO[bytes]", part)
        if _is_archive(stream):
            found += [_read_member(member, settings) for member in unpacking.unpack(filename, part)]
        else:
            found.append(_read_one(stream, filename, settings))
        if len(found) > settings.max_batch_files:
            raise FileTooLarge(f"a batch holds at most {settings.max_batch_files} files, those in archives included")
    if not found:
        raise FileMissing("the archive holds no files")
    return found


def _read_member(member: Member, settings: ApiSettings) -> Upload | Refusal:
    filename = uploads.clean_path(member.name)
    if member.stream is None:
        return Refusal(filename=filename, code=member.code, message=member.message)
    return _read_one(member.stream, filename, settings)


def _read_one(stream: IO[bytes], filename: str, settings: ApiSettings) -> Upload | Refusal:
    try:
        if _is_archive(stream):
            raise UnsupportedMediaType("it is an archive within an archive; send it by itself")
        return uploads.read_document(stream, filename=filename, max_bytes=settings.max_upload_bytes)
    except RequestError as error:
        return Refusal(filename=filename, code=error.code, message=str(error))


def _is_archive(stream: IO[bytes]) -> bool:
    head = stream.read(media.SNIFF_BYTES)
    stream.seek(0)
    return media.is_archive(head)
