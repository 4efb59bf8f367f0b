"""The numbers of several processes are one machine's, whoever of them dies or answers."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hybrid_ocr_core import exposition

_PROGRAM = """
import sys
from prometheus_client import Counter, Gauge
from hybrid_ocr_core import exposition
counter = Counter("things", "h", registry=exposition.REGISTRY)
latest = Gauge("latest", "h", multiprocess_mode="mostrecent", registry=exposition.REGISTRY)
port = exposition.serve("127.0.0.1", int(sys.argv[1]))
print(port, flush=True)
for line in sys.stdin:
    counter.inc(int(line))
    latest.set(int(line))
    print("counted", flush=True)
"""


class _Process:
    def __init__(self, directory: Path, port: int = 0) -> None:
        environment = {**os.environ, exposition.VARIABLE: str(directory), "PYTHONPATH": os.pathsep.join(sys.path)}
        self.child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.child.stdout is not None
        self.port = int(self.child.stdout.readline())

    def count(self, things: int) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{things}\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "counted\n"

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.communicate()


@contextmanager
def _running(*processes: _Process) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_one_scrape_sees_all_processes(tmp_path: Path) -> None:
    first, second = _Process(tmp_path), _Process(tmp_path)
    with _running(first, second):
        first.count(3)
        second.count(4)

        seen = [_scrape(first.port), _scrape(second.port)]

    assert seen == [{"things_total": 7.0, "latest": 4.0}] * 2


def test_counts_survive_a_process_and_files_do_not_grow_in_number(tmp_path: Path) -> None:
    stays = _Process(tmp_path)
    with _running(stays):
        stays.count(1)
        files = None
        for round_ in range(1, 4):
            dies = _Process(tmp_path)
            with _running(dies):
                dies.count(10)
            assert _scrape(stays.port)["things_total"] == 1 + 10 * round_
            now = sorted(path.name for path in tmp_path.iterdir())
            assert files in {None, tuple(now)}
            files = tuple(now)


def test_processes_listen_at_one_port_and_the_last_one_still_answers(tmp_path: Path) -> None:
    first = _Process(tmp_path)
    second = _Process(tmp_path, port=first.port)
    with _running(first, second):
        first.count(2)
        second.count(3)
        both = {_scrape(first.port)["things_total"] for _ in range(20)}
        first.kill()
        left = _scrape(first.port)["things_total"]

    assert (both, left) == ({5.0}, 5.0)


@pytest.mark.parametrize(
    "name", ["x.y", ".y", "-1.y", "0.y", "1e3.y", "\u00b2.y", "99999999999999999999.y", "1", "4194304\n.y"]
)
def test_what_another_user_calls_as_ours_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(exposition, "_MEMORY", tmp_path)
    (tmp_path / f"hybrid-ocr-metrics.{name}").mkdir()

    assert exposition.make_directory().is_dir()


def test_a_connection_that_says_nothing_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(exposition._Handler, "timeout", 0.05)
    with socket.create_connection(("127.0.0.1", exposition.serve("127.0.0.1", 0))) as silent:
        silent.settimeout(30)
        assert silent.recv(1) == b""  # the server hung up

    assert capfd.readouterr() == ("", "")
    assert "A scrape failed: TimeoutError." in caplog.messages


def test_a_directory_goes_with_its_process_and_that_of_a_killed_one_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "_MEMORY", tmp_path)
    program = (
        "import os, pathlib, sys\n"
        "from hybrid_ocr_core import exposition\n"
        f"exposition._MEMORY = pathlib.Path({str(tmp_path)!r})\n"
        "print(exposition.make_directory())\n"
        "if os.fork() == 0: sys.exit()\n"  # whose end must not take it away
        "os.wait()\n"
        "assert list(exposition._MEMORY.iterdir())\n"
        "if sys.argv[1:]: os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert (ended.returncode, list(tmp_path.iterdir())) == (0, [])

    killed = subprocess.run([sys.executable, "-c", program, "kill"], env=environment, check=False)
    assert (killed.returncode, len(list(tmp_path.iterdir()))) == (-9, 1)

    ours = exposition.make_directory()
    assert list(tmp_path.iterdir()) == [ours]
