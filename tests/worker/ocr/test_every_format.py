"""No format loses a word, changes its place, or breaks on what a document may hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hybrid_ocr_core.document_store import FILES
from hybrid_ocr_core.options import OUTPUTS
from hybrid_ocr_worker.ocr.formats.writing import draw
from hybrid_ocr_worker.ocr.result import PageResult, Source, Word, failed_page
from tests.worker.ocr.format_readers import WRITERS, drawn, lines_of_pages, lines_of_words
from tests.worker.ocr.pdf_builders import a_page, a_word

#: What means something in one of the formats, or to those who read them.
_HOSTILE = [
    *"\\`*_{}[]()<>#+-.!|~&$:=\"'^/,;% \u00a0",
    *(
        "&amp;",
        "<b>",
        "</String>",
        "]]>",
        "<!--",
        "-->",
        "<?x?>",
        "***",
        "---",
        "===",
        "```",
        "~~~",
        "1.",
        "2)",
        "+",
        "[a]:",
    ),
    *(
        "![a](b)",
        "[a](b)",
        "<http://a.b>",
        "http://a_b.c/_d_",
        "www.a_b.c/*d*",
        "a_b",
        "_a_",
        "__a__",
        "&#65;",
        "\\n",
        "|-|",
    ),
    *('"a', "'a", "a,b", "=1+1", "null", "\ufeff", "\u200f", "é", "e\u0301", "漢字", "かな", "ไทย", "שלום", "😀", "ﬁ"),
]
_CONTROLS = ["\0", "\x07", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1b", "\x7f", "\x85", "\x9b"]
_OTHERS = ["\u2028", "\u2029", "\ud83d", "\udc00", "\ufffe", "\uffff", "\ufdd0", "\U0001fffe"]
_TEXTS = st.one_of(
    st.lists(st.sampled_from([*_HOSTILE, *_CONTROLS, *_OTHERS, "a", "1"]), min_size=1, max_size=5).map("".join),
    st.text(st.characters(), min_size=1, max_size=8),
)


@st.composite
def _pages(draw: st.DrawFn) -> list[PageResult]:
    pages = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        kind = draw(st.sampled_from(["words", "words", "blank", "failed"]))
        if kind == "failed":
            pages.append(failed_page(number, 300.0, 400.0, "page_timeout"))
        elif kind == "blank":
            pages.append(a_page(page=number, source=Source.BLANK, pixels=None, dpi=None, confidence=None))
        else:
            is_native = draw(st.booleans())
            raster = {"pixels": None, "dpi": None, "source": Source.NATIVE} if is_native else {}
            pages.append(
                a_page(*draw(_words()), page=number, rotation=draw(st.sampled_from([0, 90, 180, 270])), **raster)
            )
    return pages


@st.composite
def _words(draw: st.DrawFn) -> list[Word]:
    words, place = [], [0, 0, 0]
    for number, text in enumerate(draw(st.lists(_TEXTS, min_size=1, max_size=12))):
        new = draw(st.sampled_from([None, None, 0, 1, 2])) if number else None
        if new is not None:
            # A block without words may lie between two that have some.
            place = [*place[:new], place[new] + draw(st.integers(1, 2)), 0, 0][:3]
        x, y = draw(st.floats(-1, 299)), draw(st.floats(-1, 399))
        box = (x, y, x + draw(st.floats(0.1, 300)), y + draw(st.floats(0.1, 50)))
        names = dict(zip(("block", "paragraph", "line"), place, strict=True))
        words.append(a_word(text, box, confidence=draw(st.floats(0, 100)), **names))
    return words


def _comparable(lines: list[list[list[str]]], output: str) -> list[list[list[str]]]:
    """Without what a format cannot hold, on either side, and without the blanks that Markdown takes for layout."""
    gone = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd\ufdd0-\ufdef\ufffe\uffff\U0001fffe]"
    texts = [[[re.sub(gone, "", text) for text in line] for line in page] for page in lines]
    if output in {"txt", "md"}:
        # A line that holds nothing else cannot be told from the space between paragraphs.
        texts = [[[re.sub(r"[\s\ufeff]+", "", text) for text in line] for line in page] for page in texts]
        return [[line for line in page if line != [""]] for page in texts]
    return texts


@pytest.mark.parametrize("output", sorted(WRITERS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=_pages())
@example(pages=[a_page(*(a_word(text, line=number) for number, text in enumerate(_HOSTILE)))])
@example(pages=[a_page(*(a_word(text, paragraph=number) for number, text in enumerate(_HOSTILE)))])
@example(pages=[a_page(*(a_word(f"{start}{rest}") for start in _HOSTILE for rest in ("", "a", "1")))])
@example(pages=[a_page(*map(a_word, [*_CONTROLS, *_OTHERS, "end"]))])
def test_no_word_is_lost_and_the_order_is_kept(output: str, pages: list[PageResult], tmp_path: Path) -> None:
    if output == "txt":  # it has no way to write them but as they are
        pages = [_without_line_ends(page) for page in pages]

    found = lines_of_words(output, drawn(output, pages, tmp_path))

    expected = lines_of_pages(output, pages)
    if output == "md":
        failures = [page.source is Source.FAILED for page in pages]
        assert [len(page) for page, is_failed in zip(found, failures, strict=True) if is_failed] == [1] * sum(failures)
        found = [[] if is_failed else page for page, is_failed in zip(found, failures, strict=True)]
    assert _comparable(found, output) == _comparable(expected, output)


def _without_line_ends(page: PageResult) -> PageResult:
    words = [a_word(re.sub(r"[\n\r\f]", "", word.text), block=word.block, line=word.line) for word in page.words]
    return a_page(*words, page=page.page, source=page.source)


@pytest.mark.parametrize("output", sorted(WRITERS))
def test_what_no_format_can_hold_is_replaced_or_left_out_and_the_rest_stands(output: str, tmp_path: Path) -> None:
    hostile = a_page(a_word("a\ud83db\0c\x07d\ufffee", line=0), a_word("<&\"'>]]>", line=1), a_word("end", line=2))

    ((first, second, third),) = lines_of_words(output, drawn(output, [hostile], tmp_path))

    kept = {
        "hocr": "abcde",
        "alto": "abcde",
        "tsv": "a\ufffdb\ufffdc\ufffdd\ufffee",
        "md": "a\ufffdb\ufffdc\ufffdd\ufffee",
    }
    assert first == [kept.get(output, "a\ufffdb\0c\x07d\ufffee")]
    assert (second, third) == (["<&\"'>]]>"], ["end"])


@pytest.mark.parametrize("output", sorted(WRITERS))
def test_pages_without_words_are_there_all_the_same(output: str, tmp_path: Path) -> None:
    blank = a_page(page=2, source=Source.BLANK, pixels=None, dpi=None, confidence=None)
    pages = [a_page(a_word("one")), blank, failed_page(3, 300, 400, "page_timeout"), a_page(a_word("four"), page=4)]

    first, second, third, fourth = lines_of_words(output, drawn(output, pages, tmp_path))

    said = {"md": [["Page 3 could not be read: page_timeout."]]}
    assert (first, second, third, fourth) == ([["one"]], [], said.get(output, []), [["four"]])


@pytest.mark.parametrize("output", sorted(set(WRITERS) - {"txt", "md", "alto"}))
def test_no_pages_are_a_result_too(output: str, tmp_path: Path) -> None:
    assert lines_of_words(output, drawn(output, [], tmp_path)) == []


@pytest.mark.parametrize("output", sorted(WRITERS))
def test_pages_are_drawn_one_at_a_time(output: str, tmp_path: Path) -> None:
    alive: set[int] = set()
    most = 0

    class Page(PageResult):
        def __del__(self) -> None:
            alive.discard(self.page)

    def pages() -> Any:
        nonlocal most
        for number in range(1, 30):
            page = a_page(a_word("word"), page=number)
            alive.add(number)
            most = max(most, len(alive))
            yield Page(**{name: getattr(page, name) for name in PageResult.__dataclass_fields__})

    draw(WRITERS[output](pages(), tmp_path / "result"))

    assert most <= 3


def test_every_output_has_a_file_of_its_own_that_no_browser_executes() -> None:
    assert FILES.keys() == set(OUTPUTS)
    assert set(WRITERS) == set(OUTPUTS) - {"pdf"}
    assert len({name for name, _ in FILES.values()}) == len(FILES)
    assert not [media_type for _, media_type in FILES.values() if "xml" in media_type or "html" in media_type]


@pytest.mark.parametrize("output", ["txt", "md", "alto", "tsv", "textract"])
def test_a_result_that_is_copied_as_it_is_does_not_depend_on_when_it_is_drawn(output: str, tmp_path: Path) -> None:
    pages = [a_page(a_word("one"), a_word("two"))]

    assert drawn(output, pages, tmp_path) == drawn(output, pages, tmp_path)
    assert b"a.pdf" not in drawn(output, pages, tmp_path)


def test_json_results_are_json_for_the_strictest(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    for output in ("json", "textract"):
        json.loads(drawn(output, [a_page(a_word("x"))], tmp_path), parse_constant=refuse)
