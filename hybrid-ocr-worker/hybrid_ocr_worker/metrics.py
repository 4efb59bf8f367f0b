"""What is counted of the work. What is counted of jobs, the job store tells by itself.

A stage is timed whether it succeeds or not. Labels are of closed lists: never a tenant, a job, a name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from hybrid_ocr_core.errors import LeaseLost, Unavailable
from hybrid_ocr_core.event import Delivery
from hybrid_ocr_core.exposition import REGISTRY
from hybrid_ocr_core.job import Lane
from hybrid_ocr_core.job_queue import Depth, ReceivedMessage
from hybrid_ocr_worker.ocr.result import Source
from hybrid_ocr_worker.shutdown import ShuttingDown

Stage = Literal["fetch", "survey", "page", "split", "collect", "draw", "upload"]
_STAGES: tuple[Stage, ...] = ("fetch", "survey", "page", "split", "collect", "draw", "upload")
_KINDS = ("job", "chunk")
#: How an attempt ends, by what it raises; all but the first and ``lease_lost`` give the job back.
_OUTCOMES: dict[type[Exception], str] = {LeaseLost: "lease_lost", ShuttingDown: "shutdown", Unavailable: "unavailable"}
_FINISHED, _DEFECT = "finished", "defect"

_pages = Counter("hybrid_ocr_pages", "Pages that were read, by source.", ("source",), registry=REGISTRY)
_stages = Histogram(
    "hybrid_ocr_stage_seconds",
    "Steps of an attempt at a job or a chunk; page: one page.",
    ("stage",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
_attempts = Counter(
    "hybrid_ocr_attempts",
    "Attempts by how they ended; a document that is at fault is finished, too.",
    ("kind", "outcome"),
    registry=REGISTRY,
)
_webhooks = Counter(
    "hybrid_ocr_webhooks",
    "Webhooks by what a try made of them; pending: it failed, and there will be another one.",
    ("outcome",),
    registry=REGISTRY,
)
_messages = Gauge(
    "hybrid_ocr_lane_messages",
    "Messages in a lane, waiting or in flight, as SQS said last. Every machine shows the same: take the max.",
    ("lane", "state"),
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
_dead_letters = Gauge(
    "hybrid_ocr_dead_letters",
    "Dead letters, as SQS said last. Every machine shows the same: take the max.",
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
_counted_at = Gauge(
    "hybrid_ocr_lanes_counted_timestamp_seconds",
    "When SQS was asked last how many messages there are.",
    multiprocess_mode="max",
    registry=REGISTRY,
)
_lane_wait = Histogram(
    "hybrid_ocr_lane_wait_seconds",
    "From the sending of a message to its first receive. Fair queues let some overtake others: look at the slowest.",
    ("lane",),
    buckets=(0.1, 1, 5, 15, 60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600),
    registry=REGISTRY,
)
_lane_read = Gauge(
    "hybrid_ocr_lane_read_timestamp_seconds",
    "When a lane gave a message last, or had none to give. The fleet's is the max.",
    ("lane",),
    multiprocess_mode="max",
    registry=REGISTRY,
)

# A rate needs a number to begin with: what may happen stands at 0 before it does.
for _lane in Lane:
    _lane_wait.labels(_lane)
for _source in Source:
    _pages.labels(_source)
for _stage in _STAGES:
    _stages.labels(_stage)
for _delivery in Delivery:
    _webhooks.labels(_delivery)
for _kind in _KINDS:
    for _outcome in (_FINISHED, *_OUTCOMES.values(), _DEFECT):
        _attempts.labels(_kind, _outcome)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Time a stage: a block, or as a decorator a function."""
    started = time.monotonic()
    try:
        yield
    finally:
        _stages.labels(name).observe(time.monotonic() - started)


@contextmanager
def attempt(kind: str) -> Iterator[None]:
    """Count an attempt, by how the block ends."""
    outcome = _DEFECT
    try:
        yield
        outcome = _FINISHED
    except tuple(_OUTCOMES) as error:
        outcome = next(word for kind_of, word in _OUTCOMES.items() if isinstance(error, kind_of))
        raise
    finally:
        _attempts.labels(kind, outcome).inc()


def page_read(source: Source) -> None:
    """A page is among the page files."""
    _pages.labels(source).inc()


def webhook_moved(to: Delivery) -> None:
    """A try was noted, or that there is to be none any more."""
    _webhooks.labels(to).inc()


def message_received(message: ReceivedMessage) -> None:
    """A lane gave a message. One that was received before did not wait for a worker since it was sent."""
    if message.receive_count == 1:
        _lane_wait.labels(message.lane).observe(message.age_seconds)
    _lane_read.labels(message.lane).set(time.time())


def lane_found_empty(lane: Lane) -> None:
    """Nothing waits: SQS said so, or all of a long poll was in vain."""
    _lane_read.labels(lane).set(time.time())


def lane_counted(lane: Lane, depth: Depth) -> None:
    """SQS said how many messages a lane has."""
    _messages.labels(lane, "waiting").set(depth.waiting)
    _messages.labels(lane, "in_flight").set(depth.in_flight)
    if not depth.waiting:
        lane_found_empty(lane)


def dead_letters_counted(count: int) -> None:
    """SQS said how many dead letters there are; it is asked for them last."""
    _dead_letters.set(count)
    _counted_at.set(time.time())
