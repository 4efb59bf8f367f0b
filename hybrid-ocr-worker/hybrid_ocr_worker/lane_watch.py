"""Asks SQS now and then how many messages there are, for the metrics."""

from __future__ import annotations

from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_worker import metrics

#: Each time it is a request for each lane and one for the dead letters, and an idle machine is to send next to none.
EVERY_SECONDS = 120


def count_messages(queue: JobQueue) -> None:
    """Those of every lane, and the dead letters. Raises Unavailable."""
    for lane in queue.lanes:
        metrics.lane_counted(lane, queue.depth(lane))
    metrics.dead_letters_counted(queue.dead_letters())
