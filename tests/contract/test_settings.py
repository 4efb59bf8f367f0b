"""Every variable that is read stands in .env.example with its default, and nothing else does."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dotenv import dotenv_values

from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_core.errors import SettingsError
from hybrid_ocr_worker.settings import WorkerSettings
from infra.local.environment import LauncherSettings
from tests.conftest import ROOT, WEBHOOK_SECRET

_SOURCES = ("hybrid-ocr-api", "hybrid-ocr-core", "hybrid-ocr-worker", "infra")
_REQUIRED = {"AWS_REGION", "OCR_S3_BUCKET", "OCR_DDB_TABLE", "OCR_SQS_URL"}


def _example() -> dict[str, str]:
    return {name: value or "" for name, value in dotenv_values(ROOT / ".env.example").items()}


def _read_in_code() -> set[str]:
    files = [path for folder in _SOURCES for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts]
    text = "\n".join(Path(path).read_text() for path in files) + (ROOT / "docker-compose.yml").read_text()
    return set(re.findall(r"\bOCR_[A-Z0-9_]+\b", text))


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    documented = {name for name in _example() if name.startswith("OCR_")}

    assert documented == _read_in_code()


def _sections() -> dict[str, str]:
    """Variable -> the heading that it stands under."""
    found: dict[str, str] = {}
    heading = ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line.startswith("# --- "):
            heading = re.split(r"[.:]", line.removeprefix("# --- "))[0]
        elif match := re.match(r"(OCR_[A-Z0-9_]+)=", line):
            found[match[1]] = heading
    return found


#: Heading -> which services read what stands under it.
_READERS = {
    "Where the data lives": {"api", "worker"},
    "The API": {"api"},
    "The workers": {"worker"},
    "Both": {"api", "worker"},
    "The local stack": {"launcher"},
}
_READERS_OF_ONE = {
    "OCR_PORT": {"launcher"},
    "OCR_METRICS_OPEN": {"api"},
    "OCR_METRICS_PORT": {"worker"},
    "OCR_METRICS_HOST": {"worker"},
    # What the launcher goes by, too.
    "OCR_WORKER_PROCESSES": {"worker", "launcher"},
    "OCR_GRACE_SECONDS": {"worker", "launcher"},
    "OCR_LANGUAGES": {"api", "worker", "launcher"},
}
_TOKENS = {"OCR_JWT_JWKS_URL": "https://id.example/keys", "OCR_JWT_ISSUER": "us", "OCR_JWT_AUDIENCE": "ocr"}
_RSA = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
#: Beside numbers, any text will do where nothing else is said.
_OTHER_VALUES = {
    "OCR_ENGINE": "pytesseract",
    "OCR_JWT_ALGORITHMS": "RS512",
    "OCR_JWT_JWKS_URL": "https://id.example/others",
    "OCR_JWT_PUBLIC_KEY": _RSA.decode().replace("\n", "\\n"),
    "OCR_LANE_WEIGHTS": "6,4,1",
    "OCR_LANGUAGES": "eng",
    "OCR_LEASE_SECONDS": "61",
    "OCR_LOG_LEVEL": "DEBUG",
    "OCR_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "OCR_WORKER_PROCESSES": str((os.cpu_count() or 1) + 1),
}


def _other_value(name: str, default: str) -> str:
    if name in _OTHER_VALUES:
        return _OTHER_VALUES[name]
    if default.isdecimal():
        return str(int(default) - 1) if int(default) else "1"
    return "another"


def _fields(settings: ApiSettings | WorkerSettings | LauncherSettings) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


def _read(environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Service -> all that it goes by."""
    launcher = _fields(LauncherSettings.from_env(environment))
    del launcher["variables"]
    return {
        "api": _fields(ApiSettings.from_env(environment)),
        "worker": _fields(WorkerSettings.from_env(environment)),
        "launcher": launcher,
    }


@pytest.mark.parametrize(("name", "heading"), _sections().items())
def test_another_value_is_another_setting_for_those_whose_heading_it_stands_under(name: str, heading: str) -> None:
    before = _example()
    if name.startswith("OCR_JWT_"):
        before |= _TOKENS
    after = before | {name: _other_value(name, before[name])}
    if name == "OCR_JWT_PUBLIC_KEY":
        after["OCR_JWT_JWKS_URL"] = ""

    was, found = _read(before), _read(after)

    changed = {service for service in was if was[service] != found[service]}
    assert changed == _READERS_OF_ONE.get(name, _READERS.get(heading))


def test_every_variable_has_a_comment() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in pairwise(lines):
        if re.match(r"[A-Z_]+=", line):
            assert above.startswith("# ") or line.startswith("AWS_SECRET_ACCESS_KEY"), line


@pytest.mark.parametrize("settings", [ApiSettings, WorkerSettings])
def test_the_example_shows_the_defaults(settings: type[ApiSettings | WorkerSettings]) -> None:
    example = _example()
    queues = ("OCR_SQS_URL_HIGH", "OCR_SQS_URL_LOW", "OCR_SQS_DLQ_URL")
    least = {name: example[name] for name in (*_REQUIRED, *queues, "OCR_API_KEY")}

    assert asdict(settings.from_env(example)) == asdict(settings.from_env(least))


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        WorkerSettings.from_env({"OCR_LEASE_SECONDS": "soon", "OCR_ENGINE": "abacus", "OCR_HEARTBEAT_SECONDS": "50"})

    told = "\n".join(error.value.problems)
    for name in (*_REQUIRED, "OCR_LEASE_SECONDS", "OCR_ENGINE", "OCR_HEARTBEAT_SECONDS"):
        assert name in told


def test_there_need_not_be_a_key_in_the_settings() -> None:
    assert ApiSettings.from_env({**_example(), "OCR_API_KEY": ""}).api_key == ""


@pytest.mark.parametrize("settings", [ApiSettings, WorkerSettings])
def test_webhooks_may_be_signed_with_several_secrets(settings: type[ApiSettings | WorkerSettings]) -> None:
    first, second = WEBHOOK_SECRET, "whsec_" + "b3RoZXIg" * 5
    for separator in (",", " ", ", "):
        found = settings.from_env({**_example(), "OCR_WEBHOOK_SECRET": f"{first}{separator}{second}"})
        assert found.webhooks.secrets == (first, second)
        assert first not in repr(found)


@pytest.mark.parametrize(
    "secret", ["changeme", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "b3RoZXIg" * 20, "whsec_%%%%" + "b3RoZXIg" * 5]
)
def test_a_secret_that_is_none_is_told_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match="OCR_WEBHOOK_SECRET: number 2") as error:
        WorkerSettings.from_env({**_example(), "OCR_WEBHOOK_SECRET": f"{WEBHOOK_SECRET},{secret}"})

    told = "\n".join(error.value.problems)
    assert WEBHOOK_SECRET not in told
    assert secret == "whsec_" or secret not in told
