"""Pages on the scratch disk, a file each: the worker's memory does not grow with the document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields as fields_of
from operator import attrgetter
from pathlib import Path
from typing import Any

from hybrid_ocr_worker.ocr.result import PageResult, Source, Word

_PAGE_FIELDS = tuple(field.name for field in fields_of(PageResult))
_WORD_FIELDS = tuple(field.name for field in fields_of(Word))
#: A word is stored as the list of its values.
_values_of = attrgetter(*_WORD_FIELDS)


def write_page(directory: Path, page: PageResult) -> None:
    """Store one page; whole or not at all."""
    path = page_path(directory, page.page)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    # Not asdict: it takes longer than everything else that is done to a page of native text.
    fields = {name: getattr(page, name) for name in _PAGE_FIELDS}
    fields["words"] = [_values_of(word) for word in page.words]
    part.write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def read_page(directory: Path, number: int) -> PageResult:
    """Read one page back."""
    fields = json.loads(page_path(directory, number).read_text(encoding="utf-8"))
    fields["words"] = tuple(map(_word_of, fields["words"]))
    fields["source"] = Source(fields["source"])
    fields["pixels"] = tuple(fields["pixels"]) if fields["pixels"] else None
    return PageResult(**fields)


def read_pages(directory: Path, numbers: Iterable[int]) -> Iterator[PageResult]:
    """Read pages one after the other."""
    return (read_page(directory, number) for number in numbers)


def _word_of(values: list[Any]) -> Word:
    text, confidence, bbox, block, paragraph, line, native = values
    return Word(
        text=text,
        confidence=confidence,
        bbox=tuple(bbox),
        block=block,
        paragraph=paragraph,
        line=line,
        native=native,
    )


def page_path(directory: Path, number: int) -> Path:
    """Where a page is."""
    return directory / "pages" / f"{number:06d}.json"
