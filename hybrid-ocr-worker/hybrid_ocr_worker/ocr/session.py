"""The commands that the sandboxed child understands. Each request names all it needs, so a fresh child can answer it.

probe      which engine is there, its version and languages
preflight  inspect a document
page       read one page and store it
size       how large a page is that could not be read
split      cut the document up into chunks
pdf        draw the searchable PDF
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from pikepdf import Pdf
from PIL import Image

from hybrid_ocr_core import media
from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr import preflight
from hybrid_ocr_worker.ocr.engine import OcrEngine
from hybrid_ocr_worker.ocr.image_pdf import image_to_pdf
from hybrid_ocr_worker.ocr.native_text import NativeTextReader
from hybrid_ocr_worker.ocr.page_file import read_pages, write_page
from hybrid_ocr_worker.ocr.page_geometry import shown_page
from hybrid_ocr_worker.ocr.rasteriser import MOST_PIXELS, SECOND_TRY_PIXELS
from hybrid_ocr_worker.ocr.reader import PageReader
from hybrid_ocr_worker.ocr.splitter import split_image, split_pdf
from hybrid_ocr_worker.ocr.text_layer import draw_searchable_pdf

_WORKING_COPY = "working-copy"


class Session:
    """The state of one child: a warm engine, and the document that is open."""

    def __init__(self) -> None:
        Image.MAX_IMAGE_PIXELS = None  # our own limits are typed refusals, and hold for rasters too
        self._engine: OcrEngine | None = None
        self._text: tuple[Path, NativeTextReader] | None = None

    def handle(self, request: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Answer one request.

        Raises:
            DocumentRejected: the document is at fault.
        """
        command = request.pop("command")
        answer = {
            "probe": self._probe,
            "preflight": self._preflight,
            "page": self._page,
            "size": self._size,
            "split": self._split,
            "pdf": self._pdf,
        }[command]
        return answer(request)

    def _probe(self, request: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine_named(request["engine"])
        return {"name": engine.name, "tesseract": engine.version(), "languages": engine.installed_languages()}

    def _preflight(self, request: dict[str, Any]) -> dict[str, Any]:
        directory = Path(request["directory"])
        found = preflight.inspect(
            directory / "source",
            directory / _WORKING_COPY,
            max_pages=request["max_pages"],
            max_pixels=request["max_pixels"],
        )
        return found.as_json()

    def _page(self, request: dict[str, Any]) -> dict[str, Any]:
        directory, number = Path(request["directory"]), int(request["page"])
        path, facts, mode = directory / _WORKING_COPY, request["preflight"], Mode(request["mode"])
        reader = PageReader(
            self._engine_named(request["engine"]),
            tuple(request["languages"]),
            page_seconds=request["page_seconds"],
            most_pixels=SECOND_TRY_PIXELS if request["is_second_try"] else MOST_PIXELS,
        )
        if facts["media_type"] == media.PDF:
            unit = (facts["user_units"] or {}).get(str(number), 1.0)
            page = reader.read_pdf_page(path, self._text_of(path), number, unit=unit, mode=mode)
        else:
            page = reader.read_image_page(path, facts["frames"][number - 1], number, mode=mode)
        page = replace(page, page=request["shown_as"])
        write_page(directory, page)
        return {"source": page.source.value, "reason": page.reason, "words": len(page.words)}

    def _size(self, request: dict[str, Any]) -> tuple[float, float]:
        directory, facts, number = Path(request["directory"]), request["preflight"], int(request["page"])
        if facts["media_type"] != media.PDF:
            return preflight.frame_size(directory / _WORKING_COPY, facts["frames"][number - 1])
        with Pdf.open(directory / _WORKING_COPY) as pdf:
            shown = shown_page(pdf.pages[number - 1].obj)
        return shown.width, shown.height

    def _split(self, request: dict[str, Any]) -> None:
        directory, facts = Path(request["directory"]), request["preflight"]
        targets = [Path(target) for target in request["targets"]]
        if facts["media_type"] == media.PDF:
            split_pdf(directory / _WORKING_COPY, request["chunks"], targets)
        else:
            split_image(directory / _WORKING_COPY, facts["frames"], request["chunks"], targets)

    def _pdf(self, request: dict[str, Any]) -> None:
        directory, facts = Path(request["directory"]), request["preflight"]
        source, target = directory / _WORKING_COPY, Path(request["target"])
        if facts["media_type"] != media.PDF:
            wrapped = directory / "wrapped.pdf"
            image_to_pdf(source, facts["media_type"], facts["frames"], wrapped)
            source = wrapped
        draw_searchable_pdf(source, read_pages(directory, request["numbers"]), target)

    def _engine_named(self, name: str) -> OcrEngine:
        if self._engine is None or (name not in {"auto", self._engine.name}):
            self._engine = _make_engine(name)
        return self._engine

    def _text_of(self, path: Path) -> NativeTextReader:
        """The open document; another path closes it."""
        if self._text is None or self._text[0] != path:
            if self._text is not None:
                self._text[1].close()
            self._text = None
            self._text = (path, NativeTextReader(path))
        return self._text[1]


def _make_engine(name: str) -> OcrEngine:
    """The engine of that name; ``auto`` takes the library where it is installed. Imported here: one of them is not."""
    if name in {"auto", "tesserocr"}:
        with contextlib.suppress(ImportError) if name == "auto" else contextlib.nullcontext():
            from hybrid_ocr_worker.ocr.tesserocr_engine import TesserocrEngine  # noqa: PLC0415

            return TesserocrEngine()
    from hybrid_ocr_worker.ocr.pytesseract_engine import PytesseractEngine  # noqa: PLC0415

    return PytesseractEngine()
