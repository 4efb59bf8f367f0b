"""Pages on the scratch disk, a file each: the worker's memory does not grow with the document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from hybrid_ocr_worker.ocr.result import PageResult, Source, Word


def write_page(directory: Path, page: PageResult) -> None:
    """Store one page; whole or not at all."""
    path = page_path(directory, page.page)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(page), ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def read_page(directory: Path, number: int) -> PageResult:
    """Read one page back."""
    fields = json.loads(page_path(directory, number).read_text(encoding="utf-8"))
    words = tuple(Word(**{**word, "bbox": tuple(word["bbox"])}) for word in fields.pop("words"))
    pixels = fields.pop("pixels")
    source = Source(fields.pop("source"))
    return PageResult(**fields, words=words, source=source, pixels=tuple(pixels) if pixels else None)


def read_pages(directory: Path, numbers: Iterable[int]) -> Iterator[PageResult]:
    """Read pages one after the other."""
    return (read_page(directory, number) for number in numbers)


def page_path(directory: Path, number: int) -> Path:
    """Where a page is."""
    return directory / "pages" / f"{number:06d}.json"
