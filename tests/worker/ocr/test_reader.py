"""One page to its words, with both engines."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr.engine import OcrEngine
from hybrid_ocr_worker.ocr.native_text import NativeTextReader
from hybrid_ocr_worker.ocr.page_file import read_page, write_page
from hybrid_ocr_worker.ocr.reader import PageReader
from hybrid_ocr_worker.ocr.result import PageResult, Source
from tests import make_documents
from tests.hostile import HOSTILE
from tests.make_documents import DOCUMENTS, GENERATED, LINES, scan_image
from tests.worker.ocr.test_engines import engine  # noqa: F401 - fixture

_WORDS = " ".join(LINES).split()


@pytest.fixture
def reader(engine: OcrEngine) -> PageReader:  # noqa: F811 - fixture
    return PageReader(engine, ("eng",), page_seconds=60)


def _read(reader: PageReader, content: bytes, tmp_path: Path, *, unit: float = 1, page: int = 1) -> PageResult:
    path = tmp_path / "document.pdf"
    path.write_bytes(content)
    return reader.read_pdf_page(path, NativeTextReader(path), page, unit=unit, mode=Mode.AUTO)


@pytest.mark.parametrize("name", ["scan.pdf", "rotate-90.pdf", "rotate-180.pdf", "rotate-270.pdf", "odd-boxes.pdf"])
def test_boxes_are_in_points_of_the_page_as_it_is_shown(reader: PageReader, tmp_path: Path, name: str) -> None:
    page = _read(reader, GENERATED[name](), tmp_path, unit=2 if name == "odd-boxes.pdf" else 1)

    # Every one of them shows the same picture on A4, whatever its boxes, rotation and unit.
    assert (round(page.width), round(page.height)) == (595, 842)
    first = page.words[0]
    assert first.text == "Invoice"
    drawn = [edge / 150 * 72 for edge in (120, 150, 120, 150)]  # where Pillow put the first line, in points
    assert abs(first.bbox[0] - drawn[0]) < 4
    assert 0 < first.bbox[1] - drawn[1] < 10
    assert len(page.words) == len(_WORDS)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_boxes_of_turned_print_are_in_the_page_as_it_is_shown(reader: PageReader, tmp_path: Path, degrees: int) -> None:
    (tmp_path / "turned.png").write_bytes(make_documents.turned_pixels(degrees))

    page = reader.read_image_page(tmp_path / "turned.png", 0, 1, mode=Mode.AUTO)

    image = scan_image().rotate(degrees, expand=True)
    assert (page.rotation, page.words[0].text) == (degrees, "Invoice")
    for word in page.words:
        left, top, right, bottom = (round(edge / 72 * 150) for edge in word.bbox)
        assert min(image.crop((left, top, right, bottom)).tobytes()) < 128, word
        is_wide = right - left > bottom - top
        assert is_wide == (degrees == 180) or len(word.text) < 3


def test_a_lying_layer_is_confirmed_or_refuted_by_the_ink(reader: PageReader, tmp_path: Path) -> None:
    page = _read(reader, (DOCUMENTS / "truetype_font_nomapping.pdf").read_bytes(), tmp_path)
    assert (page.source, page.text) == (Source.OCR, "Phone")

    page = _read(reader, (DOCUMENTS / "rot90.pdf").read_bytes(), tmp_path)
    assert (page.source, page.reason) == (Source.NATIVE, "sparse_text_confirmed_by_ocr")
    assert (page.text, page.rotation) == ("Page rotation: 90", 0)


def test_a_script_that_ocr_was_not_asked_for_is_kept(reader: PageReader, tmp_path: Path) -> None:
    page = _read(reader, (DOCUMENTS / "habibi.pdf").read_bytes(), tmp_path)

    assert (page.source, page.reason) == (Source.NATIVE, "unmapped_text_but_ocr_reads_less")
    assert "habibi" in page.text
    assert page.confidence is not None
    assert page.confidence < 90


def test_a_small_image_is_enlarged_before_it_is_read(reader: PageReader, tmp_path: Path) -> None:
    small = scan_image().resize((620, 877), Image.Resampling.LANCZOS)
    small.save(tmp_path / "small.png")

    page = reader.read_image_page(tmp_path / "small.png", 0, 1, mode=Mode.AUTO)

    assert page.pixels is not None
    assert page.pixels[0] > 1200
    assert (page.width, page.height) == (620, 877)
    assert len(set(_WORDS) - set(page.text.split())) <= 2


def test_a_truncated_image_is_refused(reader: PageReader, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    scan_image().save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:9000])

    with pytest.raises(DocumentRejected) as rejected:
        reader.read_image_page(tmp_path / "cut.png", 0, 1, mode=Mode.AUTO)

    assert rejected.value.document_code == "corrupt_document"


def test_a_page_that_poppler_draws_as_nothing_is_no_empty_success(
    reader: PageReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as the child's session does
    pdf = make_documents.blank_pdf(media_box=(0, 0, 50_000, 50_000))
    make_documents.add_picture(pdf, pdf.pages[0], scan_image(), (0, 0, 50_000, 50_000))
    page = _read(reader, make_documents._saved(pdf), tmp_path)

    assert page.pixels is not None
    assert min(page.pixels) > 5000
    assert "Invoice" in page.text


@pytest.mark.parametrize("name", ["content-in-another-file.pdf", "turned-bytes-1-scan.pdf"])
def test_a_page_that_lost_its_content_is_no_blank_page(reader: PageReader, tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        _read(reader, HOSTILE[name].make(), tmp_path)

    assert (rejected.value.document_code, rejected.value.page) == ("corrupt_document", 1)


@pytest.mark.parametrize("degrees", [8, -10])
def test_print_that_stands_askew_is_no_empty_success(reader: PageReader, tmp_path: Path, degrees: int) -> None:
    askew = scan_image().rotate(degrees, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    askew.save(tmp_path / "askew.png", dpi=(150, 150))

    page = reader.read_image_page(tmp_path / "askew.png", 0, 1, mode=Mode.AUTO)

    assert len({word.text for word in page.words} & set(_WORDS)) > len(set(_WORDS)) / 2


def test_a_picture_without_text_gives_no_words(reader: PageReader, tmp_path: Path) -> None:
    image = Image.radial_gradient("L").resize((1200, 1200))
    image.save(tmp_path / "picture.png", dpi=(150, 150))

    page = reader.read_image_page(tmp_path / "picture.png", 0, 1, mode=Mode.AUTO)

    assert (page.source, page.words) == (Source.OCR, ())


def test_the_ink_of_the_smallest_page_is_seen(reader: PageReader, tmp_path: Path) -> None:
    page = _read(reader, HOSTILE["shapes-unit-of-a-millionth.pdf"].make(), tmp_path, unit=1e-6)

    assert page.source is Source.OCR


def test_a_page_without_area_is_refused(reader: PageReader, tmp_path: Path) -> None:
    with pytest.raises(DocumentRejected, match="no area"):
        _read(reader, HOSTILE["crop-outside-the-page.pdf"].make(), tmp_path)


def test_a_page_survives_the_way_over_the_disk(reader: PageReader, tmp_path: Path) -> None:
    page = _read(reader, GENERATED["text-and-picture.pdf"](), tmp_path)

    write_page(tmp_path, page)

    assert read_page(tmp_path, 1) == page
    assert {word.native for word in page.words} == {True, False}
