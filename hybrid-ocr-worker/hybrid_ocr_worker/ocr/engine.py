"""One face for every way to Tesseract: an image in, words out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

#: Tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, conf, text.
_TSV_COLUMNS = 12
_WORD_LEVEL = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelWord:
    """A word as the engine saw it: box in pixels of the image given, numbers counted from 0 in their parent.

    ``confidence`` is Tesseract's own score, 0 to 100; what a page's words carry is calibrated (``calibration.py``).
    """

    text: str
    confidence: float
    left: int
    top: int
    right: int
    bottom: int
    block: int
    paragraph: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How the print lies: turn the image clockwise by ``degrees`` to make it upright."""

    degrees: int
    confidence: float


class OcrEngine(Protocol):
    """A way to Tesseract. Implementations: ``tesserocr_engine``, ``pytesseract_engine``."""

    name: str

    def version(self) -> str:
        """Of Tesseract, as in ``5.5.4``."""
        ...

    def installed_languages(self) -> list[str]:
        """Language data found, ``osd`` included where it is there."""
        ...

    def words(
        self, image: Image.Image, *, languages: tuple[str, ...], dpi: float, is_one_block: bool = False
    ) -> list[PixelWord]:
        """Read a grey image; one run gives text, boxes, confidences and structure.

        With ``is_one_block`` the layout is not looked for: the image is taken for lines of text, one below the other.
        """
        ...

    def orientation(self, image: Image.Image, *, dpi: float) -> Orientation | None:
        """Look how the print lies; None when there is too little of it to tell."""
        ...


def parse_tsv(tsv: str) -> list[PixelWord]:
    """Tesseract's TSV -> words, with blocks counted from 0 in the order of reading."""
    words = []
    for row in tsv.splitlines():
        cells = row.split("\t", _TSV_COLUMNS - 1)
        if len(cells) != _TSV_COLUMNS or cells[0] != _WORD_LEVEL or not cells[11].strip():
            continue
        left, top, width, height = (int(cell) for cell in cells[6:10])
        words.append(
            PixelWord(
                text=cells[11].strip(),
                confidence=min(100.0, max(0.0, float(cells[10]))),
                left=left,
                top=top,
                right=left + width,
                bottom=top + height,
                block=int(cells[2]) - 1,
                paragraph=int(cells[3]) - 1,
                line=int(cells[4]) - 1,
            )
        )
    return words
