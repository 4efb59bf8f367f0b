"""The worker's side of the sandbox: starts the child, calls it, times it out, kills and replaces it.

The child stays warm between documents, for loading Tesseract costs more than reading a small page; it is replaced
after so many pages, and after any time-out, crash or memory error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hybrid_ocr_core.errors import DocumentRejected, HybridOcrError, Unavailable
from hybrid_ocr_worker.sandbox import limits

_log = logging.getLogger(__name__)

#: How often a wait looks up to see whether the work is still wanted.
_LOOK_UP_SECONDS = 0.25
_LONGEST_ANSWER = 1 << 20
_GIBIBYTE = 1 << 30
_SMALLEST_FILE_LIMIT = 256 << 20
#: What is the engine's failure, not the document's: worth a second try in a fresh child.
_WORTH_A_SECOND_TRY = frozenset({"engine_crashed", "page_timeout"})
#: Variables the child may see. None of them is a secret.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TESSDATA_PREFIX", "LD_LIBRARY_PATH")


def nothing() -> None:
    """What is done while the child works, when there is nothing to do."""


class SandboxFailure(HybridOcrError):
    """The child did not live up to a request. ``document_code`` is what it means for the document if it repeats."""

    def __init__(self, document_code: str, message: str) -> None:
        super().__init__(message)
        self.document_code = document_code


class WarmSandbox:
    """One child process, used by one thread. A context manager: leaving it ends the child."""

    def __init__(
        self, *, directory: Path, memory_bytes: int, pages: int, still_wanted: Callable[[], None] = lambda: None
    ) -> None:
        """Nothing is started yet.

        ``directory`` is the child's own, for its temporary files; the documents are beside it, for the child can write
        nowhere else. ``still_wanted`` is asked while a call waits; what it raises ends the child and the call.
        """
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._pages = pages
        self.still_wanted = still_wanted
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0

    def __enter__(self) -> Self:
        for missing in limits.shield():
            _log.warning("This system lacks %s.", missing, extra={"action": "isolation_weak"})
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def asking(self, still_wanted: Callable[[], None]) -> Iterator[None]:
        """Within the block it is this that is asked whether the work is still wanted."""
        before, self.still_wanted = self.still_wanted, still_wanted
        try:
            yield
        finally:
            self.still_wanted = before

    def close(self) -> None:
        """End the child and everything it started."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            # The child leads its own process group, so that poppler and tesseract go with it.
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            _log.debug("The child had ended already.")
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # a request that the dead child never read
                    pipe.close()
        # What a killed program had no time to remove.
        shutil.rmtree(self._directory, ignore_errors=True)

    def call_twice(
        self,
        command: str,
        *,
        seconds: float,
        page: int | None = None,
        meanwhile: Callable[[], None] = nothing,
        **arguments: Any,  # noqa: ANN401 - JSON
    ) -> Any:  # noqa: ANN401 - JSON
        """Call; after a time-out or crash once more in a fresh child; then it is the document's fault.

        The second request says so: what is too much for memory or time may be done at less expense. ``meanwhile`` is
        done once, while the child works.

        Raises:
            DocumentRejected: the child refused the document, or failed twice.
            Unavailable: the scratch disk is full.
            Whatever ``meanwhile`` or ``still_wanted`` raise.
        """
        try:
            return self._call(command, meanwhile, seconds=seconds, page=page, is_second_try=False, **arguments)
        except SandboxFailure as failure:
            _log.warning(
                "The child failed and is tried once more: %s.",
                failure,
                extra={"action": "child_failed", "code": failure.document_code, "page": page or 0},
            )
        try:
            return self._call(command, nothing, seconds=seconds, page=page, is_second_try=True, **arguments)
        except SandboxFailure as failure:
            raise DocumentRejected(failure.document_code, str(failure), page) from failure

    def limits_for(self, input_bytes: int) -> dict[str, Any]:
        """The limits of a document, as arguments of the call that opens it."""
        return {
            "memory_bytes": max(self._memory_bytes, _GIBIBYTE + 2 * input_bytes),
            "file_bytes": max(_SMALLEST_FILE_LIMIT, 2 * input_bytes),
        }

    def replace_if_worn(self) -> None:
        """Between documents or pages: end a child that has served its share; leaks end with it."""
        if self._served >= self._pages:
            self.close()

    def _call(
        self,
        command: str,
        meanwhile: Callable[[], None],
        *,
        seconds: float,
        page: int | None,
        **arguments: Any,  # noqa: ANN401 - JSON
    ) -> Any:  # noqa: ANN401 - JSON
        process = self._process or self._start()
        assert process.stdin is not None
        request = {"command": command, "seconds": seconds, "page": page, **arguments}
        try:
            with contextlib.suppress(BrokenPipeError):  # the child is dead, and will not answer
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            meanwhile()
            answer = self._answer(process, command, seconds)
        except BaseException:
            self.close()
            raise
        self._served += 1
        if "error" in answer:
            raise self._from_answer(answer["error"], page)
        return answer["ok"]

    def _from_answer(self, error: dict[str, Any], page: int | None) -> HybridOcrError:
        code, message = str(error["code"]), str(error["message"])
        if code == "disk_full":
            return Unavailable("the scratch disk", message)
        if code == "defect":
            _log.error("An error of ours in the child: %s.", message, extra={"action": "child_defect"})
            message = "the document could not be read because of an internal error"
        if code in {"out_of_memory", "defect"}:
            code = "engine_crashed"
        if code in _WORTH_A_SECOND_TRY:
            self.close()
            return SandboxFailure(code, message)
        return DocumentRejected(code, message, error["page"] or page)

    def _answer(self, process: subprocess.Popen[bytes], command: str, seconds: float) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._read_line(process, seconds))
        except ValueError as error:
            raise SandboxFailure("engine_crashed", f"the {command} child died") from error
        return answer

    def _read_line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """One answer. Raises SandboxFailure on time-out, ValueError on an end of file or an endless line."""
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        deadline = time.monotonic() + seconds
        received = bytearray()
        while not received.endswith(b"\n"):
            self.still_wanted()
            left = deadline - time.monotonic()
            if left <= 0:
                raise SandboxFailure("page_timeout", f"no answer within {seconds:g} s")
            if select.select([descriptor], [], [], min(left, _LOOK_UP_SECONDS))[0]:
                block = os.read(descriptor, 1 << 16)
                if not block or len(received) > _LONGEST_ANSWER:
                    raise ValueError("no answer")
                received += block
        return bytes(received)

    def _start(self) -> subprocess.Popen[bytes]:
        self._directory.mkdir(parents=True, exist_ok=True)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "TMPDIR": str(self._directory),
            # Without it two Tesseracts on two cores took four times as long.
            "OMP_THREAD_LIMIT": "1",
        }
        self._served = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hybrid_ocr_worker.sandbox.child", str(self._directory.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._directory,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )
        return self._process
