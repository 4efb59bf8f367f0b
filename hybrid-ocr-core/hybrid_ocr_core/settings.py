"""Environment -> frozen dataclass, once per process, all mistakes reported at once.

Units are in the names. Every variable read anywhere stands in ``.env.example`` with its default; a test compares.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_ocr_core.errors import SettingsError
from hybrid_ocr_core.job import Lane


class Reader:
    """Reads variables from a mapping and collects what is wrong with them, until ``finish``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A variable as it is; without a default it is required."""
        value = self._environment.get(name, "").strip()
        if value:
            return value
        if default is None:
            self._problems.append(f"{name} is not set; .env.example shows a value")
        return default or ""

    def integer(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A whole number within bounds."""
        value = self._environment.get(name, "").strip()
        if not value:
            return default
        number = int(value) if re.fullmatch(r"[+-]?\d+", value) else None
        if number is None or number < least or (most is not None and number > most):
            bounds = f"at least {least}" if most is None else f"from {least} to {most}"
            self._problems.append(f"{name}={value!r} must be a whole number, {bounds}")
            return default
        return number

    def names(self, name: str, default: str) -> tuple[str, ...]:
        """A list of names, separated by commas, blanks or ``+``."""
        found = tuple(dict.fromkeys(filter(None, re.split(r"[+,\s]+", self.text(name, default)))))
        for item in found:
            self.expect(
                re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", item) is not None,
                f"{name}: {item!r} is not a Tesseract language; write them like eng,deu",
            )
        return found

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One word of a closed list."""
        value = self.text(name, default)
        self.expect(value in choices, f"{name}={value!r} must be one of: {', '.join(choices)}")
        return value

    def expect(self, holds: bool, problem: str) -> None:
        """A cross-check: note the problem unless it holds."""
        if not holds:
            self._problems.append(problem)

    def finish(self) -> None:
        """Raises SettingsError with every problem found."""
        if self._problems:
            raise SettingsError(self._problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """Where the data lives. The endpoint itself (``AWS_ENDPOINT_URL``) and credentials are read by boto3."""

    region: str
    bucket: str
    table: str
    queue_urls: Mapping[Lane, str]
    dead_letter_queue_url: str
    public_endpoint_url: str | None

    @classmethod
    def read(cls, reader: Reader) -> AwsSettings:
        """The variables that every process needs."""
        queue_url = reader.text("OCR_SQS_URL")
        return cls(
            region=reader.text("AWS_REGION"),
            bucket=reader.text("OCR_S3_BUCKET"),
            table=reader.text("OCR_DDB_TABLE"),
            # Without queues of their own all lanes are one.
            queue_urls={
                Lane.HIGH: reader.text("OCR_SQS_URL_HIGH", "") or queue_url,
                Lane.NORMAL: queue_url,
                Lane.LOW: reader.text("OCR_SQS_URL_LOW", "") or queue_url,
            },
            dead_letter_queue_url=reader.text("OCR_SQS_DLQ_URL", ""),
            public_endpoint_url=reader.text("OCR_S3_PUBLIC_ENDPOINT_URL", "") or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What both sides know of webhooks. ``secrets`` are those of tenants without their own; never logged."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    allow_private: bool = False

    @classmethod
    def read(cls, reader: Reader) -> WebhookSettings:
        """``OCR_WEBHOOK_SECRET``, ``OCR_WEBHOOK_ALLOW_PRIVATE``."""
        found = tuple(filter(None, re.split(r"[,\s]+", reader.text("OCR_WEBHOOK_SECRET", ""))))
        for number, secret in enumerate(found, start=1):
            reader.expect(
                _is_secret(secret),
                f"OCR_WEBHOOK_SECRET: number {number} must be whsec_ and then 24 to 64 random bytes in base64",
            )
        allow_private = reader.choice("OCR_WEBHOOK_ALLOW_PRIVATE", "0", ("0", "1")) == "1"
        return cls(secrets=found, allow_private=allow_private)


def _is_secret(text: str) -> bool:
    prefix, _, encoded = text.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


def read_languages(reader: Reader) -> tuple[str, ...]:
    """``OCR_LANGUAGES``: what the workers have installed and the API therefore accepts; the first is the default."""
    return reader.names("OCR_LANGUAGES", "eng,deu,fra,spa,ita")


def read_tenant_jobs_in_lane(reader: Reader) -> int:
    """``OCR_TENANT_JOBS_IN_LANE``: jobs of one tenant in a lane at a time; more than there are workers."""
    return reader.integer("OCR_TENANT_JOBS_IN_LANE", 100, least=1, most=1000)


def read_tenant_pages_a_day(reader: Reader) -> int:
    """``OCR_TENANT_PAGES_A_DAY``: counted by the workers, asked for by the API; 0: neither."""
    return reader.integer("OCR_TENANT_PAGES_A_DAY", 0)
