"""ALTO 4, the Library of Congress's schema for text with its layout: https://www.loc.gov/standards/alto/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from hybrid_ocr_worker.ocr.formats.layout import Block, Line, Raster, blocks_of, words_of
from hybrid_ocr_worker.ocr.formats.writing import opened, xml_text
from hybrid_ocr_worker.ocr.result import PageResult, Source, Word, are_apart

_START: Final = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\
 xsi:schemaLocation="http://www.loc.gov/standards/alto/ns-v4# http://www.loc.gov/standards/alto/v4/alto-4-3.xsd"\
 SCHEMAVERSION="4.3">
 <Description>
  <MeasurementUnit>pixel</MeasurementUnit>
  <Processing ID="engine">
   <processingCategory>contentGeneration</processingCategory>
   <processingSoftware><softwareName>{engine}</softwareName></processingSoftware>
  </Processing>
 </Description>
 <Layout>
"""


def write_alto(pages: Iterable[PageResult], target: Path, *, engine: str) -> Iterator[PageResult]:
    """Write ALTO: a ComposedBlock a block, a TextBlock a paragraph, as Tesseract does.

    A file has one unit, pixels here: those of the raster that was read, or points where there was none, with fractions
    then. A failed page has no words and says in QUALITY_DETAIL why. The document's name is not in it. Without pages the
    layout is empty, though the schema wants one.

    Args:
        pages: in page order.
        target: where the result goes.
        engine: name and version of what recognised it.

    """
    with opened(target) as file:
        file.write(_START.format(engine=escape(xml_text(engine))))
        for page in pages:
            file.writelines(_page(page))
            yield page
        file.write(" </Layout>\n</alto>\n")


def _page(page: PageResult) -> Iterator[str]:
    ruler = _Ruler(page)
    says = "" if page.confidence is None else f' PC="{_share(page.confidence)}"'
    if page.source is Source.FAILED:
        says = f" QUALITY_DETAIL={quoteattr(f'could not be read: {page.reason}')}"
    yield f'  <Page ID="page_{page.page}" PHYSICAL_IMG_NR="{page.page}" {ruler.size}{says}>\n'
    yield f'   <PrintSpace HPOS="0" VPOS="0" {ruler.size}>\n'
    for number, block in enumerate(blocks_of(page), 1):
        yield from _block(block, f"{page.page}_{number}", ruler, page.rotation)
    yield "   </PrintSpace>\n  </Page>\n"


class _Ruler:
    """Sizes and boxes of one page as attributes: whole pixels, but fractions of points."""

    def __init__(self, page: PageResult) -> None:
        self._raster = Raster.of(page)
        self._is_whole = page.pixels is not None
        self.size = self._extent(self._raster.columns, self._raster.rows)

    def place(self, words: Iterable[Word]) -> str:
        """Place and extent of the box around words; its edges are rounded, so that neighbours still touch."""
        x0, y0, x1, y1 = (round(edge, 0 if self._is_whole else 2) for edge in self._raster.box(words))
        return f'HPOS="{self._number(x0)}" VPOS="{self._number(y0)}" {self._extent(x1 - x0, y1 - y0)}'

    def _extent(self, width: float, height: float) -> str:
        return f'WIDTH="{self._number(width)}" HEIGHT="{self._number(height)}"'

    def _number(self, length: float) -> str:
        return str(round(length)) if self._is_whole else f"{length:.2f}".rstrip("0").rstrip(".")


def _block(block: Block, name: str, ruler: _Ruler, rotation: int) -> Iterator[str]:
    yield f'    <ComposedBlock ID="block_{name}" {ruler.place(words_of(block))}>\n'
    # ALTO says how far the text was turned counterclockwise, a page how far to turn it back clockwise: the same number.
    turned = f' ROTATION="{rotation}"' if rotation else ""
    for number, paragraph in enumerate(block, 1):
        yield f'     <TextBlock ID="par_{name}_{number}" {ruler.place(words_of([paragraph]))}{turned}>\n'
        for line_number, line in enumerate(paragraph, 1):
            yield from _line(line, f"{name}_{number}_{line_number}", ruler)
        yield "     </TextBlock>\n"
    yield "    </ComposedBlock>\n"


def _line(line: Line, name: str, ruler: _Ruler) -> Iterator[str]:
    yield f'      <TextLine ID="line_{name}" {ruler.place(line)}>\n'
    before = ""
    for number, word in enumerate(line, 1):
        if are_apart(before, word.text):
            yield "       <SP/>\n"
        place, content = ruler.place([word]), quoteattr(xml_text(word.text))
        yield f'       <String ID="word_{name}_{number}" {place} WC="{_share(word.confidence)}" CONTENT={content}/>\n'
        before = word.text
    yield "      </TextLine>\n"


def _share(percent: float) -> float:
    return round(percent / 100, 3)
