"""How many workers there are: tasks that start slowly, are killed, are paid by the second, and follow the backlog."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from random import Random

import simpy

from bench.simulation.fleet import Fleet, Process, Worker
from bench.simulation.workload import HOUR

_LEAST_BILLED_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A policy: as many tasks as keep the backlog of each worker at the target."""

    #: Messages queued, in hand, or held back for want of a place; for each worker.
    target_backlog: float
    least: int = 2
    most: int = 200
    workers_per_task: int = 1
    period_seconds: float = 60
    #: From the request for a task to its first poll: network, image, Python, engine.
    start_seconds: tuple[float, float] = (60, 90)
    #: Fewer tasks only after so long without need of them.
    cool_down_seconds: float = 15 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """How often a task dies by itself, on average; hours, infinity for never."""

    #: SIGKILL: out of memory, the host gone.
    killed_every_hours: float = math.inf
    #: Spot capacity taken back: SIGTERM, two minutes before the end.
    reclaimed_every_hours: float = math.inf


@dataclass(slots=True, eq=False)
class Task:
    """One Fargate task, paid from its launch on."""

    launched_at: float
    workers: list[Worker] = field(default_factory=list)
    ended_at: float | None = None
    is_stopping: bool = False


class Tasks:
    """Those of one service, and their price in seconds."""

    def __init__(self, fleet: Fleet, scaling: Scaling, deaths: Deaths, random: Random) -> None:
        self._fleet = fleet
        self._scaling = scaling
        self._deaths = deaths
        self._random = random
        self._tasks: list[Task] = []
        self._ended_seconds = 0.0
        self.peak = 0
        for _ in range(scaling.least):
            self._start(self._launch())

    def scale(self) -> Process:
        """Look at the backlog every period, for ever."""
        scaling, env = self._scaling, self._fleet.env
        wanted_lately: deque[int] = deque(maxlen=max(1, round(scaling.cool_down_seconds / scaling.period_seconds)))
        while True:
            yield env.timeout(scaling.period_seconds)
            workers = self._fleet.backlog() / scaling.target_backlog
            wanted = min(scaling.most, max(scaling.least, math.ceil(workers / scaling.workers_per_task)))
            wanted_lately.append(wanted)
            running = [task for task in self._tasks if not task.is_stopping]
            for _ in range(wanted - len(running)):
                self._launch_slowly()
            # Any of them may be the one: nothing tells the scaler who is idle.
            for task in self._random.sample(running, max(0, len(running) - max(wanted_lately))):
                self._stop(task)

    def seconds(self) -> float:
        """Task-seconds so far."""
        return self._ended_seconds + sum(self._fleet.env.now - task.launched_at for task in self._tasks)

    def _launch(self) -> Task:
        task = Task(self._fleet.env.now)
        self._tasks.append(task)
        self.peak = max(self.peak, len(self._tasks))
        return task

    def _launch_slowly(self) -> None:
        task = self._launch()
        self._fleet.later(self._random.uniform(*self._scaling.start_seconds), lambda: self._start(task))

    def _start(self, task: Task) -> None:
        if task.is_stopping:
            return
        task.workers = [Worker(self._fleet) for _ in range(self._scaling.workers_per_task)]
        for hours, end in (
            (self._deaths.killed_every_hours, self._kill),
            (self._deaths.reclaimed_every_hours, self._reclaim),
        ):
            if hours < math.inf:
                self._fleet.later(self._random.expovariate(1 / (hours * HOUR)), lambda end=end: end(task))  # type: ignore[misc]

    def _kill(self, task: Task) -> None:
        if task.ended_at is not None:
            return
        self._fleet.kills += 1
        for worker in task.workers:
            worker.kill()
        was_wanted, task.is_stopping = not task.is_stopping, True
        self._end(task)
        if was_wanted:
            self._launch_slowly()

    def _reclaim(self, task: Task) -> None:
        if not task.is_stopping:
            self._fleet.kills += 1
            self._stop(task)
            self._launch_slowly()

    def _stop(self, task: Task) -> None:
        task.is_stopping = True
        for worker in task.workers:
            worker.stop()
        ended = simpy.AllOf(self._fleet.env, [worker.process for worker in task.workers])
        assert ended.callbacks is not None
        ended.callbacks.append(lambda _event: self._end(task))

    def _end(self, task: Task) -> None:
        if task.ended_at is None:
            task.ended_at = self._fleet.env.now
            self._ended_seconds += max(_LEAST_BILLED_SECONDS, task.ended_at - task.launched_at)
            self._tasks.remove(task)
