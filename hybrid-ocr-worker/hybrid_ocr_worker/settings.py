"""What a worker reads from its environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_ocr_core.job import Lane
from hybrid_ocr_core.settings import (
    AwsSettings,
    Reader,
    WebhookSettings,
    read_languages,
    read_tenant_jobs_in_lane,
    read_tenant_pages_a_day,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """One worker process."""

    aws: AwsSettings
    processes: int
    engine: str
    languages: tuple[str, ...]
    scratch: Path
    lease_seconds: int
    heartbeat_seconds: int
    attempt_budget: int
    job_seconds: int
    grace_seconds: int
    sweep_seconds: int
    max_pages: int
    max_image_megapixels: int
    preflight_seconds: int
    page_seconds: int
    child_memory_mb: int
    child_pages: int
    chunk_pages: int
    chunks_in_lane: int
    tenant_jobs_in_lane: int
    tenant_pages_a_day: int
    lane_weights: Mapping[Lane, int]
    failed_pages_percent: int
    webhooks: WebhookSettings
    log_level: str
    metrics_port: int
    metrics_host: str

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> WorkerSettings:
        """Parse the environment.

        Raises:
            SettingsError: lists every variable that is missing or wrong.
        """
        reader = Reader(environment)
        settings = cls(
            aws=AwsSettings.read(reader),
            processes=reader.integer("OCR_WORKER_PROCESSES", 0) or os.cpu_count() or 1,
            engine=reader.choice("OCR_ENGINE", "auto", ("auto", "tesserocr", "pytesseract")),
            languages=read_languages(reader),
            scratch=Path(reader.text("OCR_SCRATCH_DIR", f"{tempfile.gettempdir()}/hybrid-ocr")),
            lease_seconds=reader.integer("OCR_LEASE_SECONDS", 60, least=3, most=3600),
            heartbeat_seconds=reader.integer("OCR_HEARTBEAT_SECONDS", 20, least=1),
            attempt_budget=reader.integer("OCR_ATTEMPT_BUDGET", 5, least=1),
            # SQS hides a message for 12 h in all, so a job must end well before.
            job_seconds=reader.integer("OCR_JOB_SECONDS", 6 * 3600, least=1, most=10 * 3600),
            grace_seconds=reader.integer("OCR_GRACE_SECONDS", 25),
            sweep_seconds=reader.integer("OCR_SWEEP_SECONDS", 30, least=1),
            max_pages=reader.integer("OCR_MAX_PAGES", 3000, least=1),
            max_image_megapixels=reader.integer("OCR_MAX_IMAGE_MEGAPIXELS", 100, least=1),
            preflight_seconds=reader.integer("OCR_PREFLIGHT_SECONDS", 10, least=1),
            page_seconds=reader.integer("OCR_PAGE_SECONDS", 60, least=1),
            child_memory_mb=reader.integer("OCR_CHILD_MEMORY_MB", 2048, least=512),
            child_pages=reader.integer("OCR_CHILD_PAGES", 200, least=1),
            chunk_pages=reader.integer("OCR_CHUNK_PAGES", 10, least=1),
            chunks_in_lane=reader.integer("OCR_CHUNKS_IN_LANE", 16, least=1),
            tenant_jobs_in_lane=read_tenant_jobs_in_lane(reader),
            tenant_pages_a_day=read_tenant_pages_a_day(reader),
            lane_weights=_read_lane_weights(reader),
            failed_pages_percent=reader.integer("OCR_FAILED_PAGES_PERCENT", 10, most=100),
            webhooks=WebhookSettings.read(reader),
            log_level=reader.choice("OCR_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            metrics_port=reader.integer("OCR_METRICS_PORT", 0, most=65535),
            metrics_host=reader.text("OCR_METRICS_HOST", "127.0.0.1"),
        )
        reader.expect(
            settings.heartbeat_seconds * 3 <= settings.lease_seconds,
            f"OCR_HEARTBEAT_SECONDS={settings.heartbeat_seconds} must be at most a third of "
            f"OCR_LEASE_SECONDS={settings.lease_seconds}, so that two beats may be lost",
        )
        reader.finish()
        return settings


def _read_lane_weights(reader: Reader) -> Mapping[Lane, int]:
    """``OCR_LANE_WEIGHTS``: turns of high, normal and low, when all of them have messages."""
    text = reader.text("OCR_LANE_WEIGHTS", "6,3,1")
    words = [word.strip() for word in text.split(",")]
    holds = len(words) == len(Lane) and all(word.isdecimal() and 1 <= int(word) <= 1000 for word in words)
    reader.expect(holds, f"OCR_LANE_WEIGHTS={text!r} must be three whole numbers from 1 to 1000, as in 6,3,1")
    return dict(zip(Lane, (int(word) for word in words), strict=True)) if holds else {}
