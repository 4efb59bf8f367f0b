"""Writes lines of type as the operators of a text object, in few bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from hybrid_ocr_worker.ocr.glyphless_font import ADVANCE, ASCENT, DESCENT, GlyphlessFont
from hybrid_ocr_worker.ocr.page_geometry import Matrix
from hybrid_ocr_worker.ocr.text_lines import PlacedWord

_WIDTH_ERROR: Final = 0.25  # points that a word's end may be off before its scaling gets another digit
_HEIGHT: Final = (ASCENT + DESCENT) / 1000  # of a word, in font sizes
_SIZE_STEP: Final = 1.06  # neighbouring lines whose sizes differ less are set in the same size


@dataclass(frozen=True)
class TypeSetter:
    """Sets words in the page's own unit, of which ``points`` are long.

    Sizes are not shrunk by a matrix, though whole numbers would take less space: pdfium compares the bare font size
    with lengths on the page when it looks for the ends of lines.
    """

    font: GlyphlessFont
    font_name: bytes
    points: float

    @cached_property
    def digits(self) -> int:
        """How many decimals tell a tenth of a point or less."""
        return max(1, math.ceil(math.log10(10 * self.points)))

    def set(self, lines: Iterable[list[PlacedWord]], matrix: Matrix) -> bytes:
        """Write a text object of the lines, which is invisible and leaves the graphics state as it was."""
        if matrix[:4] == (1, 0, 0, 1):  # upright in its own unit: the first move takes the words there
            return b"q BT 3 Tr%s\nET Q\n" % b"".join(self._words(lines, *matrix[4:]))
        return b"q %s cm BT 3 Tr%s\nET Q\n" % (b" ".join(map(_decimal, matrix)), b"".join(self._words(lines)))

    def _words(self, lines: Iterable[list[PlacedWord]], left: float = 0, top: float = 0) -> Iterator[bytes]:
        """Set each word at its place relative to the one before, scaled to its width."""
        ticks = 10**self.digits / self.points  # numbers are counted in their last digit, so that no error adds up
        blank = self.font.encode(" ")
        x, y, size = -round(left * 10**self.digits), -round(top * 10**self.digits), 0
        for word in (word for line in lines for word in line):
            codes = self.font.encode(word.text)
            if not codes:
                continue
            wanted = max(round(word.size * ticks), 1)
            if not size / _SIZE_STEP <= wanted <= size * _SIZE_STEP:
                size = wanted
                yield b"\n%s %s Tf" % (self.font_name, self._number(size))
            natural = len(codes) // 2 * size * ADVANCE / 1000
            scale = _scale(word.width * ticks, natural, _WIDTH_ERROR * ticks)
            start = word.left * ticks
            if word.followed_by_blank:
                codes = blank + codes if word.blank_is_left else codes + blank
                start -= size * ADVANCE / 1000 * scale / 100 if word.blank_is_left else 0
            dx, dy = round(start) - x, round(-word.baseline * ticks) - y
            if word.starts_line and dx < 0 and abs(dy) < _HEIGHT * size:
                # A skewed line may end as low as the next one starts. pdfium would take the two for one and sort its
                # words from left to right; a blank well above parts them.
                yield b"\n0 %s Td(%s)Tj" % (self._number(2 * size), blank)
                y, dy = y + 2 * size, dy - 2 * size
            x, y = x + dx, y + dy
            yield b"\n%s %s Td %s Tz(%s)Tj" % (self._number(dx), self._number(dy), _decimal(scale), _escaped(codes))

    def _number(self, ticks: int) -> bytes:
        return _decimal(ticks / 10**self.digits)


def _scale(width: float, natural: float, tolerance: float) -> float:
    """Find the horizontal scaling that gives a word its width, with no more digits than that takes."""
    exact = max(100 * width / natural, 1)
    return round(exact) if abs(round(exact) - exact) / 100 * natural <= tolerance else round(exact, 1)


def _escaped(codes: bytes) -> bytes:
    """Write codes as the inside of a literal string; a bare carriage return would be read as a line feed."""
    escaped = codes.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return escaped.replace(b"\r", b"\\r")


def _decimal(value: float) -> bytes:
    """Write a number as PDF has it: no exponent, no needless zero."""
    if value % 1 == 0:
        return b"%d" % value
    text = f"{value:.5f}".rstrip("0").rstrip(".")
    if text in ("-0", ""):
        return b"0"
    return (text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text).encode()
