"""The pipeline of every tutorial: one process, every page at 300 dpi, one Tesseract process a page."""

from __future__ import annotations

from collections.abc import Sequence

import pytesseract
from pdf2image import convert_from_path
from PIL import Image

from bench.contestant import Outcome
from bench.documents import Document
from bench.tree import watch


class Naive:
    """pdf2image and pytesseract, as they come. Reads no more than the first pages of a long document."""

    name = "naive"

    def __init__(self, most_pages: int) -> None:
        self._most_pages = most_pages

    def read(self, documents: Sequence[Document]) -> Outcome:
        """See Contestant."""
        with watch() as took:
            texts = tuple(tuple(self._read(document)) for document in documents)
        return Outcome(seconds=took.seconds, cpu_seconds=took.cpu_seconds, texts=texts)

    def _read(self, document: Document) -> list[str]:
        if document.is_pdf:
            images: list[Image.Image] = convert_from_path(document.path, dpi=300, last_page=self._most_pages)
        else:
            images = [Image.open(document.path)]
        return [str(pytesseract.image_to_string(image, lang=document.languages)) for image in images]
