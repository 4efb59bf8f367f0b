"""Tesseract as a warm library. The only module that knows tesserocr."""

from __future__ import annotations

import os
import re
import subprocess
from collections import OrderedDict
from pathlib import Path

import tesserocr
from PIL import Image

from hybrid_ocr_worker.ocr.engine import Orientation, PixelWord, parse_tsv

#: Loaded language sets kept warm; each costs 20 to 100 MB.
_KEPT_WARM = 2
_OSD = ("osd",)


class TesserocrEngine:
    """Keeps one loaded Tesseract for each set of languages in use."""

    name = "tesserocr"

    def __init__(self) -> None:
        self._tessdata = find_tessdata()
        self._warm: OrderedDict[tuple[str, ...], tesserocr.PyTessBaseAPI] = OrderedDict()

    def version(self) -> str:
        """Of the library that the wheel brings, which need not be the command's."""
        match = re.search(r"tesseract v?(\S+)", tesserocr.tesseract_version())
        return match[1] if match else "unknown"

    def installed_languages(self) -> list[str]:
        """By the files in the tessdata directory."""
        return sorted(tesserocr.get_languages(self._tessdata)[1])

    def words(
        self, image: Image.Image, *, languages: tuple[str, ...], dpi: float, is_one_block: bool = False
    ) -> list[PixelWord]:
        """See OcrEngine."""
        api = self._api(languages, tesserocr.PSM.SINGLE_BLOCK if is_one_block else tesserocr.PSM.AUTO)
        _show(api, image, dpi)
        try:
            api.Recognize()
            return parse_tsv(api.GetTSVText(0))
        finally:
            api.Clear()

    def orientation(self, image: Image.Image, *, dpi: float) -> Orientation | None:
        """See OcrEngine."""
        if "osd" not in self.installed_languages():
            return None
        api = self._api(_OSD, tesserocr.PSM.OSD_ONLY)
        _show(api, image, dpi)
        try:
            found = api.DetectOrientationScript()
        finally:
            api.Clear()
        if not found:
            return None
        return Orientation(degrees=(360 - int(found["orient_deg"])) % 360, confidence=float(found["orient_conf"]))

    def _api(self, languages: tuple[str, ...], segmentation: int) -> tesserocr.PyTessBaseAPI:
        if languages not in self._warm:
            while len(self._warm) >= _KEPT_WARM:
                self._warm.popitem(last=False)[1].End()
            self._warm[languages] = tesserocr.PyTessBaseAPI(
                path=self._tessdata, lang="+".join(languages), psm=segmentation
            )
        self._warm.move_to_end(languages)
        self._warm[languages].SetPageSegMode(segmentation)
        return self._warm[languages]


def _show(api: tesserocr.PyTessBaseAPI, image: Image.Image, dpi: float) -> None:
    width, height = image.size
    api.SetImageBytes(image.tobytes(), width, height, 1, width)
    api.SetSourceResolution(round(dpi))


def find_tessdata() -> str:
    """The directory of language data: the wheel brings none, so the one of the installed command."""
    if "TESSDATA_PREFIX" in os.environ:
        return os.environ["TESSDATA_PREFIX"]
    listing = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, timeout=10, check=True)
    match = re.search(r'"([^"]+)"', listing.stdout + listing.stderr)
    if match is None or not Path(match[1]).is_dir():
        raise FileNotFoundError("tesseract --list-langs names no tessdata directory; set TESSDATA_PREFIX")
    return match[1]
