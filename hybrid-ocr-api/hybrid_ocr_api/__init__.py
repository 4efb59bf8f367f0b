"""The HTTP API. ``submission.py`` tells its story: S3, then DynamoDB, then SQS.

``create_app`` is the composition root: the only place that wires settings, stores and routes. Nothing connects or
reads the environment at import.
"""

from __future__ import annotations

import datetime as dt
import secrets

from flask import Flask, Response, g, request

from hybrid_ocr_api import auth, batches, errors, health, jobs
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_core import aws
from hybrid_ocr_core.batch_store import BatchStore
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job_list import JobList
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places

#: Form fields and multipart headers beside the file itself.
_FORM_OVERHEAD_BYTES = 256 * 1024


def create_app(settings: ApiSettings, services: Services | None = None) -> Flask:
    """Make the WSGI application; ``services`` lets a test bring its own clock or clients."""
    app = Flask(__name__, static_folder=None)
    # Limits that hold before a body is read. Werkzeug spools a file part over 500 kB to disk, so the memory of the
    # process does not grow with the upload.
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_upload_bytes + _FORM_OVERHEAD_BYTES,
        MAX_FORM_MEMORY_SIZE=_FORM_OVERHEAD_BYTES,
        MAX_FORM_PARTS=20,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it; fields keep our order
    app.extensions["hybrid_ocr"] = services or _connect(settings)
    app.before_request(_name_request)
    app.before_request(auth.require_key)
    app.after_request(_add_security_headers)
    errors.register(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(jobs.blueprint)
    app.register_blueprint(batches.blueprint)
    return app


def _connect(settings: ApiSettings) -> Services:
    clients = aws.connect(settings.aws)
    lease = dt.timedelta(seconds=settings.lease_seconds)
    jobs = JobStore(clients.dynamodb, settings.aws.table, lease=lease, attempt_budget=0)
    queue = JobQueue(clients.sqs, settings.aws.queue_urls, settings.aws.dead_letter_queue_url)
    places = Places(clients.dynamodb, settings.aws.table, most=settings.tenant_jobs_in_lane, lease=lease)
    contents = Contents(clients.dynamodb, settings.aws.table)
    return Services(
        settings=settings,
        jobs=jobs,
        list=JobList(clients.dynamodb, settings.aws.table, jobs),
        batches=BatchStore(clients.dynamodb, settings.aws.table),
        queue=queue,
        dispatch=Dispatch(jobs, queue, places, contents if settings.deduplicate else None),
        documents=DocumentStore(clients.s3, settings.aws.bucket, clients.s3_public),
    )


def _name_request() -> None:
    """Give each request an id of our own: a client's would be a foreign string in the log."""
    g.request_id = secrets.token_hex(8)


def _add_security_headers(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
