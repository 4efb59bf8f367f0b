"""Keeps programs running: starts again what ends, a little later each time, and stops them in peace.

One thread and no events: the caller looks after everything some times a second by ``Supervisor.look``. It must be the
thread that starts the children, because they are tied to its life (``tether.py``).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

TICK_SECONDS = 0.1

_TETHER = Path(__file__).with_name("tether.py")
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
#: A program that was killed, or ended in peace, did not fail: it is wanted back soon, however often that happens.
_LONGEST_DELAY_WITHOUT_FAILURE_SECONDS = 1.0
#: Whoever ran for so long is no longer failing: the next restart is quick again.
_STEADY_SECONDS = 60.0
_LONGEST_LOG_BYTES = 20 << 20
_LINES_SHOWN = 12

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Program:
    """A program that is to run. ``inherited`` are the file descriptors that it gets beside the usual three."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    inherited: tuple[int, ...] = ()
    failures: int = 0
    process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _next_start: float = 0.0
    _log_starts_at: int = 0

    def start(self) -> None:
        """Start it in a session of its own: a Ctrl-C in the terminal must reach the launcher only."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_starts_at = log.tell()
            self.process = subprocess.Popen(
                tethered(self.command, signal.SIGKILL),
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.inherited,
                start_new_session=True,
            )
        self._started_at = time.monotonic()

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def is_due(self) -> bool:
        """Whether the delay before the next start is over."""
        return self.process is None and time.monotonic() >= self._next_start

    def note_end(self) -> tuple[int, float]:
        """After it ended by itself: its exit code, and the delay before the next start."""
        assert self.process is not None
        code = self.process.wait()
        self.sweep()
        self.process = None
        steady = time.monotonic() - self._started_at > _STEADY_SECONDS
        self.failures = 1 if steady else self.failures + 1
        # The first time at once, for that is an accident; then 0.5 s, 1 s, 2 s, ...
        delay = 0.0 if self.failures == 1 else _FIRST_DELAY_SECONDS * 2 ** min(self.failures - 2, 16)
        delay = min(delay, _LONGEST_DELAY_WITHOUT_FAILURE_SECONDS if code <= 0 else _LONGEST_DELAY_SECONDS)
        self._next_start = time.monotonic() + delay
        return code, delay

    def send(self, number: signal.Signals) -> None:
        """Signal the program itself; it stops its own children."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def sweep(self) -> None:
        """Kill what is left of its process group, such as the workers of a gunicorn that was killed."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def seconds_running(self) -> float:
        """How long it has been running; 0 if it is not."""
        return time.monotonic() - self._started_at if self.is_running() else 0.0

    def last_lines(self) -> str:
        """The end of what it logged since its last start, indented."""
        with self.log.open("rb") as log:
            log.seek(self._log_starts_at)
            lines = log.read().decode(errors="replace").splitlines()
        return "".join(f"\n    | {line}" for line in lines[-_LINES_SHOWN:])

    def trim_log(self) -> None:
        """Start the log anew when it is long, and keep the former one. It is open for appending, so this is safe."""
        if self.log.exists() and self.log.stat().st_size > _LONGEST_LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """All programs of a stack, in the order in which they were added."""

    say: Say
    programs: list[Program] = field(default_factory=list)

    def add(self, program: Program) -> None:
        """Start a program, and keep it running from now on."""
        self.programs.append(program)
        program.start()

    def look(self) -> list[tuple[Program, int]]:
        """Start again what is due; returns what has ended since the last look, with the exit codes."""
        ended = []
        for program in self.programs:
            if program.process is not None and not program.is_running():
                code, delay = program.note_end()
                when = f"in {delay:g} s" if delay else "now"
                # Why it ended is shown once, not with every restart; of a program that was killed the log says nothing.
                shown = program.last_lines() if code > 0 and program.failures == 1 else ""
                self.say(f"{program.name} {describe(code)}; starting it again {when}.{shown}")
                ended.append((program, code))
            if program.is_due():
                program.start()
            program.trim_log()
        return ended

    def stop(self, programs: Iterable[Program], *, seconds: float, in_a_hurry: Callable[[], bool]) -> None:
        """End programs: SIGTERM to all, SIGKILL to what still runs after so many seconds or when there is a hurry.

        Meanwhile the other programs are kept running, because those that stop may need them.
        """
        stopping = list(programs)
        self.programs = [program for program in self.programs if program not in stopping]
        for program in stopping:
            program.send(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(program.is_running() for program in stopping):
            if time.monotonic() > deadline or in_a_hurry():
                for program in stopping:
                    if program.is_running():
                        self.say(f"{program.name} did not stop in time and is killed.")
                    program.send(signal.SIGKILL)
                break
            self.look()
            time.sleep(TICK_SECONDS)
        for program in stopping:
            if program.process is not None:
                program.process.wait()
                program.sweep()


def tethered(command: list[str], number: signal.Signals) -> list[str]:
    """The command, so wrapped that it gets this signal when the calling process is gone."""
    name = number.name.removeprefix("SIG")
    return [sys.executable, "-I", "-S", str(_TETHER), name, str(os.getpid()), *command]


def describe(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
