"""DynamoDB: direct uploads, from the form that a client gets to the one job that each may become.

    pk = T#<tenant>#P#<upload_id>, sk = UPLOAD     what was announced; ``job_id`` and ``sha256`` once it is used

An upload is used in the transaction that creates its job, so it becomes one job or none, however many requests race.
Its item then stays for a week, so that whoever submits it again is told: without the file's name, which is the job's,
and goes with an erased one.

IAM: as ``job_store``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core.direct_upload import USABLE, DirectUpload, UploadId, Use
from hybrid_ocr_core.errors import UploadNotFound, UploadUsed
from hybrid_ocr_core.job_item import COMMON_SCHEMA, Item, stamp
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: One that was given up is told from an unknown one for a day more, one that was used for as long as a key counts.
_KEPT = 2 * USABLE
_KEPT_USED = dt.timedelta(days=7)

CONDITIONS = {
    "create": "attribute_not_exists(pk)",
    "use": "attribute_exists(pk) AND attribute_not_exists(job_id)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadUse:
    """That an upload becomes a job: a write that belongs into the transaction which creates the job."""

    upload: UploadId
    sha256: str
    at: dt.datetime

    def record(self, made: str) -> Write:
        """The write; ``made`` is the job's id."""
        return Write(
            key=_key(self.upload),
            condition=CONDITIONS["use"],
            update="SET job_id = :job, sha256 = :sha256, expires_at = :expires REMOVE filename",
            values={
                ":job": made,
                ":sha256": self.sha256,
                ":expires": int((self.at + _KEPT_USED).timestamp()),
            },
        )

    def check(self, item: Item, *, made: str) -> None:
        """Whether the upload was free, going by the item that refused. It was, if that shows our own write: ``made``.

        Raises:
            UploadUsed: another request was first.
            UploadNotFound: it is gone.
        """
        if not item:
            raise UploadNotFound("there is no such upload")
        used_by = item.get("job_id", made)
        if used_by != made:
            raise UploadUsed(str(used_by))


class DirectUploadStore:
    """The direct uploads of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def create(self, upload: DirectUpload) -> None:
        """Put a new one. Its id is 128 random bits, so an item that is there is our own: the response was lost."""
        item: Item = {
            **_key(upload.id),
            "v": COMMON_SCHEMA,
            "filename": upload.filename,
            "media_type": upload.media_type,
            "bytes": upload.bytes,
            "created_at": stamp(upload.created_at),
            "expires_at": int((upload.created_at + _KEPT).timestamp()),
        }
        self._table.put(item, condition=CONDITIONS["create"])

    def get(self, upload: UploadId) -> DirectUpload:
        """Read one, strongly consistent, whatever became of it.

        Raises:
            UploadNotFound: no such upload.
        """
        item = self._table.get(_key(upload))
        if not item:
            raise UploadNotFound("there is no such upload")
        used_by = item.get("job_id")
        return DirectUpload(
            id=upload,
            filename=item.get("filename", ""),
            media_type=item["media_type"],
            bytes=int(item["bytes"]),
            created_at=dt.datetime.fromisoformat(item["created_at"]),
            use=Use(job_id=used_by, sha256=item["sha256"]) if used_by else None,
        )


def _key(upload: UploadId) -> Item:
    return {"pk": f"T#{upload.tenant}#P#{upload.upload_id}", "sk": "UPLOAD"}
