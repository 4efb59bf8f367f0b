"""The child's main: ``python -m hybrid_ocr_worker.sandbox.child SCRATCH``. Limits first, then parsers, then requests.

One JSON object a line comes in on stdin, one a line goes out on what was stdout. Bulk data stays in files of the
job's scratch directory. Errors are answered as ``{"error": {"code", "message", "page"}}``; a crash is no answer.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import IO, Any

from hybrid_ocr_worker import scratch
from hybrid_ocr_worker.sandbox import limits


def main() -> int:
    """Serve requests until stdin ends."""
    limits.confine(Path(sys.argv[1]))
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What a library prints must not be read as an answer.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    try:
        return _serve(requests, answers)
    except MemoryError:
        # The process is not to be trusted any more, its allocator least; the worker starts another.
        _answer(answers, {"error": {"code": "out_of_memory", "message": "the memory limit was reached", "page": None}})
        return 1


def _serve(requests: IO[str], answers: IO[str]) -> int:
    # Imported after the limits are in force.
    from hybrid_ocr_core.errors import DocumentRejected  # noqa: PLC0415
    from hybrid_ocr_worker.ocr.session import Session  # noqa: PLC0415

    session = Session()
    for line in requests:
        request: dict[str, Any] = json.loads(line)
        limits.limit_cpu(request.pop("seconds"))
        if "memory_bytes" in request:
            limits.limit_document(memory_bytes=request.pop("memory_bytes"), file_bytes=request.pop("file_bytes"))
        try:
            answer = {"ok": session.handle(request)}
        except DocumentRejected as error:
            answer = {"error": {"code": error.document_code, "message": str(error), "page": error.page}}
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the border of a request
            answer = {"error": _from_exception(error)}
        _answer(answers, answer)
    return 0


def _from_exception(error: Exception) -> dict[str, Any]:
    if isinstance(error, OSError) and error.errno in scratch.FULL:
        return {"code": "disk_full", "message": "it is full", "page": None}
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return {"code": "engine_crashed", "message": "a file grew beyond its limit", "page": None}
    # Type and place only: the text of an exception may hold the document's.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    return {"code": "defect", "message": place, "page": None}


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
