"""Markdown that a renderer shows as the text stands, and that a person can read as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_ocr_worker.ocr.result import Source, failed_page
from tests.worker.ocr.format_readers import drawn, markdown_lines
from tests.worker.ocr.pdf_builders import a_page, a_word


def test_paragraphs_lines_and_pages(tmp_path: Path) -> None:
    first = a_page(
        a_word("Dear"), a_word("reader,"), a_word("hello.", line=1), a_word("Next", paragraph=1), a_word("Far", block=1)
    )
    blank = a_page(page=2, source=Source.BLANK)
    pages = [first, blank, failed_page(3, 300, 400, "page_timeout"), a_page(a_word("End"), page=4)]

    assert drawn("md", pages, tmp_path).decode() == (
        "Dear reader,\nhello.\n\nNext\n\nFar\n"
        "\n---\n\n"
        "\n---\n\n"
        "*Page 3 could not be read: page_timeout.*\n"
        "\n---\n\n"
        "End\n"
    )


def test_no_pages_give_an_empty_text(tmp_path: Path) -> None:
    assert drawn("md", [], tmp_path) == b""


@pytest.mark.parametrize(
    "text",
    ["AT&T", "snake_case", "12.5", "3.14)", "a-b", "a#b", "a>b", "a:b", "a=b", "(c)", "Hello!", "1.5 kg", "3:45"],
)
def test_plain_text_is_not_cluttered(text: str, tmp_path: Path) -> None:
    assert drawn("md", [a_page(*map(a_word, text.split(" ")))], tmp_path).decode() == text + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# x", "\\# x"),
        ("1. x", "1\\. x"),
        ("1)", "1\\)"),
        ("- x", "\\- x"),
        ("*x*", "\\*x\\*"),
        ("_x_", "\\_x\\_"),
        ("<b>", "\\<b>"),
        ("&lt;", "\\&lt;"),
        ("[x](y)", "\\[x\\](y)"),
        ("a|b", "a\\|b"),
        ("===", "\\==="),
        ("https://x.y/a_", "https\\://x.y/a\\_"),
        ("www.x.y", "www\\.x.y"),
    ],
)
def test_what_means_something_is_escaped(text: str, expected: str, tmp_path: Path) -> None:
    content = drawn("md", [a_page(a_word("before"), a_word(text, line=1))], tmp_path)

    assert content.decode() == f"before\n{expected}\n"
    assert list(markdown_lines(content)) == [["before", text]]


def test_blanks_at_the_edge_of_a_line_are_no_layout(tmp_path: Path) -> None:
    page = a_page(a_word("\ufeff    code"), a_word("text  ", line=1), a_word("end", line=2))

    assert drawn("md", [page], tmp_path).decode() == "code\ntext\nend\n"
