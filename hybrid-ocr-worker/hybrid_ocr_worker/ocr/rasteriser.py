"""A PDF page -> a grey image, by poppler through pdf2image; a limit on its pixels, and a check that it is whole."""

from __future__ import annotations

import math
from pathlib import Path

from pdf2image import convert_from_path
from pdf2image.exceptions import PDFPageCountError, PDFPopplerTimeoutError, PDFSyntaxError
from PIL import Image, UnidentifiedImageError

from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_worker.ocr.geometry import ShownPage

LEAST_DPI = 150.0
MOST_DPI = 300.0
MOST_PIXELS_A_SIDE = 10_000
#: Of the longer side: whether a page smaller than a stamp has ink cannot be told from a few pixels.
_LEAST_PIXELS_A_SIDE = 200
MOST_PIXELS = 100_000_000
#: For a page that was too much the first time, for memory or time. No less than A3 has at 300 dpi.
SECOND_TRY_PIXELS = 20_000_000
_FEW_PIXELS = 10_000
#: poppler rounds sizes up.
_TOLERANCE_PIXELS = 2


def raster_dpi(page: ShownPage, wanted: float, most_pixels: int = MOST_PIXELS) -> float:
    """A resolution within our bounds that keeps the image within its own: less for a huge page, never a refusal."""
    inches_x, inches_y = page.width / 72, page.height / 72
    dpi = min(MOST_DPI, max(LEAST_DPI, wanted))
    return min(
        max(dpi, _LEAST_PIXELS_A_SIDE / max(inches_x, inches_y)),
        MOST_PIXELS_A_SIDE / max(inches_x, inches_y),
        math.sqrt(most_pixels / (inches_x * inches_y)),
    )


def rasterise(path: Path, number: int, page: ShownPage, dpi: float, *, seconds: float) -> Image.Image:
    """Draw page ``number``, counted from 1, as it is shown.

    Raises:
        DocumentRejected: poppler draws nothing, or something else than the page. It exits with success and a 1 x 1
            image when a page is too large for it, which would pass for an empty page.
    """
    size = (max(1, round(page.width / 72 * dpi)), max(1, round(page.height / 72 * dpi)))
    images = _draw(path, number, dpi * page.unit, seconds=seconds)
    if not images:
        raise DocumentRejected("engine_crashed", "poppler gave up on the page", number)
    if len(images) != 1 or any(
        abs(drawn - expected) > _TOLERANCE_PIXELS for drawn, expected in zip(images[0].size, size, strict=True)
    ):
        raise DocumentRejected("corrupt_document", "the page was not drawn at its size", number)
    return images[0].convert("L")


def refuse_failed_blank(path: Path, number: int, page: ShownPage, *, seconds: float) -> None:
    """Make sure that a page without ink is meant to have none: draw it once more, small, and hear the complaints.

    Raises:
        DocumentRejected: poppler met with errors, so that what is missing may be all there was.
    """
    _draw(path, number, raster_dpi(page, LEAST_DPI, _FEW_PIXELS) * page.unit, seconds=seconds, strict=True)


def _draw(path: Path, number: int, dpi: float, *, seconds: float, strict: bool = False) -> list[Image.Image]:
    try:
        images: list[Image.Image] = convert_from_path(
            path,
            first_page=number,
            last_page=number,
            # Handed on to pdftoppm, which takes fractions, and knows nothing of UserUnit.
            dpi=dpi,  # type: ignore[arg-type]
            grayscale=True,
            use_cropbox=True,
            strict=strict,
            timeout=math.ceil(seconds),
        )
    except PDFPopplerTimeoutError as error:
        raise DocumentRejected("page_timeout", f"drawing the page took longer than {seconds:g} s", number) from error
    except (PDFPageCountError, PDFSyntaxError, UnidentifiedImageError) as error:
        raise DocumentRejected("corrupt_document", "the page cannot be drawn", number) from error
    return images


def has_ink(image: Image.Image) -> bool:
    """Is there anything on a grey image beside its background and a few specks of dust?"""
    histogram = image.histogram()
    background = max(range(256), key=histogram.__getitem__)
    marks = sum(count for level, count in enumerate(histogram) if abs(level - background) > _INK_CONTRAST)
    return marks > _MOST_DUST * image.width * image.height


_INK_CONTRAST = 24
_MOST_DUST = 1e-5
