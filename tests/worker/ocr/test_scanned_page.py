"""A page that is one scan gives the scan; whatever else is on it, the page has to be drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image, ImageChops, ImageStat

from hybrid_ocr_worker.ocr.native_text import NativeTextReader
from hybrid_ocr_worker.ocr.rasteriser import rasterise
from tests.make_documents import add_picture, add_text, blank_pdf, scan_image

_A4 = (0.0, 0.0, 595.0, 842.0)


def _one_scan(image: Image.Image | None = None, box: tuple[float, float, float, float] = _A4) -> Pdf:
    pdf = blank_pdf()
    add_picture(pdf, pdf.pages[0], image or scan_image(), box)
    return pdf


def _scan_and_drawing(pdf: Pdf, path: Path, dpi: float = 150) -> tuple[Image.Image | None, Image.Image]:
    pdf.save(path)
    text = NativeTextReader(path)
    try:
        shown = text.read(1, unit=1, trust_invisible=False).page
        scan = text.scan(1, shown, dpi=dpi, most_pixels=10_000_000)
    finally:
        text.close()
    return scan, rasterise(path, 1, shown, dpi, seconds=30)


def _difference(one: Image.Image, other: Image.Image) -> float:
    assert abs(one.width - other.width) <= 2
    assert abs(one.height - other.height) <= 2
    return float(ImageStat.Stat(ImageChops.difference(one.resize(other.size), other)).mean[0])


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_page_that_is_one_scan_is_taken_as_it_was_scanned(rotate: int, tmp_path: Path) -> None:
    pdf = _one_scan()
    pdf.pages[0].obj.Rotate = rotate

    scan, drawing = _scan_and_drawing(pdf, tmp_path / "a.pdf")

    assert scan is not None
    assert scan.size == (scan_image().size if rotate % 180 == 0 else scan_image().size[::-1])
    assert scan.mode == "L"
    assert _difference(scan, drawing) < 2


def test_colours_become_grey(tmp_path: Path) -> None:
    pdf = _one_scan()
    scan = pdf.pages[0].obj.Resources.XObject.Im1
    page = scan_image().convert("RGB")
    scan.write(page.tobytes())
    scan.ColorSpace = Name.DeviceRGB

    taken, drawing = _scan_and_drawing(pdf, tmp_path / "a.pdf")

    assert taken is not None
    assert _difference(taken, drawing) < 2


def test_a_finer_scan_is_reduced_to_what_would_be_drawn(tmp_path: Path) -> None:
    scan, drawing = _scan_and_drawing(_one_scan(scan_image().resize((2480, 3508))), tmp_path / "a.pdf")

    assert scan is not None
    assert _difference(scan, drawing) < 2


def test_an_old_invisible_layer_does_no_harm(tmp_path: Path) -> None:
    pdf = _one_scan()
    add_text(pdf, pdf.pages[0], invisible=True)

    assert _scan_and_drawing(pdf, tmp_path / "a.pdf")[0] is not None


def _visible_text(pdf: Pdf) -> None:
    add_text(pdf, pdf.pages[0])


def _second_picture(pdf: Pdf) -> None:
    add_picture(pdf, pdf.pages[0], scan_image(size=(200, 100)), (10, 10, 50, 25), name="Im2")


def _same_picture_twice(pdf: Pdf) -> None:
    pdf.pages[0].contents_add(Stream(pdf, b"q 50 0 0 25 10 10 cm /Im1 Do Q"))


def _shapes(pdf: Pdf) -> None:
    pdf.pages[0].contents_add(Stream(pdf, b"0 g 100 100 200 50 re f"))


def _annotation(pdf: Pdf) -> None:
    pdf.pages[0].obj.Annots = Array([Dictionary(Type=Name.Annot, Subtype=Name.Square, Rect=Array([10, 10, 99, 99]))])


def _clip(pdf: Pdf) -> None:
    pdf.pages[0].contents_add(Stream(pdf, b"100 100 200 200 re W n"), prepend=True)


def _transparency(pdf: Pdf) -> None:
    resources = pdf.pages[0].obj.Resources
    resources.ExtGState = Dictionary(Half=Dictionary(ca=0.5))
    pdf.pages[0].contents_add(Stream(pdf, b"/Half gs"), prepend=True)


def _mask(pdf: Pdf) -> None:
    pdf.pages[0].obj.Resources.XObject.Im1.Mask = Array([250, 255])


def _soft_mask(pdf: Pdf) -> None:
    mask = Stream(pdf, b"\x00" * 4)
    mask.stream_dict = Dictionary(
        Type=Name.XObject, Subtype=Name.Image, Width=2, Height=2, ColorSpace=Name.DeviceGray, BitsPerComponent=8
    )
    pdf.pages[0].obj.Resources.XObject.Im1.SMask = pdf.make_indirect(mask)


def _negative(pdf: Pdf) -> None:
    pdf.pages[0].obj.Resources.XObject.Im1.Decode = Array([1, 0])


def _optional_content(pdf: Pdf) -> None:
    group = pdf.make_indirect(Dictionary(Type=Name.OCG, Name="layer"))
    pdf.pages[0].obj.Resources.Properties = Dictionary(Layer=group)
    pdf.pages[0].contents_add(Stream(pdf, b"/OC /Layer BDC"), prepend=True)
    pdf.pages[0].contents_add(Stream(pdf, b"EMC"))


def _smaller_page(pdf: Pdf) -> None:
    pdf.pages[0].obj.CropBox = Array([100, 100, 500, 700])


_BESIDE = [
    _visible_text,
    _second_picture,
    _same_picture_twice,
    _shapes,
    _annotation,
    _clip,
    _transparency,
    _mask,
    _soft_mask,
    _negative,
    _optional_content,
    _smaller_page,
]


@pytest.mark.parametrize("change", _BESIDE, ids=lambda change: change.__name__.strip("_"))
def test_a_page_with_anything_else_has_to_be_drawn(change: Callable[[Pdf], None], tmp_path: Path) -> None:
    pdf = _one_scan()
    change(pdf)

    assert _scan_and_drawing(pdf, tmp_path / "a.pdf")[0] is None


@pytest.mark.parametrize(
    ("image", "box", "dpi"),
    [
        (scan_image(), (20.0, 30.0, 500.0, 700.0), 150),  # a margin
        (scan_image(), (0.0, 842.0, 595.0, -842.0), 150),  # upside down
        (scan_image(), _A4, 200),  # coarser than what is wanted
        (scan_image().resize((1240, 877)), _A4, 75),  # pixels that are not square
        (scan_image().resize((2900, 4100)), _A4, 150),  # too large
    ],
)
def test_a_scan_that_is_not_the_page_as_it_is_drawn_has_to_be_drawn(
    image: Image.Image, box: tuple[float, float, float, float], dpi: float, tmp_path: Path
) -> None:
    assert _scan_and_drawing(_one_scan(image, box), tmp_path / "a.pdf", dpi)[0] is None
