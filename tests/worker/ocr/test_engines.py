"""Both ways to Tesseract keep the same promises."""

from __future__ import annotations

import os
import shutil

import pytest
from PIL import Image

from hybrid_ocr_worker.ocr.engine import OcrEngine, parse_tsv
from hybrid_ocr_worker.ocr.pytesseract_engine import PytesseractEngine
from hybrid_ocr_worker.ocr.tesserocr_engine import TesserocrEngine
from tests.make_documents import DOCUMENTS, LINES, scan_image

if shutil.which("tesseract") is None and not os.environ.get("CI"):
    pytest.skip("Tesseract is not installed; make setup installs it", allow_module_level=True)


@pytest.fixture(scope="module", params=[TesserocrEngine, PytesseractEngine], ids=["tesserocr", "pytesseract"])
def engine(request: pytest.FixtureRequest) -> OcrEngine:
    made: OcrEngine = request.param()
    return made


def test_an_engine_reads_words_with_boxes_confidence_and_lines(engine: OcrEngine) -> None:
    words = engine.words(scan_image(), languages=("eng",), dpi=150)

    assert [word.text for word in words] == " ".join(LINES).split()
    assert all(word.confidence > 80 for word in words)
    lines = dict.fromkeys((word.block, word.paragraph, word.line) for word in words)
    assert len(lines) == len(LINES)
    assert next(iter(lines)) == (0, 0, 0)


def test_boxes_lie_on_the_ink(engine: OcrEngine) -> None:
    image = scan_image()
    for word in engine.words(image, languages=("eng",), dpi=150):
        assert min(image.crop((word.left, word.top, word.right, word.bottom)).tobytes()) < 128, word
        assert 100 < word.left < word.right < 1200
        assert word.top < word.bottom < word.top + 60


def test_an_empty_image_has_no_words(engine: OcrEngine) -> None:
    assert engine.words(scan_image(()), languages=("eng",), dpi=150) == []


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_an_engine_finds_out_how_print_lies(engine: OcrEngine, degrees: int) -> None:
    found = engine.orientation(scan_image().rotate(degrees, expand=True), dpi=150)

    assert found is not None
    assert found.degrees == degrees


def test_too_little_print_says_nothing_about_how_it_lies(engine: OcrEngine) -> None:
    found = engine.orientation(scan_image(("a",)), dpi=150)

    assert found is None or found.confidence < 1


def test_an_engine_tells_its_version_and_languages(engine: OcrEngine) -> None:
    assert engine.version()[0].isdigit()
    assert {"eng", "osd"} <= set(engine.installed_languages())


def test_languages_can_be_combined(engine: OcrEngine) -> None:
    with Image.open(DOCUMENTS / "eurotext.tif") as image:
        words = engine.words(image.convert("L"), languages=("eng", "deu", "fra"), dpi=300)

    assert {"über", "paresseux."} <= {word.text for word in words}


def test_rows_that_are_no_words_are_left_out() -> None:
    header = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    line = "4\t1\t1\t1\t1\t0\t0\t0\t10\t10\t-1\t"
    empty = "5\t1\t1\t1\t1\t1\t0\t0\t10\t10\t95\t "
    word = "5\t1\t2\t1\t3\t1\t1\t2\t10\t20\t96.5\ta\tb"

    (found,) = parse_tsv(f"{header}\n{line}\n{empty}\n{word}\nrubbish")

    assert (found.text, found.confidence, found.block, found.paragraph, found.line) == ("a\tb", 96.5, 1, 0, 2)
    assert (found.left, found.top, found.right, found.bottom) == (1, 2, 11, 22)
