"""What a block of a test adds to the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_ocr_core.exposition import REGISTRY


@contextmanager
def counted(prefix: str) -> Iterator[dict[str, float]]:
    """Filled when the block ends: how much each number with such a name grew, as ``name{label=value,…}``.

    Of histograms the counts and sums; what did not change is left out.
    """
    grown: dict[str, float] = {}
    before = _numbers(prefix)
    yield grown
    for name, value in _numbers(prefix).items():
        if value != before.get(name, 0.0):
            grown[name] = value - before.get(name, 0.0)


def _numbers(prefix: str) -> dict[str, float]:
    return {
        f"{sample.name}{{{','.join(f'{label}={value}' for label, value in sample.labels.items())}}}": sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith(prefix) and not sample.name.endswith(("_bucket", "_created"))
    }
