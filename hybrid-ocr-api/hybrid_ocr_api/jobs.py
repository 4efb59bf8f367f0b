"""The routes of jobs: parse, call, render. No AWS here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from hybrid_ocr_api import (
    direct_submission,
    idempotency,
    job_view,
    json_form,
    listing,
    long_poll,
    submission,
    uploads,
    webhook_view,
)
from hybrid_ocr_api.answers import ABSENT, FILES, TEXT, WISHES, Answer, Answers
from hybrid_ocr_api.auth import caller
from hybrid_ocr_api.contract import api
from hybrid_ocr_api.forms import (
    JobFields,
    JobHeaders,
    JobQuery,
    JobSubmission,
    ListQuery,
    SubmissionHeaders,
    UploadSubmission,
)
from hybrid_ocr_api.schemas import JobList, JobView, Page, WebhookView
from hybrid_ocr_api.services import services
from hybrid_ocr_core.errors import JobNotFound, KeyUsed, Unavailable, WebhookUnderWay
from hybrid_ocr_core.job import ID, Job, JobId

#: What a try takes at most, and a little.
_TRY_SECONDS = 30

blueprint = Blueprint("jobs", __name__)

_SUBMITTED = Answer(
    meaning="Accepted.",
    body=JobView,
    headers=("Location",),
    at_times=("Retry-After", "Idempotent-Replayed"),
    links={"jobs_show": "job_id", "jobs_erase": "job_id"},
)
_SHOWN = Answer(meaning="The job.", body=JobView, headers=("ETag",), at_times=("Retry-After", "Preference-Applied"))


@blueprint.post("/jobs")
@api.validate(
    form=JobSubmission,
    json=UploadSubmission,
    resp=Answers(
        {HTTPStatus.ACCEPTED: _SUBMITTED}, *FILES, *WISHES, "upload_incomplete", "upload_used", "upload_expired"
    ),
    tags=("jobs",),
)
def create(headers: SubmissionHeaders) -> tuple[Response, int]:
    """Accept a document: 202 once it is committed, and again for the same request under the same key."""
    parts = services()
    key = idempotency.read_key(headers)
    tenant = caller().tenant
    with idempotency.passing_replays(parts, tenant=tenant, operation="jobs", key=key):
        parts.quotas.check(tenant)
    upload_id, asked = uploads.read_form(request)
    wishes = submission.read_wishes(parts, tenant, asked)
    if upload_id is not None:
        return _accepted(
            lambda: direct_submission.submit(parts, tenant=tenant, upload_id=upload_id, wishes=wishes, key=key)
        )
    upload = uploads.read_upload(request.files, max_bytes=parts.settings.max_upload_bytes)
    return _accepted(lambda: submission.submit(parts, tenant=tenant, upload=upload, wishes=wishes, key=key))


@blueprint.post("/jobs/<job_id>/rerun")
@api.validate(
    json=JobFields,
    resp=Answers({HTTPStatus.ACCEPTED: _SUBMITTED}, *WISHES, "source_gone", "file_too_large"),
    tags=("jobs",),
)
def rerun(job_id: str, headers: SubmissionHeaders) -> tuple[Response, int]:
    """Read the document of a job again, with other options or the same, as a job of its own."""
    parts = services()
    key = idempotency.read_key(headers)
    of = _id(job_id)
    with idempotency.passing_replays(parts, tenant=of.tenant, operation="reruns", key=key):
        parts.quotas.check(of.tenant)
    named = json_form.read(request, JobFields).form()
    return _accepted(lambda: submission.rerun(parts, of=of, named=named, key=key))


def _accepted(submit: Callable[[], Job]) -> tuple[Response, int]:
    """202, and again for the same request under the same key."""
    parts = services()
    try:
        job, headers = submit(), {}
    except KeyUsed as used:
        job, headers = parts.jobs.get(_id(used.made)), idempotency.REPLAYED
    response = jsonify(job_view.render(job, parts))
    response.headers.update(headers)
    response.headers["Location"] = url_for("jobs.show", job_id=job.job_id)
    if not job.status.is_terminal:
        response.headers["Retry-After"] = str(parts.patience.seconds(job.standing, may_ask=False))
    return response, HTTPStatus.ACCEPTED


@blueprint.get("/jobs")
@api.validate(
    resp=Answers({HTTPStatus.OK: Answer(meaning="A page of the list.", body=JobList)}, "invalid_cursor"), tags=("jobs",)
)
def index(query: ListQuery) -> Response:
    """The jobs of the caller's tenant, newest first."""
    parts = services()
    asked = listing.read(query, tenant=caller().tenant)
    page = parts.list.page(asked.tenant, asked.selection, limit=asked.limit, below=asked.below)
    entries = [job_view.entry(job, url_for("jobs.show", job_id=job.job_id)) for job in page.jobs]
    return jsonify({"jobs": entries, "next_cursor": asked.cursor(page.next) if page.next else None})


@blueprint.get("/jobs/<job_id>")
@api.validate(
    resp=Answers(
        {
            HTTPStatus.OK: _SHOWN,
            HTTPStatus.NOT_MODIFIED: replace(_SHOWN, meaning="It is still as the client knows it.", body=None),
        },
        *ABSENT,
    ),
    tags=("jobs",),
)
def show(job_id: str, query: JobQuery, headers: JobHeaders) -> Response:
    """Status, progress, result URLs; with ``wait``, as soon as they change."""
    parts = services()
    identity = _id(job_id)
    wait, knows = long_poll.read(query, headers), long_poll.known_versions(headers)
    standing = None
    if wait.seconds:
        with parts.slots.given_back():
            standing = parts.waiting.wait(identity, knows, wait.seconds)
    if standing is not None:
        response = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        job = parts.jobs.get(identity)
        standing = job.standing
        parts.patience.learn(job)
        is_known = knows is not None and knows(job.version)
        response = Response(status=HTTPStatus.NOT_MODIFIED) if is_known else jsonify(job_view.render(job, parts))
    response.set_etag(str(standing.version))
    response.headers.update(wait.headers)
    if not standing.status.is_terminal:
        response.headers["Retry-After"] = str(parts.patience.seconds(standing))
    return response


@blueprint.delete("/jobs/<job_id>")
@api.validate(resp=Answers({HTTPStatus.NO_CONTENT: Answer(meaning="Erased.")}, "not_found"), tags=("jobs",))
def erase(job_id: str) -> tuple[str, int]:
    """Cancel if it runs, and erase: unreadable at once, the bytes gone within a lease and a sweep."""
    parts = services()
    identity = _id(job_id)
    end = parts.jobs.erase(identity)
    # A crash here, or SQS away, leaves a place in a lane and those who wait for this job's end to the sweeper, which
    # the tombstone calls.
    with contextlib.suppress(Unavailable):
        parts.dispatch.ended(end)
    # A crash here, or S3 away, leaves it the objects, too. It purges again after the lease of a running attempt in any
    # case, for that attempt may still be uploading.
    with contextlib.suppress(Unavailable):
        parts.documents.purge(identity)
    return "", HTTPStatus.NO_CONTENT


@blueprint.get("/jobs/<job_id>/result.<output>")
@api.validate(
    resp=Answers(
        {
            HTTPStatus.SEE_OTHER: Answer(
                meaning="Where the file is, for some minutes; no key is needed there.",
                other_bodies={"text/html": TEXT},
                headers=("Location",),
            )
        },
        *ABSENT,
    ),
    tags=("results",),
)
def result(job_id: str, output: str) -> BaseResponse:
    """Redirect to a fresh presigned URL of one result file."""
    parts = services()
    job = _finished(job_id)
    if job.result is None or output not in job.result.outputs:
        made = ", ".join(job.result.outputs) if job.result else "none"
        raise JobNotFound(f"the job made no {output!r}; it made: {made}")
    url = parts.documents.presign_result(job, output, seconds=parts.settings.result_url_seconds)
    return redirect(url, HTTPStatus.SEE_OTHER)


@blueprint.get("/jobs/<job_id>/pages/<int:number>")
@api.validate(resp=Answers({HTTPStatus.OK: Answer(meaning="The page.", body=Page)}, *ABSENT), tags=("results",))
def page(job_id: str, number: int) -> Response:
    """One page of the result, as the json has it. The json has one page a line, so memory stays flat."""
    job = _finished(job_id)
    start = f'{{"page":{number},'.encode()
    for line in services().documents.result_lines(job):
        if line.startswith(start):
            return Response(line.rstrip(b",\r\n") + b"\n", content_type="application/json")
    raise JobNotFound(f"the result has no page {number}")


@blueprint.get("/jobs/<job_id>/webhook")
@api.validate(
    resp=Answers({HTTPStatus.OK: Answer(meaning="Each event, each try.", body=WebhookView)}, *ABSENT),
    tags=("webhooks",),
)
def webhook(job_id: str) -> Response:
    """What its ``webhook_url`` was told, and when that is tried again."""
    job = _with_webhook(job_id)
    return jsonify(webhook_view.render(job, services().jobs.events.of(job.id)))


@blueprint.post("/jobs/<job_id>/webhook/redeliver")
@api.validate(
    resp=Answers(
        {HTTPStatus.ACCEPTED: Answer(meaning="It is told again, soon.", body=WebhookView)},
        *ABSENT,
        "webhook_under_way",
    ),
    tags=("webhooks",),
)
def redeliver(job_id: str) -> tuple[Response, int]:
    """Tell it once more, from the first try on: the same event, under the same id."""
    parts = services()
    job = _with_webhook(job_id)
    events = parts.jobs.events.of(job.id)
    if not events:
        raise JobNotFound(f"there is nothing to tell yet: the job is {job.status}")
    assert job.webhook_url is not None
    # Who asks for it wants it tried, whatever the receiver said before.
    parts.endpoints.welcome(job.tenant, job.webhook_url)
    # A crash here leaves the event as it was.
    if not parts.jobs.events.redeliver(events[-1].id):
        # What comes of the try under way, nobody knows yet: it may have been the last one.
        raise WebhookUnderWay(retry_after=_TRY_SECONDS)
    return jsonify(webhook_view.render(job, parts.jobs.events.of(job.id))), HTTPStatus.ACCEPTED


def _with_webhook(job_id: str) -> Job:
    job = services().jobs.get(_id(job_id))
    if job.webhook_url is None:
        raise JobNotFound("the job was submitted without a webhook_url")
    return job


def _finished(job_id: str) -> Job:
    job = services().jobs.get(_id(job_id))
    if job.result is None:
        raise JobNotFound(f"there is no result: the job is {job.status}")
    return job


def _id(job_id: str) -> JobId:
    if not ID.fullmatch(job_id):
        raise JobNotFound("there is no such job")
    return JobId(tenant=caller().tenant, job_id=job_id)
