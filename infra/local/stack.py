"""The programs of one stack on this machine: how each is called, in which order they start and stop."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_ocr_core import exposition
from infra.local import environment
from infra.local.claims import LOOPBACK
from infra.local.environment import ROOT, LauncherSettings
from infra.local.supervisor import TICK_SECONDS, Program, Supervisor

EMULATOR_PYTHON = ROOT / ".venv-emulator/bin/python"
DOCUMENTS = ROOT / "tests/documents"

#: The services' own exit code for settings that are wrong: trying again would not help.
_BAD_SETTINGS = 2
#: Before the first "ready", a program that ends so often in a row will never start; with bad settings twice is enough.
_FAILURES_BEFORE_READY = 5
_FAILURES_WITH_BAD_SETTINGS = 2
#: A worker whose settings are wrong ends sooner than this.
_WORKER_SETTLED_SECONDS = 1.0
_API_GRACE_SECONDS = 10
_EMULATOR_GRACE_SECONDS = 8
_REPORT_SECONDS = 15


class CannotStart(Exception):
    """The stack will not get ready; the message says why."""


class StopRequests:
    """How often someone said stop, by whatever means."""

    def __init__(self) -> None:
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def is_urgent(self) -> bool:
        """Said more than once."""
        return self.count > 1


@dataclass(slots=True, kw_only=True)
class Stack:
    """One emulator, one API, some workers."""

    settings: LauncherSettings
    stop: StopRequests
    api_socket: socket.socket
    emulator_socket: socket.socket
    say: Callable[[str], None]
    supervisor: Supervisor = field(init=False)
    workers: list[Program] = field(default_factory=list)
    servers: list[Program] = field(default_factory=list)
    emulator: Program | None = None
    is_broken: bool = False

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(say=self.say)

    def start(self) -> None:
        """Up to the line that says it is ready.

        Raises:
            CannotStart: a part of it fails again and again.
        """
        self.emulator = self._emulator()
        self.supervisor.add(self.emulator)
        outputs = self._provision()
        if self.stop:
            return
        variables = environment.for_services(self.settings, outputs) | self._scratch()
        self.servers = [self._api(variables)]
        # Each worker process has a port of the metrics in common with the others; so it has their numbers.
        variables = variables | {exposition.VARIABLE: str(exposition.make_directory())}
        self.workers = [self._worker(variables, n) for n in range(1, self.settings.worker_processes + 1)]
        for program in (*self.servers, *self.workers):
            self.supervisor.add(program)
        self._wait(lambda: answers(self.settings.port, "/ready"), "the API is not ready")
        self._wait(self._workers_are_settled, "a worker does not stay up")
        if not self.stop:
            self.say(self._welcome())

    def serve(self) -> None:
        """Keep it up until someone says stop."""
        while not self.stop:
            self.supervisor.look()
            time.sleep(TICK_SECONDS)

    def shut_down(self) -> None:
        """Stop everything that was started."""
        if self.is_broken:
            # No order: nothing must be started again for the sake of the others.
            self.supervisor.stop(self.supervisor.programs, seconds=_EMULATOR_GRACE_SECONDS, in_a_hurry=lambda: False)
            return
        if self.workers:
            self.say(
                f"Stopping; workers get {self.settings.grace_seconds} s to give back their jobs (Ctrl-C: no waiting)."
            )
        in_a_hurry = self.stop.is_urgent
        # A worker counts its own grace from the signal on; two more seconds for the way out.
        self.supervisor.stop(self.workers, seconds=self.settings.grace_seconds + 2, in_a_hurry=in_a_hurry)
        self.supervisor.stop(self.servers, seconds=_API_GRACE_SECONDS + 2, in_a_hurry=in_a_hurry)
        if self.emulator is not None:
            # Never in a hurry: it writes its state.
            self.supervisor.stop([self.emulator], seconds=_EMULATOR_GRACE_SECONDS, in_a_hurry=lambda: False)
            self.say(f"Stopped. The data stays in {self.settings.data_dir}.")

    def _provision(self) -> dict[str, str]:
        """Make the resources, in a process of its own; the emulator is looked after meanwhile."""
        self._wait(lambda: answers(self.settings.emulator_port, "/_ministack/health"), "the emulator does not answer")
        with subprocess.Popen(
            [sys.executable, "-m", "infra.local.provision"],
            cwd=ROOT,
            env=environment.for_children(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            self._wait(lambda: child.poll() is not None, "the resources are not there")
            if self.stop:
                child.kill()
                return {}
            assert child.stdout is not None
            output = child.stdout.read()
        if child.returncode != 0:
            raise CannotStart(f"The emulator's resources could not be made; its log is {self._log('emulator')}.")
        outputs: dict[str, str] = json.loads(output)
        return outputs

    def _workers_are_settled(self) -> bool:
        return all(worker.seconds_running() > _WORKER_SETTLED_SECONDS for worker in self.workers)

    def _scratch(self) -> dict[str, str]:
        """A place for documents in work, emptied of what a killed stack left there."""
        scratch = self.settings.data_dir / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        # Uploads are spooled to TMPDIR: the system's is often in memory, and small.
        return {"TMPDIR": str(scratch), "OCR_SCRATCH_DIR": str(scratch)}

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        """Until the condition holds or someone says stop, with an eye on the programs."""
        next_report = time.monotonic() + _REPORT_SECONDS
        while not self.stop and not condition():
            for program, code in self.supervisor.look():
                allowed = _FAILURES_WITH_BAD_SETTINGS if code == _BAD_SETTINGS else _FAILURES_BEFORE_READY
                if program.failures >= allowed:
                    self.is_broken = True
                    raise CannotStart(f"{program.name} does not start; its whole log is {program.log}.")
            if time.monotonic() > next_report:
                self.say(f"Still waiting: {complaint}; logs are in {self._log('*')}.")
                next_report = time.monotonic() + _REPORT_SECONDS
            time.sleep(TICK_SECONDS)

    def _emulator(self) -> Program:
        listener = self.emulator_socket.fileno()
        return Program(
            name="emulator",
            command=[
                *(str(EMULATOR_PYTHON), str(ROOT / "infra/local/emulator.py")),
                *("--data-dir", str(self.settings.data_dir / "aws")),
                *("--port", str(self.settings.emulator_port)),
                *("--socket", str(listener)),
            ],
            environment=environment.for_children(self.settings),
            directory=ROOT,
            log=self._log("emulator"),
            inherited=(listener,),
        )

    def _api(self, variables: dict[str, str]) -> Program:
        listener = self.api_socket.fileno()
        return Program(
            name="api",
            command=[
                *(sys.executable, "-m", "gunicorn", "--config", "gunicorn_config.py"),
                *("--bind", f"fd://{listener}"),
                *("--graceful-timeout", str(_API_GRACE_SECONDS)),
                "app:app",
            ],
            environment=variables,
            directory=ROOT / "hybrid-ocr-api",
            log=self._log("api"),
            inherited=(listener,),
        )

    def _worker(self, variables: dict[str, str], number: int) -> Program:
        return Program(
            name=f"worker-{number}",
            command=[sys.executable, str(ROOT / "hybrid-ocr-worker/aws_worker.py"), "consume", "--processes", "1"],
            environment=variables,
            directory=ROOT,
            log=self._log(f"worker-{number}"),
        )

    def _log(self, name: str) -> Path:
        return self.settings.data_dir / f"logs/{name}.log"

    def _welcome(self) -> str:
        document = DOCUMENTS / "phototest.tif"
        key = self.settings.variables["OCR_API_KEY"]
        # A key that is not the published default is a secret: it stays where it is.
        shown = key if key == environment.read_file(environment.EXAMPLE)["OCR_API_KEY"] else "$OCR_API_KEY"
        count = len(self.workers)
        return (
            f"Ready at {self.settings.url} with {count} worker{'' if count == 1 else 's'}; logs are in"
            f" {self._log('*')}; Ctrl-C stops it. Try:\n"
            f'    curl -H "x-api-key: {shown}" -F file=@{document.relative_to(ROOT)} {self.settings.url}/jobs'
        )


def answers(port: int, path: str) -> bool:
    """Whether a GET on this machine answers 200; straight, without any proxy."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
