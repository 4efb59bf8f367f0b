"""A recogniser that reads nothing, for tests of what happens around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hybrid_ocr_core.job import Job, Triage
from hybrid_ocr_worker.ocr.formats.page_json import write_json
from hybrid_ocr_worker.ocr.page_file import write_page
from hybrid_ocr_worker.ocr.result import PageResult, Source
from hybrid_ocr_worker.recognition import Drawing, Plan, Recognised, Recogniser
from hybrid_ocr_worker.sandbox.warm import nothing
from hybrid_ocr_worker.scratch import full_disk_is_unavailable


class ScriptedRecogniser:
    """With each page it does the next thing of its script, and then says that the page is empty."""

    def __init__(self, *, pages: int = 1) -> None:
        self.pages = pages
        self.script: list[Callable[[], None]] = []
        #: Done with each page.
        self.act: Callable[[], None] = lambda: None
        #: The pages that were asked for.
        self.read: list[int] = []

    @property
    def calls(self) -> int:
        """How often a page was asked for."""
        return len(self.read)

    def survey(self, job: Job, directory: Path, *, numbers: Sequence[int] | None = None) -> Plan:
        facts = {"pages": self.pages, "scans": self.pages}
        return Plan(
            request={"directory": str(directory), "preflight": facts, "mode": job.options.mode.value},
            document=replace(job.document, pages=self.pages),
            numbers=tuple(numbers or job.options.pages.of(self.pages)),
            pages_asked_for=self.pages,
            is_chunk=numbers is not None,
        )

    def read_page(self, plan: Plan, number: int, meanwhile: Callable[[], None] = nothing) -> bool:
        meanwhile()
        self.read.append(number)
        self.act()
        if self.script:
            self.script.pop(0)()
        write_page(plan.directory, _blank(number))
        return True

    def refuse_if_too_many(self, plan: Plan, failed: Sequence[int]) -> None:
        pass

    def split(self, plan: Plan, chunks: Sequence[Sequence[int]]) -> list[Path]:
        files = [plan.directory / f"chunk-{number}" for number in range(1, len(chunks) + 1)]
        for file, numbers in zip(files, chunks, strict=True):
            file.write_text(f"pages {list(numbers)}")
        return files

    def drawing(self, job: Job, plan: Plan) -> Drawing:
        result = plan.directory / "result.json"
        header = {"job_id": job.job_id, "read": (plan.directory / "source").read_text()}
        return Drawing(plan=plan, files={"json": result}, pages=write_json(header, plan.pages(), result))

    def draw(self, drawing: Drawing) -> Recognised:
        plan = drawing.plan
        drawing.finish()
        pages = list(plan.pages())
        assert [page.page for page in pages] == list(plan.numbers)
        return Recognised(
            files=drawing.files,
            document=plan.document,
            pages=len(plan.numbers),
            confidence=None,
            triage=Triage.APPROVED,
            warnings=(),
            failed_pages=tuple(page.page for page in pages if page.source is Source.FAILED),
        )


def _blank(number: int) -> PageResult:
    return PageResult(
        page=number,
        width=595.0,
        height=842.0,
        pixels=None,
        dpi=None,
        rotation=0,
        source=Source.BLANK,
        reason="no_ink",
        evidence={},
        words=(),
        confidence=None,
    )


def read(recogniser: Recogniser, job: Job, directory: Path) -> Recognised:
    """Read ``directory/source`` whole, as the worker does with a short document."""
    with full_disk_is_unavailable():
        plan = recogniser.survey(job, directory)
        for number in plan.numbers:
            recogniser.read_page(plan, number)
        return recogniser.draw(recogniser.drawing(job, plan))
