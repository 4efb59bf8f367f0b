"""What the API reads from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_ocr_api.token_settings import TokenSettings
from hybrid_ocr_core.job import LONGEST_RETENTION_DAYS, Retention
from hybrid_ocr_core.settings import (
    AwsSettings,
    Reader,
    WebhookSettings,
    read_languages,
    read_tenant_jobs_in_lane,
    read_tenant_pages_a_day,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLimits:
    """What each tenant may have; 0: as much as it likes."""

    requests_a_minute: int = 0
    jobs_in_flight: int = 0
    pages_a_day: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """What holds where a client says nothing, and the most that it may say."""

    usual: Retention
    most_days: int

    @classmethod
    def read(cls, reader: Reader) -> RetentionSettings:
        """``OCR_RETENTION_DAYS`` and its kin."""
        most = reader.integer("OCR_MAX_RETENTION_DAYS", LONGEST_RETENTION_DAYS, least=1, most=LONGEST_RETENTION_DAYS)
        days = reader.integer("OCR_RETENTION_DAYS", min(30, most), least=1, most=most)
        source_days = reader.integer("OCR_SOURCE_RETENTION_DAYS", min(14, days), most=days)
        return cls(usual=Retention(days=days, source_days=source_days), most_days=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """One API process. ``api_key`` is never logged; empty: there is none beside those in the table."""

    aws: AwsSettings
    api_key: str
    key_cache_seconds: int
    tokens: TokenSettings | None
    languages: tuple[str, ...]
    max_upload_bytes: int
    max_direct_upload_bytes: int
    upload_url_seconds: int
    max_batch_bytes: int
    max_batch_files: int
    result_url_seconds: int
    retention: RetentionSettings
    lease_seconds: int
    tenant_jobs_in_lane: int
    tenant_limits: TenantLimits
    deduplicate: bool
    webhooks: WebhookSettings
    log_level: str
    #: /metrics without a key.
    metrics_open: bool = False

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> ApiSettings:
        """Parse the environment.

        Raises:
            SettingsError: lists every variable that is missing or wrong.
        """
        reader = Reader(environment)
        settings = cls(
            aws=AwsSettings.read(reader),
            api_key=reader.text("OCR_API_KEY", ""),
            key_cache_seconds=reader.integer("OCR_KEY_CACHE_SECONDS", 30, most=3600),
            tokens=TokenSettings.read(reader),
            languages=read_languages(reader),
            max_upload_bytes=reader.integer("OCR_MAX_UPLOAD_MB", 200, least=1) << 20,
            # S3 takes 5 GB in one POST, and copies as much in one request.
            max_direct_upload_bytes=reader.integer("OCR_MAX_DIRECT_UPLOAD_MB", 500, least=1, most=5000) << 20,
            upload_url_seconds=reader.integer("OCR_UPLOAD_URL_SECONDS", 3600, least=60, most=12 * 3600),
            max_batch_bytes=reader.integer("OCR_MAX_BATCH_MB", 1000, least=1) << 20,
            max_batch_files=reader.integer("OCR_MAX_BATCH_FILES", 1000, least=1, most=10_000),
            result_url_seconds=reader.integer("OCR_RESULT_URL_SECONDS", 900, least=60, most=7 * 24 * 3600),
            retention=RetentionSettings.read(reader),
            lease_seconds=reader.integer("OCR_LEASE_SECONDS", 60, least=3, most=3600),
            tenant_jobs_in_lane=read_tenant_jobs_in_lane(reader),
            tenant_limits=TenantLimits(
                requests_a_minute=reader.integer("OCR_TENANT_REQUESTS_A_MINUTE", 0),
                jobs_in_flight=reader.integer("OCR_TENANT_JOBS_IN_FLIGHT", 0),
                pages_a_day=read_tenant_pages_a_day(reader),
            ),
            deduplicate=reader.choice("OCR_DEDUPLICATE", "1", ("0", "1")) == "1",
            webhooks=WebhookSettings.read(reader),
            log_level=reader.choice("OCR_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            metrics_open=reader.choice("OCR_METRICS_OPEN", "0", ("0", "1")) == "1",
        )
        reader.finish()
        return settings
