"""What is set where, and what the processes of the local stack get of it.

What the environment sets wins over ``.env``, and that over ``.env.example``. A ``.env`` made for compose or for AWS
may lie here all the same: everything that says where the data lives is replaced for the local stack. Every other
``AWS_`` variable is withheld from it, so that real credentials never reach the emulator, nor the stack AWS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from hybrid_ocr_core.settings import Reader, read_languages
from infra.local.claims import LOOPBACK

ROOT = Path(__file__).resolve().parents[2]
DOTENV = ROOT / ".env"
EXAMPLE = ROOT / ".env.example"

_HIGHEST_PORT = 65535
#: In the emulator region and names are always those of the example, whatever they are on AWS: by any others the next
#: run would not find the data of the one before.
_FIXED = (
    "AWS_REGION",
    "OCR_S3_BUCKET",
    "OCR_DDB_TABLE",
    "OCR_SQS_URL",
    "OCR_SQS_URL_HIGH",
    "OCR_SQS_URL_LOW",
    "OCR_SQS_DLQ_URL",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherSettings:
    """What ``make run`` itself goes by; ``variables`` is everything that is set, for the children."""

    port: int
    emulator_port: int
    data_dir: Path
    worker_processes: int
    grace_seconds: int
    languages: tuple[str, ...]
    variables: Mapping[str, str]

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> LauncherSettings:
        """Parse the environment.

        Raises:
            SettingsError: lists every variable that is wrong.
        """
        variables = {**read_file(EXAMPLE), **read_file(DOTENV), **environment}
        reader = Reader(variables)
        settings = cls(
            port=reader.integer("OCR_PORT", 8000, least=1, most=_HIGHEST_PORT),
            emulator_port=reader.integer("OCR_EMULATOR_PORT", 4566, least=1, most=_HIGHEST_PORT),
            data_dir=ROOT / Path(reader.text("OCR_DATA_DIR", ".local")).expanduser(),
            worker_processes=reader.integer("OCR_WORKER_PROCESSES", 0) or os.cpu_count() or 1,
            grace_seconds=reader.integer("OCR_GRACE_SECONDS", 25),
            languages=read_languages(reader),
            variables=variables,
        )
        reader.expect(
            settings.port != settings.emulator_port,
            f"OCR_PORT and OCR_EMULATOR_PORT are both {settings.port}; each needs a port of its own",
        )
        reader.finish()
        return settings

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def emulator_url(self) -> str:
        """Where the emulator answers."""
        return f"http://{LOOPBACK}:{self.emulator_port}"


def read_file(path: Path) -> dict[str, str]:
    """The variables of one ``.env`` file; none if there is no such file."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def for_children(settings: LauncherSettings) -> dict[str, str]:
    """The environment of every process of the stack, and of the deployment that makes its resources."""
    variables = {name: value for name, value in settings.variables.items() if not name.startswith("AWS_")}
    example = read_file(EXAMPLE)
    direct = ",".join(filter(None, [variables.get("no_proxy") or variables.get("NO_PROXY"), LOOPBACK, "localhost"]))
    return variables | {
        **{name: example[name] for name in _FIXED},
        "AWS_ENDPOINT_URL": settings.emulator_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "OCR_S3_PUBLIC_ENDPOINT_URL": settings.emulator_url,
        # Everything of .env is in here already; loading it again would bring back what was withheld.
        "PYTHON_DOTENV_DISABLED": "1",
        "PYTHONUNBUFFERED": "1",
        # A proxy that the user needs for the internet must not get the requests to this machine.
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def for_services(settings: LauncherSettings, outputs: Mapping[str, str]) -> dict[str, str]:
    """The environment of API and workers, once the resources are there."""
    return for_children(settings) | {
        "OCR_S3_BUCKET": outputs["BucketName"],
        "OCR_DDB_TABLE": outputs["TableName"],
        "OCR_SQS_URL": at(settings.emulator_url, outputs["QueueUrl"]),
        "OCR_SQS_URL_HIGH": at(settings.emulator_url, outputs["HighQueueUrl"]),
        "OCR_SQS_URL_LOW": at(settings.emulator_url, outputs["LowQueueUrl"]),
        "OCR_SQS_DLQ_URL": at(settings.emulator_url, outputs["DeadLetterQueueUrl"]),
    }


def at(endpoint: str, queue_url: str) -> str:
    """A queue URL at the endpoint of today: the emulator remembers the port on which the queue was made."""
    return endpoint + urlsplit(queue_url).path
