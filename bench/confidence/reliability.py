"""How far confidences are from what they promise: bins, and the expected calibration error (ECE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Words of about the same confidence: what they weigh, what they claim and what holds, both 0 to 1."""

    weight: float
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A word's confidence, 0 to 100, and whether it is right."""

    confidence: float
    is_right: bool
    weight: float = 1.0


def equal_mass_bins(claims: Sequence[Claim], bins: int = BINS) -> list[Bin]:
    """Bins of about the same weight, for nearly all words are at one end of the scale; equal claims stay together."""
    total = sum(claim.weight for claim in claims)
    ordered = sorted(claims, key=lambda claim: claim.confidence)
    made: list[Bin] = []
    members: list[Claim] = []
    seen = 0.0
    for _, group in groupby(ordered, key=lambda claim: claim.confidence):
        same = list(group)
        members += same
        seen += sum(claim.weight for claim in same)
        if seen >= total * (len(made) + 1) / bins - 1e-9:
            made.append(_bin(members))
            members = []
    return [*made, _bin(members)] if members else made


def equal_width_bins(claims: Sequence[Claim], bins: int = BINS) -> list[Bin]:
    """Bins of the same width; those without words are left out."""
    ordered = sorted(claims, key=lambda claim: claim.confidence)
    groups = groupby(ordered, key=lambda claim: min(int(claim.confidence / 100 * bins), bins - 1))
    return [_bin(list(group)) for _, group in groups]


def ece(bins: Sequence[Bin]) -> float:
    """Mean distance of claim and truth over the bins, by weight."""
    return fmean((abs(one.confidence - one.accuracy) for one in bins), weights=[one.weight for one in bins])


def _bin(claims: Sequence[Claim]) -> Bin:
    weights = [claim.weight for claim in claims]
    return Bin(
        weight=sum(weights),
        confidence=fmean((claim.confidence / 100 for claim in claims), weights),
        accuracy=fmean((float(claim.is_right) for claim in claims), weights),
    )
