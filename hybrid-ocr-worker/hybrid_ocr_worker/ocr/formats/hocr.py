"""hOCR 1.2 as XHTML."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from hybrid_ocr_worker.ocr.formats.layout import Raster
from hybrid_ocr_worker.ocr.formats.writing import opened, xml_text
from hybrid_ocr_worker.ocr.result import PageResult, Word

_START: Final = """<?xml version="1.0" encoding="UTF-8"?>
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


def write_hocr(pages: Iterable[PageResult], target: Path, *, title: str, engine: str) -> Iterator[PageResult]:
    """Write hOCR, boxes in pixels of the raster that was read, or in points where there was none.

    Args:
        pages: in page order.
        target: where the result goes.
        title: the document's name.
        engine: name and version of what recognised it.

    """
    with opened(target) as file:
        file.write(_START.format(title=escape(xml_text(title)), engine=quoteattr(xml_text(engine))))
        for page in pages:
            file.writelines(_page(page))
            yield page
        file.write(" </body>\n</html>\n")


def rename_hocr(source: Path, target: Path, title: str) -> None:
    """Copy what ``write_hocr`` wrote, with another title."""
    with source.open(encoding="utf-8", newline="\n") as old, opened(target) as new:
        for line in old:
            is_title = line.startswith("  <title>")
            new.write(f"  <title>{escape(xml_text(title))}</title>\n" if is_title else line)
            if is_title:
                break
        shutil.copyfileobj(old, new)


def _page(page: PageResult) -> Iterator[str]:
    raster = Raster.of(page)
    size, resolution = f"{round(raster.columns)} {round(raster.rows)}", raster.resolution
    properties = f"bbox 0 0 {size}; ppageno {page.page - 1}; scan_res {resolution} {resolution}"
    yield f'  <div class="ocr_page" id="page_{page.page}" title="{properties}">\n'
    for block, block_words in groupby(page.words, key=lambda word: word.block):
        area = list(block_words)
        name = f"{page.page}_{block + 1}"
        yield f'   <div class="ocr_carea" id="block_{name}" title="{_bbox(area, raster)}">\n'
        for paragraph, paragraph_words in groupby(area, key=lambda word: word.paragraph):
            yield from _paragraph(list(paragraph_words), f"{name}_{paragraph + 1}", raster, page.rotation)
        yield "   </div>\n"
    yield "  </div>\n"


def _paragraph(words: list[Word], name: str, raster: Raster, rotation: int) -> Iterator[str]:
    yield f'    <p class="ocr_par" id="par_{name}" title="{_bbox(words, raster)}">\n'
    angle = f"; textangle {rotation}" if rotation else ""
    for line, line_words in groupby(words, key=lambda word: word.line):
        row = list(line_words)
        yield f'     <span class="ocr_line" id="line_{name}_{line + 1}" title="{_bbox(row, raster)}{angle}">\n'
        for number, word in enumerate(row, 1):
            properties = f"{_bbox([word], raster)}; x_wconf {round(word.confidence)}"
            identifier = f"word_{name}_{line + 1}_{number}"
            text = escape(xml_text(word.text))
            yield f'      <span class="ocrx_word" id="{identifier}" title="{properties}">{text}</span>\n'
        yield "     </span>\n"
    yield "    </p>\n"


def _bbox(words: list[Word], raster: Raster) -> str:
    return "bbox " + " ".join(str(round(edge)) for edge in raster.box(words))
