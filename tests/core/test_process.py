"""Which processes live."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hybrid_ocr_core.process import is_alive


def test_a_process_lives_until_it_has_ended() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert is_alive(str(os.getpid()))
    assert is_alive("1")  # somebody else's
    assert not is_alive(str(ended.pid))


@pytest.mark.parametrize("pid", ["", "tmp", "-1", "9" * 30])
def test_what_is_no_number_of_a_process_is_none(pid: str) -> None:
    assert not is_alive(pid)
