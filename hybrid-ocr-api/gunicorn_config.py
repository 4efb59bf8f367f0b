"""How gunicorn serves the API: a few processes of many threads each, most of which wait for a job to change.

What is worked on at a time is bounded by ``slots.py``, not by the threads. One that waits takes about 100 kB, and no
processor time.
"""

import ctypes
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from hybrid_ocr_api.waiting import MOST, Waiting
from hybrid_ocr_core import exposition

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

_PR_SET_PDEATHSIG = 1

bind = f"127.0.0.1:{os.environ.get('OCR_PORT', '8000')}"
worker_class = "gthread"
workers = 2
# As many requests as may wait, and some more. Threads are started when they are needed.
threads = MOST + 64
# Connections at a time, those included on which nothing is asked at the moment. Each is an open file.
worker_connections = 2 * threads
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = 2 * worker_connections
if _soft != resource.RLIM_INFINITY and _soft < _files:
    _soft = _files if _hard == resource.RLIM_INFINITY else min(_files, _hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_soft, _hard))
# Of addresses, not of memory: the usual 8 MB for each of so many threads are too much where these are counted.
threading.stack_size(1 << 20)
# Loaded once, in the master: half the start-up time, and settings that are wrong end it with exit code 2 instead of
# having it start workers for ever. Nothing connects before the first request, so the fork shares no connection.
preload_app = True
# Whichever process answers /metrics, it answers for all of them.
exposition.share_with_forks()

# With threads this limits how long a process may be stuck, not how long an upload may take.
timeout = 120
graceful_timeout = 30
keepalive = 75  # longer than the 60 s of an AWS load balancer, which would else reuse connections that we just closed

# The heartbeat's file; on a disk a slow write would look like a stuck process.
_MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes its file there safely
worker_tmp_dir = str(_MEMORY) if _MEMORY.is_dir() else None
# Its place is in the home directory, where two stacks would share it; and a container has none.
control_socket_disable = True

accesslog = None
errorlog = "-"
logconfig_dict = {
    "formatters": {"json": {"()": "hybrid_ocr_core.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
}


def when_ready(_arbiter: "Arbiter") -> None:
    """Before the first fork: what is loaded by now stays, so the garbage collector is to leave it alone.

    Requests that wait outlive its younger generations and have it go through everything, again and again. With all that
    boto3 loads this takes 0.1 s, in which a process does nothing else; and it would write to memory that they share.
    """
    gc.collect()
    gc.freeze()


def post_worker_init(worker: "Worker") -> None:
    """A process that is told to stop answers those who wait at once; else they would take up the time of grace."""
    waiting = worker.wsgi.extensions["hybrid_ocr"].waiting
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _ending(waiting, signal.getsignal(number)))


def _ending(waiting: Waiting, stop: Any) -> Callable[[int, FrameType | None], None]:  # noqa: ANN401 - a signal handler
    def end_and_stop(number: int, frame: FrameType | None) -> None:
        waiting.close()
        stop(number, frame)

    return end_and_stop


def post_fork(_arbiter: "Arbiter", _worker: "Worker") -> None:
    """A process must not outlive its master; by itself it looks once a second, and then still drains."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
