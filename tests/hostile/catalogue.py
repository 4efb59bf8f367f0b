"""The list of hostile files: each has a name that says what it is, a maker, and the ends that are right for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Maker = Callable[[], bytes]

#: Name, ends, and when it is tried: at every push, or with the long tests, for what takes the whole of a time limit.
_EXPECTED = Path(__file__).with_name("expected.tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A file that means no good."""

    name: str
    make: Maker

    @property
    def ends(self) -> frozenset[str]:
        """How it may end: read, wordless, or a code; more than one where the speed of a machine decides."""
        return _expected()[self.name][0]

    @property
    def is_long(self) -> bool:
        """Is it left out of the tests of every push?"""
        return _expected()[self.name][1]


HOSTILE: dict[str, Hostile] = {}


def hostile(name: str) -> Callable[[Maker], Maker]:
    """Put a maker on the list."""
    assert name not in HOSTILE, name

    def enter(make: Maker) -> Maker:
        HOSTILE[name] = Hostile(name=name, make=make)
        return make

    return enter


@cache
def _expected() -> dict[str, tuple[frozenset[str], bool]]:
    rows = (line.split("\t") for line in _EXPECTED.read_text(encoding="utf-8").splitlines())
    return {name: (frozenset(ends.split(",")), when == "long") for name, ends, when in rows}
