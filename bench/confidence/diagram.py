"""A reliability diagram as SVG: what confidences claim against what holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.confidence.reliability import Bin

_SIDE = 260  # of a panel's square, in pixels
_LEFT, _TOP, _BELOW, _GAP = 56, 44, 52, 84
_LARGEST = 11  # radius of a bin that holds everything that the largest bin of the diagram holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One square: its bins, and a line that is worth saying of them."""

    title: str
    bins: Sequence[Bin]
    ece: float


def reliability_diagram(panels: Sequence[Panel]) -> str:
    """Draw panels side by side. A dot is a bin, its area what the bin weighs; on the diagonal a claim is true."""
    width = _LEFT + len(panels) * (_SIDE + _GAP) - _GAP + 24
    height = _TOP + _SIDE + _BELOW
    largest = max(one.weight for panel in panels for one in panel.bins)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#333">'
        ),
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, _LEFT + number * (_SIDE + _GAP), largest)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, left: int, largest: float) -> list[str]:
    bottom, right = _TOP + _SIDE, left + _SIDE
    dots = [
        (left + one.confidence * _SIDE, bottom - one.accuracy * _SIDE, _LARGEST * math.sqrt(one.weight / largest))
        for one in panel.bins
    ]
    middle = left + _SIDE / 2
    parts = [
        f'<text x="{middle}" y="20" text-anchor="middle" font-weight="bold">{panel.title}</text>',
        f'<text x="{middle}" y="36" text-anchor="middle">ECE {panel.ece:.3f}</text>',
        f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>',
        f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{_TOP}" stroke="#999" stroke-dasharray="4 4"/>',
    ]
    for percent in range(0, 101, 25):
        along = percent / 100 * _SIDE
        parts += [
            f'<text x="{left + along}" y="{bottom + 16}" text-anchor="middle">{percent}</text>',
            f'<text x="{left - 6}" y="{bottom - along + 4}" text-anchor="end">{percent}</text>',
        ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
    parts += [
        f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle">confidence</text>',
        (
            f'<text x="{left - 40}" y="{_TOP + _SIDE / 2}" text-anchor="middle"'
            f' transform="rotate(-90 {left - 40} {_TOP + _SIDE / 2})">words that are right, %</text>'
        ),
        f'<polyline points="{line}" fill="none" stroke="#1f6fb2"/>',
    ]
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="#1f6fb2" fill-opacity="0.6"/>' for x, y, r in dots]
    return parts
