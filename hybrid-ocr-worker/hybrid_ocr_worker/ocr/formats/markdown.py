"""Markdown (CommonMark, and GitHub's) that shows the text as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from hybrid_ocr_worker.ocr.formats.layout import Line, blocks_of
from hybrid_ocr_worker.ocr.formats.writing import in_a_line, opened
from hybrid_ocr_worker.ocr.result import PageResult, Source, join_words

_BETWEEN_PAGES: Final = "\n---\n\n"
#: Characters that mean something wherever they stand; an underscore does not within a word.
_SPECIAL: Final = re.compile(
    r"[\\`*\[\]<|~$]"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|&(?=#?\w+;)"  # would be an entity
    r"|:(?=//)|(?<=www)\."  # would become a link, in which escapes show
)
#: What means something at the start of a line: a heading, a list, a quotation, an underline, a rule or a table's.
_SPECIAL_AT_START: Final = re.compile(r"^([0-9]{1,9}(?=[.)](?: |$))|(?=[-+#>=:]))")


def write_md(pages: Iterable[PageResult], target: Path) -> Iterator[PageResult]:
    """Write paragraphs, a line a line, with a rule between two pages; of a failed page, that it is one.

    There are no headings: a box tells how high the ink of a word is, not how large its type.
    """
    with opened(target) as file:
        for number, page in enumerate(pages):
            file.write((_BETWEEN_PAGES if number else "") + _page(page))
            yield page


def _page(page: PageResult) -> str:
    if page.source is Source.FAILED:
        return f"*Page {page.page} could not be read: {_escaped(page.reason)}.*\n"
    paragraphs = [paragraph for block in blocks_of(page) for paragraph in block]
    return "\n".join("".join(map(_line, paragraph)) for paragraph in paragraphs)


def _line(words: Line) -> str:
    # Four blanks before a line would make it code, two after it a break; and a file may begin with a byte order mark.
    text = join_words([in_a_line(word.text) for word in words]).strip(" \ufeff")
    return _SPECIAL_AT_START.sub(r"\1\\", _escaped(text)) + "\n"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
