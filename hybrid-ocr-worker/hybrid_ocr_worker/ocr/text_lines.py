"""Lays the words of a page out in lines of type: a baseline, a font size, a place and a width for each word.

OCR tells the ink of a word, and ink says little by itself: "on" is lower than "of", "go" hangs below both. Which
letters a word holds tells what part of the type its ink covers; so all words of a line vote for one baseline and one
size.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, groupby, pairwise
from statistics import median

from hybrid_ocr_worker.ocr.glyphless_font import ASCENT, DESCENT
from hybrid_ocr_worker.ocr.page_geometry import turned_point
from hybrid_ocr_worker.ocr.result import Box, PageResult, Word, are_apart

_ASCENT, _DESCENT = ASCENT / 1000, DESCENT / 1000
_X_HEIGHT = 0.48
_EVEN_SLOPE = 0.15  # of the font size, over the whole line: less is not skew but noise
_LEAST_OVERLAP = 0.45
_LOW_INK = 0.4
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_LEFT_TO_RIGHT = frozenset({"L", "EN", "AN"})
_TELLING_WORDS = 40  # of a line are enough to find its slope; all pairs of them are compared

#: Ink of characters that do not reach from the baseline to the top of the capitals: bottom and top in font sizes.
_INK = {
    **dict.fromkeys("acemnorsuvwxzαειικνοπστυωавгдежзийклмнопстхчшъыьэюя", (0.0, _X_HEIGHT)),
    **dict.fromkeys("gpqyςγημρχруц", (-_DESCENT, _X_HEIGHT)),
    **dict.fromkeys("jQ()[]{}|/\\§$@þφψβζξфщ", (-_DESCENT, _ASCENT)),
    **dict.fromkeys(".…", (0.0, 0.1)),
    **dict.fromkeys(",‚„", (-0.14, 0.1)),
    ":": (0.0, _X_HEIGHT),
    ";": (-0.14, _X_HEIGHT),
    **dict.fromkeys("-‐‑–—~¬", (0.18, 0.3)),
    **dict.fromkeys("'\"`´‘’“”°*^«»", (0.42, _ASCENT)),
    **dict.fromkeys("«»‹›", (0.05, _X_HEIGHT)),
    **dict.fromkeys("+=<>±×÷", (0.05, 0.5)),
    **dict.fromkeys("•·■●", (0.15, 0.5)),
    "_": (-0.15, -0.05),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedWord:
    """A word as it is to be set. Points, y downwards, on the page turned so that its text stands upright.

    ``text`` runs from left to right whatever the script, as it stands in PDFs that are born digital.
    """

    text: str
    left: float
    baseline: float
    width: float
    size: float
    starts_line: bool
    followed_by_blank: bool
    blank_is_left: bool


def placed_lines(page: PageResult, size: tuple[float, float]) -> Iterator[tuple[int, list[PlacedWord]]]:
    """Place a page's recognised words, line by line in reading order, with the turn that makes each line upright.

    Args:
        page: whose words.
        size: width and height of the page as it is shown.

    """
    lines = [[word for word in line if not word.native and word.text] for line in page.lines()]
    lines = [line for line in lines if line]
    boxes = [[_turned_box(word.bbox, page.rotation, size) for word in line] for line in lines]
    turns = _turns([line[0].block for line in lines], boxes)
    for line, row, turn in zip(lines, boxes, turns, strict=True):
        upright = (page.rotation + turn) % 360
        yield upright, _place(line, [_turned_box(word.bbox, upright, size) for word in line] if turn else row)


def _turns(blocks: Sequence[int], lines: Sequence[Sequence[Box]]) -> list[int]:
    """Tell which lines run up or down the page all the same; a line of one word lies as most others of its block."""
    turns = [_sideways_turn(line) for line in lines]
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for block, line, turn in zip(blocks, lines, turns, strict=True):
        votes[block][turn] += len(line) > 1
    return [
        max(votes[block], key=votes[block].__getitem__) if len(line) == 1 else turn
        for block, line, turn in zip(blocks, lines, turns, strict=True)
    ]


def _sideways_turn(boxes: Sequence[Box]) -> int:
    """Tell whether a line runs up (90) or down (270) the page, as in a table's head: its words stand in a column."""
    steps = [(after[1] + after[3] - before[1] - before[3]) / 2 for before, after in pairwise(boxes)]
    is_column = all(after[0] < before[2] and before[0] < after[2] for before, after in pairwise(boxes))
    is_tall = sum(box[3] - box[1] for box in boxes) > 1.5 * sum(box[2] - box[0] for box in boxes)
    if not steps or not is_column or not is_tall:
        return 0
    if all(step < 0 for step in steps):
        return 90
    return 270 if all(step > 0 for step in steps) else 0


def _turned_box(box: Box, turn: int, size: tuple[float, float]) -> Box:
    x0, y0 = turned_point(box[0], box[1], turn, *size)
    x1, y1 = turned_point(box[2], box[3], turn, *size)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _place(words: Sequence[Word], boxes: Sequence[Box]) -> list[PlacedWord]:
    inks = [_ink_of(word.text) for word in words]
    size, slope, middle, height = _fit(boxes, inks)
    placed = []
    for index, (word, box) in enumerate(zip(words, boxes, strict=True)):
        baseline = height + slope * ((box[0] + box[2]) / 2 - middle)
        word_size = size
        if not _fits(box, baseline, size, inks[index]):
            word_size = (box[3] - box[1]) / (_ASCENT + _DESCENT)
            baseline = box[3] - _DESCENT * word_size
        following = words[index + 1] if index + 1 < len(words) else None
        placed.append(
            PlacedWord(
                text=_in_visual_order(word.text),
                left=box[0],
                baseline=baseline,
                width=box[2] - box[0],
                size=word_size,
                starts_line=index == 0,
                followed_by_blank=following is not None and are_apart(word.text, following.text),
                blank_is_left=following is not None and boxes[index + 1][0] < box[0],
            )
        )
    return placed


def _in_visual_order(text: str) -> str:
    """Turn Hebrew or Arabic round, but not the numbers and Latin letters within: readers of PDF turn it back."""
    if text.isascii():
        return text
    kinds = [unicodedata.bidirectional(character) for character in text]
    if not any(kind in _RIGHT_TO_LEFT for kind in kinds):
        return text
    runs: list[str] = []
    for direction, run in groupby(zip(text, kinds, strict=True), key=lambda pair: pair[1] in _LEFT_TO_RIGHT):
        characters = "".join(character for character, _ in run)
        runs.insert(0, characters if direction else characters[::-1])
    return "".join(runs)


def _ink_of(text: str) -> tuple[float, float]:
    """Tell the lowest and the highest ink of a word, in font sizes above its baseline."""
    inks = [_ink_of_character(character) for character in text if not character.isspace()]
    return min((low for low, _ in inks), default=0.0), max((high for _, high in inks), default=_ASCENT)


@lru_cache(maxsize=4096)
def _ink_of_character(character: str) -> tuple[float, float]:
    if character in _INK:
        return _INK[character]
    parts = unicodedata.normalize("NFD", character)
    if parts[0] in _INK and len(parts) > 1:  # an accented letter
        return min(_INK[parts[0]][0], -_DESCENT if parts[0] in "cs" else 0.0), _ASCENT
    if ord(parts[0]) < 0x530:  # other Latin, Greek and Cyrillic letters and the digits stand on the line
        return 0.0, _ASCENT
    return -_DESCENT, _ASCENT


def _fit(boxes: Sequence[Box], inks: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Find font size, slope, and a point (x, y) that the baseline goes through."""
    telling = [i for i, (low, high) in enumerate(inks) if high - low >= _LOW_INK] or list(range(len(boxes)))
    middle = (boxes[0][0] + boxes[-1][2]) / 2
    slope = 0.0
    for _ in range(2):  # a skewed word's box is taller than its ink: look again once the slope is known
        size = median(_size(boxes[i], inks[i], slope) for i in telling)
        feet = [((boxes[i][0] + boxes[i][2]) / 2, _foot(boxes[i], inks[i], size)) for i in telling]
        slope = _slope(feet, size)
    height = median(y - slope * (x - middle) for x, y in feet)
    return size, slope, middle, height


def _size(box: Box, ink: tuple[float, float], slope: float) -> float:
    height = box[3] - box[1] - abs(slope) * (box[2] - box[0])
    return max(height, (box[3] - box[1]) / 3, 0.1) / max(ink[1] - ink[0], 0.1)


def _foot(box: Box, ink: tuple[float, float], size: float) -> float:
    """Tell where the baseline runs by this word, from the middle of its ink: its edges are the noisier."""
    return (box[1] + box[3]) / 2 + size * (ink[0] + ink[1]) / 2


def _slope(feet: Sequence[tuple[float, float]], size: float) -> float:
    """Take the median of the slopes between all words: a stray one does not tilt the line."""
    step = -(-len(feet) // _TELLING_WORDS)
    pairs = combinations(feet[::step], 2)
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs if abs(x1 - x0) > size]
    slope = median(slopes) if slopes else 0.0
    length = max(x for x, _ in feet) - min(x for x, _ in feet)
    return 0.0 if abs(slope) * length < _EVEN_SLOPE * size or abs(slope) > 1 else slope


def _fits(box: Box, baseline: float, size: float, ink: tuple[float, float]) -> bool:
    """Does the line's type cover this word's ink? Where not (a drop capital, a misread row), the word goes alone."""
    top, bottom = baseline - _ASCENT * size, baseline + _DESCENT * size
    if not top <= (box[1] + box[3]) / 2 <= bottom:
        return False
    overlap = min(bottom, box[3]) - max(top, box[1])
    union = max(bottom, box[3]) - min(top, box[1])
    expected = min(_LEAST_OVERLAP, 0.8 * (ink[1] - ink[0]))
    return overlap >= expected * union
