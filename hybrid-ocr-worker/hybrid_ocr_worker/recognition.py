"""One document: preflight, every page, every output. Works on files in a scratch directory; knows no AWS."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hybrid_ocr_core import media
from hybrid_ocr_core.job import Confidence, Document, Job, Progress, Triage
from hybrid_ocr_worker.ocr import formats
from hybrid_ocr_worker.ocr.page_file import read_pages
from hybrid_ocr_worker.ocr.result import PageResult, Source
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.scratch import full_disk_is_unavailable
from hybrid_ocr_worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

_SCHEMA = "hybrid-ocr/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The engine that was chosen at boot."""

    name: str
    tesseract: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What came of a document: result files by output, and what the job shall say of them."""

    files: dict[str, Path]
    document: Document
    pages: int
    confidence: Confidence | None
    triage: Triage
    warnings: tuple[str, ...]


class Recogniser:
    """Reads documents with one warm sandbox; used by one thread."""

    def __init__(self, settings: WorkerSettings, sandbox: WarmSandbox, engine: EngineInfo) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._engine = engine

    @full_disk_is_unavailable()
    def recognise(self, job: Job, directory: Path, tell: Callable[[Progress, Document], None]) -> Recognised:
        """Read ``directory/source``; the files of the result are left beside it.

        Raises:
            DocumentRejected: the document is at fault.
            Unavailable: the scratch disk is full.
            Whatever the sandbox's ``still_wanted`` raises.
        """
        plan = self._preflight(job, directory)
        facts = plan["preflight"]
        document = replace(job.document, pages=facts["pages"], media_type=facts["media_type"])
        numbers = job.options.pages.of(facts["pages"])
        sources: set[str] = set()
        for done, number in enumerate(numbers):
            tell(Progress(pages_done=done, pages_total=len(numbers)), document)
            sources.add(self._read_page(plan, number))
        tell(Progress(pages_done=len(numbers), pages_total=len(numbers)), document)
        confidence = _confidence(read_pages(directory, numbers))
        return Recognised(
            files=self._draw(job, plan, document, numbers, sources),
            document=document,
            pages=len(numbers),
            confidence=confidence,
            triage=confidence.triage if confidence else Triage.APPROVED,
            warnings=tuple(facts["warnings"]),
        )

    def _preflight(self, job: Job, directory: Path) -> dict[str, Any]:
        """What every later request to the sandbox carries."""
        self._sandbox.replace_if_worn()
        plan: dict[str, Any] = {"directory": str(directory), **self._sandbox.limits_for(job.document.bytes)}
        plan["preflight"] = self._sandbox.call_twice(
            "preflight",
            seconds=self._settings.preflight_seconds,
            max_pages=self._settings.max_pages,
            max_pixels=self._settings.max_image_megapixels * 1_000_000,
            **plan,
        )
        languages = job.options.languages
        plan |= {"engine": self._engine.name, "languages": languages, "mode": job.options.mode.value}
        return plan

    def _read_page(self, plan: dict[str, Any], number: int) -> str:
        self._sandbox.replace_if_worn()
        started = time.monotonic()
        seconds = self._settings.page_seconds
        read = self._sandbox.call_twice("page", seconds=seconds, page=number, page_seconds=seconds, **plan)
        _log.debug(
            "Read a page: %s, %s.",
            read["source"],
            read["reason"],
            extra={"action": "page_read", "page": number, "seconds": round(time.monotonic() - started, 3)},
        )
        return str(read["source"])

    def _draw(
        self, job: Job, plan: dict[str, Any], document: Document, numbers: list[int], sources: set[str]
    ) -> dict[str, Path]:
        """Every output, from the same words."""
        directory = Path(plan["directory"])
        files = {output: directory / f"result.{output}" for output in job.options.outputs}
        for output, target in files.items():
            pages = read_pages(directory, numbers)
            if output == "txt":
                formats.draw_txt(pages, target)
            elif output == "json":
                formats.draw_json(self._header(job, document), pages, target)
            elif output == "hocr":
                formats.draw_hocr(pages, target, title=document.filename, engine=f"tesseract {self._engine.tesseract}")
            elif output == "pdf":
                self._draw_pdf(plan, numbers, sources, target)
        return files

    def _header(self, job: Job, document: Document) -> dict[str, Any]:
        return {
            "schema": _SCHEMA,
            "job_id": job.job_id,
            "document": {
                "filename": document.filename,
                "media_type": document.media_type,
                "bytes": document.bytes,
                "sha256": document.sha256,
                "pages": document.pages,
            },
            "engine": {
                "name": self._engine.name,
                "tesseract": self._engine.tesseract,
                "languages": list(job.options.languages),
            },
        }

    def _draw_pdf(self, plan: dict[str, Any], numbers: list[int], sources: set[str], target: Path) -> None:
        facts = plan["preflight"]
        was_read = bool(sources & {Source.OCR.value, Source.HYBRID.value})
        is_as_it_was = facts["is_signed"] or not was_read
        if facts["media_type"] == media.PDF and is_as_it_was and not facts["was_encrypted"]:
            # Nothing to add, or a signature that any change would break: byte for byte.
            shutil.copyfile(Path(plan["directory"]) / "source", target)
            return
        seconds = self._settings.page_seconds + len(numbers)
        self._sandbox.call_twice("pdf", seconds=seconds, numbers=numbers, target=str(target), **plan)


def _confidence(pages: Iterator[PageResult]) -> Confidence | None:
    """Mean and 10th percentile over all words, and the lowest page; None when no page holds a word."""
    counts: Counter[int] = Counter()
    total = 0.0
    lowest: tuple[float, int] | None = None
    for page in pages:
        if page.confidence is None:
            continue
        lowest = min(filter(None, (lowest, (page.confidence, page.page))))
        for word in page.words:
            counts[math.floor(word.confidence)] += 1
            total += word.confidence
    if lowest is None:
        return None
    words = counts.total()
    rank, seen, p10 = math.ceil(words / 10), 0, 0
    for p10 in sorted(counts):
        seen += counts[p10]
        if seen >= rank:
            break
    return Confidence(mean=round(total / words, 1), p10=float(p10), lowest_page=lowest[1], lowest=round(lowest[0], 1))
