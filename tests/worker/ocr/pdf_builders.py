"""PDFs made by hand, whose ink is known, and the tools that say independently where ink and words are."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from pikepdf import Array, Dictionary, Name, Pdf
from PIL import Image

from hybrid_ocr_worker.ocr.result import Box, PageResult, Source, Word

_DPI = 144
_GREY_STEP = 16


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The boxes of a page, as they are written into it."""

    media: tuple[float, float, float, float] = (0, 0, 300, 400)
    crop: tuple[float, float, float, float] | None = None
    rotate: int | None = None
    user_unit: float | None = None
    is_inherited: bool = False


def ink_pdf(path: Path, shape: Shape, inks: Sequence[Box]) -> Path:
    """One page with black to grey boxes, given in the page's own coordinates; each has a grey of its own."""
    with Pdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(10, 10)).obj
        page.Contents = pdf.make_stream(b"\n".join(_box_drawing(number, ink) for number, ink in enumerate(inks)))
        del page.MediaBox
        holder = pdf.Root.Pages if shape.is_inherited else page
        holder.MediaBox = Array(list(shape.media))
        if shape.crop is not None:
            holder.CropBox = Array(list(shape.crop))
        if shape.rotate is not None:
            holder.Rotate = shape.rotate
        if shape.user_unit is not None:
            page.UserUnit = shape.user_unit
        pdf.save(path, min_version="1.6")
    return path


def _box_drawing(number: int, ink: Box) -> bytes:
    x0, y0, x1, y1 = ink
    return f"{number * _GREY_STEP / 255:.4f} g {x0} {y0} {x1 - x0} {y1 - y0} re f".encode()


def ink_as_shown(path: Path, count: int, folder: Path) -> list[Box]:
    """Where poppler paints the boxes of ``ink_pdf``: points from the top left, as shown, UserUnit not counted."""
    image = rendered(path, folder, dpi=_DPI)
    boxes = []
    for number in range(count):
        grey = number * _GREY_STEP
        found = image.point(lambda value, grey=grey: 255 * (abs(value - grey) <= 2)).getbbox()
        assert found is not None, f"ink {number} is not on the page"
        boxes.append(tuple(edge * 72 / _DPI for edge in found))
    return boxes  # type: ignore[return-value]


def rendered(path: Path, folder: Path, *, dpi: int, page: int = 1) -> Image.Image:
    """The page as poppler paints it, grey."""
    command = ["pdftoppm", "-cropbox", "-gray", "-r", str(dpi), "-f", str(page), "-l", str(page), "-singlefile"]
    subprocess.run([*command, str(path), str(folder / "page")], check=True, capture_output=True)
    with Image.open(folder / "page.pgm") as image:
        return image.copy()  # what is loaded is mapped to the file, and changes with it


def poppler_words(path: Path) -> list[list[tuple[str, Box]]]:
    """The words of every page by pdftotext -bbox: points as shown, UserUnit not counted."""
    command = ["pdftotext", "-cropbox", "-bbox", "-enc", "UTF-8", str(path), "-"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    word = re.compile(r'<word xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">(.*?)</word>')
    pages = output.split("<page ")[1:]
    return [
        [
            (html.unescape(found[5]), (float(found[1]), float(found[2]), float(found[3]), float(found[4])))
            for found in word.finditer(page)
        ]
        for page in pages
    ]


def poppler_text(path: Path) -> str:
    """The text by pdftotext, as a person would copy it."""
    command = ["pdftotext", "-cropbox", "-nopgbrk", "-enc", "UTF-8", str(path), "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def pdfium_text(path: Path, page: int = 0) -> str:
    """The text by pdfium, as Chrome would copy it."""
    document = pypdfium2.PdfDocument(path)
    try:
        return str(document[page].get_textpage().get_text_range())
    finally:
        document.close()


def pdfium_word_box(path: Path, word: str) -> Box:
    """Where pdfium has a word: points from the top left as shown, UserUnit not counted."""
    document = pypdfium2.PdfDocument(path)
    try:
        page = document[0]
        text = page.get_textpage()
        start = text.get_text_range().index(word)
        corners = []
        for index in range(start, start + len(word)):
            left, bottom, right, top = text.get_charbox(index)
            corners += [_as_shown(page, left, bottom), _as_shown(page, right, top)]
    finally:
        document.close()
    return (
        min(x for x, _ in corners),
        min(y for _, y in corners),
        max(x for x, _ in corners),
        max(y for _, y in corners),
    )


def _as_shown(page: Any, x: float, y: float) -> tuple[float, float]:
    width, height = page.get_size()
    shown_x, shown_y = pdfium.c_int(), pdfium.c_int()
    pdfium.FPDF_PageToDevice(page.raw, 0, 0, round(width * 100), round(height * 100), 0, x, y, shown_x, shown_y)
    return shown_x.value / 100, shown_y.value / 100


def a_word(text: str, bbox: Box = (50, 60, 90, 70), **changes: Any) -> Word:
    fields: dict[str, Any] = {"text": text, "confidence": 91.5, "bbox": bbox, "block": 0, "paragraph": 0, "line": 0}
    return Word(**{**fields, **changes})


def a_page(*words: Word, **changes: Any) -> PageResult:
    fields: dict[str, Any] = {
        "page": 1,
        "width": 300.0,
        "height": 400.0,
        "pixels": (1250, 1667),
        "dpi": 300.0,
        "rotation": 0,
        "source": Source.OCR,
        "reason": "no_text",
        "evidence": {"chars": 0},
        "words": words,
        "confidence": 91.5,
    }
    return PageResult(**{**fields, **changes})


def text_pdf(path: Path, *contents: bytes, forms: dict[str, bytes] | None = None, pages: int = 1) -> Path:
    """Pages that share their contents, resources and forms; the font is Helvetica, named F."""
    with Pdf.new() as pdf:
        font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
        resources = pdf.make_indirect(Dictionary(Font=Dictionary(F=font), XObject=Dictionary()))
        for name, content in (forms or {}).items():
            form = pdf.make_stream(content, Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 300, 400])
            form.Resources = Dictionary(Font=Dictionary(F=font), XObject=resources.XObject)
            resources.XObject[f"/{name}"] = form
        streams = [pdf.make_stream(content) for content in contents]
        for _ in range(pages):
            page = pdf.add_blank_page(page_size=(300, 400)).obj
            page.Resources = resources
            page.Contents = Array(streams) if len(streams) > 1 else streams[0]
        pdf.save(path)
    return path


def page_contents(path: Path, page: int = 1) -> list[bytes]:
    """The decoded content streams of a page."""
    with Pdf.open(path) as pdf:
        contents = pdf.pages[page - 1].obj.Contents
        streams: Iterable[Any] = contents if isinstance(contents, Array) else [contents]
        return [stream.read_bytes() for stream in streams]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def scaled(box: Box, factor: float) -> Box:
    return (box[0] * factor, box[1] * factor, box[2] * factor, box[3] * factor)
