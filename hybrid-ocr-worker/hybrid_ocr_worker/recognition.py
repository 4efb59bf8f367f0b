"""One document: preflight, every page, every output. Works on files in a scratch directory; knows no AWS."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hybrid_ocr_core import media
from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_core.job import Confidence, Document, Job, Triage
from hybrid_ocr_worker.metrics import page_read, stage
from hybrid_ocr_worker.ocr.formats.alto import write_alto
from hybrid_ocr_worker.ocr.formats.hocr import write_hocr
from hybrid_ocr_worker.ocr.formats.markdown import write_md
from hybrid_ocr_worker.ocr.formats.page_json import write_json
from hybrid_ocr_worker.ocr.formats.plain_text import write_txt
from hybrid_ocr_worker.ocr.formats.textract import write_textract
from hybrid_ocr_worker.ocr.formats.tsv import write_tsv
from hybrid_ocr_worker.ocr.formats.writing import draw
from hybrid_ocr_worker.ocr.page_file import read_page, read_pages, write_page
from hybrid_ocr_worker.ocr.result import UNKNOWN_SIZE, PageResult, Source, failed_page
from hybrid_ocr_worker.sandbox.warm import WarmSandbox, nothing
from hybrid_ocr_worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

_SCHEMA = "hybrid-ocr/1"
#: What one page may do without the document being at fault.
_CODES_OF_A_PAGE = {"page_timeout", "engine_crashed"}


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
    failed_pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A surveyed document, or a chunk of one. ``numbers`` are the document's pages that are to be read."""

    #: What each request to the sandbox carries.
    request: dict[str, Any]
    document: Document
    numbers: tuple[int, ...]
    #: Of the document, also where this is a chunk of it.
    pages_asked_for: int
    is_chunk: bool = False

    @property
    def directory(self) -> Path:
        """Where source, pages and results are."""
        return Path(self.request["directory"])

    def place(self, number: int) -> int:
        """Where the source holds a page of the document, from 1."""
        return self.numbers.index(number) + 1 if self.is_chunk else number

    def pages(self) -> Iterator[PageResult]:
        """The pages that were read, one held at a time."""
        return read_pages(self.directory, self.numbers)


class Summary:
    """What the job shall say of its pages, gathered while they pass by."""

    def __init__(self) -> None:
        self.sources: set[Source] = set()
        self.failed: list[int] = []
        self._counts: Counter[int] = Counter()
        self._total = 0.0
        self._lowest: tuple[float, int] | None = None

    def of(self, pages: Iterable[PageResult]) -> Iterator[PageResult]:
        """Hand the pages on."""
        for page in pages:
            self.sources.add(page.source)
            if page.source is Source.FAILED:
                self.failed.append(page.page)
            if page.confidence is not None:
                self._lowest = min(filter(None, (self._lowest, (page.confidence, page.page))))
                self._counts.update(math.floor(word.confidence) for word in page.words)
                self._total += sum(word.confidence for word in page.words)
            yield page

    def confidence(self) -> Confidence | None:
        """Mean and 10th percentile over all words, and the lowest page; None when no page holds a word."""
        if self._lowest is None:
            return None
        words = self._counts.total()
        rank, seen, p10 = math.ceil(words / 10), 0, 0
        for p10 in sorted(self._counts):
            seen += self._counts[p10]
            if seen >= rank:
                break
        confidence, page = self._lowest
        return Confidence(
            mean=round(self._total / words, 1), p10=float(p10), lowest_page=page, lowest=round(confidence, 1)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Outputs that are being drawn: each page is read from its file once, and passes through all of them."""

    plan: Plan
    files: dict[str, Path]
    pages: Iterator[PageResult]
    summary: Summary = field(default_factory=Summary)

    def next_page(self) -> None:
        """Draw the next page of the plan, which has been read."""
        next(self.pages)

    def finish(self) -> None:
        """Draw what is left."""
        draw(self.pages)


class Recogniser:
    """Reads documents with one warm sandbox; used by one thread."""

    def __init__(self, settings: WorkerSettings, sandbox: WarmSandbox, engine: EngineInfo) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._engine = engine

    @stage("survey")
    def survey(self, job: Job, directory: Path, *, numbers: Sequence[int] | None = None) -> Plan:
        """Look at ``directory/source``; what every later step needs.

        ``numbers`` are the document's page numbers where the source is a chunk of it, in the order of its own pages.

        Raises:
            DocumentRejected: the document is at fault.
            OSError, Unavailable: the scratch disk is full, for this process or for the child.
            Whatever the sandbox's ``still_wanted`` raises.
        """
        self._sandbox.replace_if_worn()
        source = directory / "source"
        request: dict[str, Any] = {"directory": str(directory), **self._sandbox.limits_for(source.stat().st_size)}
        try:
            facts = self._sandbox.call_twice(
                "preflight",
                seconds=self._settings.preflight_seconds,
                max_pages=self._settings.max_pages,
                max_pixels=self._settings.max_image_megapixels * 1_000_000,
                **request,
            )
        except DocumentRejected as error:
            if numbers is None or error.page is None:
                raise
            # A chunk counts from 1, the document does not.
            raise DocumentRejected(error.document_code, str(error), numbers[error.page - 1]) from error
        request |= {
            "preflight": facts,
            "engine": self._engine.name,
            "languages": job.options.languages,
            "mode": job.options.mode.value,
        }
        if numbers is not None:
            total = len(job.options.pages.of(job.document.pages or len(numbers)))
            return Plan(
                request=request, document=job.document, numbers=tuple(numbers), pages_asked_for=total, is_chunk=True
            )
        document = replace(job.document, pages=facts["pages"], media_type=facts["media_type"])
        asked_for = tuple(job.options.pages.of(facts["pages"]))
        return Plan(request=request, document=document, numbers=asked_for, pages_asked_for=len(asked_for))

    @stage("page")
    def read_page(self, plan: Plan, number: int, meanwhile: Callable[[], None] = nothing) -> bool:
        """Read one page of the plan; it is left among the plan's page files. False when it is a failed page.

        ``meanwhile`` is done while the sandbox reads: what the page before still needs.

        Raises:
            As ``survey``, and whatever ``meanwhile`` raises.
        """
        self._sandbox.replace_if_worn()
        started = time.monotonic()
        seconds = self._settings.page_seconds
        place = plan.place(number)
        try:
            read = self._sandbox.call_twice(
                "page",
                seconds=seconds,
                page=place,
                meanwhile=meanwhile,
                shown_as=number,
                page_seconds=seconds,
                **plan.request,
            )
        except DocumentRejected as error:
            if error.page is None:
                raise  # not about this page: the deadline of the whole attempt
            if error.document_code not in _CODES_OF_A_PAGE:
                raise DocumentRejected(error.document_code, str(error), number) from error
            self._give_up(plan, number, error.document_code)
            return False
        try:
            source = Source(read["source"])
        except (LookupError, TypeError, ValueError):
            # What no child of ours says: it has been taken over by the page.
            self._sandbox.close()
            self._give_up(plan, number, "engine_crashed")
            return False
        page_read(source)
        _log.debug(
            "Read a page: %s, %s.",
            source,
            read["reason"],
            extra={"action": "page_read", "page": number, "seconds": round(time.monotonic() - started, 3)},
        )
        return True

    def _give_up(self, plan: Plan, number: int, code: str) -> None:
        """Leave a failed page among the page files."""
        _log.warning("A page could not be read: %s.", code, extra={"action": "page_failed", "page": number})
        try:
            seconds = self._settings.preflight_seconds
            width, height = self._sandbox.call_twice("size", seconds=seconds, page=plan.place(number), **plan.request)
        except DocumentRejected as error:
            if error.page is None:
                raise
            width, height = UNKNOWN_SIZE
        write_page(plan.directory, failed_page(number, width, height, code))
        page_read(Source.FAILED)

    def refuse_if_too_many(self, plan: Plan, failed: Sequence[int]) -> None:
        """A document of which too much is missing has failed.

        Raises:
            DocumentRejected: with the code of its first failed page.
        """
        if len(failed) * 100 > self._settings.failed_pages_percent * plan.pages_asked_for:
            code = read_page(plan.directory, failed[0]).reason
            message = f"{len(failed)} of {plan.pages_asked_for} pages could not be read"
            raise DocumentRejected(code, message, failed[0])

    @stage("split")
    def split(self, plan: Plan, chunks: Sequence[Sequence[int]]) -> list[Path]:
        """Cut the document up, a file for each list of page numbers, beside the source. Raises as ``survey``."""
        targets = [plan.directory / f"chunk-{number}" for number in range(1, len(chunks) + 1)]
        self._sandbox.call_twice(
            "split",
            seconds=self._settings.page_seconds + sum(map(len, chunks)),
            chunks=[list(chunk) for chunk in chunks],
            targets=[str(target) for target in targets],
            **plan.request,
        )
        return targets

    def drawing(self, job: Job, plan: Plan) -> Drawing:
        """Begin with the outputs: those that are written page by page can be drawn while others are still read."""
        files = {output: plan.directory / f"result.{output}" for output in job.options.outputs}
        summary = Summary()
        pages = summary.of(plan.pages())
        for output, write in self._writers(job, plan).items():
            if output in files:
                pages = write(pages, files[output])
        return Drawing(plan=plan, files=files, pages=pages, summary=summary)

    @stage("draw")
    def draw(self, drawing: Drawing) -> Recognised:
        """Every output, whole, from the page files of the plan. Raises as ``survey``."""
        drawing.finish()
        plan, files, summary = drawing.plan, drawing.files, drawing.summary
        if summary.failed:
            self.refuse_if_too_many(plan, summary.failed)
        if "pdf" in files:
            self._draw_pdf(plan, summary.sources, files["pdf"])
        confidence = summary.confidence()
        return Recognised(
            files=files,
            document=plan.document,
            pages=len(plan.numbers),
            confidence=confidence,
            triage=confidence.triage if confidence else Triage.APPROVED,
            warnings=tuple(plan.request["preflight"]["warnings"]),
            failed_pages=tuple(summary.failed),
        )

    def _writers(self, job: Job, plan: Plan) -> dict[str, Callable[[Iterable[PageResult], Path], Iterator[PageResult]]]:
        """What draws each output that needs the pages alone."""
        engine = f"tesseract {self._engine.tesseract}"
        return {
            "json": partial(write_json, self._header(job, plan.document)),
            "txt": write_txt,
            "md": write_md,
            "hocr": partial(write_hocr, title=plan.document.filename, engine=engine),
            "alto": partial(write_alto, engine=engine),
            "tsv": write_tsv,
            "textract": partial(write_textract, engine=engine, document_pages=plan.document.pages),
        }

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

    def _draw_pdf(self, plan: Plan, sources: Collection[Source], target: Path) -> None:
        facts = plan.request["preflight"]
        was_read = bool({Source.OCR, Source.HYBRID}.intersection(sources))
        is_as_it_was = facts["is_signed"] or not was_read
        if facts["media_type"] == media.PDF and is_as_it_was and not facts["was_encrypted"]:
            # Nothing to add, or a signature that any change would break: byte for byte.
            shutil.copyfile(plan.directory / "source", target)
            return
        seconds = self._settings.page_seconds + len(plan.numbers)
        self._sandbox.call_twice("pdf", seconds=seconds, numbers=plan.numbers, target=str(target), **plan.request)
