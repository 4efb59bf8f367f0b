"""Every request is one act: no call may answer 200 and have done half of what was asked."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

_BATCHES = re.compile(r"\.(batch_\w+|\w+_batch|transact_\w+|delete_objects|upload_fileobj|upload_file)\(")


@pytest.mark.failure(9, 10)
def test_no_batch_and_no_transaction_is_sent() -> None:
    files = [path for path in ROOT.glob("hybrid-ocr-*/hybrid_ocr_*/**/*.py") if "build" not in path.parts]
    found = {str(path.relative_to(ROOT)): _BATCHES.findall(path.read_text()) for path in files}

    assert len(files) > 20
    assert {path: calls for path, calls in found.items() if calls} == {}
