"""The limit: the very rasters that the service read, and warm Tesseracts, one a core. Nothing else.

No file is opened, no page is routed, drawn or turned, nothing is written; whoever recognises these pages by this
library on these cores is not faster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import tesserocr
from PIL import Image, ImageOps

from bench.contestant import Outcome
from bench.documents import Document
from bench.tree import watch
from hybrid_ocr_worker.ocr.native_text import NativeTextReader
from hybrid_ocr_worker.ocr.rasteriser import MOST_PIXELS, rasterise
from hybrid_ocr_worker.ocr.tesserocr_engine import find_tessdata

_WARM_UP_SECONDS = 0.5
_apis: dict[str, tesserocr.PyTessBaseAPI] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """One page as it goes into Tesseract: a grey image in a file that needs no decoding."""

    path: Path
    dpi: float
    languages: str


class Limit:
    """Reads rasters that were made before the clock starts. Its processes are warm."""

    name = "limit"

    def __init__(self, *, cores: int) -> None:
        self._cores = cores
        self._pool = ProcessPoolExecutor(
            cores, mp_context=get_context("spawn"), initializer=_start, initargs=(find_tessdata(),)
        )
        self._rasters: list[list[Raster | None]] = []

    def close(self) -> None:
        """End its processes."""
        self._pool.shutdown()

    def prepare(self, documents: Sequence[Document], results: Sequence[dict[str, Any]], directory: Path) -> None:
        """Make the rasters that the service has read, by what its results say of them, and warm up."""
        directory.mkdir()
        self._rasters = [
            [
                _raster(document, page, directory / f"{number}-{page['page']}.pgm") if page["source"] == "ocr" else None
                for page in result["pages"]
            ]
            for number, (document, result) in enumerate(zip(documents, results, strict=True))
        ]
        languages = {document.languages for document in documents}
        for language in languages:
            # Each process takes one of these, for each lasts longer than to hand out the rest.
            list(self._pool.map(_warm_up, [language] * self._cores))

    def read(self, documents: Sequence[Document]) -> Outcome:
        """See Contestant: only what ``prepare`` was told of; pages that need no OCR are not read."""
        assert len(documents) == len(self._rasters)
        rasters = [raster for pages in self._rasters for raster in pages if raster]
        with watch() as took:
            texts = dict(zip((raster.path for raster in rasters), self._pool.map(_recognise, rasters), strict=True))
        return Outcome(
            seconds=took.seconds,
            cpu_seconds=took.cpu_seconds,
            texts=tuple(tuple(texts[raster.path] if raster else "" for raster in pages) for pages in self._rasters),
        )


def _raster(document: Document, page: dict[str, Any], path: Path) -> Raster:
    size = tuple(page["pixels"])
    if document.is_pdf:
        image = _pdf_page(document.path, page["page"], page["dpi"])
    else:
        with Image.open(document.path) as opened:
            image = ImageOps.exif_transpose(opened).convert("L")
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    image.convert("L").save(path)
    return Raster(path=path, dpi=page["dpi"], languages=document.languages)


def _pdf_page(path: Path, number: int, dpi: float) -> Image.Image:
    """As the service gets it: taken out of the page, or drawn."""
    text = NativeTextReader(path)
    try:
        shown = text.read(number, unit=1, trust_invisible=False).page
        image = text.scan(number, shown, dpi=dpi, most_pixels=MOST_PIXELS)
    finally:
        text.close()
    return image or rasterise(path, number, shown, dpi, seconds=60)


def _start(tessdata: str) -> None:
    """In each process, before Tesseract makes threads."""
    os.environ |= {"OMP_THREAD_LIMIT": "1", "TESSDATA_PREFIX": tessdata}


def _warm_up(languages: str) -> None:
    api = _api(languages)
    api.SetImage(Image.new("L", (200, 200), 255))
    api.GetUTF8Text()
    time.sleep(_WARM_UP_SECONDS)


def _recognise(raster: Raster) -> str:
    api = _api(raster.languages)
    with Image.open(raster.path) as image:
        width, height = image.size
        api.SetImageBytes(image.tobytes(), width, height, 1, width)
    api.SetSourceResolution(round(raster.dpi))
    text = str(api.GetUTF8Text())
    api.Clear()
    return text


def _api(languages: str) -> tesserocr.PyTessBaseAPI:
    if languages not in _apis:
        _apis[languages] = tesserocr.PyTessBaseAPI(
            path=os.environ["TESSDATA_PREFIX"], lang=languages, psm=tesserocr.PSM.AUTO
        )
    return _apis[languages]
