"""Job <-> DynamoDB item. The only place that knows attribute names, Decimals and time stamps of the table."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from hybrid_ocr_core.errors import NewerSchema
from hybrid_ocr_core.job import (
    Confidence,
    Document,
    Ended,
    Job,
    JobFailure,
    JobId,
    JobStatus,
    Lane,
    Progress,
    Result,
    Retention,
    Standing,
    Triage,
)
from hybrid_ocr_core.options import JobOptions, Mode, PageSelection

#: A deserialised item: attribute name -> str, Decimal, dict, list. The border to typed code.
Item = dict[str, Any]

#: The latest that this version reads. Raised by a change after which an older version must not touch a job: such a one
#: would end a job without its event, and without counting its days (2). An item without ``v`` has 1.
SCHEMA = 2
#: What an item says that older versions may read as well.
COMMON_SCHEMA = 1
OPEN_SHARD = "OPEN"
KEPT_SHARD = "KEPT"
#: What ``to_standing`` needs of an item.
STANDING = ("version", "status", "lane")
_META = "META"

_DAY = dt.timedelta(days=1)
#: A part of each write that ends a job: from now on its days are counted. What is kept goes when ``kept_next`` has
#: passed, and all of it when ``kept_until`` has.
KEEP = (
    "kept_shard = :kept, kept_until = if_not_exists(kept_for, :longest) + :ended,"
    " source_until = if_not_exists(source_kept_for, :longest) + :ended,"
    " kept_next = if_not_exists(source_kept_for, :longest) + :ended"
)
#: What a job that has not ended does not have.
KEPT = "kept_shard, kept_until, source_until, kept_next"
#: A part of each write that leaves a tombstone, which the index ``open`` keeps until the objects are purged.
BURY = (
    "erased_at = :stamp, updated_at = :stamp, open_shard = :shard, sweep_at = :sweep_at, expires_at = :expires"
    " ADD attempt :one, version :one"
    " REMOVE document, client_reference, webhook_url, options, #result, failure, progress, last_error, #owner,"
    " lease_expires_at, split_by, chunks, chunks_left, held, listed_at, rerun_of, traceparent,"
    f" kept_for, source_kept_for, source_gone_at, {KEPT}"
)
#: A tombstone outlives every message that may still name the job: SQS keeps one for 14 days at most.
TOMBSTONE_KEPT = dt.timedelta(days=15)


def key_of(job: JobId) -> Item:
    """The primary key of a job's own item. Tenant first, so that IAM can fence tenants by ``LeadingKeys``."""
    return {"pk": f"T#{job.tenant}#J#{job.job_id}", "sk": _META}


def id_of(item: Item) -> JobId:
    """The job that an item, or a row of an index that holds only keys, belongs to."""
    _, tenant, _, job_id = item["pk"].split("#")
    return JobId(tenant=tenant, job_id=job_id)


def milliseconds(time: dt.datetime) -> int:
    """Times that conditions compare are whole milliseconds since 1970, UTC."""
    return int(time.timestamp() * 1000)


def stamp(time: dt.datetime) -> str:
    """Times that people read are RFC 3339, UTC."""
    return time.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listed_at(job: Job) -> str:
    """Where a job stands in the list of its tenant: by the time of its creation; no two jobs have the same."""
    return f"{milliseconds(job.created_at):015d}#{job.job_id}"


def keep_values(now: dt.datetime) -> Item:
    """For ``KEEP``."""
    longest = Retention().days * _DAY
    return {":kept": KEPT_SHARD, ":longest": _whole_milliseconds(longest), ":ended": milliseconds(now)}


def bury_values(now: dt.datetime, lease: dt.timedelta) -> Item:
    """For ``BURY``; ``lease`` is for how long a worker may still be writing objects."""
    return {
        ":stamp": stamp(now),
        ":shard": OPEN_SHARD,
        ":sweep_at": milliseconds(now + lease),
        ":expires": int((now + TOMBSTONE_KEPT).timestamp()),
        ":one": 1,
    }


def from_job(job: Job, *, sweep_at: int) -> Item:
    """The item of a new job."""
    item: Item = {
        **key_of(job.id),
        "v": SCHEMA,
        "tenant": job.tenant,
        "job_id": job.job_id,
        "status": job.status.value,
        "version": job.version,
        "attempt": job.attempt,
        "budget_used": job.budget_used,
        "created_at": stamp(job.created_at),
        "listed_at": listed_at(job),
        "updated_at": stamp(job.updated_at),
        "document": from_document(job.document),
        "options": from_options(job.options),
        "lane": job.lane.value,
        "kept_for": _whole_milliseconds(job.retention.days * _DAY),
        "source_kept_for": _whole_milliseconds(job.retention.source_days * _DAY),
        "resends": job.resends,
        "open_shard": OPEN_SHARD,
        "sweep_at": sweep_at,
    }
    if job.is_held:
        item["held"] = True
    if job.leader is not None:
        item["leader"] = job.leader
    if job.client_reference is not None:
        item["client_reference"] = job.client_reference
    if job.webhook_url is not None:
        item["webhook_url"] = job.webhook_url
    if job.batch_id is not None:
        item["batch_id"] = job.batch_id
    if job.rerun_of is not None:
        item["rerun_of"] = job.rerun_of
    if job.traceparent is not None:
        item["traceparent"] = job.traceparent
    return item


def to_job(item: Item) -> Job:
    """Read an item back; Decimals become ints and floats here and nowhere else.

    Raises:
        NewerSchema: a later version wrote it.
    """
    schema = int(item.get("v", 1))
    if schema > SCHEMA:
        raise NewerSchema(schema, SCHEMA)
    started_at = item.get("started_at")
    progress = item.get("progress")
    return Job(
        tenant=item["tenant"],
        job_id=item["job_id"],
        status=JobStatus(item["status"]),
        version=int(item["version"]),
        attempt=int(item["attempt"]),
        budget_used=int(item["budget_used"]),
        created_at=dt.datetime.fromisoformat(item["created_at"]),
        updated_at=dt.datetime.fromisoformat(item["updated_at"]),
        document=_to_document(item["document"]),
        options=to_options(item["options"]),
        client_reference=item.get("client_reference"),
        webhook_url=item.get("webhook_url"),
        lane=to_lane(item),
        is_held="held" in item,
        leader=item.get("leader"),
        followers=frozenset(item.get("followers", ())),
        batch_id=item.get("batch_id"),
        traceparent=item.get("traceparent"),
        rerun_of=item.get("rerun_of"),
        retention=_to_retention(item),
        expires_at=_to_time(item.get("kept_until")),
        source_expires_at=_to_time(item.get("source_until")),
        started_at=None if started_at is None else dt.datetime.fromisoformat(started_at),
        lease_expires_at=_to_time(item.get("lease_expires_at")),
        progress=None
        if progress is None
        else Progress(pages_done=int(progress["pages_done"]), pages_total=int(progress["pages_total"])),
        result=_to_result(item["result"]) if "result" in item else None,
        failure=_to_failure(item["failure"]) if "failure" in item else None,
        last_error=item.get("last_error"),
        resends=int(item.get("resends", 0)),
        split=int(item["split_by"]) if "split_by" in item else None,
        chunks=int(item.get("chunks", 0)),
        chunks_left=int(item.get("chunks_left", 0)),
    )


def _to_retention(item: Item) -> Retention:
    if "kept_for" not in item:
        return Retention()  # submitted before there was a choice
    day = _whole_milliseconds(_DAY)
    return Retention(days=int(item["kept_for"]) // day, source_days=int(item["source_kept_for"]) // day)


def _to_time(moment: Decimal | None) -> dt.datetime | None:
    return None if moment is None else dt.datetime.fromtimestamp(int(moment) / 1000, dt.UTC)


def _whole_milliseconds(span: dt.timedelta) -> int:
    return span // dt.timedelta(milliseconds=1)


def to_lane(item: Item) -> Lane:
    """The lane of a job or of its tombstone; before there were lanes, all jobs went into one."""
    return Lane(item.get("lane", Lane.NORMAL))


def to_standing(item: Item) -> Standing:
    """Read from the attributes that ``STANDING`` names, whatever version wrote the others."""
    return Standing(version=int(item["version"]), status=JobStatus(item["status"]), lane=to_lane(item))


def to_ended(item: Item) -> Ended:
    """Read from a tombstone, which says nothing of pages and is no event."""
    return Ended(job=id_of(item), lane=to_lane(item), followers=frozenset(item.get("followers", ())))


def from_options(options: JobOptions) -> Item:
    """A map attribute."""
    return {
        "languages": list(options.languages),
        "mode": options.mode.value,
        "outputs": list(options.outputs),
        "pages": str(options.pages),
    }


def to_options(item: Item) -> JobOptions:
    """Read the map back."""
    return JobOptions(
        languages=tuple(item["languages"]),
        mode=Mode(item["mode"]),
        outputs=tuple(item["outputs"]),
        pages=PageSelection.parse(item["pages"]),
    )


def from_document(document: Document) -> Item:
    """A map attribute."""
    return {
        "filename": document.filename,
        "media_type": document.media_type,
        "bytes": document.bytes,
        "sha256": document.sha256,
        "pages": document.pages,
    }


def _to_document(item: Item) -> Document:
    return Document(
        filename=item["filename"],
        media_type=item["media_type"],
        bytes=int(item["bytes"]),
        sha256=item["sha256"],
        pages=None if item["pages"] is None else int(item["pages"]),
    )


def from_progress(progress: Progress) -> Item:
    """A map attribute."""
    return {"pages_done": progress.pages_done, "pages_total": progress.pages_total}


def from_failure(failure: JobFailure) -> Item:
    """A map attribute."""
    return {
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "page": failure.page,
    }


def _to_failure(item: Item) -> JobFailure:
    return JobFailure(
        code=item["code"],
        message=item["message"],
        retryable=item["retryable"],
        page=None if item["page"] is None else int(item["page"]),
    )


def from_result(result: Result) -> Item:
    """A map attribute; DynamoDB takes no floats, so confidences are Decimals with two digits."""
    confidence = result.confidence
    return {
        "attempt": result.attempt,
        "revision": result.revision,
        "outputs": list(result.outputs),
        "pages": result.pages,
        "triage": result.triage.value,
        "warnings": list(result.warnings),
        "failed_pages": list(result.failed_pages),
        "deduplicated_from": result.deduplicated_from,
        "confidence": None
        if confidence is None
        else {
            "mean": _decimal(confidence.mean),
            "p10": _decimal(confidence.p10),
            "lowest_page": confidence.lowest_page,
            "lowest": _decimal(confidence.lowest),
        },
    }


def _to_result(item: Item) -> Result:
    confidence = item["confidence"]
    return Result(
        attempt=int(item["attempt"]),
        revision=int(item["revision"]),
        outputs=tuple(item["outputs"]),
        pages=int(item["pages"]),
        triage=Triage(item["triage"]),
        warnings=tuple(item["warnings"]),
        failed_pages=tuple(int(page) for page in item["failed_pages"]),
        deduplicated_from=item.get("deduplicated_from"),
        confidence=None
        if confidence is None
        else Confidence(
            mean=float(confidence["mean"]),
            p10=float(confidence["p10"]),
            lowest_page=int(confidence["lowest_page"]),
            lowest=float(confidence["lowest"]),
        ),
    )


def _decimal(value: float) -> Decimal:
    return Decimal(str(round(value, 2)))
