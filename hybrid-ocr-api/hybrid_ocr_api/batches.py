"""The routes of batches: parse, call, render. No AWS here."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request, url_for

from hybrid_ocr_api import batch_submission, batch_upload, batch_view, idempotency, submission
from hybrid_ocr_api.answers import FILES, WISHES, Answer, Answers
from hybrid_ocr_api.auth import caller
from hybrid_ocr_api.contract import api
from hybrid_ocr_api.forms import BatchSubmission, SubmissionHeaders
from hybrid_ocr_api.schemas import BatchView
from hybrid_ocr_api.services import services
from hybrid_ocr_api.spool import Spool
from hybrid_ocr_api.uploads import Upload
from hybrid_ocr_core.batch import Batch, BatchId
from hybrid_ocr_core.errors import BatchNotFound, KeyUsed
from hybrid_ocr_core.job import ID, Job, JobId

blueprint = Blueprint("batches", __name__)

#: Asking reads every job, so a large batch is to be asked about less often.
_FILES_A_SECOND_OF_WAITING = 100


@blueprint.post("/batches")
@api.validate(
    form=BatchSubmission,
    resp=Answers(
        {
            HTTPStatus.ACCEPTED: Answer(
                meaning="Accepted, whatever became of single files.",
                body=BatchView,
                headers=("Location",),
                at_times=("Retry-After", "Idempotent-Replayed"),
                links={"batches_show": "batch_id"},
            )
        },
        *FILES,
        *WISHES,
    ),
    tags=("batches",),
)
def create(headers: SubmissionHeaders) -> tuple[Response, int]:
    """Accept a batch: 202 once it is committed, whatever became of single files, and again under the same key."""
    parts = services()
    key = idempotency.read_key(headers)
    tenant = caller().tenant
    with idempotency.passing_replays(parts, tenant=tenant, operation="batches", key=key):
        parts.quotas.check(tenant)
    with Spool(most_parts=parts.settings.max_batch_files) as spool:
        asked, received = batch_upload.read_request(request, spool, parts.settings)
        wishes = submission.read_wishes(parts, tenant, asked)
        files = batch_upload.read_files(received, spool, parts.settings)
        with idempotency.passing_replays(parts, tenant=tenant, operation="batches", key=key):
            parts.quotas.check_jobs(tenant, sum(isinstance(file, Upload) for file in files))
        replayed = {}
        try:
            batch, jobs = batch_submission.submit(parts, tenant=tenant, files=files, wishes=wishes, key=key)
        except KeyUsed as used:
            batch, jobs = _find(used.made)
            replayed = idempotency.REPLAYED
    response = _answer(batch, jobs)
    response.headers.update(replayed)
    response.headers["Location"] = url_for("batches.show", batch_id=batch.id.batch_id)
    return response, HTTPStatus.ACCEPTED


@blueprint.get("/batches/<batch_id>")
@api.validate(
    resp=Answers({HTTPStatus.OK: Answer(meaning="The batch.", body=BatchView, at_times=("Retry-After",))}, "not_found"),
    tags=("batches",),
)
def show(batch_id: str) -> Response:
    """What became of each file, as its job says at this moment."""
    if not ID.fullmatch(batch_id):
        raise BatchNotFound("there is no such batch")
    return _answer(*_find(batch_id))


def _find(batch_id: str) -> tuple[Batch, dict[JobId, Job]]:
    parts = services()
    batch = parts.batches.get(BatchId(tenant=caller().tenant, batch_id=batch_id))
    return batch, parts.jobs.get_all(batch.jobs)


def _answer(batch: Batch, jobs: dict[JobId, Job]) -> Response:
    response = jsonify(batch_view.render(batch, jobs))
    if not batch_view.status(jobs).is_terminal:
        response.headers["Retry-After"] = str(_retry_after(batch))
    return response


def _retry_after(batch: Batch) -> int:
    return 1 + len(batch.files) // _FILES_A_SECOND_OF_WAITING
