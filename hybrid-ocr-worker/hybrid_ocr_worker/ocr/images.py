"""What an image file says about itself: its resolution, which of its frames are pages, which way is up."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PIL import ExifTags, Image

#: Dots per inch that a scan or a photo of a page can have; programs that know nothing write 0, 1 or 10,000.
LEAST_DPI: Final = 50
MOST_DPI: Final = 2400

#: A file that claims more frames is cut off here; no document may have as many pages.
MOST_FRAMES: Final = 10_000

_NEW_SUBFILE_TYPE: Final = 254
_SUBFILE_TYPE: Final = 255
_REDUCED_OR_MASK: Final = 0b101
_OLD_REDUCED: Final = 2
_SIDEWAYS: Final = (5, 6, 7, 8)
_BAND_PIXELS: Final = 4_000_000
#: The greatest value of white that an image of many bits may mean, by the first letter of its mode.
_FULL_RANGES: Final = {"I": (255.0, 65535.0), "F": (1.0, 255.0, 65535.0)}
_MANY_BITS: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def usable_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Tell the resolution across and down of the image as it is shown, or None where it has none to be trusted.

    Ask before the image is loaded: loading a TIFF turns it, and takes the mark of it away.
    """
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not all(math.isfinite(dpi) and LEAST_DPI <= dpi <= MOST_DPI for dpi in (across, down)):
        return None
    return (down, across) if is_sideways(image) else (across, down)


def is_sideways(image: Image.Image) -> bool:
    """Tell whether the EXIF orientation swaps width and height."""
    return orientation(image) in _SIDEWAYS


def orientation(image: Image.Image) -> int:
    """Tell the EXIF orientation, 1 to 8, that is still to be applied to the image's pixels."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, TypeError, ArithmeticError):  # damaged EXIF is no EXIF
        return 1
    return value if value in range(1, 9) else 1


@contextmanager
def reporting_damage() -> Iterator[None]:
    """Turn the errors that Pillow did not foresee, which damaged files call forth, into a ValueError."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, struct.error) as error:
        raise ValueError("the image is damaged") from error


def page_frames(image: Image.Image) -> list[int]:
    """List the frames that are pages: of a TIFF those that are no thumbnail, overview or mask, else only the first.

    Raises:
        OSError, SyntaxError, ValueError: a frame's directory cannot be read.

    """
    if image.format != "TIFF":
        return [0]
    frames = []
    with reporting_damage():
        for frame in range(MOST_FRAMES):
            try:
                image.seek(frame)
            except EOFError:
                break
            if not _is_derived(image):
                frames.append(frame)
        image.seek(0)
    return frames or [0]


def _is_derived(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    kind, old_kind = tags.get(_NEW_SUBFILE_TYPE, 0), tags.get(_SUBFILE_TYPE, 0)
    return bool(isinstance(kind, int) and kind & _REDUCED_OR_MASK) or old_kind == _OLD_REDUCED


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says and make it grey, on white where it is transparent.

    The resolution in ``info`` turns with it.

    Raises:
        OSError, SyntaxError, ValueError: the image is damaged.

    """
    dpi = usable_dpi(image)
    with reporting_damage():
        if image.format in ("JPEG", "MPO"):
            image.draft("L", image.size)  # decode no more than the brightness
        image.load()  # a TIFF is turned by this already
        grey = _grey(image)
        turn = _TURNS.get(orientation(image))
        if turn is not None:
            grey = grey.transpose(turn)
    grey.info = {"dpi": dpi} if dpi else {}
    return grey


def flattened(image: Image.Image) -> Image.Image:
    """Put a transparent image on white, in grey or RGB; one that is opaque or of many bits is given back as it is.

    It goes band by band: at no time are there two copies of a huge image with all their channels.
    """
    if not image.has_transparency_data or image.mode in _MANY_BITS:
        return image
    is_grey = image.mode in ("1", "L", "LA", "La")
    flat = Image.new("L" if is_grey else "RGB", image.size)
    for top, band in _bands(image):
        colours = (band.convert("LA") if band.mode == "La" else band).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        white.alpha_composite(colours)
        flat.paste(white.convert(flat.mode), (0, top))
    return flat


def eight_bits(image: Image.Image) -> Image.Image:
    """Bring an image of 16 or 32 bits a pixel down to the 8 bits of mode L; Pillow's own conversion only clips."""
    low, high = (value if isinstance(value, (int, float)) else math.nan for value in image.getextrema())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("the image holds values that are no numbers")
    full = next((full for full in _FULL_RANGES[image.mode[0]] if low >= 0 and high <= full), None)
    floor, span = (0.0, full) if full else (low, max(high - low, 1e-9))
    grey = Image.new("L", image.size)
    for top, band in _bands(image):
        wide = band.convert("F")
        grey.paste(wide.point(lambda value: value * (255 / span) + (0.5 - floor * 255 / span)).convert("L"), (0, top))
    return grey


def _grey(image: Image.Image) -> Image.Image:
    image = flattened(image)
    if image.mode == "LAB":
        return image.getchannel("L")
    if image.mode in _MANY_BITS:
        return eight_bits(image)
    return image.convert("L")


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(_BAND_PIXELS // image.width, 1)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
