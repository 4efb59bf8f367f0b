"""Wraps an image file into a PDF, a page a frame, without touching a pixel.

An EXIF orientation becomes the matrix that the image is drawn with, so that the mirrored ones come right too.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from pikepdf import Array, Dictionary, ObjectStreamMode, Pdf
from PIL import Image

from hybrid_ocr_worker.ocr.image_object import image_object
from hybrid_ocr_worker.ocr.images import orientation, page_frames, reporting_damage, usable_dpi

_FORMATS: Final = {
    "image/jpeg": ("JPEG",),  # Pillow finds by itself that one is an MPO
    "image/png": ("PNG",),
    "image/tiff": ("TIFF",),
    "image/bmp": ("BMP",),
    "image/gif": ("GIF",),
    "image/webp": ("WEBP",),
}
_LONGEST_SIDE: Final = 14_400  # units, ISO 32000-1 annex C
_POINTS_PER_INCH: Final = 72

#: By EXIF orientation: how the unit square of the stored image lies on the unit square of the page.
_PLACING: Final = {
    1: (1, 0, 0, 1, 0, 0),
    2: (-1, 0, 0, 1, 1, 0),
    3: (-1, 0, 0, -1, 1, 1),
    4: (1, 0, 0, -1, 0, 1),
    5: (0, -1, -1, 0, 1, 1),
    6: (0, -1, 1, 0, 0, 1),
    7: (0, 1, 1, 0, 0, 0),
    8: (0, 1, -1, 0, 1, 0),
}


def image_to_pdf(source: Path, media_type: str, frames: Sequence[int] | None, target: Path) -> None:
    """Make a PDF of an image file.

    Args:
        source: the image.
        media_type: what it was found to be; nothing else is tried.
        frames: which of a TIFF's frames are pages; None asks ``page_frames``.
        target: where the PDF goes.

    Raises:
        KeyError: no image format has this media type.
        OSError, SyntaxError, ValueError: the image is damaged.

    """
    formats = _FORMATS[media_type]
    with warnings.catch_warnings(), reporting_damage(), Pdf.new() as pdf:
        warnings.simplefilter("ignore")  # of bombs, whose limit the caller has set, and of odd tags
        with Image.open(source, formats=formats) as image:
            for frame in page_frames(image) if frames is None else frames:
                image.seek(frame)
                _add_page(pdf, image, source)
        pdf.save(target, min_version="1.6", object_stream_mode=ObjectStreamMode.generate, deterministic_id=True)


def _add_page(pdf: Pdf, image: Image.Image, source: Path) -> None:
    across, down = usable_dpi(image) or (_POINTS_PER_INCH, _POINTS_PER_INCH)
    turn = 1 if image.format == "TIFF" else orientation(image)  # Pillow turns a TIFF while it loads it
    columns, rows = image.size if turn < 5 else image.size[::-1]
    width, height = columns * _POINTS_PER_INCH / across, rows * _POINTS_PER_INCH / down
    unit = math.ceil(max(width, height) / _LONGEST_SIDE)
    width, height = width / unit, height / unit
    a, b, c, d, e, f = _PLACING[turn]
    matrix = (a * width, b * height, c * width, d * height, e * width, f * height)
    xobject = image_object(pdf, image, source)
    page = pdf.add_blank_page().obj
    page.MediaBox = Array([0, 0, Decimal(f"{width:.4f}"), Decimal(f"{height:.4f}")])
    if unit > 1:
        page.UserUnit = unit
    page.Resources = Dictionary(XObject=Dictionary(Im=xobject))
    page.Contents = pdf.make_stream(b"q %s cm /Im Do Q" % b" ".join(b"%.6g" % value for value in matrix))
