"""What a block of a test adds to the metrics, asks of AWS, and logs."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.client import BaseClient

from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.logs import JsonFormatter


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


@contextmanager
def requests_of(*clients: BaseClient) -> Iterator[Counter[str]]:
    """Every request that they send, by operation; one that is sent again counts again."""
    sent: Counter[str] = Counter()

    def count(event_name: str, **_: object) -> None:
        sent[event_name.rpartition(".")[2]] += 1

    for client in clients:
        client.meta.events.register_first("before-send", count)
    yield sent
    for client in clients:
        client.meta.events.unregister("before-send", count)


@contextmanager
def log_lines_of(name: str) -> Iterator[list[dict[str, str]]]:
    """What a logger writes, formatted at that very moment: some of it is of the context, and gone afterwards."""
    lines: list[dict[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    handler, logger = Handler(), logging.getLogger(name)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
