"""Fitting a calibration: isotonic regression by pooling adjacent violators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.confidence.reading import Judged

#: Words, by weight, that a point of the line stands on at least.
_LEAST_WEIGHT = 25.0
#: So many right and so many wrong words are added to each point: nothing is certain, however often it was seen.
_PRIOR = 0.5


@dataclass(slots=True)
class _Pool:
    weight: float
    scores: float
    right: float

    @property
    def share(self) -> float:
        return (self.right + _PRIOR) / (self.weight + 2 * _PRIOR)

    def take(self, other: _Pool) -> None:
        self.weight += other.weight
        self.scores += other.scores
        self.right += other.right


def fit(words: Sequence[Judged]) -> list[tuple[float, float]]:
    """The points of a line that never falls: (score, share of right words), both 0 to 100.

    Between the middles of the pools the line is straight, not a stair: two words that Tesseract tells apart stay apart.
    """
    pools: list[_Pool] = []
    for pool in _least_pools(words):
        pools.append(pool)
        while len(pools) > 1 and pools[-2].share >= pools[-1].share:
            last = pools.pop()
            pools[-1].take(last)
    points = {round(pool.scores / pool.weight, 2): round(100 * pool.share, 2) for pool in pools}
    shares = list(points.values())
    return sorted({0.0: shares[0], 100.0: shares[-1], **points}.items())


def _least_pools(words: Sequence[Judged]) -> list[_Pool]:
    """Pools that are just large enough, in rising order; equal scores stay together."""
    pools: list[_Pool] = []
    for score, group in groupby(sorted(words, key=lambda word: word.score), key=lambda word: word.score):
        same = list(group)
        weight = sum(word.weight for word in same)
        pool = _Pool(weight, score * weight, sum(word.weight for word in same if word.is_right))
        if pools and pools[-1].weight < _LEAST_WEIGHT:
            pools[-1].take(pool)
        else:
            pools.append(pool)
    if len(pools) > 1 and pools[-1].weight < _LEAST_WEIGHT:
        last = pools.pop()
        pools[-1].take(last)
    return pools
