"""Draws the results that are text: plain text, JSON and hOCR.

Each function hands on the pages that it writes, so that a page is read once and passes through all of them; whoever
pulls at the last one sets the pace. A file is whole when the pages have come to their end.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TextIO
from xml.sax.saxutils import escape, quoteattr

from hybrid_ocr_worker.ocr.result import Box, PageResult, Word, to_json

#: Characters that end a line for some readers though JSON lets them stand.
_LINE_ENDS: Final = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}
#: Halves of pairs, which UTF-8 cannot hold.
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NO_XML: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")


def draw(pages: Iterator[PageResult]) -> None:
    """Pull all pages through what shall be written of them."""
    deque(pages, maxlen=0)


def write_txt(pages: Iterable[PageResult], target: Path) -> Iterator[PageResult]:
    """Write the text of every page, each ended by a line end, with a form feed between two pages."""
    with _opened(target) as file:
        for number, page in enumerate(pages):
            file.write("\f" * (number > 0) + _LONE_SURROGATE.sub("\ufffd", page.text) + "\n")
            yield page


def write_json(header: Mapping[str, Any], pages: Iterable[PageResult], target: Path) -> Iterator[PageResult]:
    """Write one JSON object: the header's entries on the first line, then a page a line, so that lines can be cut out.

    Raises:
        ValueError: a number is infinite or none at all.

    """
    with _opened(target) as file:
        file.write(_json_start(header))
        for number, page in enumerate(pages):
            file.write((",\n" if number else "\n") + _json(to_json(page)))
            yield page
        file.write("\n]}\n")


def rename_json(source: Path, target: Path, changes: Mapping[str, Any]) -> None:
    """Copy what ``write_json`` wrote, with other entries in its header.

    Raises:
        ValueError: it was not written by ``write_json``.
    """
    with source.open(encoding="utf-8", newline="\n") as old, _opened(target) as new:
        header = json.loads(old.readline() + "]}")
        del header["pages"]
        new.write(_json_start({**header, **changes}) + "\n")
        shutil.copyfileobj(old, new)


def rename_hocr(source: Path, target: Path, title: str) -> None:
    """Copy what ``write_hocr`` wrote, with another title."""
    with source.open(encoding="utf-8", newline="\n") as old, _opened(target) as new:
        for line in old:
            is_title = line.startswith("  <title>")
            new.write(f"  <title>{escape(_xml_text(title))}</title>\n" if is_title else line)
            if is_title:
                break
        shutil.copyfileobj(old, new)


def write_hocr(pages: Iterable[PageResult], target: Path, *, title: str, engine: str) -> Iterator[PageResult]:
    """Write hOCR 1.2 as XHTML, boxes in pixels of the raster that was read, or in points where there was none.

    Args:
        pages: in page order.
        target: where the result goes.
        title: the document's name.
        engine: name and version of what recognised it.

    """
    with _opened(target) as file:
        file.write(_HOCR_START.format(title=escape(_xml_text(title)), engine=quoteattr(_xml_text(engine))))
        for page in pages:
            file.writelines(_hocr_page(page))
            yield page
        file.write(" </body>\n</html>\n")


def _opened(target: Path) -> TextIO:
    return target.open("w", encoding="utf-8", newline="\n")


def _json_start(header: Mapping[str, Any]) -> str:
    return _json(header)[:-1] + ("," if header else "") + '"pages": ['


def _json(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in _LINE_ENDS.items():
        text = text.replace(character, escaped)  # ten times as fast as translate
    return _LONE_SURROGATE.sub("\ufffd", text)


_HOCR_START: Final = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
  <meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>
  <meta name="ocr-system" content={engine}/>
  <meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_line ocrx_word"/>
 </head>
 <body>
"""


def _hocr_page(page: PageResult) -> Iterator[str]:
    columns, rows = page.pixels or (round(page.width), round(page.height))
    scale = columns / page.width, rows / page.height
    resolution = round(page.dpi) if page.pixels and page.dpi else 72
    properties = f"bbox 0 0 {columns} {rows}; ppageno {page.page - 1}; scan_res {resolution} {resolution}"
    yield f'  <div class="ocr_page" id="page_{page.page}" title="{properties}">\n'
    for block, block_words in groupby(page.words, key=lambda word: word.block):
        area = list(block_words)
        name = f"{page.page}_{block + 1}"
        yield f'   <div class="ocr_carea" id="block_{name}" title="{_bbox(area, scale)}">\n'
        for paragraph, paragraph_words in groupby(area, key=lambda word: word.paragraph):
            yield from _hocr_paragraph(list(paragraph_words), f"{name}_{paragraph + 1}", scale, page.rotation)
        yield "   </div>\n"
    yield "  </div>\n"


def _hocr_paragraph(words: list[Word], name: str, scale: tuple[float, float], rotation: int) -> Iterator[str]:
    yield f'    <p class="ocr_par" id="par_{name}" title="{_bbox(words, scale)}">\n'
    angle = f"; textangle {rotation}" if rotation else ""
    for line, line_words in groupby(words, key=lambda word: word.line):
        row = list(line_words)
        yield f'     <span class="ocr_line" id="line_{name}_{line + 1}" title="{_bbox(row, scale)}{angle}">\n'
        for number, word in enumerate(row, 1):
            properties = f"{_bbox([word], scale)}; x_wconf {round(word.confidence)}"
            identifier = f"word_{name}_{line + 1}_{number}"
            text = escape(_xml_text(word.text))
            yield f'      <span class="ocrx_word" id="{identifier}" title="{properties}">{text}</span>\n'
        yield "     </span>\n"
    yield "    </p>\n"


def _bbox(words: list[Word], scale: tuple[float, float]) -> str:
    across, down = scale
    edges: list[Box] = [word.bbox for word in words]
    x0, y0 = min(box[0] for box in edges), min(box[1] for box in edges)
    x1, y1 = max(box[2] for box in edges), max(box[3] for box in edges)
    return f"bbox {round(x0 * across)} {round(y0 * down)} {round(x1 * across)} {round(y1 * down)}"


def _xml_text(text: str) -> str:
    return _NO_XML.sub("", text)
