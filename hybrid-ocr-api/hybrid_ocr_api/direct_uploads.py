"""The route of direct uploads, for documents that go to S3 without passing through here. No AWS here."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from http import HTTPStatus

from flask import Blueprint, Request, Response, jsonify, request

from hybrid_ocr_api import json_form
from hybrid_ocr_api.answers import Answer, Answers
from hybrid_ocr_api.auth import caller
from hybrid_ocr_api.contract import api
from hybrid_ocr_api.forms import UploadAnnouncement
from hybrid_ocr_api.schemas import UploadView
from hybrid_ocr_api.services import services
from hybrid_ocr_api.uploads import clean_name
from hybrid_ocr_core import media
from hybrid_ocr_core.direct_upload import DirectUpload, UploadId
from hybrid_ocr_core.errors import FileEmpty, FileTooLarge, UnsupportedMediaType
from hybrid_ocr_core.job_item import stamp

_log = logging.getLogger(__name__)

blueprint = Blueprint("uploads", __name__)


@blueprint.post("/uploads")
@api.validate(
    json=UploadAnnouncement,
    resp=Answers(
        {HTTPStatus.CREATED: Answer(meaning="A form to send the file by.", body=UploadView)},
        "file_empty",
        "file_too_large",
        "unsupported_media_type",
        "quota_exceeded",
    ),
    tags=("uploads",),
)
def create() -> tuple[Response, int]:
    """Give a form by which one file of this very size and type can be sent to S3."""
    parts = services()
    # Whose jobs would be refused need not send anything first.
    parts.quotas.check(caller().tenant)
    upload = read_announcement(
        request, tenant=caller().tenant, max_bytes=parts.settings.max_direct_upload_bytes, now=parts.clock()
    )
    # A crash after this leaves an item that nobody knows of, until the table's TTL.
    parts.uploads.create(upload)
    seconds = parts.settings.upload_url_seconds
    form = parts.documents.presign_upload(upload, seconds=seconds)
    _log.info("Made a form for an upload.", extra={"action": "upload_announced", "bytes": upload.bytes})
    return jsonify(
        {
            "upload_id": upload.id.upload_id,
            "url": form.url,
            "fields": form.fields,
            "expires_at": stamp(upload.created_at + dt.timedelta(seconds=seconds)),
        }
    ), HTTPStatus.CREATED


def read_announcement(request: Request, *, tenant: str, max_bytes: int, now: dt.datetime) -> DirectUpload:
    """What a client says that it will send.

    Raises:
        BadRequest: that is no ``UploadAnnouncement``.
        FileEmpty, FileTooLarge, UnsupportedMediaType: as when the file itself were sent.
    """
    said = json_form.read(request, UploadAnnouncement)
    if said.media_type not in media.MEDIA_TYPES:
        raise UnsupportedMediaType(f"media_type: one of {', '.join(media.MEDIA_TYPES)}")
    if not said.bytes:
        raise FileEmpty("the file has no bytes")
    if said.bytes > max_bytes:
        raise FileTooLarge(f"the file has {said.bytes} bytes; the limit is {max_bytes}")
    return DirectUpload(
        id=UploadId(tenant=tenant, upload_id=uuid.uuid4().hex),
        filename=clean_name(said.filename),
        media_type=said.media_type,
        bytes=said.bytes,
        created_at=now,
    )
