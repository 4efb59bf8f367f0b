"""What an image file says about itself is believed only where it can be true."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from hybrid_ocr_worker.ocr.images import orientation, page_frames, upright, usable_dpi

CORPUS = os.environ.get("OCR_CORPUS_DIR")


def _saved(image: Image.Image, format_: str, **options: Any) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return Image.open(buffer)


def _exif(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def _quarters(mode: str = "L") -> Image.Image:
    """32 x 48 pixels: black top left, dark top right, light bottom left, white bottom right."""
    image = Image.new("L", (32, 48))
    for value, place in ((0, (0, 0)), (85, (16, 0)), (170, (0, 24)), (255, (16, 24))):
        image.paste(value, (*place, place[0] + 16, place[1] + 24))
    return image.convert(mode)


def _corners(image: Image.Image) -> list[int]:
    width, height = image.size
    points = [(4, 4), (width - 5, 4), (4, height - 5), (width - 5, height - 5)]
    return [round(image.getpixel(point) / 85) * 85 for point in points]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("dpi", "usable"),
    [
        ((300, 300), (300, 300)),
        ((204, 98), (204, 98)),
        ((50, 2400), (50, 2400)),
        ((1, 1), None),
        ((49, 300), None),
        ((300, 10_000), None),
        ((0, 0), None),
        ((float("nan"), 300), None),
        ((300, float("inf")), None),
        ((TiffImagePlugin.IFDRational(300, 0), 300), None),
        (("300", "x"), None),
        (300, None),
        ((300, 300, 300), None),
    ],
)
def test_only_a_resolution_that_can_be_true_is_used(dpi: Any, usable: tuple[float, float] | None) -> None:
    image = Image.new("L", (10, 10))
    image.info["dpi"] = dpi

    assert usable_dpi(image) == usable


def test_an_image_without_a_resolution_has_none() -> None:
    assert usable_dpi(Image.new("L", (10, 10))) is None


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_resolution_turns_with_the_image(turn: int) -> None:
    image = _saved(_quarters(), "JPEG", dpi=(204, 98), exif=_exif(turn))

    expected: tuple[float, float] | None = (98, 204) if turn > 4 else (204, 98)

    assert usable_dpi(image) == expected
    assert usable_dpi(upright(image)) == expected


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_is_brought_upright(turn: int, format_: str) -> None:
    stored = ImageOps.exif_transpose(_with_exif(_quarters("RGB"), {6: 8, 8: 6}.get(turn, turn)))
    options = {"quality": 95} if format_ == "JPEG" else {"lossless": True} if format_ == "WEBP" else {}
    image = _saved(stored, format_, exif=_exif(turn), **options)

    result = upright(image)

    assert result.mode == "L"
    assert result.size == (32, 48)
    assert _corners(result) == [0, 85, 170, 255]
    assert orientation(result) == 1


def _with_exif(image: Image.Image, turn: int) -> Image.Image:
    image.getexif()[0x0112] = turn
    return image


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "La", "RGBa"]
)
def test_every_mode_becomes_grey(mode: str) -> None:
    through = {"LA": "L", "PA": "P", "La": "LA", "RGBa": "RGBA", "HSV": "RGB", "RGBX": "RGB"}
    image = _quarters("1" if mode == "1" else "L")
    for step in (through.get(mode), mode):
        image = image.convert(step) if step else image

    result = upright(image)

    assert result.mode == "L"
    assert _corners(result)[0] == 0
    assert _corners(result)[3] == 255


@pytest.mark.parametrize(
    ("mode", "black", "grey", "white"),
    [
        ("I;16", 0, 0x8080, 0xFFFF),
        ("I", 0, 0x8080, 0xFFFF),
        ("I", 0, 128, 255),
        ("F", 0.0, 0.5, 1.0),
        ("F", -4.0, 0.0, 4.0),
    ],
)
def test_many_bits_are_scaled_not_clipped(mode: str, black: float, grey: float, white: float) -> None:
    image = Image.new(mode, (3, 1))
    for x, value in enumerate((black, grey, white)):
        image.putpixel((x, 0), value)

    result = upright(image)

    assert [result.getpixel((x, 0)) for x in range(3)] == [0, pytest.approx(128, abs=1), 255]


def test_what_is_transparent_becomes_white() -> None:
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((1, 0), (0, 0, 0, 255))
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.putpixel((0, 0), 0)
    see_through = _saved(palette, "PNG", transparency=0)

    for image in (half, half.convert("LA"), see_through, _saved(half, "WEBP", lossless=True)):
        result = upright(image)
        assert [result.getpixel((x, 0)) for x in range(2)] == [255, 0]


def test_damage_that_pillow_does_not_foresee_is_a_value_error() -> None:
    buffer = io.BytesIO()
    Image.new("P", (4, 4)).save(buffer, "PNG")
    data = buffer.getvalue()
    start = data.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")

    with pytest.raises(ValueError, match="damaged"), Image.open(io.BytesIO(data[:start] + data[end:])) as image:
        upright(image)


def _tiff(*kinds: dict[int, int]) -> Image.Image:
    """A TIFF with a frame for each set of tags."""
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer) as writer:
        for kind in kinds:
            frame = Image.new("L", (20, 20))
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            for tag, value in kind.items():
                tags[tag] = value
            frame.save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    return Image.open(buffer)


@pytest.mark.parametrize(
    ("kinds", "pages"),
    [
        ([{}, {}, {}], [0, 1, 2]),
        ([{254: 2}, {254: 2}], [0, 1]),
        ([{}, {254: 1}, {254: 1}], [0]),
        ([{254: 1}, {}, {254: 3}, {254: 4}, {}], [1, 4]),
        ([{255: 1}, {255: 2}, {255: 3}], [0, 2]),
        ([{254: 1}], [0]),
    ],
)
def test_overviews_and_masks_of_a_tiff_are_no_pages(kinds: list[dict[int, int]], pages: list[int]) -> None:
    image = _tiff(*kinds)

    assert page_frames(image) == pages
    assert image.tell() == 0


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_is_a_page(format_: str) -> None:
    frames = [Image.new("L", (20, 20), value) for value in (0, 128, 255)]

    image = _saved(frames[0], format_, save_all=True, append_images=frames[1:])

    assert getattr(image, "n_frames", 1) == 3
    assert page_frames(image) == [0]


@pytest.mark.skipif(not CORPUS, reason="OCR_CORPUS_DIR is not set")
@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("multipage_multiple_frame_loop.tiff", [0, 1]),
        ("multipage_out_of_order.tiff", [0, 1, 2]),
        ("tiff_strip_planar_raw_with_overviews.tif", [0]),
        ("g4-multi.tiff", [0, 1, 2]),
    ],
)
def test_frame_loops_and_pyramids_come_to_an_end(name: str, pages: list[int]) -> None:
    with Image.open(Path(str(CORPUS)) / "pillow" / name) as image:
        assert page_frames(image) == pages
