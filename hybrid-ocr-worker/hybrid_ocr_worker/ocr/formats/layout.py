"""The words of a page as nested lists, and their boxes in the pixels of its raster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from hybrid_ocr_worker.ocr.geometry import unite
from hybrid_ocr_worker.ocr.result import Box, PageResult, Word

Line = list[Word]
Paragraph = list[Line]
Block = list[Paragraph]

_POINTS_PER_INCH = 72


def blocks_of(page: PageResult) -> list[Block]:
    """Blocks of paragraphs of lines of words, in reading order; none of them is empty."""
    return [
        [
            [list(line) for _, line in groupby(paragraph, key=attrgetter("line"))]
            for _, paragraph in groupby(block, key=attrgetter("paragraph"))
        ]
        for _, block in groupby(page.words, key=attrgetter("block"))
    ]


def words_of(paragraphs: Iterable[Paragraph]) -> list[Word]:
    """All words of a block, or of some of its paragraphs."""
    return [word for paragraph in paragraphs for line in paragraph for word in line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """The raster that a page was read from; where there was none, points count as pixels."""

    columns: float
    rows: float
    #: Pixels an inch.
    resolution: int
    across: float
    down: float

    @classmethod
    def of(cls, page: PageResult) -> Raster:
        """The raster of this page."""
        columns, rows = page.pixels or (page.width, page.height)
        return cls(
            columns=columns,
            rows=rows,
            resolution=round(page.dpi) if page.pixels and page.dpi else _POINTS_PER_INCH,
            across=columns / page.width,
            down=rows / page.height,
        )

    def box(self, words: Iterable[Word]) -> Box:
        """The box around words, in pixels from the top left, not rounded."""
        x0, y0, x1, y1 = unite([word.bbox for word in words])
        return x0 * self.across, y0 * self.down, x1 * self.across, y1 * self.down
