"""A signal reaches the program: no shell stands between it and the container runtime."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.conftest import ROOT

_DOCKERFILES = [*ROOT.glob("hybrid-ocr-*/Dockerfile"), ROOT / "infra/local/Dockerfile"]


@pytest.mark.failure(34)
@pytest.mark.parametrize("path", _DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_entry_point_is_in_exec_form_and_runs_the_program_itself(path: Path) -> None:
    lines = re.findall(r"^(?:ENTRYPOINT|CMD)\s+(.+)$", path.read_text(), flags=re.MULTILINE)

    assert lines
    commands = [json.loads(line) for line in lines]  # a shell form is no JSON
    assert commands[0][0] == "python"


@pytest.mark.failure(34)
def test_compose_gives_every_service_an_init_and_time_to_stop() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert {"api", "worker", "aws"} <= services.keys()
    for name, service in services.items():
        assert service["init"] is True, name
        assert not isinstance(service.get("entrypoint", []), str), name
        assert not isinstance(service.get("command", []), str), name
    grace = int(services["worker"]["environment"]["OCR_GRACE_SECONDS"])
    assert grace + 5 < int(services["worker"]["stop_grace_period"].removesuffix("s"))
