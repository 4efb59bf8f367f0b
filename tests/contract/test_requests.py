"""Every request is one act: none answers 200 with half of it done. Transactions do all or nothing."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

_BATCHES = re.compile(r"\.(batch_\w+|\w+_batch|delete_objects|upload_fileobj|upload_file)\(")


@pytest.mark.failure(9)
def test_no_batch_is_sent() -> None:
    files = [path for path in ROOT.glob("hybrid-ocr-*/hybrid_ocr_*/**/*.py") if "build" not in path.parts]
    found = {str(path.relative_to(ROOT)): _BATCHES.findall(path.read_text()) for path in files}

    assert len(files) > 20
    assert {path: calls for path, calls in found.items() if calls} == {}
