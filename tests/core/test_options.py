"""How options are spelled."""

from __future__ import annotations

import pytest

from hybrid_ocr_core.errors import BadRequest, UnsupportedLanguage
from hybrid_ocr_core.options import PageSelection, parse_languages, parse_outputs

_INSTALLED = ("eng", "deu", "chi_sim")


@pytest.mark.parametrize(
    ("text", "count", "pages"),
    [
        ("", 3, [1, 2, 3]),
        ("1-5,9", 12, [1, 2, 3, 4, 5, 9]),
        ("9, 1-2", 12, [1, 2, 9]),
        ("2-4,3", 12, [2, 3, 4]),
        ("2-99", 3, [2, 3]),
        ("7", 3, []),
    ],
)
def test_page_ranges_select_pages(text: str, count: int, pages: list[int]) -> None:
    assert PageSelection.parse(text).of(count) == pages


@pytest.mark.parametrize("text", ["0", "\u0661", "3-1", "a", "1-", "-3", "1.5", "1--2", "9999999"])
def test_a_malformed_page_range_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        PageSelection.parse(text)


def test_a_page_selection_reads_back_from_its_own_text() -> None:
    selection = PageSelection.parse("9,1-5")

    assert PageSelection.parse(str(selection)) == selection


@pytest.mark.parametrize("text", ["eng+deu", "eng,deu", " eng deu ", "eng+deu+eng"])
def test_languages_may_be_separated_in_several_ways(text: str) -> None:
    assert parse_languages(text, _INSTALLED) == ("eng", "deu")


def test_the_first_installed_language_is_the_default() -> None:
    assert parse_languages("", _INSTALLED) == ("eng",)


@pytest.mark.parametrize("text", ["xxx", "eng+xxx", "../eng", "eng;rm", "e" * 40])
def test_a_language_that_is_not_installed_is_refused_by_naming_those_that_are(text: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="chi_sim"):
        parse_languages(text, _INSTALLED)


def test_json_is_always_made() -> None:
    assert parse_outputs("pdf") == ("json", "pdf")
    assert parse_outputs("") == ("json", "txt", "pdf")


def test_every_format_can_be_asked_for() -> None:
    assert parse_outputs("textract, tsv,alto,hocr,md") == ("json", "md", "hocr", "alto", "tsv", "textract")


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(BadRequest, match="docx"):
        parse_outputs("txt,docx")
