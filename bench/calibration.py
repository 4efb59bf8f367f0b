"""``make calibration``: is a word's confidence as often right as it says?

(nothing)   the calibration that is shipped, on the half of the corpus that it was not fitted on; beside Tesseract's own
--fit       fit it anew on the other half; writes calibration.json beside the worker's code, and docs/calibration.svg
--reuse     judge the words that the last run read, instead of reading again

Needs OCR_CORPUS_DIR: a folder of scans whose text is known (bench/README.md). Exit code 1: the bar is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from bench.confidence.corpus import Sample, halves, samples
from bench.confidence.diagram import Panel, reliability_diagram
from bench.confidence.fitting import fit
from bench.confidence.reading import AS_IT_IS, Judged, judge, seen_words
from bench.confidence.reliability import BINS, Claim, ece, equal_mass_bins, equal_width_bins
from hybrid_ocr_core.job import Confidence
from hybrid_ocr_worker.ocr.calibration import SHIPPED, Calibration, shipped
from hybrid_ocr_worker.ocr.engine import OcrEngine
from hybrid_ocr_worker.ocr.pytesseract_engine import PytesseractEngine
from hybrid_ocr_worker.ocr.tesserocr_engine import TesserocrEngine
from infra.local.environment import ROOT

_BAR = 0.03
_SEED = 1
#: Other ways to halve the corpus, by which one is told from luck.
_OTHER_SEEDS = range(100, 120)
_DIAGRAM = ROOT / "docs/calibration.svg"
_KEPT = ROOT / ".local/bench/confidence"

#: What an engine read on each sample.
_Read = list[tuple[Sample, list[Judged]]]


def main() -> int:
    """Read the corpus with both engines, then measure."""
    parser = argparse.ArgumentParser(
        prog="make calibration", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="fit it anew, and write it")
    parser.add_argument("--reuse", action="store_true", help="judge the words that the last run read")
    arguments = parser.parse_args()
    corpus = os.environ.get("OCR_CORPUS_DIR")
    if not corpus:
        parser.error("OCR_CORPUS_DIR must name a folder with a MANIFEST.tsv: bench/README.md")
    os.environ["OMP_THREAD_LIMIT"] = "1"  # before Tesseract makes threads
    with tempfile.TemporaryDirectory(prefix="calibration-") as directory:
        found = samples(Path(corpus), Path(directory))
        if not arguments.reuse:
            for engine in (TesserocrEngine(), PytesseractEngine()):
                _read(engine, found)
    reads, versions = _judged(found)
    calibration = _fit_and_write(found, reads, versions) if arguments.fit else shipped()
    return 0 if _report(found, reads, calibration, _DIAGRAM if arguments.fit else None) else 1


def _read(engine: OcrEngine, found: list[Sample]) -> None:
    """Keep what an engine reads: the long part, which --reuse does not do again."""
    words = {}
    for sample in found:
        words[sample.name] = seen_words(sample, engine)
        print(f"\r{engine.name}: {len(words)} of {len(found)} samples", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    _KEPT.mkdir(parents=True, exist_ok=True)
    kept = {"version": engine.version(), "words": words}
    (_KEPT / f"{engine.name}.json").write_text(json.dumps(kept), encoding="utf-8")


def _judged(found: list[Sample]) -> tuple[dict[str, _Read], dict[str, str]]:
    """What each engine read, held against the truth; and the engines' versions."""
    kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(_KEPT.glob("*.json"))}
    reads = {
        name: [(sample, judge(read["words"][sample.name], sample)) for sample in found] for name, read in kept.items()
    }
    return reads, {name: read["version"] for name, read in kept.items()}


def _fit_and_write(found: list[Sample], reads: dict[str, _Read], versions: dict[str, str]) -> Calibration:
    fitted_on, tested_on = _halves(found, _SEED)
    points = fit(_words(reads, fitted_on))
    calibration = Calibration(points)
    record: dict[str, Any] = {
        "made_by": "OCR_CORPUS_DIR=... make calibration ARGS=--fit",
        "made_on": dt.datetime.now(dt.UTC).date().isoformat(),
        "engines": versions,
        "corpus": "real scans with ground truth, and born-digital pages printed to scan, fax and photo;"
        " bench/README.md tells which",
        "seed": _SEED,
        "fitted_on": _size_of(fitted_on),
        "tested_on": _size_of(tested_on),
        "measure": f"expected calibration error of words on the half not fitted on; {BINS} bins of equal mass",
        "ece_before": {name: round(_ece(_claims(read, tested_on, AS_IT_IS)), 4) for name, read in reads.items()},
        "ece_after": {name: round(_ece(_claims(read, tested_on, calibration)), 4) for name, read in reads.items()},
        "points": points,
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    SHIPPED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{SHIPPED.relative_to(ROOT)}: {len(points)} points")
    return calibration


def _halves(found: list[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    return halves([sample for sample in found if sample.is_prose], seed)


def _size_of(half: Iterable[Sample]) -> dict[str, int]:
    members = list(half)
    return {"documents": len({sample.document for sample in members}), "samples": len(members)}


# ---- the report


def _report(found: list[Sample], reads: dict[str, _Read], calibration: Calibration, diagram: Path | None) -> bool:
    """Print what holds on the held-out half; tell whether the bar is held by each engine."""
    fitted_on, tested_on = _halves(found, _SEED)
    parts = {
        "held-out half": tested_on,
        "  its real scans": [sample for sample in tested_on if sample.is_real],
        "fitted half": fitted_on,
        "formulas, in neither": [sample for sample in found if not sample.is_prose],
    }
    print(f"Seed {_SEED}: fitted on {_size_of(fitted_on)}, tested on {_size_of(tested_on)}.\n")
    print(f"ECE of words, {BINS} bins of equal mass (of equal width)")
    print(f"{'':36}{'words':>8}{'raw':>16}{'calibrated':>16}")
    for name, read in reads.items():
        for what, part in parts.items():
            before, after = _claims(read, part, AS_IT_IS), _claims(read, part, calibration)
            print(f"{name + ', ' + what:<36}{len(before):8}{_both(before):>16}{_both(after):>16}")
    holds = all(_ece(_claims(read, tested_on, calibration)) <= _BAR for read in reads.values())
    others = [_other_split(found, reads, seed) for seed in _OTHER_SEEDS]
    print(f"\nFitted and tested by {len(others)} other halvings: ECE {median(others):.3f} in the median,", end=" ")
    print(f"{max(others):.3f} at worst; {sum(other <= _BAR for other in others)} hold the bar.")
    print("\nPages of the held-out half: mean confidence raw, calibrated; words that are right; bands by the three")
    for name, read in reads.items():
        print(_pages_table(name, [pair for pair in read if pair[0] in tested_on], calibration))
    svg = reliability_diagram([_panel(*pair, reads, tested_on) for pair in _titled(calibration)])
    target = diagram or ROOT / ".local/bench/calibration.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(svg, encoding="utf-8")
    print(f"\nThe diagram is in {target}.\nBar: ECE <= {_BAR:g} on the held-out half: {'held' if holds else 'MISSED'}")
    return holds


def _titled(calibration: Calibration) -> list[tuple[str, Calibration]]:
    return [("Tesseract's own", AS_IT_IS), ("calibrated", calibration)]


def _panel(title: str, calibration: Calibration, reads: dict[str, _Read], part: list[Sample]) -> Panel:
    bins = equal_mass_bins([claim for read in reads.values() for claim in _claims(read, part, calibration)])
    return Panel(title=title, bins=bins, ece=ece(bins))


def _both(claims: list[Claim]) -> str:
    return f"{_ece(claims):.3f} ({ece(equal_width_bins(claims)):.3f})" if claims else "-"


def _other_split(found: list[Sample], reads: dict[str, _Read], seed: int) -> float:
    """Fit on one half and tell the ECE on the other, the worse of the engines."""
    fitted_on, tested_on = _halves(found, seed)
    calibration = Calibration(fit(_words(reads, fitted_on)))
    return max(_ece(_claims(read, tested_on, calibration)) for read in reads.values())


def _pages_table(name: str, read: _Read, calibration: Calibration) -> str:
    lines = []
    as_told = [0, 0]  # by the raw mean, by the calibrated one
    for sample, words in read:
        if not words:
            continue
        raw = fmean(word.score for word in words)
        calibrated = fmean(calibration(word.score) for word in words)
        right = 100 * fmean(float(word.is_right) for word in words)
        bands = [_band(value) for value in (raw, calibrated, right)]
        as_told = [count + (band == bands[-1]) for count, band in zip(as_told, bands, strict=False)]
        lines.append(f"{name:<12}{sample.name[-60:]:<62}{raw:6.1f}{calibrated:7.1f}{right:7.1f}  {' -> '.join(bands)}")
    lines.append(
        f"{name}: in the band of their right words are {as_told[0]} raw, {as_told[1]} calibrated of {len(lines)}"
    )
    return "\n".join(lines)


def _band(page: float) -> str:
    return Confidence(mean=page, p10=page, lowest_page=1, lowest=page).triage.value


def _words(reads: dict[str, _Read], part: list[Sample]) -> list[Judged]:
    """Those of all engines: a page's band must not depend on the way to Tesseract."""
    return [word for read in reads.values() for sample, words in read if sample in part for word in words]


def _claims(read: _Read, part: list[Sample], calibration: Calibration) -> list[Claim]:
    return [
        Claim(confidence=calibration(word.score), is_right=word.is_right, weight=word.weight)
        for sample, words in read
        if sample in part
        for word in words
    ]


def _ece(claims: list[Claim]) -> float:
    return ece(equal_mass_bins(claims))


if __name__ == "__main__":
    sys.exit(main())
