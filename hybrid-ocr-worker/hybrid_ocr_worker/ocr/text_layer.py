"""Draws the searchable PDF: the document as it came, with the recognised words as invisible text on top of the ink."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pikepdf import Array, Dictionary, Name, Object, ObjectStreamMode, Pdf, StreamDecodeLevel

from hybrid_ocr_worker.ocr.content_stream import page_streams
from hybrid_ocr_worker.ocr.glyphless_font import GlyphlessFont
from hybrid_ocr_worker.ocr.old_layer import CleanForms, remove_invisible_text
from hybrid_ocr_worker.ocr.page_geometry import inherited, shown_page, upright_matrix
from hybrid_ocr_worker.ocr.result import PageResult, Source
from hybrid_ocr_worker.ocr.text_lines import placed_lines
from hybrid_ocr_worker.ocr.type_setting import TypeSetter

#: What the layer may add to a document: so much for its font, and so much a word.
_DOCUMENT_BYTES = 4096
_WORD_BYTES = 20


def draw_searchable_pdf(source: Path, pages: Iterable[PageResult], target: Path) -> None:
    """Graft the words of the recognised pages onto the document; other pages stay as they are.

    Args:
        source: a PDF that opens without a password; the result is never encrypted.
        pages: is read once, one page held at a time. Pages that were not recognised may be left out.
        target: where the result goes.

    """
    with Pdf.open(source) as pdf:
        layer = _TextLayer(pdf)
        for page in pages:
            if page.source in (Source.OCR, Source.HYBRID):
                layer.graft(page)
        layer.finish()
        if layer.changed or pdf.is_encrypted:
            _save(pdf, target, ObjectStreamMode.preserve)
            if target.stat().st_size > source.stat().st_size + _DOCUMENT_BYTES + _WORD_BYTES * layer.words:
                # Written out plainly, thousands of small objects may outgrow the layer: pack them, as PDF 1.5 can.
                _save(pdf, target, ObjectStreamMode.generate)
        else:
            shutil.copyfile(source, target)


def _save(pdf: Pdf, target: Path, mode: ObjectStreamMode) -> None:
    """Write every stream as it came; only where small objects are packed, bare and ASCII-coded streams are, too."""
    is_packed = mode is ObjectStreamMode.generate or pdf.trailer.get("/Type") == Name.XRef
    pdf.save(
        target,
        min_version="1.4",  # of what the font needs
        encryption=False,
        compress_streams=is_packed,  # qpdf packs all or nothing, and small objects must be
        stream_decode_level=StreamDecodeLevel.none,
        object_stream_mode=mode,
        deterministic_id=True,  # drawing the same again gives the same file
    )


class _TextLayer:
    """The new text of one document: its one font, and what goes before the contents of its pages."""

    def __init__(self, pdf: Pdf) -> None:
        self.changed = False
        self.words = 0
        self._pdf = pdf
        self._clean_forms: CleanForms = {}
        self._font = GlyphlessFont()
        self._font_object: Dictionary | None = None

    def graft(self, page: PageResult) -> None:
        """Take an old invisible layer off the page and put the recognised words under its contents."""
        target = self._pdf.pages[page.page - 1].obj
        self.changed |= remove_invisible_text(self._pdf, target, self._clean_forms)
        shown = shown_page(target)
        lines = list(placed_lines(page, (shown.width, shown.height)))
        if not lines:
            return
        self.changed = True
        self.words += sum(len(line) for _, line in lines)
        name = _add_font(target, self._document_font())
        setter = TypeSetter(self._font, name.encode(), shown.unit)
        content = b"".join(
            setter.set([line for _, line in group], upright_matrix(shown, turn, 1 / shown.unit))
            for turn, group in groupby(lines, key=itemgetter(0))
        )
        stream = self._pdf.make_stream(zlib.compress(content, 9), Filter=Name.FlateDecode)
        target.Contents = Array([stream, *page_streams(target)])

    def finish(self) -> None:
        """Write the font, which now knows all characters of the document."""
        if self._font_object is not None:
            self._font.write_to(self._pdf, self._font_object)

    def _document_font(self) -> Dictionary:
        if self._font_object is None:
            self._font_object = self._pdf.make_indirect(Dictionary())
        return self._font_object


def _add_font(page: Object, font: Object) -> str:
    """Enter the font in the page's resources, shared ones where they are shared, and tell its name there."""
    resources = inherited(page, "/Resources")
    if not isinstance(resources, Dictionary):
        page.Resources = Dictionary()
        resources = page.Resources
    fonts = resources.get("/Font")
    if not isinstance(fonts, Dictionary):
        resources.Font = fonts = Dictionary()
        fonts = resources.Font
    number = 0
    while True:
        name = f"/Ocr{number or ''}"
        if name not in fonts:
            fonts[name] = font
            return name
        if fonts[name].objgen == font.objgen:
            return name
        number += 1
