"""Thousands of jobs, and a worker killed every few seconds."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.make_documents import GENERATED
from tests.system import outcome
from tests.system.stack import Stack

_JOBS = 2000
_KILL_EVERY_SECONDS = 3.0
_LEASE_SECONDS = 6
_BAR_SECONDS = _LEASE_SECONDS + 30 + 5
#: Clients wait for their jobs, so that so many are open at a time.
_CLIENTS = 16
_SEED = 20261121


class Killer:
    """Kills a worker at random, again and again; remembers when, and which job it had in hand by its log."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._rng = random.Random(_SEED)
        self.kills: list[tuple[str, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_KILL_EVERY_SECONDS):
            workers = self._stack.workers()
            if not workers:
                continue
            pid = self._rng.choice(workers)
            try:
                log = Path(f"/proc/{pid}/fd/2").readlink()
                os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.kills.append((_in_hand(log), time.time()))


def _in_hand(log: Path) -> str:
    """The job of the last line that names one, if that line is not its end."""
    lines = [json.loads(line) for line in log.read_text().splitlines()[-5:] if line.startswith("{")]
    last: dict[str, object] = next((line for line in reversed(lines) if "job_id" in line), {})
    return str(last["job_id"]) if last.get("action") == "job_claimed" else ""


@pytest.mark.long
@pytest.mark.failure(14, 35)
def test_a_soak_with_a_worker_killed_every_three_seconds(tmp_path: Path) -> None:
    content = GENERATED["born-digital.pdf"]()
    seconds = {"OCR_LEASE_SECONDS": str(_LEASE_SECONDS), "OCR_HEARTBEAT_SECONDS": "2", "OCR_SWEEP_SECONDS": "2"}
    ends: dict[str, set[str]] = {}
    with Stack(tmp_path / "data", OCR_WORKER_PROCESSES="2", **seconds) as stack:

        def one(_: int) -> None:
            job_id = stack.submit(content)
            ends[job_id] = {"DONE"}
            stack.finish(job_id)

        started = time.monotonic()
        killer = Killer(stack)
        with outcome.Watch(stack, every_seconds=1) as watch, killer, ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(one, range(_JOBS)))
        took = time.monotonic() - started
        outcome.settle(stack)

        assert not watch.broken
        assert len(ends) == _JOBS
        outcome.check(stack, ends, b"Invoice")
        recovered = watch.seconds_to_end(killer.kills)
        assert len(killer.kills) > took / _KILL_EVERY_SECONDS / 2
        p99 = recovered[math.ceil(len(recovered) * 0.99) - 1]
        print(
            f"\n{_JOBS} jobs in {took:.0f} s, {len(killer.kills)} kills, {len(recovered)} of them with a job in hand;"
            f" from the kill to the job's end: median {recovered[len(recovered) // 2]:.1f} s, p99 {p99:.1f} s;"
            " lost 0, double 0, stale 0"
        )
        assert p99 < _BAR_SECONDS
