"""Requests that may answer 200 with half of them done are made in two places only, which see to the other half."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

_BATCHES = re.compile(r"\.(batch_\w+|\w+_batch|delete_objects|upload_fileobj|upload_file)\(")


@pytest.mark.failure(9)
def test_batch_calls_are_made_where_their_halves_are_known_and_nowhere_else() -> None:
    files = [path for path in ROOT.glob("hybrid-ocr-*/hybrid_ocr_*/**/*.py") if "build" not in path.parts]
    found = {path.name: _BATCHES.findall(path.read_text()) for path in files}

    assert len(files) > 20
    assert {name: calls for name, calls in found.items() if calls} == {
        "job_queue.py": ["send_message_batch"],
        "table.py": ["batch_get_item", "batch_write_item"],
    }
