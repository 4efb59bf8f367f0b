"""S3: the bytes. One prefix per job, so that erasing is one prefix.

    jobs/<tenant>/<job_id>/source                        what was submitted
    jobs/<tenant>/<job_id>/<attempt>/<revision>/<file>   what one attempt made
    jobs/<tenant>/<job_id>/<split>/chunks/<number>       some pages of it, for one worker
    jobs/<tenant>/<job_id>/<split>/pages/<page>.json     what was read on one, until the document is assembled
    uploads/<tenant>/<upload_id>                         what a client sends here itself, and may change at any time

Result keys are per attempt: a stale worker writes beside the winner's files, never over them.

IAM: s3:PutObject, GetObject, DeleteObject on jobs/* and uploads/*, ListBucket with these prefixes.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import quote

from botocore.exceptions import ClientError

from hybrid_ocr_core.aws import unavailable_on_error
from hybrid_ocr_core.chunk import ChunkId
from hybrid_ocr_core.direct_upload import Arrived, DirectUpload, Form, UploadId
from hybrid_ocr_core.errors import HybridOcrError, Unavailable, UploadIncomplete
from hybrid_ocr_core.job import Job, JobId
from hybrid_ocr_core.media import SNIFF_BYTES
from hybrid_ocr_core.transfer import Outgoing, RawBody, Transfer, nobody_minds

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_PART = "S3"
_GONE = {"NoSuchKey", "404"}
#: Below the prefix of a job: all there is of the document as it was submitted, and pages that became no result.
_SOURCE = re.compile(r"source|\d+/(chunks|pages)/.*")
_ANY = re.compile(".*")

#: Result format -> (file name in S3, content type of the download). No type that a browser would execute.
FILES = {
    "json": ("result.json", "application/json"),
    "txt": ("result.txt", "text/plain; charset=utf-8"),
    "pdf": ("result.pdf", "application/pdf"),
    "md": ("result.md", "text/markdown; charset=utf-8"),
    "hocr": ("result.hocr", "application/octet-stream"),
    "alto": ("result.alto.xml", "application/octet-stream"),
    "tsv": ("result.tsv", "text/tab-separated-values; charset=utf-8"),
    "textract": ("result.textract.json", "application/json"),
}


class SourceMissing(HybridOcrError):
    """The submitted bytes are not in S3, or are not the ones that were submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object below ``jobs/``. ``attempt`` is None for what was submitted."""

    key: str
    job: JobId
    attempt: int | None
    stored_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """An object below ``uploads/``."""

    key: str
    stored_at: dt.datetime


class DocumentStore:
    """Uploads, downloads and presigned URLs. Raises ``Unavailable`` from every method when S3 is away.

    A transfer asks its ``still_wanted`` at every block, passes on what that raises, and has an end however slow S3 is.
    """

    def __init__(self, client: S3Client, bucket: str, public_client: S3Client | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._public_client = public_client or client

    def put_source(self, job: JobId, stream: IO[bytes], media_type: str) -> None:
        """Store what was submitted, streaming from a seekable file: memory does not grow with it."""
        with unavailable_on_error(_PART):
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{_prefix(job)}source",
                Body=cast("IO[bytes]", Outgoing(_PART, stream)),
                ContentType=media_type,
            )

    def presign_upload(self, upload: DirectUpload, *, seconds: int) -> Form:
        """A form by which anyone can store this upload for so long, as often as they like: the last one counts.

        S3 refuses any other size, type or key.
        """
        bound = {"Content-Type": upload.media_type, "success_action_status": "201"}
        form = self._public_client.generate_presigned_post(
            self._bucket,
            _upload_key(upload.id),
            Fields=dict(bound),
            Conditions=[
                *({name: value} for name, value in bound.items()),
                ["content-length-range", upload.bytes, upload.bytes],
            ],
            ExpiresIn=seconds,
        )
        return Form(url=form["url"], fields=form["fields"])

    def look_at_upload(self, upload: UploadId) -> Arrived:
        """What lies there now, by one request for its first bytes.

        Raises:
            UploadIncomplete: nothing does.
        """
        with unavailable_on_error(_PART):
            try:
                found = self._client.get_object(
                    Bucket=self._bucket, Key=_upload_key(upload), Range=f"bytes=0-{SNIFF_BYTES - 1}"
                )
            except ClientError as error:
                # An object without any bytes has no first ones either.
                if error.response["Error"]["Code"] in {*_GONE, "InvalidRange"}:
                    raise UploadIncomplete("nothing has arrived yet: POST the file to the url of the upload") from error
                raise
            total = int(found["ContentRange"].rpartition("/")[2])
            return Arrived(head=b"".join(_blocks(found)), bytes=total, etag=found["ETag"])

    def pin_upload(self, upload: UploadId, seen: Arrived, job: JobId, media_type: str) -> str:
        """Make the very bytes that were seen a job's source, by a copy within S3; returns their SHA-256.

        The upload's form may be good still, so its object can change at any time; the copy cannot.

        Raises:
            UploadIncomplete: they were replaced meanwhile, or are gone.
        """
        key = f"{_prefix(job)}source"
        with unavailable_on_error(_PART):
            try:
                copy = self._client.copy_object(
                    Bucket=self._bucket,
                    Key=key,
                    CopySource={"Bucket": self._bucket, "Key": _upload_key(upload)},
                    CopySourceIfMatch=seen.etag,
                    ContentType=media_type,
                    MetadataDirective="REPLACE",
                    # So S3 itself reads and hashes them, and they do not pass through here, however many they are.
                    ChecksumAlgorithm="SHA256",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in {*_GONE, "PreconditionFailed"}:
                    raise UploadIncomplete("it was sent anew at this very moment; try again") from error
                raise
            checksum = copy["CopyObjectResult"].get("ChecksumSHA256")
            if checksum:
                return base64.b64decode(checksum).hex()
            # The local emulator does not hash what it copies.
            digest = hashlib.sha256()
            for block in _blocks(self._client.get_object(Bucket=self._bucket, Key=key)):
                digest.update(block)
        return digest.hexdigest()

    def delete_upload(self, upload: UploadId) -> None:
        """Delete what was pinned."""
        with unavailable_on_error(_PART):
            self._client.delete_object(Bucket=self._bucket, Key=_upload_key(upload))

    def uploads(self) -> Iterator[StoredUpload]:
        """Every upload there is."""
        with unavailable_on_error(_PART):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="uploads/"):
                for found in page.get("Contents", []):
                    yield StoredUpload(key=found["Key"], stored_at=found["LastModified"])

    def copy_source(self, of: Job, job: JobId) -> None:
        """Copy what was submitted within S3, for another job to read.

        Raises:
            SourceMissing: it is gone.
        """
        self._copy(f"{_prefix(of.id)}source", f"{_prefix(job)}source", of.document.media_type)

    def get_source(self, job: Job, path: Path, still_wanted: Callable[[], None] = nobody_minds) -> None:
        """Bring the submitted bytes to ``path`` and check that they are the very ones.

        Raises:
            SourceMissing: gone, or changed since.
        """
        if self._get(f"{_prefix(job.id)}source", path, still_wanted) != job.document.sha256:
            raise SourceMissing("the file in the bucket is not the one that was submitted")

    def put_result(
        self,
        job: JobId,
        *,
        attempt: int,
        revision: int,
        output: str,
        path: Path,
        still_wanted: Callable[[], None] = nobody_minds,
    ) -> None:
        """Store one result file under this attempt's own key."""
        name, media_type = FILES[output]
        self._put(f"{_prefix(job)}{attempt}/{revision}/{name}", path, media_type, still_wanted)

    def copy_result(self, leader: Job, job: JobId, *, attempt: int, output: str) -> None:
        """Copy another job's result file within S3, under this attempt's own key.

        Raises:
            SourceMissing: it is gone.
        """
        name, media_type = FILES[output]
        self._copy(_result_key(leader, output), f"{_prefix(job)}{attempt}/0/{name}", media_type)

    def get_result(self, job: Job, output: str, path: Path, still_wanted: Callable[[], None] = nobody_minds) -> None:
        """Bring a result file of a DONE job to ``path``.

        Raises:
            SourceMissing: it is gone.
        """
        self._get(_result_key(job, output), path, still_wanted)

    def put_chunk(self, chunk: ChunkId, path: Path, still_wanted: Callable[[], None] = nobody_minds) -> None:
        """Store the part of a document that one worker is to read."""
        self._put(_chunk_key(chunk), path, "application/octet-stream", still_wanted)

    def get_chunk(self, chunk: ChunkId, path: Path, still_wanted: Callable[[], None] = nobody_minds) -> None:
        """Bring it back.

        Raises:
            SourceMissing: gone.
        """
        self._get(_chunk_key(chunk), path, still_wanted)

    def put_page(self, job: JobId, split: int, number: int, path: Path) -> None:
        """Store what was read on one page of a split document. A twin's page that is there already is as good."""
        with unavailable_on_error(_PART):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=_page_key(job, split, number),
                    Body=path.read_bytes(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                    raise

    def get_page(self, job: JobId, split: int, number: int, path: Path) -> None:
        """Bring it back.

        Raises:
            SourceMissing: gone.
        """
        self._get(_page_key(job, split, number), path, nobody_minds)

    def stored_pages(self, job: JobId, split: int, *, first: int, last: int) -> set[int]:
        """Which pages from ``first`` to ``last`` are there."""
        found: set[int] = set()
        with unavailable_on_error(_PART):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket,
                Prefix=f"{_prefix(job)}{split}/pages/",
                StartAfter=_page_key(job, split, first - 1),
            )
            for page in pages:
                numbers = [int(Path(entry["Key"]).stem) for entry in page.get("Contents", [])]
                found.update(number for number in numbers if number <= last)
                if not numbers or numbers[-1] >= last:
                    break
        return found

    def tidy(self, job: JobId, split: int) -> None:
        """Delete chunks and pages of a split document that is assembled."""
        self._delete_all(f"{_prefix(job)}{split}/chunks/")
        self._delete_all(f"{_prefix(job)}{split}/pages/")

    def result_lines(self, job: Job) -> Iterator[bytes]:
        """The lines of a DONE job's json as they arrive; it has one page a line."""
        pending = b""
        with unavailable_on_error(_PART):
            found = self._client.get_object(Bucket=self._bucket, Key=_result_key(job, "json"))
            for block in _blocks(found):
                *lines, pending = (pending + block).split(b"\n")
                yield from lines
        if pending:
            yield pending

    def presign_result(self, job: Job, output: str, *, seconds: int) -> str:
        """A URL by which anyone can download one result file for so long. Made per request, never stored."""
        name, media_type = FILES[output]
        disposition = attachment(job.document.filename, name.removeprefix("result"))
        return self._public_client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": _result_key(job, output),
                "ResponseContentType": media_type,
                "ResponseContentDisposition": disposition,
            },
            ExpiresIn=seconds,
        )

    def delete_source(self, job: JobId) -> None:
        """Delete what was submitted, and what is left of splits: chunks are parts of it. The results stay."""
        self._delete_all(_prefix(job), only=_SOURCE)

    def purge(self, job: JobId) -> int:
        """Delete every object of a job; returns how many. The caller has left the tombstone before."""
        return self._delete_all(_prefix(job))

    def objects(self) -> Iterator[StoredObject]:
        """Every object of every job, job by job: the whole bucket, a thousand keys a request."""
        with unavailable_on_error(_PART):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="jobs/"):
                for found in page.get("Contents", []):
                    _, tenant, job_id, rest = found["Key"].split("/", 3)
                    attempt = rest.partition("/")[0]
                    yield StoredObject(
                        key=found["Key"],
                        job=JobId(tenant=tenant, job_id=job_id),
                        attempt=int(attempt) if attempt.isdigit() else None,
                        stored_at=found["LastModified"],
                    )

    def delete(self, found: StoredObject | StoredUpload) -> None:
        """Delete one object."""
        with unavailable_on_error(_PART):
            self._client.delete_object(Bucket=self._bucket, Key=found.key)

    def ping(self) -> None:
        """Raises Unavailable unless the bucket answers."""
        with unavailable_on_error(_PART):
            self._client.head_bucket(Bucket=self._bucket)

    def _put(self, key: str, path: Path, media_type: str, still_wanted: Callable[[], None]) -> None:
        with unavailable_on_error(_PART), path.open("rb") as stream:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=cast("IO[bytes]", Outgoing(_PART, stream, still_wanted)),
                ContentType=media_type,
            )

    def _copy(self, key: str, to: str, media_type: str) -> None:
        with unavailable_on_error(_PART):
            try:
                self._client.copy_object(
                    Bucket=self._bucket,
                    Key=to,
                    CopySource={"Bucket": self._bucket, "Key": key},
                    ContentType=media_type,
                    MetadataDirective="REPLACE",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    raise SourceMissing("the other job's file is gone") from error
                raise

    def _get(self, key: str, path: Path, still_wanted: Callable[[], None]) -> str:
        """Bring an object to ``path``; returns its sha256."""
        digest = hashlib.sha256()
        with unavailable_on_error(_PART):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    raise SourceMissing("the submitted file is not in the bucket") from error
                raise
            with path.open("wb") as file:
                for block in _blocks(found, still_wanted):
                    digest.update(block)
                    file.write(block)
        return digest.hexdigest()

    def _delete_all(self, prefix: str, *, only: re.Pattern[str] = _ANY) -> int:
        """Delete what lies below a prefix, if the rest of its key is such a one; how many."""
        deleted = 0
        with unavailable_on_error(_PART):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Contents", []):
                    if only.fullmatch(found["Key"].removeprefix(prefix)):
                        self._client.delete_object(Bucket=self._bucket, Key=found["Key"])
                        deleted += 1
        return deleted


def attachment(filename: str, suffix: str) -> str:
    """A Content-Disposition that saves under the document's own name (RFC 6266), whatever characters it has."""
    stem = Path(filename.replace("\\", "/")).stem or "document"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", stem)[:100]
    return f"attachment; filename=\"{plain}{suffix}\"; filename*=UTF-8''{quote(stem[:100] + suffix, safe='')}"


def _blocks(found: GetObjectOutputTypeDef, still_wanted: Callable[[], None] = nobody_minds) -> Iterator[bytes]:
    """An object's bytes as they arrive: all of them, or Unavailable."""
    size, received = found["ContentLength"], 0
    with found["Body"] as raw:
        for block in Transfer(_PART, size, still_wanted).blocks(cast("RawBody", raw)):
            received += len(block)
            yield block
    if received != size:
        raise Unavailable(_PART, "the connection was cut")


def _prefix(job: JobId) -> str:
    return f"jobs/{job.tenant}/{job.job_id}/"


def _upload_key(upload: UploadId) -> str:
    return f"uploads/{upload.tenant}/{upload.upload_id}"


def _chunk_key(chunk: ChunkId) -> str:
    return f"{_prefix(chunk.job)}{chunk.split}/chunks/{chunk.number}"


def _page_key(job: JobId, split: int, number: int) -> str:
    return f"{_prefix(job)}{split}/pages/{number:06d}.json"


def _result_key(job: Job, output: str) -> str:
    if job.result is None:
        raise ValueError("only a DONE job has results")
    return f"{_prefix(job.id)}{job.result.attempt}/{job.result.revision}/{FILES[output][0]}"
