"""Service times without chance, and documents; a test changes the one thing it is about."""

from __future__ import annotations

from typing import Any

from bench.simulation.distributions import Empirical, PerPage
from bench.simulation.service_times import ServiceTimes
from bench.simulation.workload import Submission

_NOTHING = Empirical((0.0,))
_NO_MORE = PerPage(0.0, 0.0, (1.0,))


def times(page_seconds: float = 1.0, **changes: Any) -> ServiceTimes:
    """Every page takes as long, and nothing else takes any time."""
    fields: dict[str, Any] = {
        "submit": _NOTHING,
        "wake": _NOTHING,
        "turnaround": _NOTHING,
        "page": {"scan": Empirical((page_seconds,)), "long": Empirical((page_seconds,))},
        "job": {"scan": _NO_MORE},
        "chunk": _NO_MORE,
        "split": _NO_MORE,
        "assemble": _NO_MORE,
    }
    return ServiceTimes(**{**fields, **changes})


def a_scan(at: float = 0.0, pages: int = 1, **changes: Any) -> Submission:
    return Submission(at=at, kind="scan", pages=pages, **changes)


def a_long(at: float = 0.0, pages: int = 100, **changes: Any) -> Submission:
    return Submission(at=at, kind="long", pages=pages, is_split=True, **changes)
