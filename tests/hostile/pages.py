"""PDFs whose pages have boxes, units and turns that no page has."""

from __future__ import annotations

from tests.hostile.catalogue import hostile
from tests.hostile.writer import TEXT, page_pdf

_SHAPES = b"0 g 100 100 400 400 re f 0.5 g 50 600 300 80 re f\n"
_BOXES = {
    "box-empty.pdf": b"/MediaBox []",
    "box-of-three.pdf": b"/MediaBox [0 0 595]",
    "box-missing.pdf": b"",
    "box-of-no-area.pdf": b"/MediaBox [0 0 0 0]",
    "box-of-no-height.pdf": b"/MediaBox [0 100 595 100]",
    "box-turned-inside-out.pdf": b"/MediaBox [595 842 0 0]",
    "box-below-zero.pdf": b"/MediaBox [-595 -842 0 0]",
    "box-not-a-number.pdf": b"/MediaBox [0 0 nan inf]",
    "box-of-strings.pdf": b"/MediaBox [(0) (0) (595) (842)]",
    "box-of-nulls.pdf": b"/MediaBox [null null null null]",
    "box-of-1e308.pdf": b"/MediaBox [0 0 1" + b"0" * 308 + b" 1" + b"0" * 308 + b"]",
    "box-far-away.pdf": b"/MediaBox [1000000000 1000000000 1000000595 1000000842]",
    "box-is-itself.pdf": b"/MediaBox 3 0 R",
    "crop-outside-the-page.pdf": b"/MediaBox [0 0 595 842] /CropBox [1000 1000 2000 2000]",
    "crop-of-no-area.pdf": b"/MediaBox [0 0 595 842] /CropBox [100 100 100 100]",
    "page-of-a-thousandth-point.pdf": b"/MediaBox [0 0 0.001 0.001]",
    "page-of-1-by-1.pdf": b"/MediaBox [0 0 1 1]",
    "page-of-1-by-14400.pdf": b"/MediaBox [0 0 1 14400]",
    "page-of-14400.pdf": b"/MediaBox [0 0 14400 14400]",
    "page-of-50000.pdf": b"/MediaBox [0 0 50000 50000]",
    "page-of-2-billion.pdf": b"/MediaBox [0 0 2147483647 2147483647]",
    "unit-of-a-million.pdf": b"/MediaBox [0 0 595 842] /UserUnit 1000000",
    "unit-of-a-millionth.pdf": b"/MediaBox [0 0 595 842] /UserUnit 0.000001",
    "unit-below-zero.pdf": b"/MediaBox [0 0 595 842] /UserUnit -5",
    "unit-is-a-string.pdf": b"/MediaBox [0 0 595 842] /UserUnit (ten)",
    "unit-is-a-dictionary.pdf": b"/MediaBox [0 0 595 842] /UserUnit << >>",
    "turned-by-45.pdf": b"/MediaBox [0 0 595 842] /Rotate 45",
    "turned-by-a-billion.pdf": b"/MediaBox [0 0 595 842] /Rotate 90000000000",
    "turned-by-a-string.pdf": b"/MediaBox [0 0 595 842] /Rotate (90)",
}


def _enter(name: str, box: bytes) -> None:
    @hostile(name)
    def with_text() -> bytes:
        return page_pdf(TEXT, box=box)

    @hostile(f"shapes-{name}")
    def with_shapes() -> bytes:
        """Shapes are rendered, where text would be taken as it is."""
        return page_pdf(_SHAPES, box=box)


for _name, _box in _BOXES.items():
    _enter(_name, _box)
