"""What is measured on: documents made from real ones, with the words that stand on each page.

``OCR_CORPUS_DIR`` names a folder of real documents; without it those of ``tests/documents`` serve.
"""

from __future__ import annotations

import io
import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pdf2image import convert_from_path
from pikepdf import Dictionary, Name, Pdf, Stream
from PIL import Image, ImageFilter

from tests.make_documents import DOCUMENTS, scan_image

#: Born-digital documents, the best first: path below the folder, Tesseract's language.
_DIGITAL = (
    ("pypdf-samples/009-pdflatex-geotopo__GeoTopo-komprimiert.pdf", "deu"),
    ("pdflatex-4-pages.pdf", "eng"),
)
#: Real scans of print; their ground truth is one page's, for each page.
_SCANS = (
    ("ocrmypdf/linn.pdf", "ocrmypdf/gt/linn.txt"),
    ("ocrmypdf/ccitt.pdf", "ocrmypdf/gt/linn.txt"),
    ("ocrmypdf/jbig2.pdf", "ocrmypdf/gt/linn.txt"),
    ("ocrmypdf/c02-22.pdf", None),
    ("jbig2.pdf", "linn.txt"),
)
_SCAN_DPI = 300
_PHOTO_DPI = 110
#: An A4 page as a camera of few pixels sees it: not quite straight, soft, and in a strong JPEG.
_PHOTO_ANGLE = 0.7
_PHOTO_QUALITY = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file, and what stands on its pages: one string a page, None where nobody knows."""

    path: Path
    languages: str
    truth: tuple[str | None, ...]

    @property
    def pages(self) -> int:
        """How many."""
        return len(self.truth)

    @property
    def is_pdf(self) -> bool:
        """Or an image."""
        return self.path.suffix == ".pdf"


class Documents:
    """Makes the documents of a run, in a directory of the run's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._corpus = Path(os.environ.get("OCR_CORPUS_DIR") or DOCUMENTS)
        found = ((self._corpus / name, language) for name, language in _DIGITAL)
        self._digital, self._language = next(
            ((path, language) for path, language in found if path.exists()), (DOCUMENTS / _DIGITAL[-1][0], "eng")
        )
        self._truth = _text_of(self._digital)

    def born_digital(self, pages: int) -> Document:
        """The real document; repeated, or its first pages only, to come to so many."""
        target = self._directory / "digital.pdf"
        with Pdf.open(self._digital) as source, Pdf.new() as pdf:
            for number in range(pages):
                pdf.pages.append(source.pages[number % len(source.pages)])
            pdf.save(target)
        return self._document(target, range(pages))

    def long_scan(self, pages: int) -> Document:
        """The same pages, printed and scanned: grey at 300 dpi."""
        target = self._directory / f"scan-{pages}.pdf"
        with Pdf.new() as pdf:
            for number in range(pages):
                _add_scan(pdf, self._raster(number, _SCAN_DPI))
            pdf.save(target)
        return self._document(target, range(pages))

    def real_scans(self) -> list[Document]:
        """Real scans, by other people's scanners."""
        documents = []
        for name, truth in _SCANS:
            path = self._corpus / name
            if path.exists():
                text = (self._corpus / truth).read_text(encoding="utf-8") if truth else None
                documents.append(Document(path=path, languages="eng", truth=(text,)))
        return documents

    def mixed(self, pages: int) -> Document:
        """Every other page a scan, the rest as they were born."""
        target = self._directory / "mixed.pdf"
        with Pdf.open(self._digital) as source, Pdf.new() as pdf:
            for number in range(pages):
                if number % 2:
                    _add_scan(pdf, self._raster(number, _SCAN_DPI))
                else:
                    pdf.pages.append(source.pages[number % len(source.pages)])
            pdf.save(target)
        return self._document(target, range(pages))

    def photos(self, count: int) -> list[Document]:
        """Pages as a poor camera sees them, a file each, without a resolution."""
        documents = []
        for number in range(count):
            target = self._directory / f"photo-{number}.jpg"
            page = self._raster(number, _PHOTO_DPI).filter(ImageFilter.GaussianBlur(0.4))
            page = page.rotate(_PHOTO_ANGLE, Image.Resampling.BICUBIC, expand=True, fillcolor=245)
            page.convert("RGB").save(target, quality=_PHOTO_QUALITY)
            documents.append(self._document(target, [number]))
        return documents

    def cheap_scan(self, pages: int) -> Document:
        """Small scanned pages of a few words, no two alike: many of them are read within minutes."""
        target = self._directory / f"cheap-{pages}.pdf"
        dice = random.Random(pages)
        lines = []
        with Pdf.new() as pdf:
            for number in range(pages):
                lines.append(f"Page {number + 1} of a long document, number {dice.randrange(10**6)}")
                _add_scan(pdf, scan_image((lines[-1],), size=(1000, 400)), dpi=150)
            pdf.save(target)
        return Document(path=target, languages="eng", truth=tuple(lines))

    def _raster(self, number: int, dpi: int) -> Image.Image:
        page = number % len(self._truth) + 1
        (image,) = convert_from_path(self._digital, dpi=dpi, first_page=page, last_page=page, grayscale=True)
        return image

    def _document(self, path: Path, numbers: range | list[int]) -> Document:
        truth = tuple(self._truth[number % len(self._truth)] for number in numbers)
        return Document(path=path, languages=self._language, truth=truth)


def _text_of(path: Path) -> list[str]:
    """The text of a born-digital document, page by page."""
    done = subprocess.run(["pdftotext", "-layout", str(path), "-"], check=True, capture_output=True, text=True)
    return done.stdout.removesuffix("\f").split("\f")


def _add_scan(pdf: Pdf, image: Image.Image, dpi: float = _SCAN_DPI) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    picture = Stream(
        pdf,
        buffer.getvalue(),
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=image.width,
        Height=image.height,
        ColorSpace=Name.DeviceGray,
        BitsPerComponent=8,
        Filter=Name.DCTDecode,
    )
    width, height = (pixels * 72 / dpi for pixels in image.size)
    page = pdf.add_blank_page(page_size=(width, height))
    page.obj.Resources = Dictionary(XObject=Dictionary(Scan=pdf.make_indirect(picture)))
    page.obj.Contents = Stream(pdf, f"q {width} 0 0 {height} 0 0 cm /Scan Do Q".encode())


def page_texts(text: str, pages: int) -> Iterator[str]:
    """A text with a form feed between two pages -> so many pages."""
    parts = text.split("\f")
    return (parts[number] if number < len(parts) else "" for number in range(pages))
