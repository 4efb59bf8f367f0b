"""Prometheus: how the numbers of this process, and of its siblings on this machine, are kept and shown.

One process alone keeps its numbers in memory. Several share a directory, named by ``PROMETHEUS_MULTIPROC_DIR``: each
keeps its numbers in files there, and any of them answers for all. Whoever starts them makes the directory.

The files are not named by process id, as is usual: with each process that is started again there would be more of them.
They are named by the lowest number that no living process has; a lock on a file is the claim, and the kernel ends it
with the process. Who comes after one that died goes on with its counts, so no counter ever falls.

Where its number is kept, a metric decides when it is made; ``REGISTRY`` is here, so this module is loaded by then.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import logging
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client
from prometheus_client import CollectorRegistry, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from hybrid_ocr_core.process import is_alive

_log = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
#: Every metric of ours, and nothing else.
REGISTRY = CollectorRegistry()

_PREFIX = "hybrid-ocr-metrics"
#: Not on a disk: a mapped file on a full one kills the process that writes to it.
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the directory there safely
_IDLE_SECONDS = 10.0


def make_directory() -> Path:
    """A new directory for the processes that the caller starts; it goes with the caller.

    Where that was killed, it goes when the next one is made.
    """
    root = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
    for left in root.glob(f"{_PREFIX}.*.*"):
        if not is_alive(left.name.split(".")[1]):
            shutil.rmtree(left, ignore_errors=True)
    owner = os.getpid()
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}.{owner}.", dir=root))

    def remove() -> None:
        if os.getpid() == owner:  # and not a fork of it
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    return directory


def share_with_forks() -> None:
    """For a process that forks instead of starting others; before any metric is made. Done twice, it is done once."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(make_directory())
        _keep_in_files()


def render(accept: str) -> tuple[bytes, str]:
    """All numbers in the text format that the ``Accept`` header asks for, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_source()), content_type


def serve(host: str, port: int) -> int:
    """Answer at this port from now on, in threads of their own; returns the port, for 0 means any.

    Every process that shares the directory may listen at the same port: the kernel gives each request to one of them.

    Raises:
        OSError: the port cannot be had.
    """
    server = make_server(
        host, port, prometheus_client.make_wsgi_app(_source()), server_class=_Server, handler_class=_Handler
    )
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server.server_port


def _source() -> CollectorRegistry:
    if VARIABLE not in os.environ:
        return REGISTRY
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
    return everybody


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_port = True

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Who connects and says nothing is no defect; the base class prints a traceback amid the log's JSON."""
        kind = sys.exc_info()[0]
        _log.info("A scrape failed: %s.", kind.__name__ if kind else "", extra={"action": "scrape_failed"})


class _Handler(WSGIRequestHandler):
    timeout = _IDLE_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Scrapes are not worth a line."""


class _ProcessNumber:
    """The number by which the files of this process are named; called before every change of a number."""

    def __init__(self) -> None:
        self._pid = 0
        self._number = 0
        self._lock: int | None = None

    def __call__(self) -> int:
        if self._pid != os.getpid():
            self._claim(Path(os.environ[VARIABLE]))
        return self._number

    def _claim(self, directory: Path) -> None:
        if self._lock is not None:
            # Inherited by a fork: the parent's claim lasts as long as its own descriptor.
            os.close(self._lock)
        for number in itertools.count(1):
            lock = os.open(directory / f"{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._pid, self._number, self._lock = os.getpid(), number, lock
            return


def _keep_in_files() -> None:
    values.ValueClass = values.MultiProcessValue(_ProcessNumber())  # type: ignore[no-untyped-call]


if VARIABLE in os.environ:
    _keep_in_files()
