"""The loop: while a part of AWS is away nothing is received, and afterwards the work goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

import pytest

from hybrid_ocr_core.errors import Unavailable
from hybrid_ocr_core.job_queue import ReceivedMessage
from hybrid_ocr_worker.consumer import _LONGEST_PAUSE_SECONDS, Consumer
from hybrid_ocr_worker.intake import Intake
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.shutdown import Shutdown

_MESSAGE = ReceivedMessage(body="", receipt_handle="h", receive_count=1, sent_at=0)


class _Script:
    """Queue, processor and shutdown in one; writes down what the consumer does, until the script is at its end."""

    def __init__(self, **answers: list[bool]) -> None:
        self.did: list[str] = []
        self.windows: list[float] = []
        self._answers = answers
        self._shutdown = Shutdown(grace_seconds=0)

    def next(self) -> ReceivedMessage:
        self._do("receive")
        return _MESSAGE

    def process(self, _message: ReceivedMessage) -> None:
        self._do("process")

    def recover(self) -> None:
        self._do("recover")

    def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def jitter(_floor: float, window: float) -> float:
            self.did.append("pause")
            self.windows.append(window)
            return 0.0

        monkeypatch.setattr(random, "uniform", jitter)
        intake, processor = cast("Intake", self), cast("Processor", self)
        Consumer(intake, processor, self._shutdown).run()

    def _do(self, what: str) -> None:
        self.did.append(what)
        left = self._answers.get(what, [])
        if not left:
            self._shutdown.request()
        elif not left.pop(0):
            raise Unavailable("DynamoDB", "away")


@pytest.mark.failure(40, 41)
def test_while_a_part_is_away_no_message_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    script = _Script(receive=[True, True], process=[False], recover=[False, False, True])

    script.run(monkeypatch)

    assert script.did == [
        *("receive", "process", "pause"),
        *("recover", "pause", "recover", "pause", "recover"),
        *("receive", "process"),
    ]


@pytest.mark.failure(11, 41, 42)
def test_pauses_grow_to_half_a_minute_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    script = _Script(receive=[False], recover=[False] * 8)

    script.run(monkeypatch)

    assert script.windows == [2.0, 4.0, 8.0, 16.0, *[_LONGEST_PAUSE_SECONDS] * 5]
    assert script.did.count("receive") == 1


@pytest.mark.failure(33)
def test_a_request_to_stop_ends_the_wait_for_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    script = _Script(receive=[False], recover=[False, False])
    act: Callable[[], None] = script._shutdown.request
    monkeypatch.setattr(script, "recover", act)

    script.run(monkeypatch)

    assert script.did == ["receive", "pause"]
