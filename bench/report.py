"""What a section found: a table for people, and the raw figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One thing it must reach, and what was measured. ``aim`` is what it should."""

    what: str
    measured: float
    bar: float
    aim: float | None = None
    is_most: bool = False
    unit: str = "x"

    @property
    def is_held(self) -> bool:
        """Whether the bar is reached."""
        return self.measured <= self.bar if self.is_most else self.measured >= self.bar

    def __str__(self) -> str:
        sign = "<=" if self.is_most else ">="
        aim = "" if self.aim is None else f", aim {self.aim:g}"
        verdict = "held" if self.is_held else "MISSED"
        return f"{self.what:<58}{self.measured:>8.2f} {self.unit:<3} bar {sign} {self.bar:g}{aim}: {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One section's. ``rows`` are cells, the first row names the columns."""

    title: str
    rows: Sequence[Sequence[str]]
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = ()
    raw: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        widths = [max(len(row[column]) for row in self.rows) for column in range(len(self.rows[0]))]
        lines = ["", self.title]
        for row in self.rows:
            first, *others = (cell for cell in row)
            cells = [
                first.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {bar}" for bar in self.bars]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The raw figures, and the bars."""
        return {
            "title": self.title,
            "bars": [{**asdict(bar), "is_held": bar.is_held} for bar in self.bars],
            **self.raw,
        }
