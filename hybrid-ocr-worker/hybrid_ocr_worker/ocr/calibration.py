"""Tesseract's confidence in a word -> how likely the word is right, in percent.

Tesseract's own figure is a score: it tells better words from worse ones, but of the words at 90 far more than nine in
ten may be right, or far fewer. ``calibration.json`` holds what was measured on scans whose text is known, and how;
``make calibration`` measures and fits it. Rules of our own that look at a score (reader.py, hybrid.py) are set by
Tesseract's, and go on to see that.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).with_suffix(".json")


class Calibration:
    """A line through points of (Tesseract's confidence, share of right words), both 0 to 100; it never falls.

    Raises:
        ValueError: the points are no such line.

    """

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        if len(points) < 2 or points[0][0] != 0 or points[-1][0] != 100:
            raise ValueError("the points must reach from 0 to 100")
        if any(before[0] >= after[0] or before[1] > after[1] for before, after in pairwise(points)):
            raise ValueError("the points must rise")
        if points[0][1] < 0 or points[-1][1] > 100:
            raise ValueError("a share is 0 to 100")
        self._points = tuple(points)

    def __call__(self, score: float) -> float:
        """Tesseract's confidence, 0 to 100 -> the share of such words that are right, 0 to 100."""
        end = bisect_left(self._points, score, 1, len(self._points) - 1, key=itemgetter(0))
        (x0, y0), (x1, y1) = self._points[end - 1 : end + 1]
        return y0 + (y1 - y0) * min(max((score - x0) / (x1 - x0), 0.0), 1.0)


@cache
def shipped() -> Calibration:
    """The one that was measured."""
    return Calibration([(score, share) for score, share in json.loads(SHIPPED.read_text(encoding="utf-8"))["points"]])
