"""Bringing together what the text layer says and what OCR saw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import groupby

from hybrid_ocr_worker.ocr.engine import PixelWord
from hybrid_ocr_worker.ocr.geometry import unite
from hybrid_ocr_worker.ocr.result import Box, Word

#: A picture's words below this are mostly its lines and shades.
_LEAST_CONFIDENCE = 40.0
_SURE = 60.0
_CONFIRMED_SHARE = 0.6
_SHORT = 200
#: A layer is kept where OCR reads less than this share of its usable characters.
_READS_LESS_SHARE = 0.5


def legible(seen: Sequence[PixelWord]) -> list[PixelWord]:
    """Leave out what the lines and shades of a picture were taken for."""
    return [word for word in seen if word.confidence >= _LEAST_CONFIDENCE]


def merge(native: tuple[Word, ...], seen: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words of the text layer with those of the pictures, each block where a reader would come to it."""
    blocks = _blocks(native)
    own_boxes = [word.bbox for word in native]
    fresh = [word for word in seen if not any(_centre_in(word.bbox, box) for box in own_boxes)]
    for block in _blocks(tuple(fresh)):
        blocks.insert(_place(block, blocks), block)
    return tuple(replace(word, block=number) for number, block in enumerate(blocks) for word in block)


def is_confirmed(native: tuple[Word, ...], seen: Sequence[PixelWord]) -> bool:
    """Does OCR read the same as the text layer? Then a layer of codes and numbers is right after all."""
    known = {word.text.casefold() for word in native}
    sure = [word.text.casefold() for word in seen if word.confidence >= _SURE]
    if not sure:
        return False
    if sum(text in known for text in sure) >= _CONFIRMED_SHARE * len(sure):
        return True
    # A line that OCR broke into other words still has the same letters.
    letters, told = "".join(sure), "".join(word.text.casefold() for word in native)
    return len(letters) <= _SHORT and SequenceMatcher(None, letters, told, autojunk=False).ratio() >= _CONFIRMED_SHARE


def reads_less(seen: Sequence[PixelWord], usable_characters: int) -> bool:
    """Did OCR get much less out of the page than the text layer holds?"""
    return sum(len(word.text) for word in seen if word.confidence >= _SURE) < _READS_LESS_SHARE * usable_characters


def _blocks(words: tuple[Word, ...]) -> list[list[Word]]:
    return [list(block) for _, block in groupby(words, key=lambda word: word.block)]


def _place(block: list[Word], blocks: list[list[Word]]) -> int:
    """Before the first block that begins below this one in the same column; else at the end."""
    box = unite([word.bbox for word in block])
    for index, other in enumerate(blocks):
        below = unite([word.bbox for word in other])
        if below[1] >= box[1] and min(below[2], box[2]) > max(below[0], box[0]):
            return index
    return len(blocks)


def _centre_in(inner: Box, outer: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]
