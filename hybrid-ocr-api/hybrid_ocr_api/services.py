"""What a request needs, made once by ``create_app``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from hybrid_ocr_api.identities import Identities
from hybrid_ocr_api.patience import Patience
from hybrid_ocr_api.quotas import Quotas
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_api.slots import Slots
from hybrid_ocr_api.waiting import Waiting
from hybrid_ocr_core.batch_store import BatchStore
from hybrid_ocr_core.direct_upload_store import DirectUploadStore
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.idempotency import IdempotencyKeys
from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.job_list import JobList
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The stores, the queue, who is known and what they may have, the settings and the time."""

    settings: ApiSettings
    identities: Identities
    quotas: Quotas
    jobs: JobStore
    uploads: DirectUploadStore
    list: JobList
    batches: BatchStore
    keys: IdempotencyKeys
    queue: JobQueue
    documents: DocumentStore
    dispatch: Dispatch
    endpoints: EndpointStore
    waiting: Waiting
    patience: Patience
    slots: Slots = field(default_factory=Slots)
    clock: Clock = utc_now


def services() -> Services:
    """Those of the application that serves the current request."""
    return cast("Services", current_app.extensions["hybrid_ocr"])
