"""The answer of Textract's GetDocumentTextDetection, for those who wrote their programs for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import trp
from botocore.validate import ParamValidator
from trp.t_pipeline import add_page_orientation
from trp.trp2 import TDocumentSchema

from hybrid_ocr_worker.ocr.formats.textract import write_textract
from hybrid_ocr_worker.ocr.formats.writing import draw
from hybrid_ocr_worker.ocr.result import PageResult, Source, failed_page
from tests.worker.ocr.pdf_builders import a_page, a_word


def _drawn(pages: list[PageResult], directory: Path, document_pages: int | None = None) -> dict[str, Any]:
    draw(write_textract(iter(pages), directory / "result", engine="tesseract 5", document_pages=document_pages))
    found: dict[str, Any] = json.loads((directory / "result").read_bytes())
    return found


def _two_pages() -> list[PageResult]:
    words = [
        a_word("one", (30, 40, 60, 50), confidence=90.04),
        a_word("two", (75, 38, 90, 50), confidence=80.0),
        a_word("three", (30, 60, 60, 80), line=1),
    ]
    return [a_page(*words, page=3), a_page(page=4, source=Source.BLANK, confidence=None)]


def test_blocks_are_page_lines_and_words(tmp_path: Path) -> None:
    found = _drawn(_two_pages(), tmp_path, 9)

    blocks = found.pop("Blocks")
    assert found == {
        "DetectDocumentTextModelVersion": "tesseract 5",
        "DocumentMetadata": {"Pages": 9},
        "JobStatus": "SUCCEEDED",
    }
    shown = [(block["Id"], block["BlockType"], block.get("Text"), block.get("Confidence")) for block in blocks]
    assert shown == [
        ("page-3", "PAGE", None, None),
        ("line-3-1", "LINE", "one two", 85.0),
        ("line-3-2", "LINE", "three", 91.5),
        ("word-3-1-1", "WORD", "one", 90.0),
        ("word-3-1-2", "WORD", "two", 80.0),
        ("word-3-2-1", "WORD", "three", 91.5),
        ("page-4", "PAGE", None, None),
    ]
    children = {block["Id"]: block["Relationships"] for block in blocks if "Relationships" in block}
    assert children == {
        "page-3": [{"Type": "CHILD", "Ids": ["line-3-1", "line-3-2"]}],
        "line-3-1": [{"Type": "CHILD", "Ids": ["word-3-1-1", "word-3-1-2"]}],
        "line-3-2": [{"Type": "CHILD", "Ids": ["word-3-2-1"]}],
    }
    assert [block["Page"] for block in blocks] == [3] * 6 + [4]


def test_boxes_are_shares_of_the_page(tmp_path: Path) -> None:
    blocks = {block["Id"]: block["Geometry"] for block in _drawn(_two_pages(), tmp_path)["Blocks"]}

    assert blocks["page-4"]["BoundingBox"] == {"Width": 1.0, "Height": 1.0, "Left": 0.0, "Top": 0.0}
    assert blocks["line-3-1"]["BoundingBox"] == {"Width": 0.2, "Height": 0.03, "Left": 0.1, "Top": 0.095}
    assert blocks["word-3-1-1"] == {
        "BoundingBox": {"Width": 0.1, "Height": 0.025, "Left": 0.1, "Top": 0.1},
        "Polygon": [{"X": 0.1, "Y": 0.1}, {"X": 0.2, "Y": 0.1}, {"X": 0.2, "Y": 0.125}, {"X": 0.1, "Y": 0.125}],
    }


def test_a_box_does_not_reach_over_the_page(tmp_path: Path) -> None:
    *_, word = _drawn([a_page(a_word("x", (-3, 390, 310, 401)))], tmp_path)["Blocks"]

    assert word["Geometry"]["BoundingBox"] == {"Width": 1.0, "Height": 0.025, "Left": 0.0, "Top": 0.975}


def test_it_is_of_the_shape_that_boto3_knows(tmp_path: Path) -> None:
    model = botocore.session.Session().get_service_model("textract")
    shape: Any = model.operation_model("GetDocumentTextDetection").output_shape

    for pages in (_two_pages(), [failed_page(1, 300, 400, "page_timeout")], []):
        found = _drawn(pages, tmp_path)
        assert not ParamValidator().validate(found, shape).has_errors()
        assert found["JobStatus"] in shape.members["JobStatus"].enum
        assert {block["BlockType"] for block in found["Blocks"]} <= set(
            shape.members["Blocks"].member.members["BlockType"].enum
        )


def test_amazons_parser_reads_it(tmp_path: Path) -> None:
    found = _drawn(_two_pages(), tmp_path)

    first, second = trp.Document(found).pages
    assert (first.text, second.text) == ("one two\nthree\n", "")
    assert [[word.text for word in line.words] for line in first.lines] == [["one", "two"], ["three"]]
    assert [word.confidence for word in first.lines[0].words] == [90.0, 80.0]
    assert first.lines[1].geometry.boundingBox.left == 0.1
    assert first.getTextInReadingOrder() == "one two\nthree\n"


def test_amazons_newer_parser_reads_it_and_gives_it_back(tmp_path: Path) -> None:
    found = _drawn(_two_pages(), tmp_path)

    document = TDocumentSchema().load(found)

    assert [[line.text for line in document.lines(page)] for page in document.pages] == [["one two", "three"], []]
    assert [block["Id"] for block in TDocumentSchema().dump(document)["Blocks"]] == [
        block["Id"] for block in found["Blocks"]
    ]


@pytest.mark.parametrize(("rotation", "expected"), [(0, 0), (90, -90), (180, 180), (270, 90)])
def test_the_polygon_tells_how_the_text_lies(rotation: int, expected: int, tmp_path: Path) -> None:
    found = _drawn([a_page(a_word("x"), rotation=rotation, width=400)], tmp_path)

    (page,) = add_page_orientation(TDocumentSchema().load(found)).pages

    assert page.custom["PageOrientationBasedOnWords"] == expected


def test_failed_pages_are_named_and_can_be_read_by_amazons_parsers(tmp_path: Path) -> None:
    pages = [a_page(a_word("x")), failed_page(2, 300, 400, "page_timeout"), failed_page(5, 300, 400, "engine_crashed")]

    found = _drawn(pages, tmp_path, 5)

    assert found["JobStatus"] == "PARTIAL_SUCCESS"
    assert found["StatusMessage"] == "Pages not read: 2 (page_timeout), 5 (engine_crashed)"
    assert [page.text for page in trp.Document(found).pages] == ["x\n", "", ""]
    assert len(TDocumentSchema().load(found).pages) == 3


def test_a_page_is_a_line(tmp_path: Path) -> None:
    _drawn([a_page(a_word("a\u2028b\x85c")), a_page(a_word("d"), page=2)], tmp_path)

    text = (tmp_path / "result").read_bytes().decode()
    assert len(text.splitlines()) == 4
