"""Text files, and what to do with characters that a format cannot hold."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from hybrid_ocr_worker.ocr.result import PageResult

_REPLACEMENT: Final = "\ufffd"
#: Halves of pairs, which UTF-8 cannot hold.
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
#: Control characters, and all that ends a line for some reader.
_NOT_IN_A_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NO_XML: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
#: Characters that end a line for some readers though JSON lets them stand.
_LINE_ENDS: Final = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def draw(pages: Iterator[PageResult]) -> None:
    """Pull all pages through whatever is written of them."""
    deque(pages, maxlen=0)


def opened(target: Path) -> TextIO:
    """Open a result file for writing."""
    return target.open("w", encoding="utf-8", newline="\n")


def whole(text: str) -> str:
    """Replace what UTF-8 cannot hold."""
    return _LONE_SURROGATE.sub(_REPLACEMENT, text)


def in_a_line(text: str) -> str:
    """Replace what UTF-8 or a line of text cannot hold: tabs and line ends too."""
    return _NOT_IN_A_LINE.sub(_REPLACEMENT, text)


def json_line(value: Any) -> str:  # noqa: ANN401
    """Write JSON on one line, whatever a reader takes for a line's end.

    Raises:
        ValueError: a number is infinite or none at all.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in _LINE_ENDS.items():
        text = text.replace(character, escaped)  # ten times as fast as translate
    return whole(text)


def xml_text(text: str) -> str:
    """Leave out what XML 1.0 cannot hold. The caller escapes the rest."""
    return _NO_XML.sub("", text)
