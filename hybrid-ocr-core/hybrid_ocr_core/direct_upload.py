"""A document that its client sends to S3 itself, to be submitted by its id. Frozen, pure, no boto3."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

#: How long one may be submitted. Its object is removed later than that: by the bucket's lifecycle rule, which counts
#: whole days from midnight on, or by ``sweep --orphans``.
USABLE = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadId:
    """Names a direct upload."""

    tenant: str
    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What became of one that was submitted: the job, and the SHA-256 of what was read, as that request saw it."""

    job_id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload:
    """What was announced, and is bound by the form that the client got. ``filename`` is empty once it is used."""

    id: UploadId
    filename: str
    media_type: str
    bytes: int
    created_at: dt.datetime
    use: Use | None = None

    def is_over(self, now: dt.datetime) -> bool:
        """Has it waited for too long?"""
        return now >= self.created_at + USABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a client needs to send it: a POST to ``url``, multipart, with these fields first and the file last."""

    url: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What lies in S3 at this moment, by its first bytes. ``etag`` names these very bytes."""

    head: bytes
    bytes: int
    etag: str
