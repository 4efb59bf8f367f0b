"""Who submits what, and when: a week with its days and nights, and a spike on top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

HOUR = 3600.0
DAY = 24 * HOUR
WEEK = 7 * DAY
#: Of 365.25 days, a twelfth.
MONTH = 365.25 / 12 * DAY

#: Share of a working day's documents in each of its hours: offices, and the machines that send for them at night.
_HOURS = (1, 1, 1, 1, 1, 2, 3, 5, 8, 10, 10, 9, 7, 8, 9, 8, 6, 4, 2, 1, 1, 1, 1, 1)
#: A day's share of its week, Monday first.
_DAYS = (18, 19, 19, 18, 16, 6, 4)


class Lane(StrEnum):
    """In the order in which they go first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One document, ``at`` seconds after the start."""

    at: float
    kind: str
    pages: int
    lane: Lane = Lane.NORMAL
    tenant: int = 0
    #: Read by the whole fleet: more pages to recognise than a chunk holds.
    is_split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A sort of document: how many of a hundred, and of how many pages, each length with its weight."""

    name: str
    percent: float
    pages: Mapping[int, float]
    is_split: bool = False


#: The mix of the plan. Native: office files; scan: letters, receipts, forms; long: contracts, files, books.
MIX = (
    Kind(name="native", percent=55, pages={1: 30, 2: 30, 4: 30, 8: 10}),
    Kind(name="scan", percent=42, pages={1: 50, 2: 25, 3: 15, 5: 10}),
    Kind(name="long", percent=3, pages={12: 30, 25: 30, 50: 25, 120: 10, 300: 5}, is_split=True),
)
LANES = {Lane.HIGH: 10, Lane.NORMAL: 70, Lane.LOW: 20}
#: Twenty of them, the first with a fifth of everything, the last with a hundredth.
TENANTS = tuple(1 / (rank + 2) for rank in range(20))
#: The tenant who brings the spike is none of the others.
SPIKE_TENANT = len(TENANTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """``documents`` a month, from the first hour of a Monday on; and perhaps a spike."""

    documents: int
    seconds: float = WEEK
    starts_at: float = 0.0
    spike_documents: int = 0
    spike_at: float = 0.0
    spike_seconds: float = HOUR
    spike_lane: Lane = Lane.NORMAL
    mix: Sequence[Kind] = MIX

    def submissions(self, random: Random) -> list[Submission]:
        """All of them, in order: a Poisson process whose rate is that of the hour."""
        found = [self._one(at, random) for at in self._times(random)]
        for _ in range(self.spike_documents):
            at = self.spike_at + random.random() * self.spike_seconds
            found.append(self._one(at, random, lane=self.spike_lane, tenant=SPIKE_TENANT))
        return sorted(found, key=lambda submission: submission.at)

    def _times(self, random: Random) -> Iterator[float]:
        """A Poisson process with a rate that changes every hour: what is left of a gap at the border starts anew."""
        at = 0.0
        while at < self.seconds:
            hour_ends = (at // HOUR + 1) * HOUR
            rate = self.documents * rate_at(self.starts_at + at)
            gap = random.expovariate(rate)
            if at + gap >= hour_ends:
                at = hour_ends
                continue
            at += gap
            if at < self.seconds:
                yield at

    def _one(self, at: float, random: Random, *, lane: Lane | None = None, tenant: int | None = None) -> Submission:
        kind = random.choices(self.mix, [kind.percent for kind in self.mix])[0]
        return Submission(
            at=at,
            kind=kind.name,
            pages=random.choices(list(kind.pages), list(kind.pages.values()))[0],
            lane=lane or random.choices(list(LANES), list(LANES.values()))[0],
            tenant=random.choices(range(len(TENANTS)), TENANTS)[0] if tenant is None else tenant,
            is_split=kind.is_split,
        )


def rate_at(seconds: float) -> float:
    """Documents a second at that moment of the week, of one document a month."""
    day, hour = int(seconds // DAY) % 7, int(seconds // HOUR) % 24
    a_week = WEEK / MONTH
    return a_week * _DAYS[day] / sum(_DAYS) * _HOURS[hour] / sum(_HOURS) / HOUR
