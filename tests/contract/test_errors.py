"""The README's table of errors, and what docs/api.md says of failed jobs, are those of the code."""

from __future__ import annotations

import re

from hybrid_ocr_api.errors import PROBLEMS
from hybrid_ocr_core.errors import DOCUMENT_CODES
from tests.conftest import ROOT

#: Said of a method that a path does not have; its usual status is 400.
_METHOD = (405, "bad_request")


def test_the_readme_has_every_code_with_its_status_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", _section("README.md", "Errors"), re.MULTILINE)
    shown = [(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)]

    assert sorted(shown) == sorted([*((status.value, code) for code, (status, _) in PROBLEMS.items()), _METHOD])


def test_the_documentation_has_every_code_of_a_failed_job_and_no_other() -> None:
    listed = _section("docs/api.md", "What fails").partition("one of")[2].partition("A page that")[0]

    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(DOCUMENT_CODES)


def _section(file: str, heading: str) -> str:
    return (ROOT / file).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
