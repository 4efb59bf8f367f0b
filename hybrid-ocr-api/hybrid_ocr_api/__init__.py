"""The HTTP API. ``submission.py`` tells its story: S3, then DynamoDB, then SQS.

``create_app`` is the composition root: the only place that wires settings, stores and routes. Nothing connects or
reads the environment at import.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from hybrid_ocr_api import (
    access,
    auth,
    batches,
    direct_uploads,
    errors,
    health,
    jobs,
    metrics,
    openapi,
    reference,
    request_context,
    slow_clients,
)
from hybrid_ocr_api.identities import Identities
from hybrid_ocr_api.jwks import Jwks, OneKey
from hybrid_ocr_api.key_ring import KeyRing
from hybrid_ocr_api.key_store import KeyStore
from hybrid_ocr_api.patience import Patience
from hybrid_ocr_api.quotas import Quotas
from hybrid_ocr_api.rate_limit import RateLimit
from hybrid_ocr_api.services import Services
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_api.tokens import Tokens
from hybrid_ocr_api.waiting import Waiting
from hybrid_ocr_core import aws
from hybrid_ocr_core.batch_store import BatchStore
from hybrid_ocr_core.contents import Contents
from hybrid_ocr_core.direct_upload_store import DirectUploadStore
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.idempotency import IdempotencyKeys
from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.job_list import JobList
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.usage import Usage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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
    parts = services or _connect(settings)
    app.extensions["hybrid_ocr"] = parts
    request_context.register(app)
    metrics.register(app)
    parts.slots.install(app)
    slow_clients.install(app)
    app.before_request(auth.let_in)
    app.after_request(auth.tell_rate)
    app.after_request(_add_security_headers)
    errors.register(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(jobs.blueprint)
    app.register_blueprint(direct_uploads.blueprint)
    app.register_blueprint(batches.blueprint)
    app.register_blueprint(reference.blueprint)
    access.check(app)
    openapi.check(app)
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
        identities=identities(settings, clients.dynamodb),
        quotas=quotas(settings, clients.dynamodb),
        jobs=jobs,
        uploads=DirectUploadStore(clients.dynamodb, settings.aws.table),
        list=JobList(clients.dynamodb, settings.aws.table, jobs),
        batches=BatchStore(clients.dynamodb, settings.aws.table),
        keys=IdempotencyKeys(clients.dynamodb, settings.aws.table),
        queue=queue,
        dispatch=Dispatch(jobs, queue, places, contents if settings.deduplicate else None),
        documents=DocumentStore(clients.s3, settings.aws.bucket, clients.s3_public),
        endpoints=EndpointStore(clients.dynamodb, settings.aws.table, default_secrets=settings.webhooks.secrets),
        waiting=Waiting(jobs.standings),
        patience=Patience(queue.depth),
    )


def identities(settings: ApiSettings, dynamodb: DynamoDBClient, clock: Clock = utc_now) -> Identities:
    """Everybody who is known: by the settings, by the table, by an identity provider."""
    store = KeyStore(dynamodb, settings.aws.table, clock)
    tokens = None
    if settings.tokens is not None:
        key = settings.tokens.public_key
        tokens = Tokens(settings.tokens, OneKey(key) if key is not None else Jwks(settings.tokens))
    return Identities(
        one_key=settings.api_key,
        keys=KeyRing(store, keep_seconds=settings.key_cache_seconds, clock=clock),
        tokens=tokens,
    )


def quotas(settings: ApiSettings, dynamodb: DynamoDBClient, clock: Clock = utc_now) -> Quotas:
    """What tenants may have."""
    limits, table = settings.tenant_limits, settings.aws.table
    most = limits.requests_a_minute
    rate = RateLimit(dynamodb, table, most=most, clock=clock) if most else None
    return Quotas(limits, Usage(dynamodb, table, clock), rate, clock)


def _add_security_headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    # The page of /docs has one of its own.
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
