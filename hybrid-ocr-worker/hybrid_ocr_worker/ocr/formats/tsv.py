"""Tab-separated values, as ``tesseract ... tsv`` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from hybrid_ocr_worker.ocr.formats.layout import Block, Raster, blocks_of, words_of
from hybrid_ocr_worker.ocr.formats.writing import in_a_line, opened
from hybrid_ocr_worker.ocr.result import PageResult, Word

_COLUMNS: Final = (
    "level",
    "page_num",
    "block_num",
    "par_num",
    "line_num",
    "word_num",
    "left",
    "top",
    "width",
    "height",
    "conf",
    "text",
)


def write_tsv(pages: Iterable[PageResult], target: Path) -> Iterator[PageResult]:
    """Write a row for each page, block, paragraph, line and word (levels 1 to 5), under a row of column names.

    Numbers count from 1, otherwise as in the json; boxes are in whole pixels of the raster that was read, or in points
    where there was none; conf is -1 except for words. As in Tesseract's own, nothing is quoted: readers have to take a
    quotation mark for itself. A page without words is one row.
    """
    with opened(target) as file:
        file.write("\t".join(_COLUMNS) + "\n")
        for page in pages:
            file.writelines(_page(page))
            yield page


def _page(page: PageResult) -> Iterator[str]:
    raster = Raster.of(page)
    yield _row(1, (page.page, 0, 0, 0, 0), (0, 0, round(raster.columns), round(raster.rows)))
    for block in blocks_of(page):
        yield from _block(block, page.page, raster)


def _block(block: Block, page: int, raster: Raster) -> Iterator[str]:
    number = block[0][0][0].block + 1
    yield _row(2, (page, number, 0, 0, 0), _place(words_of(block), raster))
    for paragraph in block:
        paragraph_number = paragraph[0][0].paragraph + 1
        yield _row(3, (page, number, paragraph_number, 0, 0), _place(words_of([paragraph]), raster))
        for line in paragraph:
            line_number = line[0].line + 1
            yield _row(4, (page, number, paragraph_number, line_number, 0), _place(line, raster))
            for word_number, word in enumerate(line, 1):
                numbers = (page, number, paragraph_number, line_number, word_number)
                yield _row(5, numbers, _place([word], raster), str(round(word.confidence, 1)), in_a_line(word.text))


def _row(level: int, numbers: tuple[int, ...], place: tuple[int, ...], confidence: str = "-1", text: str = "") -> str:
    return "\t".join([*map(str, (level, *numbers, *place)), confidence, text]) + "\n"


def _place(words: Iterable[Word], raster: Raster) -> tuple[int, int, int, int]:
    """Left, top, width, height."""
    x0, y0, x1, y1 = map(round, raster.box(words))
    return x0, y0, x1 - x0, y1 - y0
