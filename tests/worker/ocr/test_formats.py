"""Text, JSON and hOCR are drawn page by page, and can be read by the strictest reader."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hybrid_ocr_worker.ocr.formats.hocr import write_hocr
from hybrid_ocr_worker.ocr.formats.page_json import write_json
from hybrid_ocr_worker.ocr.formats.plain_text import write_txt
from hybrid_ocr_worker.ocr.formats.writing import draw
from hybrid_ocr_worker.ocr.result import Source, to_json
from tests.worker.ocr.pdf_builders import a_page, a_word

_XHTML = "{http://www.w3.org/1999/xhtml}"


def test_the_text_has_a_form_feed_between_pages_and_a_line_end_after_each(tmp_path: Path) -> None:
    pages = [
        a_page(a_word("one"), a_word("two"), a_word("three", line=1)),
        a_page(page=2, source=Source.BLANK),
        a_page(a_word("naïve 😀"), page=3),
    ]

    draw(write_txt(iter(pages), tmp_path / "result.txt"))

    assert (tmp_path / "result.txt").read_bytes().decode() == "one two\nthree\n\f\n\fnaïve 😀\n"


def test_no_pages_give_an_empty_text(tmp_path: Path) -> None:
    draw(write_txt([], tmp_path / "result.txt"))

    assert (tmp_path / "result.txt").read_bytes() == b""


def test_the_json_has_one_page_a_line(tmp_path: Path) -> None:
    pages = [a_page(a_word("naïve\u2028\u2029\x85\n😀", line=n), page=n + 1) for n in range(3)]

    draw(write_json({"schema": "hybrid-ocr/1", "job_id": "j"}, iter(pages), tmp_path / "result.json"))

    text = (tmp_path / "result.json").read_bytes().decode()
    lines = text.splitlines()
    assert lines[0] == '{"schema":"hybrid-ocr/1","job_id":"j","pages": ['
    assert [line[:11] for line in lines[1:4]] == ['{"page":1,"', '{"page":2,"', '{"page":3,"']
    assert [line[-1] for line in lines[1:4]] == [",", ",", "}"]
    assert lines[4:] == ["]}"]
    assert "naïve" in lines[1]
    assert json.loads(text) == {"schema": "hybrid-ocr/1", "job_id": "j", "pages": [to_json(page) for page in pages]}


@pytest.mark.parametrize("header", [{}, {"schema": "hybrid-ocr/1"}])
def test_a_json_without_pages_is_json(header: dict[str, str], tmp_path: Path) -> None:
    draw(write_json(header, [], tmp_path / "result.json"))

    assert json.loads((tmp_path / "result.json").read_bytes()) == {**header, "pages": []}


def test_half_a_pair_of_utf_16_does_not_break_a_result(tmp_path: Path) -> None:
    page = a_page(a_word("a\ud83db"))

    draw(write_txt([page], tmp_path / "result.txt"))
    draw(write_json({}, [page], tmp_path / "result.json"))
    draw(write_hocr([page], tmp_path / "result.hocr", title="t", engine="e"))

    assert (tmp_path / "result.txt").read_bytes().decode() == "a\ufffdb\n"
    assert json.loads((tmp_path / "result.json").read_bytes())["pages"][0]["words"][0]["text"] == "a\ufffdb"
    assert "ab" in (tmp_path / "result.hocr").read_bytes().decode()


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        draw(write_json({}, [a_page(evidence={"share": math.nan})], tmp_path / "result.json"))


def test_hocr_tells_words_in_pixels_with_their_confidence(tmp_path: Path) -> None:
    words = [
        a_word("one", (30, 40, 60, 50), confidence=91.6),
        a_word("two", (70, 38, 90, 50), line=1),
        a_word("other", (10, 200, 50, 210), block=1),
    ]
    page = a_page(*words, page=7, width=300, height=400, pixels=(600, 800), dpi=144)

    draw(write_hocr([page], tmp_path / "result.hocr", title="a.pdf", engine="tesseract 5"))

    root = ET.fromstring((tmp_path / "result.hocr").read_bytes())
    found = [
        (element.get("class"), element.get("id"), element.get("title"))
        for element in root.iter()
        if element.get("class")
    ]
    assert found == [
        ("ocr_page", "page_7", "bbox 0 0 600 800; ppageno 6; scan_res 144 144"),
        ("ocr_carea", "block_7_1", "bbox 60 76 180 100"),
        ("ocr_par", "par_7_1_1", "bbox 60 76 180 100"),
        ("ocr_line", "line_7_1_1_1", "bbox 60 80 120 100"),
        ("ocrx_word", "word_7_1_1_1_1", "bbox 60 80 120 100; x_wconf 92"),
        ("ocr_line", "line_7_1_1_2", "bbox 140 76 180 100"),
        ("ocrx_word", "word_7_1_1_2_1", "bbox 140 76 180 100; x_wconf 92"),
        ("ocr_carea", "block_7_2", "bbox 20 400 100 420"),
        ("ocr_par", "par_7_2_1", "bbox 20 400 100 420"),
        ("ocr_line", "line_7_2_1_1", "bbox 20 400 100 420"),
        ("ocrx_word", "word_7_2_1_1_1", "bbox 20 400 100 420; x_wconf 92"),
    ]
    assert [element.text for element in root.iter() if element.get("class") == "ocrx_word"] == ["one", "two", "other"]


def test_hocr_counts_points_where_there_was_no_raster(tmp_path: Path) -> None:
    page = a_page(a_word("x", (30.4, 40, 60, 50)), pixels=None, dpi=None, source=Source.NATIVE)

    draw(write_hocr([page], tmp_path / "result.hocr", title="a.pdf", engine="tesseract 5"))

    text = (tmp_path / "result.hocr").read_text()
    assert "bbox 0 0 300 400; ppageno 0; scan_res 72 72" in text
    assert "bbox 30 40 60 50; x_wconf" in text


def test_hocr_says_how_far_lines_are_turned(tmp_path: Path) -> None:
    draw(write_hocr([a_page(a_word("x"), rotation=90)], tmp_path / "result.hocr", title="a.pdf", engine="tesseract 5"))

    assert "; textangle 90" in (tmp_path / "result.hocr").read_text()


def test_hocr_escapes_what_xml_cannot_hold(tmp_path: Path) -> None:
    words = [a_word("<b>&\"'"), a_word("nul\0bell\x07\ufffe😀")]

    draw(write_hocr([a_page(*words)], tmp_path / "result.hocr", title="<&\0>.pdf", engine='"&"'))

    root = ET.fromstring((tmp_path / "result.hocr").read_bytes())
    assert [element.text for element in root.iter() if element.get("class") == "ocrx_word"] == ["<b>&\"'", "nulbell😀"]
    assert root.findtext(f".//{_XHTML}title") == "<&>.pdf"
    metas = {element.get("name"): element.get("content") for element in root.iter(f"{_XHTML}meta")}
    assert metas["ocr-system"] == '"&"'
