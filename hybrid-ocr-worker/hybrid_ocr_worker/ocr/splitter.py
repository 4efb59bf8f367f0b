"""Cuts a document up into chunks, so that a worker that reads some pages fetches those pages only. In the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pikepdf import ObjectStreamMode, Pdf, StreamDecodeLevel
from PIL import Image, TiffImagePlugin

from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_worker.ocr.images import upright
from hybrid_ocr_worker.ocr.preflight import IMAGE_FORMATS


def split_pdf(source: Path, chunks: Sequence[Sequence[int]], targets: Sequence[Path]) -> None:
    """Write a PDF for each list of page numbers. Pages come with all they use, and no stream is coded anew."""
    with Pdf.open(source) as pdf:
        for numbers, target in zip(chunks, targets, strict=True):
            with Pdf.new() as chunk:
                for number in numbers:
                    chunk.pages.append(pdf.pages[number - 1])
                chunk.save(
                    target,
                    compress_streams=False,
                    stream_decode_level=StreamDecodeLevel.none,
                    object_stream_mode=ObjectStreamMode.generate,
                )


def split_image(source: Path, frames: Sequence[int], chunks: Sequence[Sequence[int]], targets: Sequence[Path]) -> None:
    """Write a TIFF for each list of page numbers: upright and grey as the reader wants it, packed without loss.

    Raises:
        DocumentRejected: a frame cannot be decoded whole.
    """
    for numbers, target in zip(chunks, targets, strict=True):
        with TiffImagePlugin.AppendingTiffWriter(str(target), new=True) as writer:
            for number in numbers:
                page = _page(source, frames[number - 1], number)
                dpi = page.info.get("dpi")
                page.save(writer, "TIFF", compression="tiff_adobe_deflate", **({"dpi": dpi} if dpi else {}))
                writer.newFrame()


def _page(source: Path, frame: int, number: int) -> Image.Image:
    try:
        with Image.open(source, formats=IMAGE_FORMATS) as image:
            image.seek(frame)
            return upright(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DocumentRejected("corrupt_document", "the image is broken or truncated", number) from error
