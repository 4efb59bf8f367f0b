"""ALTO 4 as the schema has it, in the pixels that were read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from hybrid_ocr_worker.ocr.result import Source, failed_page
from tests.worker.ocr.format_readers import ALTO, alto_tree, drawn
from tests.worker.ocr.pdf_builders import a_page, a_word


def _attributes(element: Any) -> tuple[str, ...]:
    return tuple(element.get(name) for name in ("ID", "HPOS", "VPOS", "WIDTH", "HEIGHT"))


def test_words_are_told_in_pixels_within_lines_paragraphs_and_blocks(tmp_path: Path) -> None:
    words = [
        a_word("one", (30, 40, 60, 50), confidence=91.6),
        a_word("two", (70, 38, 90, 50), line=1),
        a_word("other", (10, 200, 50, 210), block=2),
    ]
    page = a_page(*words, page=7, width=300, height=400, pixels=(600, 800), dpi=144)

    root = alto_tree(drawn("alto", [page], tmp_path))

    (layout,) = root.iter(f"{ALTO}Layout")
    found = [_attributes(element) for element in layout.iter() if element.get("ID")]
    assert found == [
        ("page_7", None, None, "600", "800"),
        ("block_7_1", "60", "76", "120", "24"),
        ("par_7_1_1", "60", "76", "120", "24"),
        ("line_7_1_1_1", "60", "80", "60", "20"),
        ("word_7_1_1_1_1", "60", "80", "60", "20"),
        ("line_7_1_1_2", "140", "76", "40", "24"),
        ("word_7_1_1_2_1", "140", "76", "40", "24"),
        ("block_7_2", "20", "400", "80", "20"),
        ("par_7_2_1", "20", "400", "80", "20"),
        ("line_7_2_1_1", "20", "400", "80", "20"),
        ("word_7_2_1_1_1", "20", "400", "80", "20"),
    ]
    strings = [(word.get("CONTENT"), word.get("WC")) for word in root.iter(f"{ALTO}String")]
    assert strings == [("one", "0.916"), ("two", "0.915"), ("other", "0.915")]
    assert root.findtext(f".//{ALTO}MeasurementUnit") == "pixel"
    assert root.findtext(f".//{ALTO}softwareName") == "tesseract 5"


def test_points_with_fractions_where_there_was_no_raster(tmp_path: Path) -> None:
    word = a_word("x", (30.4, 40, 60.256, 50))
    page = a_page(word, width=595.28, height=841.9, pixels=None, dpi=None, source=Source.NATIVE)

    root = alto_tree(drawn("alto", [page], tmp_path))

    assert _attributes(next(root.iter(f"{ALTO}Page")))[3:] == ("595.28", "841.9")
    assert _attributes(next(root.iter(f"{ALTO}String")))[1:] == ("30.4", "40", "29.86", "10")


def test_a_blank_stands_where_the_text_has_one(tmp_path: Path) -> None:
    words = [a_word("a"), a_word("b"), a_word("漢"), a_word("字")]

    (line,) = alto_tree(drawn("alto", [a_page(*words)], tmp_path)).iter(f"{ALTO}TextLine")

    assert [child.get("CONTENT", " ") for child in line] == ["a", " ", "b", " ", "漢", "字"]


@pytest.mark.parametrize(("rotation", "expected"), [(0, None), (90, "90"), (270, "270")])
def test_text_that_lies_on_its_side_says_so(rotation: int, expected: str | None, tmp_path: Path) -> None:
    root = alto_tree(drawn("alto", [a_page(a_word("x"), rotation=rotation)], tmp_path))

    assert [block.get("ROTATION") for block in root.iter(f"{ALTO}TextBlock")] == [expected]


def test_a_failed_page_says_why_it_is_empty(tmp_path: Path) -> None:
    root = alto_tree(drawn("alto", [failed_page(3, 300, 400, "page_timeout")], tmp_path))

    (page,) = root.iter(f"{ALTO}Page")
    assert (page.get("PHYSICAL_IMG_NR"), page.get("WIDTH"), page.get("HEIGHT")) == ("3", "300", "400")
    assert (page.get("PC"), page.get("QUALITY_DETAIL")) == (None, "could not be read: page_timeout")
    assert len(next(page.iter(f"{ALTO}PrintSpace"))) == 0


def test_no_pages_are_xml_but_the_schema_wants_one(tmp_path: Path) -> None:
    root = etree.fromstring(drawn("alto", [], tmp_path))

    assert [len(layout) for layout in root.iter(f"{ALTO}Layout")] == [0]


def test_the_schema_would_find_a_fault(tmp_path: Path) -> None:
    content = drawn("alto", [a_page(a_word("x"))], tmp_path)

    for fault in (content.replace(b'WC="', b'WC="1'), content.replace(b"PHYSICAL_IMG_NR", b"IMG_NR")):
        with pytest.raises(etree.DocumentInvalid):
            alto_tree(fault)
