"""Characters of a text layer -> words with block, paragraph and line, in the order of the text layer."""

from __future__ import annotations

from itertools import groupby

from hybrid_ocr_worker.ocr.geometry import unite
from hybrid_ocr_worker.ocr.native_text import Character, NativeText
from hybrid_ocr_worker.ocr.result import Box, Word

_Piece = tuple[str, Box, float]

#: A gap of more line heights than this between two lines starts a block.
_BLOCK_GAP = 0.8


def words_of(native: NativeText, *, is_sound: bool) -> tuple[Word, ...]:
    """The words of a page as its text layer tells them.

    Those of a sound layer count as certain; else as far as their characters have a Unicode value.
    """
    words: list[Word] = []
    block, line, above = -1, 0, None
    for pieces in _lines(native.characters):
        box = unite([piece_box for _, piece_box, _ in pieces])
        if above is None or not _continues(above, box):
            block, line = block + 1, 0
        else:
            line += 1
        above = box
        words.extend(
            Word(
                text=text,
                confidence=100.0 if is_sound else 100.0 * mapped,
                bbox=piece_box,
                block=block,
                paragraph=0,
                line=line,
                native=True,
            )
            for text, piece_box, mapped in pieces
        )
    return tuple(words)


def _lines(characters: list[Character]) -> list[list[_Piece]]:
    lines = []
    for is_end, line in groupby(characters, key=lambda character: character.is_line_end):
        if is_end:
            continue
        pieces = [
            _piece(list(run))
            for is_space, run in groupby(line, key=lambda character: character.is_space)
            if not is_space
        ]
        if pieces:
            lines.append(pieces)
    return lines


def _piece(run: list[Character]) -> _Piece:
    """Text, box, and the share of characters that have a Unicode value."""
    mapped = sum(not character.is_unmapped for character in run)
    text = "".join(character.text for character in run)
    return text, unite([character.box for character in run]), mapped / len(run)


def _continues(above: Box, below: Box) -> bool:
    """Is ``below`` the next line of the same block: close under it, or beside it, and not in another column?"""
    height = min(above[3] - above[1], below[3] - below[1])
    gap = max(below[1] - above[3], above[1] - below[3])
    overlaps = min(above[2], below[2]) > max(above[0], below[0])
    return gap <= _BLOCK_GAP * height and (overlaps or gap < 0)
