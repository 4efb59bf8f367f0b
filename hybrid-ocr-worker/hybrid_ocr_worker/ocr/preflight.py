"""Once per document: its type, whether it opens, how many pages it has; typed refusals. Runs in the sandbox.

Where a PDF is damaged or encrypted a normalised copy is made, so that the three libraries that read it afterwards
(qpdf, pdfium, poppler) see the same pages. What cannot be whole is refused: nothing is salvaged silently.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pikepdf
from PIL import Image, UnidentifiedImageError

from hybrid_ocr_core import media
from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_worker.ocr import png_check
from hybrid_ocr_worker.ocr.images import is_sideways, page_frames, usable_dpi
from hybrid_ocr_worker.ocr.signatures import is_signed

#: The only decoders of Pillow that foreign bytes may reach.
IMAGE_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")

_END_MARK = b"%%EOF"
_TAIL_BYTES = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is known of a document before any page is read.

    ``scans`` counts the pages that will hardly be read without OCR; ``frames`` are those of an image that are pages.
    """

    media_type: str
    pages: int
    scans: int
    warnings: tuple[str, ...]
    frames: tuple[int, ...] = ()
    user_units: dict[str, float] | None = None
    was_encrypted: bool = False
    is_signed: bool = False

    def as_json(self) -> dict[str, Any]:
        """To send to the worker and back with each page."""
        return asdict(self)


def inspect(source: Path, working_copy: Path, *, max_pages: int, max_pixels: int) -> Preflight:
    """Look at a document and put what the later steps read at ``working_copy``.

    Raises:
        DocumentRejected: with the code that ends the job.
    """
    working_copy.unlink(missing_ok=True)  # of a first look that was broken off
    with source.open("rb") as file:
        media_type = media.sniff(file.read(media.SNIFF_BYTES))
    if media_type is None:
        raise DocumentRejected("unsupported_media_type", "the content is no document that we read")
    if media_type == media.PDF:
        return _inspect_pdf(source, working_copy, max_pages=max_pages)
    return _inspect_image(source, working_copy, media_type, max_pages=max_pages, max_pixels=max_pixels)


def frame_size(path: Path, frame: int) -> tuple[float, float]:
    """Tell the size in points of a frame as it is shown; one pixel is one point where there is no usable resolution."""
    with Image.open(path, formats=IMAGE_FORMATS) as image:
        image.seek(frame)
        across, down = usable_dpi(image) or (72.0, 72.0)
        width, height = image.size[::-1] if is_sideways(image) else image.size
    return width / across * 72, height / down * 72


def _inspect_pdf(source: Path, working_copy: Path, *, max_pages: int) -> Preflight:
    try:
        pdf = pikepdf.open(source, suppress_warnings=True)
    except pikepdf.PasswordError as error:
        raise DocumentRejected("encrypted_document", "the PDF opens with a password only; send it without") from error
    except (pikepdf.PdfError, ValueError, RuntimeError) as error:
        if "encryption" in str(error):  # qpdf tells encryption by certificate in words only
            raise DocumentRejected("encrypted_document", "the PDF is encrypted for certain readers only") from error
        raise DocumentRejected("corrupt_document", "the PDF cannot be opened, not even repaired") from error
    with pdf:
        try:
            pages = len(pdf.pages)
            is_damaged = bool(pdf.get_warnings())
            if pages == 0:
                raise DocumentRejected("corrupt_document", "the PDF has no pages")
            if pages > max_pages:
                raise DocumentRejected("too_many_pages", f"the PDF has {pages} pages; the limit is {max_pages}")
            if is_damaged:
                _refuse_remains(pdf, source)
            preflight = Preflight(
                media_type=media.PDF,
                pages=pages,
                scans=sum(not _has_font(page.obj.get("/Resources")) for page in pdf.pages),
                warnings=_warnings(pdf, is_damaged=is_damaged),
                user_units=_user_units(pdf),
                was_encrypted=pdf.is_encrypted,
                is_signed=is_signed(pdf),
            )
            if is_damaged or pdf.is_encrypted:
                pdf.save(working_copy, static_id=True)
        except (pikepdf.PdfError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise DocumentRejected("corrupt_document", "the PDF's structure is broken") from error
    if not working_copy.exists():
        working_copy.symlink_to(source.name)
    return preflight


def _warnings(pdf: pikepdf.Pdf, *, is_damaged: bool) -> tuple[str, ...]:
    found = {"repaired": is_damaged, "decrypted": pdf.is_encrypted, "signed": is_signed(pdf)}
    return tuple(name for name, holds in found.items() if holds)


def _has_font(resources: pikepdf.Object | None, depth: int = 3) -> bool:
    """Can there be text on a page with these resources? Looks into forms, a few levels down."""
    if not isinstance(resources, pikepdf.Dictionary):
        return False
    if resources.get("/Font"):
        return True
    objects = resources.get("/XObject")
    if depth == 0 or not isinstance(objects, pikepdf.Dictionary):
        return False
    return any(
        _has_font(form.get("/Resources"), depth - 1)
        for form in objects.values()
        if isinstance(form, pikepdf.Stream) and form.get("/Subtype") == "/Form"
    )


def _user_units(pdf: pikepdf.Pdf) -> dict[str, float]:
    """Page number -> its UserUnit, where it is not 1. pdfium and poppler do not know it."""
    units = {}
    for number, page in enumerate(pdf.pages, 1):
        unit = page.obj.get("/UserUnit")
        if unit is not None and float(unit) > 0 and float(unit) != 1:
            units[str(number)] = float(unit)
    return units


def _refuse_remains(pdf: pikepdf.Pdf, source: Path) -> None:
    """A damaged file may be what is left of one: refuse it when its end is missing or a page lost its content."""
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - _TAIL_BYTES))
        has_end = _END_MARK in file.read()
    for number, page in enumerate(pdf.pages, 1):
        contents = page.obj.get("/Contents")
        parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
        # qpdf gives null for an object that the file names but does not hold.
        is_lost = "/Contents" in page.obj and not all(isinstance(part, pikepdf.Stream) for part in parts)
        if is_lost or (not has_end and _misses_resources(page)):
            raise DocumentRejected("corrupt_document", "the PDF is damaged and has lost content", number)
    if not has_end:
        raise DocumentRejected("corrupt_document", "the PDF is truncated: its end is missing")


def _misses_resources(page: pikepdf.Page) -> bool:
    objects = page.obj.get("/Resources", pikepdf.Dictionary()).get("/XObject", pikepdf.Dictionary())
    return any(not isinstance(value, pikepdf.Stream) for value in objects.values())


def _inspect_image(source: Path, working_copy: Path, media_type: str, *, max_pages: int, max_pixels: int) -> Preflight:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source, formats=IMAGE_FORMATS) as image:
                frames = tuple(page_frames(image))
                for frame in frames:
                    image.seek(frame)
                    if image.width * image.height > max_pixels:
                        raise DocumentRejected(
                            "image_too_large",
                            f"the image has {image.width} x {image.height} pixels; the limit is {max_pixels}",
                            frames.index(frame) + 1,
                        )
                is_animation = media_type != "image/tiff" and getattr(image, "n_frames", 1) > 1
    except Image.DecompressionBombError as error:
        raise DocumentRejected(
            "image_too_large", f"the image has too many pixels; the limit is {max_pixels}"
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DocumentRejected("corrupt_document", "the image cannot be read") from error
    if not frames:
        raise DocumentRejected("corrupt_document", "the image has no pages")
    if media_type == "image/png" and not png_check.is_whole(source):
        raise DocumentRejected("corrupt_document", "the image is damaged or truncated")
    if len(frames) > max_pages:
        raise DocumentRejected("too_many_pages", f"the image has {len(frames)} pages; the limit is {max_pages}")
    working_copy.symlink_to(source.name)
    return Preflight(
        media_type=media_type,
        pages=len(frames),
        scans=len(frames),
        warnings=("animation_first_frame_only",) if is_animation else (),
        frames=frames,
    )
