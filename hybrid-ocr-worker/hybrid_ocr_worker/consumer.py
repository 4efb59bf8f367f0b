"""The loop: long poll, process, until asked to stop.

While a part of AWS is away nothing is received: each delivery of a message counts towards its ``maxReceiveCount``, and
a healthy job's message must not end among the dead letters because of an outage.
"""

from __future__ import annotations

import logging
import random

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.shutdown import Shutdown, StopWaiting

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 30.0


class Consumer:
    """One worker process reads one document at a time; fleets grow by count alone."""

    def __init__(self, intake: Intake, processor: Processor, shutdown: Shutdown) -> None:
        self._intake = intake
        self._processor = processor
        self._shutdown = shutdown

    def run(self) -> None:
        """Until the shutdown is requested; the job in hand is finished or given back first."""
        failures = 0
        while not self._shutdown.requested.is_set():
            try:
                if failures:
                    self._recover()
                self._take_one()
                failures = 0
            except StopWaiting:
                return
            except Unavailable as error:
                failures += 1
                _log.warning("Waiting for AWS: %s.", error, extra={"action": "unavailable"})
                window = min(_LONGEST_PAUSE_SECONDS, 2.0**failures)
                # Full jitter, so that a fleet does not come back all at once after an outage: the last of it within
                # the longest pause. The floor keeps one worker from asking in a tight loop.
                self._shutdown.requested.wait(random.uniform(0.5, window))  # noqa: S311 - not cryptography

    def _recover(self) -> None:
        with self._shutdown:
            self._processor.recover()

    def _take_one(self) -> None:
        # A signal breaks this wait off. A message that SQS hands out in that very moment stays hidden for its
        # visibility time and then comes back.
        with self._shutdown:
            message = self._intake.next()
        if message is not None:
            self._processor.process(message)
