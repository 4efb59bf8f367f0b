"""Plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hybrid_ocr_worker.ocr.formats.writing import opened, whole
from hybrid_ocr_worker.ocr.result import PageResult


def write_txt(pages: Iterable[PageResult], target: Path) -> Iterator[PageResult]:
    """Write the text of every page, each ended by a line end, with a form feed between two pages."""
    with opened(target) as file:
        for number, page in enumerate(pages):
            file.write("\f" * (number > 0) + whole(page.text) + "\n")
            yield page
