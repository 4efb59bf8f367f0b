"""A page that is nothing but one scan -> the scan itself, pixel for pixel, without drawing the page.

Decoding the picture takes a sixth of the time that drawing it does. Whoever looks at such a page sees the picture and
nothing else: it fills the page, straight; nothing is painted beside it, over it or through it. Where any of this is not
certain there is no image, and the page is drawn.
"""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium
from pikepdf import Dictionary, Name, Object
from PIL import Image

from hybrid_ocr_worker.ocr.geometry import ShownPage
from hybrid_ocr_worker.ocr.page_geometry import inherited

#: In points: how far the edges of the picture may be from those of the page.
_TOLERANCE = 0.5
#: Pixels of a fax are not square: the drawn page's are.
_MOST_STRETCHED = 1.02
_INVISIBLE = 3
_PLAIN_COLOURS = {
    pdfium.FPDF_COLORSPACE_DEVICEGRAY,
    pdfium.FPDF_COLORSPACE_DEVICERGB,
    pdfium.FPDF_COLORSPACE_CALGRAY,
    pdfium.FPDF_COLORSPACE_CALRGB,
    pdfium.FPDF_COLORSPACE_ICCBASED,
    pdfium.FPDF_COLORSPACE_INDEXED,
}
#: Keys of a picture by which it shows something else than its pixels, or does not always show.
_NOT_AS_STORED = ("/SMask", "/Mask", "/ImageMask", "/Decode", "/OC")
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def scanned_image(
    page: pypdfium2.PdfPage, source: Object, shown: ShownPage, *, dpi: float, most_pixels: int
) -> Image.Image | None:
    """Decode the scan that a page consists of, as a grey image turned as the page is shown.

    Args:
        page: as pdfium has it.
        source: the same page as qpdf has it.
        shown: its boxes.
        dpi: what the page would be drawn at. A finer scan is reduced to it; there is none of a coarser one.
        most_pixels: of a scan that may be decoded at all.

    """
    picture = _only_picture(page)
    if picture is None or not _fills(picture, shown) or not _is_plain(picture, source):
        return None
    width, height = picture.get_px_size()
    if width * height > most_pixels:
        return None
    across, down = (shown.height, shown.width) if shown.rotate % 180 else (shown.width, shown.height)
    dpi_x, dpi_y = width * 72 / across, height * 72 / down
    if max(dpi_x, dpi_y) > _MOST_STRETCHED * min(dpi_x, dpi_y) or dpi_x < dpi / _MOST_STRETCHED:
        return None
    try:
        image: Image.Image = picture.get_bitmap().to_pil().convert("L")
    except pypdfium2.PdfiumError:
        return None  # damaged perhaps: poppler is to say
    if dpi_x > dpi * _MOST_STRETCHED:
        image = image.resize((round(across / 72 * dpi), round(down / 72 * dpi)), Image.Resampling.BOX)
    return image.transpose(_TURNS[shown.rotate]) if shown.rotate else image


def _only_picture(page: pypdfium2.PdfPage) -> pypdfium2.PdfImage | None:
    """The one thing that is painted, beside invisible text."""
    if pdfium.FPDFPage_GetAnnotCount(page.raw) > 0:
        return None
    pictures = []
    for thing in page.get_objects(max_depth=1):
        if thing.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            pictures.append(thing)
        elif thing.type != pdfium.FPDF_PAGEOBJ_TEXT or pdfium.FPDFTextObj_GetTextRenderMode(thing.raw) != _INVISIBLE:
            return None
    return pictures[0] if len(pictures) == 1 else None


def _fills(picture: pypdfium2.PdfImage, shown: ShownPage) -> bool:
    """Upright in user space, from edge to edge of the page, and cut by nothing."""
    if pdfium.FPDFClipPath_CountPaths(pdfium.FPDFPageObj_GetClipPath(picture.raw)) > 0:
        return False
    a, b, c, d, e, f = picture.get_matrix().get()
    edges = (e, shown.left), (f, shown.bottom), (e + a, shown.right), (f + d, shown.top), (b, 0), (c, 0)
    return all(abs(edge - wanted) * shown.unit <= _TOLERANCE for edge, wanted in edges)


def _is_plain(picture: pypdfium2.PdfImage, source: Object) -> bool:
    """Its pixels are what is seen."""
    if pdfium.FPDFPageObj_HasTransparency(picture.raw) or picture.get_metadata().colorspace not in _PLAIN_COLOURS:
        return False
    if pdfium.FPDFPageObj_CountMarks(picture.raw) > 0:
        return False  # optional content, perhaps
    resources = inherited(source, "/Resources")
    forms = resources.get("/XObject") if isinstance(resources, Dictionary) else None
    stored = [form for form in forms.values() if form.get("/Subtype") == Name.Image] if forms is not None else []
    size = picture.get_px_size()
    # pdfium does not say which of them it is, so there may be one only; and it has to be that one.
    return len(stored) == 1 and (
        (stored[0].get("/Width"), stored[0].get("/Height")) == size
        and not any(key in stored[0] for key in _NOT_AS_STORED)
    )
