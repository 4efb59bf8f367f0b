"""A PDF page's own text layer by pdfium: its words, and what speaks for or against believing them.

Beside ``scanned_page`` the only module that knows pypdfium2.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium
from pikepdf import Pdf
from PIL import Image

from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_worker.ocr.geometry import ShownPage, clip
from hybrid_ocr_worker.ocr.result import Box
from hybrid_ocr_worker.ocr.scanned_page import scanned_image

_INVISIBLE = 3
_LINE_ENDS = "\r\n"
#: pdfium's mark for a hyphen at the end of a line.
_SOFT_HYPHENS = {"\x02": "-", "\ufffe": "-", "\xad": "-"}
_REPLACEMENT = "\ufffd"
#: Private use, control, unassigned, surrogate: Unicode values that are as good as none.
_SAYS_NOTHING = frozenset({"Co", "Cc", "Cn", "Cs"})
_MAX_DEPTH = 15
#: An image smaller than this many points a side holds no print worth reading.
_SMALLEST_PICTURE = 12.0


class Character(NamedTuple):
    """One visible character of the text layer, its box as shown."""

    text: str
    box: Box
    is_space: bool = False
    is_line_end: bool = False
    is_unmapped: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A raster image on the page: the part that is seen, its pixels an inch, and whether it hides what is under it."""

    box: Box
    dpi: float
    order: int
    is_opaque: bool


@dataclass(slots=True)
class NativeText:
    """What the text layer of a page holds."""

    page: ShownPage
    characters: list[Character] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    visible: int = 0
    invisible: int = 0
    hidden: int = 0
    unmapped: int = 0
    paths: int = 0
    rotation: int = 0

    @property
    def text(self) -> str:
        """The visible characters, for statistics."""
        return "".join(character.text or " " for character in self.characters)


class NativeTextReader:
    """An open PDF. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open a file that needs no password.

        Raises:
            DocumentRejected: pdfium cannot open it.
        """
        try:
            self._document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise DocumentRejected("corrupt_document", "the PDF cannot be opened") from error

        self._path = path
        self._objects: Pdf | None = None

    def close(self) -> None:
        """Free the document."""
        self._document.close()
        if self._objects is not None:
            self._objects.close()

    def __len__(self) -> int:
        return len(self._document)

    def read(self, number: int, *, unit: float, trust_invisible: bool) -> NativeText:
        """Read page ``number``, counted from 1. With ``trust_invisible`` invisible text counts as text.

        Raises:
            DocumentRejected: the page cannot be loaded.
        """
        try:
            page = self._document[number - 1]
        except pypdfium2.PdfiumError as error:
            raise DocumentRejected("corrupt_document", "the page cannot be loaded", number) from error
        left, bottom, right, top = page.get_bbox()
        shown = ShownPage(left=left, bottom=bottom, right=right, top=top, rotate=page.get_rotation(), unit=unit)
        if not (shown.width > 0 and shown.height > 0):
            raise DocumentRejected("corrupt_document", "the page has no area", number)
        found = NativeText(page=shown)
        order = _walk(page, found)
        text_page = page.get_textpage()
        try:
            _read_characters(text_page, found, order, trust_invisible=trust_invisible)
        finally:
            text_page.close()
            page.close()
        return found

    def scan(self, number: int, shown: ShownPage, *, dpi: float, most_pixels: int) -> Image.Image | None:
        """Give the scan that page ``number`` consists of; None where it has to be drawn. See ``scanned_page``."""
        if self._objects is None:
            self._objects = Pdf.open(self._path)
        page = self._document[number - 1]
        try:
            return scanned_image(page, self._objects.pages[number - 1].obj, shown, dpi=dpi, most_pixels=most_pixels)
        finally:
            page.close()


@dataclass(frozen=True, slots=True)
class _TextObject:
    order: int
    is_invisible: bool


def _walk(page: pypdfium2.PdfPage, found: NativeText) -> dict[int, _TextObject]:
    """Go through the page's objects in the order of painting: collect pictures, remember each text object."""
    texts: dict[int, _TextObject] = {}
    for order, (raw, matrix) in enumerate(_objects(page.raw, _IDENTITY, 0)):
        kind = pdfium.FPDFPageObj_GetType(raw)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            is_invisible = pdfium.FPDFTextObj_GetTextRenderMode(raw) == _INVISIBLE
            texts[_address(raw)] = _TextObject(order, is_invisible)
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            found.paths += 1
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            picture = _picture(raw, matrix, found.page, order)
            if picture is not None:
                found.pictures.append(picture)
    return texts


_Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: _Matrix = (1, 0, 0, 1, 0, 0)


def _objects(
    parent: ctypes._Pointer[ctypes.Structure], matrix: _Matrix, depth: int
) -> Iterator[tuple[object, _Matrix]]:
    """Every object with the matrix of the forms around it, forms opened."""
    count = pdfium.FPDFPage_CountObjects if depth == 0 else pdfium.FPDFFormObj_CountObjects
    get = pdfium.FPDFPage_GetObject if depth == 0 else pdfium.FPDFFormObj_GetObject
    for index in range(max(0, count(parent))):
        raw = get(parent, index)
        if pdfium.FPDFPageObj_GetType(raw) == pdfium.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
            yield from _objects(raw, _times(_matrix_of(raw), matrix), depth + 1)
        else:
            yield raw, matrix


def _picture(raw: object, matrix: _Matrix, shown: ShownPage, order: int) -> Picture | None:
    a, b, c, d, e, f = _times(_matrix_of(raw), matrix)  # the unit square becomes the picture
    xs = (e, e + a, e + c, e + a + c)
    ys = (f, f + b, f + d, f + b + d)
    seen = clip(shown.box(min(xs), min(ys), max(xs), max(ys)), shown.width, shown.height)
    if seen is None or seen[2] - seen[0] < _SMALLEST_PICTURE or seen[3] - seen[1] < _SMALLEST_PICTURE:
        return None
    pixels_x, pixels_y = ctypes.c_uint(), ctypes.c_uint()
    pdfium.FPDFImageObj_GetImagePixelSize(raw, pixels_x, pixels_y)
    inches_x, inches_y = (shown.unit * math.hypot(*side) / 72 for side in ((a, b), (c, d)))
    dpi = max(pixels_x.value / inches_x if inches_x else 0, pixels_y.value / inches_y if inches_y else 0)
    return Picture(seen, dpi, order, not pdfium.FPDFPageObj_HasTransparency(raw))


def _read_characters(
    text_page: pypdfium2.PdfTextPage, found: NativeText, texts: dict[int, _TextObject], *, trust_invisible: bool
) -> None:
    raw = text_page.raw
    rectangle = pdfium.FS_RECTF()
    angles: Counter[int] = Counter()
    # Looking up whose a character is costs as much as all the rest.
    may_be_unseen = not trust_invisible and (
        any(picture.is_opaque for picture in found.pictures) or any(text.is_invisible for text in texts.values())
    )
    width, height = found.page.width, found.page.height
    for index in range(max(0, pdfium.FPDFText_CountChars(raw))):
        text, is_space, says_nothing = _decoded(pdfium.FPDFText_GetUnicode(raw, index))
        if is_space:
            found.characters.append(Character("", (0, 0, 0, 0), is_space=True, is_line_end=text in _LINE_ENDS))
            continue
        pdfium.FPDFText_GetLooseCharBox(raw, index, rectangle)
        box = found.page.box(rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
        is_on_page = box[0] < box[2] > 0 and box[1] < box[3] > 0 and box[0] < width and box[1] < height
        if not is_on_page or (may_be_unseen and not _is_seen(raw, index, box, found, texts)):
            continue
        found.visible += 1
        is_unmapped = says_nothing or pdfium.FPDFText_HasUnicodeMapError(raw, index) == 1
        found.unmapped += is_unmapped
        found.characters.append(Character(text, box, is_unmapped=is_unmapped))
        if found.visible % 8 == 1:  # a sample tells how the page's text lies
            angles[round(math.degrees(pdfium.FPDFText_GetCharAngle(raw, index)) / 90) % 4 * 90] += 1
    if angles:
        # pdfium's angle is clockwise in user space; the page as shown is turned clockwise on top of it.
        found.rotation = -(angles.most_common(1)[0][0] + found.page.rotate) % 360


@lru_cache(maxsize=4096)
def _decoded(code: int) -> tuple[str, bool, bool]:
    """Text of a code; whether it is white space; whether it says as little as no Unicode value would."""
    text = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else _REPLACEMENT
    text = _SOFT_HYPHENS.get(text, text)
    category = unicodedata.category(text)
    says_nothing = text == _REPLACEMENT or category in _SAYS_NOTHING
    # Never a control character in a result.
    return _REPLACEMENT if category == "Cc" and not text.isspace() else text, text.isspace(), says_nothing


def _is_seen(raw: object, index: int, box: Box, found: NativeText, texts: dict[int, _TextObject]) -> bool:
    """Count a character that is invisible or painted over, and tell that it is not seen."""
    owner = pdfium.FPDFText_GetTextObject(raw, index)
    text = texts.get(_address(owner)) if owner else None
    if text is None:
        return True
    if text.is_invisible:
        found.invisible += 1
        return False
    if any(picture.is_opaque and picture.order > text.order and _holds(picture.box, box) for picture in found.pictures):
        found.hidden += 1
        return False
    return True


def _holds(outer: Box, inner: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def _matrix_of(raw: object) -> _Matrix:
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(raw, matrix)
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _times(inner: _Matrix, outer: _Matrix) -> _Matrix:
    """Apply ``inner`` first, then ``outer``."""
    a, b, c, d, e, f = inner
    g, h, i, j, k, m = outer
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _address(raw: object) -> int:
    return ctypes.cast(raw, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
