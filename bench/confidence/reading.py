"""What the service reads on a sample: its words, with Tesseract's own scores, and which of them are right."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from bench.confidence.alignment import folded, right_words
from bench.confidence.corpus import Sample
from hybrid_ocr_core import media
from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr import preflight
from hybrid_ocr_worker.ocr.calibration import Calibration
from hybrid_ocr_worker.ocr.engine import OcrEngine
from hybrid_ocr_worker.ocr.native_text import NativeTextReader
from hybrid_ocr_worker.ocr.rasteriser import MOST_PIXELS
from hybrid_ocr_worker.ocr.reader import PageReader
from hybrid_ocr_worker.ocr.result import PageResult

#: Leaves Tesseract's scores as they are.
AS_IT_IS: Final = Calibration([(0, 0), (100, 100)])
_PAGE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A word: Tesseract's score, whether it is right, and what it weighs (1 for a text that one sample shows)."""

    score: float
    is_right: bool
    weight: float


def seen_words(sample: Sample, engine: OcrEngine) -> list[tuple[str, float]]:
    """Read a sample by the way of every page: text and score of the words that Tesseract saw."""
    return [(word.text, word.confidence) for page in _pages(sample, engine) for word in page.words if not word.native]


def judge(words: Sequence[tuple[str, float]], sample: Sample) -> list[Judged]:
    """Hold what was read against the truth."""
    parts = [(part, score) for text, score in words for part in folded(text)]
    verdicts = right_words([part for part, _ in parts], sample.truth)
    return [
        Judged(score=score, is_right=is_right, weight=1 / sample.copies)
        for (_, score), is_right in zip(parts, verdicts, strict=True)
    ]


def _pages(sample: Sample, engine: OcrEngine) -> Iterator[PageResult]:
    Image.MAX_IMAGE_PIXELS = None  # as the sandbox's session does
    reader = PageReader(engine, sample.languages, page_seconds=_PAGE_SECONDS, calibration=AS_IT_IS)
    with tempfile.TemporaryDirectory(prefix="confidence-") as name:
        path = Path(name) / "working-copy"
        source = Path(name) / "source"
        source.symlink_to(sample.path.resolve())
        facts = preflight.inspect(source, path, max_pages=1000, max_pixels=MOST_PIXELS)
        if facts.media_type != media.PDF:
            for number, frame in enumerate(facts.frames, start=1):
                yield reader.read_image_page(path, frame, number, mode=Mode.AUTO)
            return
        text = NativeTextReader(path)
        try:
            for number in range(1, facts.pages + 1):
                unit = (facts.user_units or {}).get(str(number), 1.0)
                yield reader.read_pdf_page(path, text, number, unit=unit, mode=Mode.AUTO)
        finally:
            text.close()
