"""An image becomes a PDF that shows the same pixels at the same size."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from pikepdf import Name, Object, Pdf
from PIL import Image, ImageChops, ImageCms, ImageOps

from hybrid_ocr_worker.ocr.image_pdf import image_to_pdf
from tests.worker.ocr.pdf_builders import rendered

_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "WEBP": "image/webp",
}


def _picture(mode: str = "RGB") -> Image.Image:
    """40 x 60 pixels that no turn and no exchange of channels leaves as they are."""
    image = Image.new("RGB", (40, 60), "white")
    image.paste((200, 0, 0), (0, 0, 20, 20))
    image.paste((0, 100, 0), (20, 0, 40, 20))
    image.paste((0, 0, 50), (0, 40, 10, 60))
    return image.quantize(4) if mode == "four colours" else image.convert(mode)


def _wrapped(tmp_path: Path, image: Image.Image, format_: str, **options: Any) -> Path:
    source = tmp_path / "source"
    image.save(source, format_, **options)
    image_to_pdf(source, _TYPES[format_], None, tmp_path / "target.pdf")
    return tmp_path / "target.pdf"


def _image_object(path: Path, page: int = 1) -> tuple[dict[str, Any], bytes]:
    with Pdf.open(path) as pdf:
        image: Object = pdf.pages[page - 1].obj.Resources.XObject.Im
        return {key: str(value) for key, value in image.items()}, image.read_raw_bytes()


def _shown(path: Path, tmp_path: Path, size: tuple[int, int], page: int = 1) -> Image.Image:
    """The page in colour: painted eight times as large, so that poppler mixes no pixels; of each the middle."""
    width, height = size
    command = [
        "pdftoppm",
        "-scale-to-x",
        str(8 * width),
        "-scale-to-y",
        str(8 * height),
        "-singlefile",
        "-f",
        str(page),
    ]
    subprocess.run([*command, str(path), str(tmp_path / "shown")], check=True, capture_output=True)
    with Image.open(tmp_path / "shown.ppm") as image:
        return image.resize(size, Image.Resampling.NEAREST)


def _differ(one: Image.Image, other: Image.Image) -> int:
    """The greatest difference of any channel of any pixel."""
    assert one.size == other.size
    extrema = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getextrema()
    return max(high for _, high in extrema)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("format_", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "1", {}),
        ("PNG", "P", {}),
        ("PNG", "four colours", {"bits": 2}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "raw"}),
        ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", "1", {"compression": "group3"}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "P", {}),
        ("BMP", "RGB", {}),
        ("BMP", "1", {}),
        ("BMP", "P", {}),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {"lossless": True}),
    ],
)
def test_no_pixel_changes(format_: str, mode: str, options: dict[str, Any], tmp_path: Path) -> None:
    image = _picture(mode)

    target = _wrapped(tmp_path, image, format_, **options)

    assert _differ(_shown(target, tmp_path, image.size), image) == 0
    assert subprocess.run(["qpdf", "--check", target], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_goes_in_as_it_is(mode: str, options: dict[str, Any], tmp_path: Path) -> None:
    image = _picture(mode)

    target = _wrapped(tmp_path, image, "JPEG", quality=98, subsampling=0, **options)

    entries, data = _image_object(target)
    assert data == (tmp_path / "source").read_bytes()
    assert entries["/Filter"] == "/DCTDecode"
    assert _differ(_shown(target, tmp_path, image.size), image) < (80 if mode == "CMYK" else 12)


def test_a_plain_png_keeps_its_data(tmp_path: Path) -> None:
    target = _wrapped(tmp_path, _picture(), "PNG")

    _, data = _image_object(target)
    assert data in (tmp_path / "source").read_bytes()


def test_a_fax_coded_tiff_keeps_its_strip(tmp_path: Path) -> None:
    target = _wrapped(tmp_path, _picture("1"), "TIFF", compression="group4")

    entries, data = _image_object(target)
    assert entries["/Filter"] == "/CCITTFaxDecode"
    assert data in (tmp_path / "source").read_bytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "YCbCr"])
@pytest.mark.parametrize("size", [(333, 517), (400, 16), (7, 5)])
@pytest.mark.parametrize("strip_size", [4096, 1 << 30])
def test_the_strips_of_a_jpeg_coded_tiff_are_joined(
    mode: str, size: tuple[int, int], strip_size: int, tmp_path: Path
) -> None:
    image = Image.merge("RGB", [Image.effect_noise(size, sigma) for sigma in (20, 60, 90)]).convert(mode)

    target = _wrapped(tmp_path, image, "TIFF", compression="jpeg", strip_size=strip_size)

    entries, _ = _image_object(target)
    assert entries["/Filter"] == "/DCTDecode"
    with Image.open(tmp_path / "source") as stored:
        assert _differ(_shown(target, tmp_path, size), stored) == 0


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("fill_order", [1, 2])
def test_fax_coded_tiffs_of_each_kind_show_black_as_black(photometric: int, fill_order: int, tmp_path: Path) -> None:
    image = Image.new("1", (64, 64), 1)
    image.paste(0, (0, 0, 30, 20))
    image.save(tmp_path / "plain.tif", compression="group4")
    data = bytearray((tmp_path / "plain.tif").read_bytes())
    with Image.open(tmp_path / "plain.tif") as plain:
        (start,), (length,) = plain.tag_v2[273], plain.tag_v2[279]  # type: ignore[attr-defined]
        stored = plain.tag_v2[262]  # type: ignore[attr-defined]
    _set_tag(data, 262, photometric)
    if fill_order == 2:
        _set_tag(data, 284, 2, new_tag=266)
        data[start : start + length] = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data[start : start + length])
    (tmp_path / "source.tif").write_bytes(data)
    with Image.open(tmp_path / "source.tif") as opened:
        expected = opened.convert("RGB")

    image_to_pdf(tmp_path / "source.tif", "image/tiff", None, tmp_path / "target.pdf")

    assert stored in (0, 1)
    entries, _ = _image_object(tmp_path / "target.pdf")
    assert entries["/Filter"] == "/CCITTFaxDecode"
    assert _differ(_shown(tmp_path / "target.pdf", tmp_path, image.size), expected) == 0


def _set_tag(data: bytearray, tag: int, value: int, new_tag: int | None = None) -> None:
    """Change a SHORT in the one directory of a little-endian TIFF."""
    directory = int.from_bytes(data[4:8], "little")
    for entry in range(
        directory + 2, directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little"), 12
    ):
        if int.from_bytes(data[entry : entry + 2], "little") == tag:
            data[entry : entry + 2] = (new_tag or tag).to_bytes(2, "little")
            data[entry + 8 : entry + 10] = value.to_bytes(2, "little")
            return
    raise AssertionError(f"the TIFF has no tag {tag}")


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "GIF", "WEBP"])
def test_transparency_is_flattened_onto_white(format_: str, tmp_path: Path) -> None:
    image = _picture("RGBA")
    image.putalpha(Image.new("L", image.size, 255))
    image.paste((0, 0, 0, 0), (0, 0, 20, 20))
    expected = _picture()
    expected.paste("white", (0, 0, 20, 20))

    target = _wrapped(tmp_path, image, format_, **({"lossless": True} if format_ == "WEBP" else {}))

    assert _differ(_shown(target, tmp_path, image.size), expected) == 0


@pytest.mark.parametrize("mode", ["LA", "PA"])
def test_half_transparent_grey_is_mixed_with_white(mode: str, tmp_path: Path) -> None:
    image = Image.new("LA", (8, 8), (0, 128))
    image = image if mode == "LA" else image.convert("RGBA").quantize(method=Image.Quantize.FASTOCTREE)

    target = _wrapped(tmp_path, image, "PNG")

    assert _shown(target, tmp_path, (8, 8)).convert("L").getpixel((4, 4)) == pytest.approx(127, abs=2)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(format_: str, tmp_path: Path) -> None:
    image = Image.new("I;16", (8, 8), 0x1234)

    target = _wrapped(tmp_path, image, format_)

    entries, _ = _image_object(target)
    assert entries["/BitsPerComponent"] == "16"
    with Pdf.open(target) as pdf:
        assert pdf.pages[0].obj.Resources.XObject.Im.read_bytes() == b"\x12\x34" * 64


def test_an_interlaced_png_is_packed_anew(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    header = struct.pack(">LLBBBBB", 1, 1, 8, 2, 0, 0, 1)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x10\x80\xf0")) + chunk(b"IEND", b"")
    (tmp_path / "source.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)

    image_to_pdf(tmp_path / "source.png", "image/png", None, tmp_path / "target.pdf")

    with Pdf.open(tmp_path / "target.pdf") as pdf:
        assert pdf.pages[0].obj.Resources.XObject.Im.read_bytes() == b"\x10\x80\xf0"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_is_shown_upright(turn: int, format_: str, tmp_path: Path) -> None:
    expected = _picture()
    turned = expected.copy()
    turned.getexif()[0x0112] = {6: 8, 8: 6}.get(turn, turn)
    stored = ImageOps.exif_transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = turn
    quality: dict[str, dict[str, Any]] = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}

    target = _wrapped(tmp_path, stored, format_, exif=exif, dpi=(144, 72), **quality.get(format_, {}))

    assert _differ(_shown(target, tmp_path, expected.size), expected) < 12
    with Pdf.open(target) as pdf:
        size = [float(edge) for edge in pdf.pages[0].mediabox[2:]]
    across, down = (72, 144) if turn > 4 else (144, 72)
    if format_ == "WEBP":  # keeps no resolution
        across, down = 72, 72
    assert size == pytest.approx([40 / across * 72, 60 / down * 72], abs=0.02)


@pytest.mark.parametrize(("dpi", "width"), [((300, 300), 9.6), ((10, 10), 40), ((9999, 9999), 40), (None, 40)])
def test_the_page_has_the_size_of_the_paper_or_a_point_a_pixel(dpi: Any, width: float, tmp_path: Path) -> None:
    target = _wrapped(tmp_path, _picture(), "PNG", **({"dpi": dpi} if dpi else {}))

    with Pdf.open(target) as pdf:
        assert float(pdf.pages[0].mediabox[2]) == pytest.approx(width, abs=0.02)


def test_a_page_beyond_the_limit_of_pdf_gets_a_larger_unit(tmp_path: Path) -> None:
    target = _wrapped(tmp_path, Image.new("L", (30_000, 10), 128), "PNG")

    with Pdf.open(target) as pdf:
        page = pdf.pages[0]
        assert float(page.mediabox[2]) <= 14_400
        assert float(page.mediabox[2]) * page.obj.UserUnit == 30_000
        assert float(page.mediabox[3]) * page.obj.UserUnit == pytest.approx(10, abs=0.001)


def test_only_the_frames_that_are_asked_for_become_pages(tmp_path: Path) -> None:
    frames = [Image.new("L", (10 + n, 10), 50 * n) for n in range(4)]
    frames[0].save(tmp_path / "source.tif", save_all=True, append_images=frames[1:])

    image_to_pdf(tmp_path / "source.tif", "image/tiff", [1, 3], tmp_path / "target.pdf")

    with Pdf.open(tmp_path / "target.pdf") as pdf:
        assert [int(page.mediabox[2]) for page in pdf.pages] == [11, 13]
        assert [page.obj.Resources.XObject.Im.read_bytes()[:1] for page in pdf.pages] == [b"\x32", b"\x96"]


def test_an_animation_is_one_page(tmp_path: Path) -> None:
    frames = [Image.new("L", (20, 20), value) for value in (0, 128, 255)]

    target = _wrapped(tmp_path, frames[0], "GIF", save_all=True, append_images=frames[1:])

    with Pdf.open(target) as pdf:
        assert len(pdf.pages) == 1
    assert rendered(target, tmp_path, dpi=72).getpixel((10, 10)) == 0


def test_a_colour_profile_comes_along_where_it_fits(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    fitting = _wrapped(tmp_path, _picture(), "JPEG", icc_profile=profile)
    with Pdf.open(fitting) as pdf:
        space = pdf.pages[0].obj.Resources.XObject.Im.ColorSpace
        assert space[0] == Name.ICCBased
        assert space[1].read_bytes() == profile

    misfit = _wrapped(tmp_path, _picture("L"), "JPEG", icc_profile=profile)
    with Pdf.open(misfit) as pdf:
        assert pdf.pages[0].obj.Resources.XObject.Im.ColorSpace == Name.DeviceGray


def test_another_type_than_the_one_found_is_not_tried(tmp_path: Path) -> None:
    _picture().save(tmp_path / "source", "PNG")

    with pytest.raises(OSError, match="cannot identify"):
        image_to_pdf(tmp_path / "source", "image/jpeg", None, tmp_path / "target.pdf")


def test_a_cut_off_image_that_must_be_packed_anew_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 90).convert("RGBA").save(buffer, "PNG")
    (tmp_path / "source.png").write_bytes(buffer.getvalue()[:-2000])

    with pytest.raises(OSError, match="truncated"):
        image_to_pdf(tmp_path / "source.png", "image/png", None, tmp_path / "target.pdf")


_IN_TWO_GIBIBYTES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from pathlib import Path
from PIL import Image
from hybrid_ocr_worker.ocr.image_pdf import image_to_pdf
from hybrid_ocr_worker.ocr.images import upright
image_to_pdf(Path(sys.argv[1]), sys.argv[2], None, Path(sys.argv[3]))
Image.MAX_IMAGE_PIXELS = None
with Image.open(sys.argv[1]) as image:
    assert upright(image).size == (10_000, 10_000)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "format_", "options"),
    [
        ("RGB", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGBA", "PNG", {"compress_level": 1}),
        ("RGB", "PNG", {"compress_level": 1}),
        ("RGBA", "WEBP", {"method": 0}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("CMYK", "TIFF", {"compression": "tiff_lzw"}),
        ("I;16", "TIFF", {"compression": "tiff_lzw"}),
        ("1", "TIFF", {"compression": "group4"}),
    ],
)
def test_a_hundred_megapixels_fit_into_two_gibibytes(
    mode: str, format_: str, options: dict[str, Any], tmp_path: Path
) -> None:
    image = Image.new(mode, (10_000, 10_000))
    if mode == "RGBA":
        image.putalpha(100)
    image.save(tmp_path / "source", format_, **options)
    del image

    command = [sys.executable, "-c", _IN_TWO_GIBIBYTES]
    arguments = [str(tmp_path / "source"), _TYPES[format_], str(tmp_path / "target.pdf")]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PYTHONWARNINGS": "ignore"}
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=False)

    assert result.returncode == 0, result.stderr[-2000:]
