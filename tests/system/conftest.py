"""The whole service as `make run` starts it: launcher, emulator, API and workers as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack") / "data") as stack:
        yield stack


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """One that a test may break."""
    seconds = {
        "OCR_LEASE_SECONDS": "6",
        "OCR_HEARTBEAT_SECONDS": "2",
        "OCR_GRACE_SECONDS": "1",
        "OCR_SWEEP_SECONDS": "2",
    }
    with Stack(tmp_path / "data", **seconds) as stack:
        yield stack
