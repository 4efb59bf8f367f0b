"""Rows that readers of Tesseract's own can read."""

from __future__ import annotations

from pathlib import Path

from hybrid_ocr_worker.ocr.engine import parse_tsv
from hybrid_ocr_worker.ocr.result import Source, failed_page
from tests.worker.ocr.format_readers import drawn, tsv_rows
from tests.worker.ocr.pdf_builders import a_page, a_word


def test_the_rows_are_those_of_tesseract(tmp_path: Path) -> None:
    words = [
        a_word("one", (30, 40, 60, 50), confidence=91.66),
        a_word('"two', (70, 38, 90, 50)),
        a_word("three", (30, 60, 60, 70), line=1),
        a_word("other", (10, 200, 50, 210), block=2),
    ]
    page = a_page(*words, page=7, width=300, height=400, pixels=(600, 800), dpi=144)

    text = drawn("tsv", [page, failed_page(8, 595.28, 841.89, "page_timeout")], tmp_path).decode()

    assert text.split("\n") == [
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext",
        "1\t7\t0\t0\t0\t0\t0\t0\t600\t800\t-1\t",
        "2\t7\t1\t0\t0\t0\t60\t76\t120\t64\t-1\t",
        "3\t7\t1\t1\t0\t0\t60\t76\t120\t64\t-1\t",
        "4\t7\t1\t1\t1\t0\t60\t76\t120\t24\t-1\t",
        "5\t7\t1\t1\t1\t1\t60\t80\t60\t20\t91.7\tone",
        '5\t7\t1\t1\t1\t2\t140\t76\t40\t24\t91.5\t"two',
        "4\t7\t1\t1\t2\t0\t60\t120\t60\t20\t-1\t",
        "5\t7\t1\t1\t2\t1\t60\t120\t60\t20\t91.5\tthree",
        "2\t7\t3\t0\t0\t0\t20\t400\t80\t20\t-1\t",
        "3\t7\t3\t1\t0\t0\t20\t400\t80\t20\t-1\t",
        "4\t7\t3\t1\t1\t0\t20\t400\t80\t20\t-1\t",
        "5\t7\t3\t1\t1\t1\t20\t400\t80\t20\t91.5\tother",
        "1\t8\t0\t0\t0\t0\t0\t0\t595\t842\t-1\t",
        "",
    ]


def test_what_reads_tesseracts_reads_ours(tmp_path: Path) -> None:
    words = [a_word("one", (30, 40, 60, 50)), a_word("two", (70, 38, 90, 50), block=1, line=2)]

    found = parse_tsv(drawn("tsv", [a_page(*words, pixels=(300, 400), dpi=72)], tmp_path).decode())

    assert [(word.text, word.confidence, word.left, word.bottom) for word in found] == [
        ("one", 91.5, 30, 50),
        ("two", 91.5, 70, 50),
    ]
    assert [(word.block, word.paragraph, word.line) for word in found] == [(0, 0, 0), (1, 0, 2)]


def test_points_where_there_was_no_raster(tmp_path: Path) -> None:
    page = a_page(a_word("x", (30.4, 40, 60, 50)), pixels=None, dpi=None, source=Source.NATIVE)

    rows = tsv_rows(drawn("tsv", [page], tmp_path))

    places = [[row[name] for name in ("left", "top", "width", "height")] for row in rows]
    assert (places[0], places[-1]) == (["0", "0", "300", "400"], ["30", "40", "30", "10"])


def test_a_word_cannot_make_a_row_or_a_column(tmp_path: Path) -> None:
    word = a_word("a\tb\nc\r\nd\x0be\x85f\u2028g\x1ch")

    text = drawn("tsv", [a_page(word)], tmp_path).decode()

    assert text.splitlines() == text.split("\n")[:-1]
    assert {line.count("\t") for line in text.splitlines()} == {11}
    assert text.endswith("\ta\ufffdb\ufffdc\ufffd\ufffdd\ufffde\ufffdf\ufffdg\ufffdh\n")
