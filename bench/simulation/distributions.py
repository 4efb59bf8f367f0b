"""What a duration is drawn from: the measured values themselves, not a curve through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean
from typing import Self


@dataclass(frozen=True, slots=True)
class Empirical:
    """Any of the measured values, each as likely."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Seconds, if the values are."""
        return fmean(self.values)

    def draw(self, random: Random) -> float:
        """One of them."""
        return random.choice(self.values)


@dataclass(frozen=True, slots=True)
class PerPage:
    """A line through what documents of different lengths took, times one of the measured deviations from it."""

    fixed: float
    per_page: float
    ratios: tuple[float, ...]

    @classmethod
    def fit(cls, measured: Sequence[tuple[int, float]]) -> Self:
        """Least squares through (pages, seconds); through the origin where the line would not rise, or start below 0.

        Raises:
            ValueError: nothing was measured.
        """
        if not measured:
            raise ValueError("nothing was measured")
        pages, seconds = fmean(n for n, _ in measured), fmean(took for _, took in measured)
        spread = sum((n - pages) ** 2 for n, _ in measured)
        slope = sum((n - pages) * (took - seconds) for n, took in measured) / spread if spread else 0.0
        fixed, slope = seconds - slope * pages, max(0.0, slope)
        if slope == 0.0:
            # All as long as each other, or no growth to be seen in the noise: then no growth is assumed.
            fixed = seconds
        elif fixed < 0.0:
            fixed, slope = 0.0, seconds / pages
        return cls(fixed, slope, tuple(took / (fixed + slope * n) for n, took in measured))

    def mean(self, pages: int) -> float:
        """Seconds for a document of so many pages."""
        return self.fixed + self.per_page * pages

    def plus(self, fixed: float, per_page: float = 0.0) -> Self:
        """With so many seconds more."""
        return replace(self, fixed=self.fixed + fixed, per_page=self.per_page + per_page)

    def draw(self, random: Random, pages: int) -> float:
        """Seconds for one document of so many pages."""
        return self.mean(pages) * random.choice(self.ratios)


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest of the sorted values; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
