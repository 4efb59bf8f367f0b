"""What recognition gives, whatever engine gave it: pages of words. Every output is drawn from these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

#: x0, y0, x1, y1 in points (1/72 inch) from the top left of the page as it is shown, that is after /Rotate, CropBox
#: and UserUnit. An image without a usable resolution counts one pixel as one point.
Box = tuple[float, float, float, float]


#: A4, in points: of a failed page that cannot even be measured.
UNKNOWN_SIZE = (595.28, 841.89)


class Source(StrEnum):
    """Where a page's words come from."""

    NATIVE = "native"
    OCR = "ocr"
    HYBRID = "hybrid"
    BLANK = "blank"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word. Blocks count from 0 on the page, paragraphs in their block, lines in their paragraph.

    ``native`` words stand in the page's own text layer, so the searchable PDF must not repeat them. ``confidence``
    is how likely the word is right, in percent (``calibration.py``).
    """

    text: str
    confidence: float
    bbox: Box
    block: int
    paragraph: int
    line: int
    native: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """One page. ``width`` and ``height`` in points as shown; ``pixels`` and ``dpi`` of the raster that was read.

    ``rotation`` is the clockwise degrees that make the text upright (0, 90, 180, 270); boxes are in the page as it
    is shown, not as turned. ``confidence`` is 0 to 100, None where the page holds no words.
    """

    page: int
    width: float
    height: float
    pixels: tuple[int, int] | None
    dpi: float | None
    rotation: int
    source: Source
    reason: str
    evidence: dict[str, float | int]
    words: tuple[Word, ...]
    confidence: float | None

    @property
    def text(self) -> str:
        """The page's words in reading order: a line a line, a blank line between paragraphs."""
        return page_text(self.words)

    def lines(self) -> Iterator[list[Word]]:
        """The words, line by line in reading order."""
        for _, words in groupby(self.words, key=lambda word: (word.block, word.paragraph, word.line)):
            yield list(words)


def failed_page(number: int, width: float, height: float, code: str) -> PageResult:
    """A page that could not be read."""
    return PageResult(
        page=number,
        width=width,
        height=height,
        pixels=None,
        dpi=None,
        rotation=0,
        source=Source.FAILED,
        reason=code,
        evidence={},
        words=(),
        confidence=None,
    )


def page_text(words: tuple[Word, ...]) -> str:
    """Draw words as plain text."""
    paragraphs = []
    for _, paragraph in groupby(words, key=lambda word: (word.block, word.paragraph)):
        lines = groupby(paragraph, key=lambda word: word.line)
        paragraphs.append("\n".join(join_words([word.text for word in line]) for _, line in lines))
    return "\n\n".join(paragraphs)


def join_words(texts: list[str]) -> str:
    """Join the words of a line: by blanks, except between two characters of a script that is written without."""
    line = ""
    for text in texts:
        if are_apart(line, text):
            line += " "
        line += text
    return line


def are_apart(text: str, following: str) -> bool:
    """Does a blank stand between these two, one after the other in a line?"""
    return bool(text and following) and not (_is_unspaced(text[-1]) and _is_unspaced(following[0]))


def _is_unspaced(character: str) -> bool:
    """Is it CJK, kana, Thai, Lao, Khmer or Myanmar, whose words are not separated by blanks?"""
    code = ord(character)
    return (
        0x0E00 <= code <= 0x0EFF
        or 0x1000 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0x2E80 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0xFF00 <= code <= 0xFFEF
        or 0x20000 <= code <= 0x3FFFF
    )


def to_json(page: PageResult) -> dict[str, Any]:
    """A page as the result's JSON shows it (docs/result.schema.json)."""
    return {
        "page": page.page,
        "width": round(page.width, 2),
        "height": round(page.height, 2),
        "unit": "pt",
        "pixels": None if page.pixels is None else list(page.pixels),
        "dpi": None if page.dpi is None else round(page.dpi, 1),
        "rotation": page.rotation,
        "source": page.source.value,
        "reason": page.reason,
        "evidence": page.evidence,
        "confidence": None if page.confidence is None else round(page.confidence, 1),
        "text": page.text,
        "words": [
            {
                "text": word.text,
                "confidence": round(word.confidence, 1),
                "bbox": [round(edge, 2) for edge in word.bbox],
                "block": word.block,
                "paragraph": word.paragraph,
                "line": word.line,
            }
            for word in page.words
        ],
    }
