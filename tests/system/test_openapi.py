"""Everything that the document allows, and much that it does not, is asked of the running service by schemathesis.

No answer may be a 5xx, or differ from the document; what it allows must be taken, and what it does not, refused.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, WEBHOOK_SECRET
from tests.system.stack import KEY, Stack

_DOCUMENT = (ROOT / "tests/documents/rot90.pdf").read_bytes()
#: Nobody listens there.
_RECEIVER = "http://127.0.0.1:9/"


@pytest.fixture
def open_stack(tmp_path: Path) -> Iterator[Stack]:
    """One that lets webhooks go to this machine, and that ends with what was sent to it."""
    variables = {"OCR_WEBHOOK_SECRET": WEBHOOK_SECRET, "OCR_WEBHOOK_ALLOW_PRIVATE": "1", "OCR_WORKER_PROCESSES": "1"}
    with Stack(tmp_path / "data", **variables) as stack:
        yield stack


def _try(stack: Stack, *options: str) -> int:
    """Returns the number of cases."""
    done = stack.read(_DOCUMENT, webhook_url=_RECEIVER)["job"]["job_id"]
    program = str(Path(sys.executable).with_name("schemathesis"))
    config = ["--config-file", str(ROOT / "tests/system/schemathesis.toml")]
    command = [program, *config, "run", f"{stack.url}/openapi.json", "--no-color"]
    packages = os.pathsep.join(str(ROOT / name) for name in ("hybrid-ocr-api", "hybrid-ocr-core"))
    environment = {**os.environ, "PYTHONPATH": packages, "API_KEY": KEY, "DONE_JOB": done, "COLUMNS": "200"}
    run = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert run.returncode == 0, re.sub("(?m)^ +curl .*$", "    curl ...", run.stdout)[-8000:] + run.stderr
    found = re.search(r"([\d,]+) generated", run.stdout)
    assert found is not None, run.stdout
    summary = run.stdout[run.stdout.index("Test cases:") :]
    print(summary)
    return int(found[1].replace(",", ""))


def test_the_document_and_the_service_agree(open_stack: Stack) -> None:
    assert _try(open_stack, "--max-examples", "20", "--seed", "1") > 300


@pytest.mark.long
def test_they_agree_whatever_is_sent(open_stack: Stack) -> None:
    """With another seed each time; the output has it."""
    assert _try(open_stack, "--max-examples", "300") > 3000
