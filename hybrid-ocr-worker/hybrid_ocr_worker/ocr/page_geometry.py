"""Where a point of the page as it is shown lies in the page's own coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable

from pikepdf import Array, Dictionary, Object

from hybrid_ocr_worker.ocr.geometry import ShownPage
from hybrid_ocr_worker.ocr.result import Box

#: a, b, c, d, e, f as PDF's cm operator takes them: x' = a x + c y + e, y' = b x + d y + f.
Matrix = tuple[float, float, float, float, float, float]

_US_LETTER = (0.0, 0.0, 612.0, 792.0)  # what readers assume where a page tells no usable size
_DEEPEST_PAGE_TREE = 100


def shown_page(page: Object) -> ShownPage:
    """Read MediaBox, CropBox, Rotate and UserUnit of a page, inherited ones too; what is broken counts as absent."""
    media = _box(inherited(page, "/MediaBox")) or _US_LETTER
    crop = _box(inherited(page, "/CropBox")) or media
    left, bottom, right, top = _intersection(media, crop) or media
    rotate = _number(inherited(page, "/Rotate")) or 0
    unit = _number(page.get("/UserUnit")) or 1
    return ShownPage(
        left=left,
        bottom=bottom,
        right=right,
        top=top,
        rotate=int(rotate) % 360 if rotate % 90 == 0 else 0,
        unit=unit if unit > 0 else 1,
    )


def inherited(page: Object, key: str) -> Object | None:
    """Look a page's attribute up, in the page and in the nodes of the page tree above it; None where it is nowhere."""
    node: Object | None = page
    for _ in range(_DEEPEST_PAGE_TREE):
        if not isinstance(node, Dictionary):
            return None
        if key in node:
            return node[key]
        node = node.get("/Parent")
    return None


def turned_point(x: float, y: float, turn: int, width: float, height: float) -> tuple[float, float]:
    """Follow a point of a page of this size, y downwards, while the page is turned clockwise."""
    return {0: (x, y), 90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}[turn]


def upright_matrix(shown: ShownPage, turn: int, units_per_point: float) -> Matrix:
    """Make the matrix from the page turned clockwise until its text is upright, y upwards, to its own coordinates."""
    turned_size = (shown.height, shown.width) if turn in (90, 270) else (shown.width, shown.height)

    def own(x: float, y: float) -> tuple[float, float]:
        back = turned_point(x / units_per_point, -y / units_per_point, -turn % 360, *turned_size)
        return _own_point(shown, *back)

    return _matrix_of(own)


def _own_point(shown: ShownPage, x: float, y: float) -> tuple[float, float]:
    right, down = x / shown.unit, y / shown.unit
    return {
        0: (shown.left + right, shown.top - down),
        90: (shown.left + down, shown.bottom + right),
        180: (shown.right - right, shown.bottom + down),
        270: (shown.right - down, shown.top - right),
    }[shown.rotate]


def _matrix_of(mapping: Callable[[float, float], tuple[float, float]]) -> Matrix:
    (e, f), (ax, ay), (cx, cy) = mapping(0, 0), mapping(1, 0), mapping(0, 1)
    return ax - e, ay - f, cx - e, cy - f, e, f


def _box(value: Object | None) -> Box | None:
    """Read a rectangle, whichever two of its corners it names."""
    if not isinstance(value, Array) or len(value) != 4:
        return None
    edges = [_number(edge) for edge in value]
    x0, y0, x1, y1 = (math.nan if edge is None else edge for edge in edges)
    return _unless_empty((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))


def _intersection(one: Box, other: Box) -> Box | None:
    return _unless_empty((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def _unless_empty(box: Box) -> Box | None:
    return box if all(map(math.isfinite, box)) and box[0] < box[2] and box[1] < box[3] else None


def _number(value: Object | None) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # pikepdf gives numbers as Python's, its stubs do not say so
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None
