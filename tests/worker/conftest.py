"""A worker with everything real: store, queue and documents on moto, and a warm sandbox with Tesseract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.recognition import EngineInfo, Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.settings import WorkerSettings
from hybrid_ocr_worker.shutdown import Shutdown


@pytest.fixture
def real_processor(store: JobStore, queue: JobQueue, documents: DocumentStore, tmp_path: Path) -> Iterator[Processor]:
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
            documents=documents,
            recogniser=Recogniser(settings, sandbox, engine),
            sandbox=sandbox,
            shutdown=Shutdown(grace_seconds=0),
            scratch=tmp_path,
        )
