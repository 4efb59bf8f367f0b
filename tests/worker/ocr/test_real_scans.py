"""The layer on real scans, with the words that Tesseract reads in them. OCR_CORPUS_DIR names the folder of scans."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from pikepdf import Name, Object, Pdf, Stream

from hybrid_ocr_worker.ocr.image_pdf import image_to_pdf
from hybrid_ocr_worker.ocr.result import Box, PageResult, Source, Word
from hybrid_ocr_worker.ocr.text_layer import draw_searchable_pdf
from tests.worker.ocr.pdf_builders import overlap, pdfium_text, poppler_text, poppler_words, rendered

CORPUS = os.environ.get("OCR_CORPUS_DIR")

pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="OCR_CORPUS_DIR is not set"),
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
]

_DPI = 200


@dataclass(frozen=True)
class Drawn:
    """A scan, what was read in it, and the searchable PDF."""

    source: Path
    target: Path
    pages: list[PageResult]

    @property
    def words(self) -> list[Word]:
        return [word for page in self.pages for word in page.words]


_SCANS = [
    ("ocrmypdf/linn.pdf", {}),
    ("ocrmypdf/ccitt.pdf", {}),
    ("ocrmypdf/jbig2.pdf", {}),
    ("ocrmypdf/c02-22.pdf", {}),
    ("ocrmypdf/francais.pdf", {}),
    ("ocrmypdf/3small.pdf", {}),
    ("ocrmypdf/skew.pdf", {}),
    ("ocrmypdf/rotated_skew.pdf", {}),
    ("ocrmypdf/cardinal.pdf", {2: 270, 3: 180, 4: 90}),
    ("acc-phone-fr/img/dictee_scan.pdf", {}),
    ("acc-phone-fr/img/Histoire_scan.pdf", {}),
    ("ocrmypdf/typewriter.png", {}),
    ("acc-ocrd-gt/img/bebel_frau_1879_0146.tif", {}),
    ("acc-tesseractjs/img/simple-90.jpg", {}),
]


@pytest.fixture(scope="module", params=_SCANS, ids=[name for name, _ in _SCANS])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    name, turns = request.param
    folder = tmp_path_factory.mktemp("scan")
    source = Path(str(CORPUS)) / name
    types = {".png": "image/png", ".tif": "image/tiff", ".jpg": "image/jpeg"}
    if source.suffix in types:
        image_to_pdf(source, types[source.suffix], None, folder / "source.pdf")
        source = folder / "source.pdf"
    with Pdf.open(source) as pdf:
        count = len(pdf.pages)
    pages = [_read(source, number, turns.get(number, 0), folder) for number in range(1, count + 1)]
    draw_searchable_pdf(source, iter(pages), folder / "target.pdf")
    return Drawn(source, folder / "target.pdf", pages)


def _read(source: Path, number: int, turn: int, folder: Path) -> PageResult:
    image = rendered(source, folder, dpi=_DPI, page=number)
    width, height = image.size
    image.rotate(-turn, expand=True).save(folder / "upright.png")
    command = ["tesseract", str(folder / "upright.png"), "-", "--dpi", str(_DPI), "tsv"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return PageResult(
        page=number,
        width=width * 72 / _DPI,
        height=height * 72 / _DPI,
        pixels=(width, height),
        dpi=_DPI,
        rotation=turn,
        source=Source.OCR,
        reason="no_text",
        evidence={},
        words=tuple(_words(output, turn, width, height)),
        confidence=None,
    )


def _words(output: str, turn: int, width: int, height: int) -> Iterator[Word]:
    for line in output.splitlines()[1:]:
        fields = line.split("\t")
        if fields[0] != "5" or not fields[11].strip():
            continue
        left, top, columns, rows = map(int, fields[6:10])
        x0, y0, x1, y1 = left, top, left + columns, top + rows
        box = {
            0: (x0, y0, x1, y1),
            90: (y0, height - x1, y1, height - x0),
            180: (width - x1, height - y1, width - x0, height - y0),
            270: (width - y1, x0, width - y0, x1),
        }[turn]
        points = [edge * 72 / _DPI for edge in box]
        yield Word(
            text=fields[11],
            confidence=float(fields[10]),
            bbox=(points[0], points[1], points[2], points[3]),
            block=int(fields[2]),
            paragraph=int(fields[3]),
            line=int(fields[4]),
        )


def _pairs(drawn: Drawn) -> Iterator[tuple[Word, Box, int]]:
    """Each word with the place where poppler finds the same text nearest to it."""
    for page, found in zip(drawn.pages, poppler_words(drawn.target), strict=True):
        for word in page.words:
            places = [box for text, box in found if text == word.text]
            if places:
                yield word, min(places, key=lambda box: _distance(box, word.bbox)), page.rotation


def _distance(one: Box, other: Box) -> float:
    return abs(one[0] + one[2] - other[0] - other[2]) + abs(one[1] + one[3] - other[1] - other[3])


def test_the_layer_stays_within_its_bytes(drawn: Drawn) -> None:
    added = drawn.target.stat().st_size - drawn.source.stat().st_size

    assert added <= 4096 + 20 * len(drawn.words)


def test_words_lie_on_their_ink(drawn: Drawn) -> None:
    pairs = list(_pairs(drawn))

    assert len(pairs) >= 0.98 * len(drawn.words)
    overlaps = [overlap(box, word.bbox) for word, box, _ in pairs]
    assert median(overlaps) > 0.7
    assert sum(share < 0.5 for share in overlaps) <= 0.05 * len(overlaps) + 1
    for word, box, turn in pairs:
        middle_x, middle_y = (word.bbox[0] + word.bbox[2]) / 2, (word.bbox[1] + word.bbox[3]) / 2
        assert box[0] <= middle_x <= box[2], word
        assert box[1] <= middle_y <= box[3], word
        along = (1, 3) if turn in (90, 270) else (0, 2)
        assert all(box[edge] == pytest.approx(word.bbox[edge], abs=1) for edge in along), word


def test_the_text_comes_back_word_by_word(drawn: Drawn) -> None:
    wanted = Counter(" ".join(page.text for page in drawn.pages).split())
    found = Counter(poppler_text(drawn.target).split())
    found_by_pdfium = Counter(
        " ".join(pdfium_text(drawn.target, page.page - 1) for page in drawn.pages).replace("\ufffe", "- ").split()
    )

    # poppler joins words that are hyphenated at the end of a line, and takes skewed columns for one
    assert (wanted - found).total() <= 0.06 * wanted.total()
    assert (wanted - found_by_pdfium).total() <= 0.02 * wanted.total()


def test_lines_are_copied_in_reading_order(drawn: Drawn) -> None:
    for page in drawn.pages:
        lines = [line for line in page.text.split("\n") if line]
        found = [
            line.strip() for line in pdfium_text(drawn.target, page.page - 1).replace("\ufffe", "-\r\n").split("\r\n")
        ]
        if page.rotation != 180:  # pdfium sorts from left to right as shown
            assert len(set(lines) & set(found)) >= 0.75 * len(set(lines)) - 1


def test_qpdf_finds_nothing_that_the_input_did_not_have(drawn: Drawn) -> None:
    before, after = (
        subprocess.run(["qpdf", "--check", path], capture_output=True, text=True, check=False)
        for path in (drawn.source, drawn.target)
    )

    assert after.returncode <= before.returncode, after.stderr


def test_the_pictures_keep_their_bytes(drawn: Drawn) -> None:
    with Pdf.open(drawn.source) as before, Pdf.open(drawn.target) as after:
        pictures = [
            sorted(item.read_raw_bytes() for item in pdf.objects if _is_picture(item)) for pdf in (before, after)
        ]

    assert pictures[0] == pictures[1]


def _is_picture(item: Object) -> bool:
    return isinstance(item, Stream) and item.get("/Subtype") == Name.Image


def test_drawing_over_an_earlier_layer_replaces_it(drawn: Drawn, tmp_path: Path) -> None:
    draw_searchable_pdf(drawn.target, drawn.pages, tmp_path / "again.pdf")

    assert poppler_words(tmp_path / "again.pdf") == poppler_words(drawn.target)
