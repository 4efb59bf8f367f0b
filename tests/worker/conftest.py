"""A worker with everything real (AWS is moto, and there is a warm sandbox with Tesseract), and one without the OCR."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import JobId, Lane
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.recognition import EngineInfo, Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown
from tests.builders import FakeClock, a_document, a_job
from tests.recognisers import ScriptedRecogniser

CONTENT = b"%PDF-1.7 stub"


@pytest.fixture
def real_processor(
    store: JobStore, queue: JobQueue, documents: DocumentStore, dispatch: Dispatch, tmp_path: Path
) -> Iterator[Processor]:
    settings = WorkerSettings.from_env(
        {"AWS_REGION": "r", "OCR_S3_BUCKET": "b", "OCR_DDB_TABLE": "t", "OCR_SQS_URL": "u"}
    )
    with WarmSandbox(directory=tmp_path / "tmp", memory_bytes=2 << 30, pages=200) as sandbox:
        found = sandbox.call_twice("probe", seconds=60, engine="auto", **sandbox.limits_for(0))
        engine = EngineInfo(name=found["name"], tesseract=found["tesseract"], languages=("eng",))
        yield Processor(
            settings=settings,
            store=store,
            queue=queue,
            dispatch=dispatch,
            intake=Intake(queue, weights=settings.lane_weights, visibility_seconds=60),
            documents=documents,
            recogniser=Recogniser(settings, sandbox, engine),
            sandbox=sandbox,
            shutdown=Shutdown(grace_seconds=0),
            scratch=tmp_path,
        )


@pytest.fixture
def recogniser() -> ScriptedRecogniser:
    return ScriptedRecogniser()


@pytest.fixture
def processor(
    aws_settings: AwsSettings,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    dispatch: Dispatch,
    clock: FakeClock,
    recogniser: ScriptedRecogniser,
    tmp_path: Path,
) -> Processor:
    environment = {
        "AWS_REGION": aws_settings.region,
        "OCR_S3_BUCKET": aws_settings.bucket,
        "OCR_DDB_TABLE": aws_settings.table,
        "OCR_SQS_URL": aws_settings.queue_urls[Lane.NORMAL],
        "OCR_SQS_DLQ_URL": aws_settings.dead_letter_queue_url,
    }
    settings = WorkerSettings.from_env(environment)
    return Processor(
        settings=settings,
        store=store,
        queue=queue,
        dispatch=dispatch,
        intake=Intake(queue, weights=settings.lane_weights, visibility_seconds=60),
        documents=documents,
        recogniser=cast("Recogniser", recogniser),
        sandbox=WarmSandbox(directory=tmp_path, memory_bytes=1 << 31, pages=200),
        shutdown=Shutdown(grace_seconds=0),
        scratch=tmp_path,
        clock=clock,
    )


@pytest.fixture
def job(store: JobStore, queue: JobQueue, documents: DocumentStore) -> JobId:
    """Submitted: in bucket, table and queue."""
    job = a_job(document=a_document(CONTENT))
    documents.put_source(job.id, io.BytesIO(CONTENT), "application/pdf")
    store.create(job)
    queue.send(job.id)
    return job.id
