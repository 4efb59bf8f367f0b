"""Looks at pages that the service says hold no word, by other means: is there something after all?

``python -m tests.torture.second_look FILE PAGE...`` in a process of its own, for the files are hostile. Prints a JSON
object: page -> whether there is ink, and how many words can be read for sure. Drawn by pdfium, where the service draws
by poppler; read by the command line of Tesseract at another resolution; no code of the service is used.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from PIL import Image, ImageOps

_MEMORY_BYTES = 3 << 30
_SECONDS = 60
_LONG_SIDE = 1800
_CONTRAST = 40
_LEAST_INK = 2e-4
_SURE = 85.0
_LEAST_LETTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is on a page."""

    has_ink: bool
    sure_words: int


def look(path: Path, pages: Iterable[int]) -> dict[int, Look] | None:
    """In another process; None if that cannot be told: it takes too long, or too much, or the library fails."""
    command = [sys.executable, "-m", "tests.torture.second_look", str(path), *map(str, pages)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        found = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return {int(page): Look(**fields) for page, fields in found.items()}


def main() -> None:
    """In that process."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    path, pages = Path(sys.argv[1]), [int(argument) for argument in sys.argv[2:]]
    found = {}
    for page in pages:
        image = _image(path, page)
        found[page] = {"has_ink": _has_ink(image), "sure_words": _sure_words(image)}
    print(json.dumps(found))


def _image(path: Path, page: int) -> Image.Image:
    if b"%PDF-" in path.read_bytes()[:1024]:
        document = pypdfium2.PdfDocument(path)
        wanted = document[page - 1]
        scale = min(2.0, _LONG_SIDE / max(wanted.get_size()))
        drawn: Image.Image = wanted.render(scale=scale).to_pil()
        return drawn.convert("L")
    with Image.open(path) as image:
        image.seek(page - 1)
        shown = ImageOps.exif_transpose(image).convert("L")
    shown.thumbnail((_LONG_SIDE, _LONG_SIDE))
    return shown


def _has_ink(image: Image.Image) -> bool:
    histogram = image.histogram()
    paper = max(range(256), key=histogram.__getitem__)
    marks = sum(count for level, count in enumerate(histogram) if abs(level - paper) > _CONTRAST)
    return marks > _LEAST_INK * image.width * image.height


def _sure_words(image: Image.Image) -> int:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        image.save(file, "PNG")
        command = ["tesseract", file.name, "stdout", "--dpi", "150", "tsv"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [row.split("\t") for row in done.stdout.splitlines()[1:]]
    return sum(
        len(row) == 12 and float(row[10]) >= _SURE and sum(map(str.isalpha, row[11])) >= _LEAST_LETTERS for row in rows
    )


if __name__ == "__main__":
    main()
