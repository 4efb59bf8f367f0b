"""From user space, as a PDF's numbers are meant, to the page as it is shown: after /Rotate, CropBox and UserUnit."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_ocr_worker.ocr.result import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPage:
    """The visible box of a page in user space, how far it is turned clockwise, and how long a unit is in points."""

    left: float
    bottom: float
    right: float
    top: float
    rotate: int
    unit: float = 1.0

    @property
    def width(self) -> float:
        """In points, as shown."""
        return self.unit * (self.top - self.bottom if self.rotate % 180 else self.right - self.left)

    @property
    def height(self) -> float:
        """In points, as shown."""
        return self.unit * (self.right - self.left if self.rotate % 180 else self.top - self.bottom)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """User space -> points from the top left of the page as shown."""
        # Asked for every character of a page.
        match self.rotate:
            case 0:
                right, down = x - self.left, self.top - y
            case 90:
                right, down = y - self.bottom, x - self.left
            case 180:
                right, down = self.right - x, y - self.bottom
            case _:
                right, down = self.top - y, self.right - x
        return right * self.unit, down * self.unit

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """A box of user space -> the box as shown."""
        ax, ay = self.point(x0, y0)
        bx, by = self.point(x1, y1)
        if ax > bx:
            ax, bx = bx, ax
        if ay > by:
            ay, by = by, ay
        return ax, ay, bx, by


def unite(boxes: list[Box]) -> Box:
    """The smallest box around all of them."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def clip(box: Box, width: float, height: float) -> Box | None:
    """The part of a box that lies on the page; None when there is none."""
    x0, y0, x1, y1 = max(0.0, box[0]), max(0.0, box[1]), min(width, box[2]), min(height, box[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


class Coverage:
    """How much of a page boxes cover together, on a grid: exact enough for a decision, whatever overlaps."""

    _CELLS = 64

    def __init__(self, width: float, height: float) -> None:
        self._width = width
        self._height = height
        self._rows = [0] * self._CELLS  # one bit a cell

    def add(self, box: Box) -> None:
        """Cover the cells whose centre lies in the box."""
        for row, mask in self._cells(box):
            self._rows[row] |= mask

    def remove(self, box: Box) -> None:
        """Uncover the cells that the box touches."""
        x0, y0, x1, y1 = box
        half_x, half_y = self._width / self._CELLS / 2, self._height / self._CELLS / 2
        for row, mask in self._cells((x0 - half_x, y0 - half_y, x1 + half_x, y1 + half_y)):
            self._rows[row] &= ~mask

    @property
    def share(self) -> float:
        """0 to 1."""
        return sum(row.bit_count() for row in self._rows) / self._CELLS**2

    def _cells(self, box: Box) -> list[tuple[int, int]]:
        first_column, last_column = self._span(box[0], box[2], self._width)
        first_row, last_row = self._span(box[1], box[3], self._height)
        if last_column < first_column:
            return []
        mask = ((1 << (last_column - first_column + 1)) - 1) << first_column
        return [(row, mask) for row in range(first_row, last_row + 1)]

    def _span(self, low: float, high: float, length: float) -> tuple[int, int]:
        scale = self._CELLS / length
        # Half a cell in from either side: a cell belongs to the box when its centre does.
        return max(0, int(low * scale + 0.5)), min(self._CELLS - 1, int(high * scale - 0.5))
