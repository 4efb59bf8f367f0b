"""How gunicorn serves the API: a few processes of some threads each; all of the work is waiting for AWS."""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_ocr_core import exposition

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

_PR_SET_PDEATHSIG = 1

bind = f"127.0.0.1:{os.environ.get('OCR_PORT', '8000')}"
worker_class = "gthread"
workers = 2
threads = 8
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


def post_fork(_arbiter: "Arbiter", _worker: "Worker") -> None:
    """A process must not outlive its master; by itself it looks once a second, and then still drains."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
