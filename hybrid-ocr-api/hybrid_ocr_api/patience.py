"""``Retry-After``: when it is worth asking for a job again.

A job that waits is taken when those before it are done: the messages of its lane, so many at a time as are with workers
now, each for as long as the jobs took that were seen here at their end. That is a guess (a long document is many
messages; other lanes have their turns, too), and is kept between a second and a minute.

No request waits for it: the lane is asked by a thread, every few seconds at most, and what it said last counts.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job import Clock, Job, JobId, JobStatus, Lane, Standing, utc_now
from hybrid_ocr_core.job_queue import Depth

_log = logging.getLogger(__name__)

LEAST_SECONDS, MOST_SECONDS = 1, 60
#: How long an answer of SQS counts.
_FRESH_SECONDS = 5.0
#: How long it counts where there is no newer one: nobody asked for a job meanwhile, or SQS is away.
_STALE_SECONDS = 60.0
#: Of a job, before one was seen.
_USUAL_SECONDS = 1.0
#: How much one job changes what is usual.
_WEIGHT = 0.1
#: A job that ended before says nothing of now.
_LATELY = dt.timedelta(minutes=10)
_MOST_LEARNED = 10_000


def _in_background(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="patience", daemon=True).start()


class Patience:
    """What one process knows of the lanes. ``depth`` is ``JobQueue.depth``; ``run`` has a call made some time."""

    def __init__(
        self,
        depth: Callable[[Lane], Depth],
        clock: Clock = utc_now,
        *,
        run: Callable[[Callable[[], None]], None] = _in_background,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = depth
        self._clock = clock
        self._run = run
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: With when it was heard.
        self._depths: dict[Lane, tuple[float, Depth]] = {}
        self._asked_at: dict[Lane, float] = {}
        self._usual_seconds = _USUAL_SECONDS
        #: Those ends that were taken note of, however often their jobs are asked for.
        self._learned: TTLCache[tuple[JobId, int], bool] = TTLCache(_MOST_LEARNED, _LATELY.total_seconds(), monotonic)

    def seconds(self, standing: Standing, *, may_ask: bool = True) -> int:
        """How long to wait before asking again for a job that has not ended. ``may_ask``: whether SQS may be asked."""
        if standing.status is not JobStatus.QUEUED:
            return LEAST_SECONDS  # its progress changes all the time
        if may_ask:
            self._refresh(standing.lane)
        heard_at, depth = self._depths.get(standing.lane, (-math.inf, None))
        if depth is None or self._monotonic() - heard_at > _STALE_SECONDS:
            return LEAST_SECONDS
        seconds = depth.waiting * self._usual_seconds / max(1, depth.in_flight)
        return max(LEAST_SECONDS, min(MOST_SECONDS, math.ceil(seconds)))

    def learn(self, job: Job) -> None:
        """Take note of how long a job took that has ended."""
        if job.status is not JobStatus.DONE or job.started_at is None or self._clock() - job.updated_at >= _LATELY:
            return
        took = (job.updated_at - job.started_at).total_seconds()
        end = (job.id, job.version)
        with self._lock:
            if end not in self._learned:
                self._learned[end] = True
                self._usual_seconds += _WEIGHT * (max(0.0, took) - self._usual_seconds)

    def _refresh(self, lane: Lane) -> None:
        now = self._monotonic()
        with self._lock:
            if now - self._asked_at.get(lane, -math.inf) < _FRESH_SECONDS:
                return
            self._asked_at[lane] = now
        self._run(lambda: self._look(lane))

    def _look(self, lane: Lane) -> None:
        try:
            self._depths[lane] = (self._monotonic(), self._ask(lane))
        except Unavailable as error:
            _log.warning("%s; Retry-After goes by what is known.", error, extra={"action": "depth_unknown"})
