"""Tesseract by its command line, a process a page. The only module that knows pytesseract."""

from __future__ import annotations

import pytesseract
from PIL import Image

from hybrid_ocr_worker.ocr.engine import Orientation, PixelWord, parse_tsv


class PytesseractEngine:
    """Slower than the library, and at home wherever the command is."""

    name = "pytesseract"

    def version(self) -> str:
        """Of the command."""
        return str(pytesseract.get_tesseract_version())

    def installed_languages(self) -> list[str]:
        """As the command lists them."""
        return sorted(pytesseract.get_languages(config=""))

    def words(
        self, image: Image.Image, *, languages: tuple[str, ...], dpi: float, is_one_block: bool = False
    ) -> list[PixelWord]:
        """See OcrEngine."""
        config = f"--dpi {round(dpi)} --psm {6 if is_one_block else 3}"
        tsv = pytesseract.image_to_data(
            image, lang="+".join(languages), config=config, output_type=pytesseract.Output.STRING
        )
        return parse_tsv(tsv)

    def orientation(self, image: Image.Image, *, dpi: float) -> Orientation | None:
        """See OcrEngine."""
        try:
            found = pytesseract.image_to_osd(image, config=f"--dpi {round(dpi)}", output_type=pytesseract.Output.DICT)
        except pytesseract.TesseractError:
            # "Too few characters", or no osd data: the command tells neither apart by its exit code.
            return None
        return Orientation(degrees=int(found["rotate"]), confidence=float(found["orientation_conf"]))
