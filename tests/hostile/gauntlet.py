"""Sends hostile files straight through the recogniser, without AWS, and tells how each ended.

``python -m tests.hostile.gauntlet`` runs all of them and needs only what the worker's image holds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_ocr_core.errors import DOCUMENT_CODES, DocumentRejected
from hybrid_ocr_worker.ocr.page_file import read_pages
from hybrid_ocr_worker.recognition import EngineInfo, Recogniser
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.settings import WorkerSettings
from tests.builders import a_document, a_job
from tests.hostile import HOSTILE
from tests.make_documents import born_digital
from tests.recognisers import read

#: A document that ended well, with words and without; every other end is a code of the closed list.
READ, WORDLESS = "read", "wordless"
#: The work around the calls that have limits: files copied, a child killed and another started.
_MARGIN_SECONDS = 10.0
_WARM_UP_SECONDS = 60
_GROWTH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a document ended."""

    end: str
    seconds: float
    message: str = ""
    pages: int = 1


class Gauntlet:
    """A recogniser with its own child and scratch; short limits take the same way as long ones."""

    def __init__(self, recogniser: Recogniser, settings: WorkerSettings, scratch: Path) -> None:
        self._recogniser = recogniser
        self._settings = settings
        self._scratch = scratch

    def run(self, content: bytes) -> Outcome:
        """One document as a job of its own; its directory is gone afterwards."""
        started = time.monotonic()
        end, message, pages = READ, "", 1
        job = a_job(document=a_document(content))
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._scratch) as name:
            directory = Path(name)
            (directory / "source").write_bytes(content)
            try:
                found = read(self._recogniser, job, directory)
                pages = found.pages
                if not any(page.words for page in read_pages(directory, range(1, pages + 1))):
                    end = WORDLESS
                assert all(path.stat().st_size for output, path in found.files.items() if output != "txt")
            except DocumentRejected as error:
                end, message = error.document_code, str(error)
        return Outcome(end=end, seconds=time.monotonic() - started, message=message, pages=pages)

    def longest(self, pages: int) -> float:
        """Seconds a document may take at most: every call twice."""
        return 2 * (self._settings.preflight_seconds + (pages + 1) * self._settings.page_seconds) + _MARGIN_SECONDS

    def left_behind(self) -> list[Path]:
        """Directories of jobs; the child's own temporary directory is none."""
        return list(self._scratch.glob("job-*"))


@contextmanager
def gauntlet(scratch: Path, *, preflight_seconds: int, page_seconds: int) -> Iterator[Gauntlet]:
    """A recogniser as the worker builds it."""
    required = {"AWS_REGION": "r", "OCR_S3_BUCKET": "b", "OCR_DDB_TABLE": "t", "OCR_SQS_URL": "u"}
    settings = replace(
        WorkerSettings.from_env(required), preflight_seconds=preflight_seconds, page_seconds=page_seconds
    )
    memory_bytes = settings.child_memory_mb << 20
    with WarmSandbox(directory=scratch / "tmp", memory_bytes=memory_bytes, pages=settings.child_pages) as sandbox:
        found = sandbox.call_twice("probe", seconds=_WARM_UP_SECONDS, engine="auto", **sandbox.limits_for(0))
        engine = EngineInfo(name=found["name"], tesseract=found["tesseract"], languages=("eng",))
        yield Gauntlet(Recogniser(settings, sandbox, engine), settings, scratch)


def resident_bytes() -> int:
    """Memory of this process: the worker's side."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10


def faults_of(course: Gauntlet, outcome: Outcome, ends: frozenset[str]) -> list[str]:
    """What is wrong with an end; nothing, if all is well."""
    found = []
    if outcome.end not in {READ, WORDLESS, *DOCUMENT_CODES}:
        found.append("an unlisted code")
    if outcome.end not in ends:
        found.append(f"expected {' or '.join(sorted(ends))}")
    if outcome.seconds > course.longest(outcome.pages):
        found.append("too slow")
    if course.left_behind():
        found.append("left files behind")
    return found


def main() -> int:
    """Run all, or those whose names hold a word; exit code 1 if any went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only files whose names hold one of these")
    parser.add_argument("--preflight-seconds", type=int, default=3)
    parser.add_argument("--page-seconds", type=int, default=4)
    parsed = parser.parse_args()
    chosen = [
        hostile
        for hostile in HOSTILE.values()
        if not parsed.words or any(word in hostile.name for word in parsed.words)
    ]
    scratch = Path(tempfile.mkdtemp(prefix="gauntlet-"))
    wrong = 0
    try:
        with gauntlet(scratch, preflight_seconds=parsed.preflight_seconds, page_seconds=parsed.page_seconds) as course:
            before = resident_bytes()
            for hostile in chosen:
                outcome = course.run(hostile.make())
                faults = faults_of(course, outcome, hostile.ends)
                wrong += bool(faults)
                line = f"{outcome.seconds:6.1f} s  {outcome.end:<22} {hostile.name}  {outcome.message}"
                print(line, *faults, sep="  ! ", flush=True)
            grown = resident_bytes() - before
            after = course.run(born_digital())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{len(chosen)} files, {wrong} wrong; the worker's side grew by {grown >> 20} MiB; then: {after.end}")
    return int(wrong > 0 or grown > _GROWTH_BYTES or after.end != READ)


if __name__ == "__main__":
    sys.exit(main())
