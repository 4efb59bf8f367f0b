"""Sections ``scans``, ``digital``, ``mixed`` and ``photos``: pages a second, of everybody, on the same files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contestant import Contestant, Outcome, precision, recall
from bench.documents import Document
from bench.limit import Limit
from bench.naive import Naive
from bench.ocrmypdf import OcrMyPdf
from bench.report import Bar, Report
from bench.run import Run
from bench.service import Service, running_stack

_NAIVE_PAGES = 4


@dataclass(slots=True)
class _Best:
    """The best round of one contestant, and the seconds of all."""

    outcome: Outcome
    seconds: list[float] = field(default_factory=list)

    def take(self, outcome: Outcome) -> None:
        self.seconds.append(outcome.seconds)
        if outcome.seconds < self.outcome.seconds:
            self.outcome = outcome


def scans(run: Run) -> Report:
    """Real scans, and a long document that was printed and scanned."""
    documents = [*run.documents.real_scans(), run.documents.long_scan(12 if run.is_quick else 36)]
    return _compare(run, "Scans", documents, bar=1.5, aim=2, has_limit=True)


def digital(run: Run) -> Report:
    """A born-digital document; OCRmyPDF only passes it on, and gives no words."""
    documents = [run.documents.born_digital(40 if run.is_quick else 117)]
    return _compare(run, "Born-digital", documents, bar=1.2, aim=2, options=["--skip-text"])


def mixed(run: Run) -> Report:
    """Every other page a scan."""
    documents = [run.documents.mixed(12 if run.is_quick else 24)]
    return _compare(run, "Mixed", documents, options=["--skip-text"])


def photos(run: Run) -> Report:
    """Photos of few pixels, a file each."""
    documents = run.documents.photos(4 if run.is_quick else 12)
    return _compare(run, "Low-resolution photos", documents, has_limit=True)


def _compare(
    run: Run,
    title: str,
    documents: Sequence[Document],
    *,
    bar: float | None = None,
    aim: float | None = None,
    options: Sequence[str] = (),
    has_limit: bool = False,
) -> Report:
    limit = Limit(cores=run.cores)
    with running_stack(run.directory, workers=run.cores) as stack:
        try:
            service = Service(stack)
            contestants: list[Contestant] = [
                service,
                OcrMyPdf(cores=run.cores, options=options),
                OcrMyPdf(cores=run.cores, name="OCRmyPDF --optimize 0", options=[*options, "--optimize", "0"]),
                Naive(_NAIVE_PAGES),
            ]
            service.read(documents[:1])  # nobody's caches are cold
            if has_limit:
                service.read(documents)
                limit.prepare(documents, service.results, run.directory / f"rasters-{title}")
                contestants.append(limit)
            best = _rounds(run, contestants, documents)
        finally:
            limit.close()
    return _report(title, documents, best, _bars(title, best, bar, aim))


def _rounds(run: Run, contestants: Sequence[Contestant], documents: Sequence[Document]) -> dict[str, _Best]:
    best: dict[str, _Best] = {}
    for _ in range(run.rounds):
        for contestant in contestants:
            outcome = contestant.read(documents)
            run.say(
                f"{contestant.name}: {outcome.pages} pages in {outcome.seconds:.1f} s, {outcome.cpu_seconds:.1f} of CPU"
            )
            best.setdefault(contestant.name, _Best(outcome)).take(outcome)
    return best


def _report(title: str, documents: Sequence[Document], best: dict[str, _Best], bars: Sequence[Bar]) -> Report:
    ours = best[Service.name].outcome
    rows = [["", "pages", "s", "pages/s", "ours is", "CPU s/page", "recall", "precision"]]
    raw = {}
    for name, found in best.items():
        outcome = found.outcome
        shares = recall(documents, outcome), precision(documents, outcome)
        ratio = ours.pages_a_second / outcome.pages_a_second
        rows.append(
            [
                name,
                str(outcome.pages),
                f"{outcome.seconds:.2f}",
                f"{outcome.pages_a_second:.2f}",
                f"{ratio:.2f} x",
                f"{outcome.cpu_seconds / outcome.pages:.3f}",
                *("-" if share is None else f"{share:.3f}" for share in shares),
            ]
        )
        raw[name] = {
            "pages": outcome.pages,
            "seconds": found.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "recall": shares[0],
            "precision": shares[1],
        }
    return Report(
        title=f"{title}: {len(documents)} documents, {sum(document.pages for document in documents)} pages",
        rows=rows,
        bars=bars,
        raw={"contestants": raw},
    )


def _bars(title: str, best: dict[str, _Best], bar: float | None, aim: float | None) -> list[Bar]:
    ours = best[Service.name].outcome.pages_a_second
    bars = []
    if bar is not None:
        rivals = [found.outcome.pages_a_second for name, found in best.items() if name.startswith("OCRmyPDF")]
        what = f"{title}: pages/s against OCRmyPDF's best"
        bars.append(Bar(what=what, measured=ours / max(rivals), bar=bar, aim=aim))
    if "limit" in best:
        share = ours / best["limit"].outcome.pages_a_second
        bars.append(Bar(what=f"{title}: share of the limit", measured=share, bar=0.85, aim=0.95))
    return bars
