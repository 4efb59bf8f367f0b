"""Runs inside the real API and worker processes of a stack that a test breaks: sends them signals at named steps.

Python imports this module at its start when its directory is on PYTHONPATH. It wraps the methods that are the steps of
submission and processing, as they are imported; production code knows nothing of it. A step is named
``role.Class.method.before`` or ``.after``. The test arms one by a file ``armed/<step> <signal>``; the first process to
come by removes the file, writes ``fired/<step> <signal>`` and sends the signal to itself.
"""

from __future__ import annotations

import functools
import importlib.machinery
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_STEPS = {
    "hybrid_ocr_core.job_store": (
        "JobStore",
        "create admit claim renew complete fail release split exhaust resend redrive erase purged",
    ),
    "hybrid_ocr_core.places": ("Places", "take leave wait tear_up"),
    "hybrid_ocr_core.chunk_store": ("ChunkStore", "create claim renew release home"),
    "hybrid_ocr_core.batch_store": ("BatchStore", "create"),
    "hybrid_ocr_core.job_queue": ("JobQueue", "send send_all receive hide delete send_to_dead_letters"),
    "hybrid_ocr_core.dead_letters": ("DeadLetterQueue", "delete"),
    "hybrid_ocr_core.document_store": (
        "DocumentStore",
        "put_source pin_upload delete_upload get_source put_result put_chunk get_chunk put_page get_page tidy purge",
    ),
    "hybrid_ocr_core.event_store": ("EventStore", "claim report"),
    "hybrid_ocr_worker.webhook_post": ("Poster", "post"),
    "hybrid_ocr_worker.recognition": ("Recogniser", "survey read_page split draw"),
}
_SIGNALS = ("SIGKILL", "SIGSTOP", "SIGTERM")
#: A job is hit so often at most: its attempt budget is larger.
_HITS_A_JOB = 2
_ROLES = {"consume": "worker", "dlq": "operator"}


class _Steps:
    """One process's view of what is armed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._role = next((role for word, role in _ROLES.items() if word in sys.argv), "api")

    def wrap(self, module: ModuleType, class_name: str, methods: str) -> None:
        found = getattr(module, class_name)
        for name in methods.split():
            setattr(found, name, self._wrapped(f"{self._role}.{class_name}.{name}", getattr(found, name)))

    def _wrapped(self, step: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            self._reach(f"{step}.before")
            value = method(*arguments, **named)
            self._reach(f"{step}.after")
            return value

        return wrapper

    def _reach(self, step: str) -> None:
        for name in _SIGNALS:
            armed = self._directory / "armed" / f"{step} {name}"
            if armed.exists() and self._may_hit():
                try:
                    armed.unlink()
                except FileNotFoundError:
                    continue  # another process was first
                self._fire(f"{step} {name}", name)
                return

    def _may_hit(self) -> bool:
        job_id = _job_in_hand()
        return not job_id or len(list(self._directory.glob(f"hits/{job_id}*"))) < _HITS_A_JOB

    def _fire(self, point: str, name: str) -> None:
        job_id = _job_in_hand()
        if job_id:
            (self._directory / "hits" / f"{job_id} {time.time_ns()}").touch()
        fired = {"pid": os.getpid(), "job_id": job_id, "signal": name, "at": time.time()}
        part = self._directory / f"{point}.part"  # an API process has many threads, each at a step of its own
        part.write_text(json.dumps(fired))
        part.rename(self._directory / "fired" / point)
        os.kill(os.getpid(), getattr(signal, name))


def _job_in_hand() -> str:
    from hybrid_ocr_core import logs

    return str(logs._context.get().get("job_id", ""))


class _Finder:
    """Lets the modules of ``_STEPS`` be found as ever, and wraps them when they are loaded."""

    def __init__(self, steps: _Steps) -> None:
        self._steps = steps

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _STEPS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader: Any = spec.loader if spec else None
        load = loader.exec_module

        def load_and_wrap(module: ModuleType) -> None:
            load(module)
            self._steps.wrap(module, *_STEPS[name])

        loader.exec_module = load_and_wrap
        return spec


if "KILL_POINTS_DIR" in os.environ:
    sys.meta_path.insert(0, _Finder(_Steps(Path(os.environ["KILL_POINTS_DIR"]))))
