"""Wraps an image file into a PDF, a page a frame, without touching a pixel.

What PDF can hold as it is goes in as it is: JPEG, the data of a PNG, fax-coded strips of a TIFF. The rest is packed
anew without loss. An EXIF orientation becomes the matrix the image is drawn with, so the mirrored ones come right too.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pikepdf import Array, Dictionary, Name, Object, ObjectStreamMode, Pdf, Stream, String
from PIL import Image

from hybrid_ocr_worker.ocr.images import eight_bits, flattened, orientation, page_frames, usable_dpi

_FORMATS: Final = {
    "image/jpeg": ("JPEG",),  # Pillow finds by itself that one is an MPO
    "image/png": ("PNG",),
    "image/tiff": ("TIFF",),
    "image/bmp": ("BMP",),
    "image/gif": ("GIF",),
    "image/webp": ("WEBP",),
}
_LONGEST_SIDE: Final = 14_400  # units, ISO 32000-1 annex C
_POINTS_PER_INCH: Final = 72
_ROWS_AT_ONCE: Final = 256
_ICC_HEADER: Final = 128
_PNG_GREY, _PNG_RGB, _PNG_PALETTE = 0, 2, 3
_PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _STRIP_LENGTHS, _T6_OPTIONS = 262, 266, 273, 279, 293
_LOW_BITS_FIRST: Final = 2

#: By EXIF orientation: how the unit square of the stored image lies on the unit square of the page.
_PLACING: Final = {
    1: (1, 0, 0, 1, 0, 0),
    2: (-1, 0, 0, 1, 1, 0),
    3: (-1, 0, 0, -1, 1, 1),
    4: (1, 0, 0, -1, 0, 1),
    5: (0, -1, -1, 0, 1, 1),
    6: (0, -1, 1, 0, 0, 1),
    7: (0, 1, 1, 0, 0, 0),
    8: (0, 1, -1, 0, 1, 0),
}
_COLOUR_SPACES: Final = {"1": Name.DeviceGray, "L": Name.DeviceGray, "RGB": Name.DeviceRGB, "CMYK": Name.DeviceCMYK}
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def image_to_pdf(source: Path, media_type: str, frames: Sequence[int] | None, target: Path) -> None:
    """Make a PDF of an image file.

    Args:
        source: the image.
        media_type: what it was found to be; nothing else is tried.
        frames: which of a TIFF's frames are pages; None asks ``page_frames``.
        target: where the PDF goes.

    Raises:
        KeyError: no image format has this media type.
        OSError, SyntaxError, ValueError: the image is damaged.

    """
    with warnings.catch_warnings(), Pdf.new() as pdf:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the caller has set the limit of pixels
        with Image.open(source, formats=_FORMATS[media_type]) as image:
            for frame in page_frames(image) if frames is None else frames:
                image.seek(frame)
                _add_page(pdf, image, source)
        pdf.save(target, min_version="1.6", object_stream_mode=ObjectStreamMode.generate, deterministic_id=True)


def _add_page(pdf: Pdf, image: Image.Image, source: Path) -> None:
    across, down = usable_dpi(image) or (_POINTS_PER_INCH, _POINTS_PER_INCH)
    turn = 1 if image.format == "TIFF" else orientation(image)  # Pillow turns a TIFF while it loads it
    columns, rows = image.size if turn < 5 else image.size[::-1]
    width, height = columns * _POINTS_PER_INCH / across, rows * _POINTS_PER_INCH / down
    unit = math.ceil(max(width, height) / _LONGEST_SIDE)
    width, height = width / unit, height / unit
    a, b, c, d, e, f = _PLACING[turn]
    matrix = (a * width, b * height, c * width, d * height, e * width, f * height)
    xobject = _image_object(pdf, image, source)
    page = pdf.add_blank_page().obj
    page.MediaBox = Array([0, 0, Decimal(f"{width:.4f}"), Decimal(f"{height:.4f}")])
    if unit > 1:
        page.UserUnit = unit
    page.Resources = Dictionary(XObject=Dictionary(Im=xobject))
    page.Contents = pdf.make_stream(b"q %s cm /Im Do Q" % b" ".join(b"%.6g" % value for value in matrix))


def _image_object(pdf: Pdf, image: Image.Image, source: Path) -> Stream:
    """Take the file's own packing over where PDF knows it, else pack the pixels anew."""
    if image.format in ("JPEG", "MPO") and image.mode in _COLOUR_SPACES:
        return _jpeg(pdf, image, source.read_bytes())
    if image.format == "PNG" and not image.has_transparency_data:
        xobject = _png(pdf, image, source.read_bytes())
        if xobject is not None:
            return xobject
    if image.format == "TIFF" and image.info.get("compression") == "group4" and orientation(image) == 1:
        xobject = _fax_strip(pdf, image, source.read_bytes())
        if xobject is not None:
            return xobject
    image.load()
    return _packed(pdf, image)


def _packed(pdf: Pdf, image: Image.Image) -> Stream:
    """Pack pixels without loss: two colours as fax, CMYK plainly, all else as PNG does."""
    plain = flattened(image)
    if plain.mode == "CMYK":
        return _cmyk(pdf, plain)
    if plain.mode in ("I", "F"):
        plain = eight_bits(plain)
    elif plain.mode == "LAB":
        plain = plain.getchannel("L")
    elif plain.mode not in ("1", "L", "P", "RGB") and not plain.mode.startswith("I;16"):
        plain = plain.convert("RGB")
    plain.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    packed = io.BytesIO()
    if plain.mode == "1":
        # one strip: the fax coding of a PDF image cannot start anew in its middle
        plain.save(packed, "TIFF", compression="group4", strip_size=(plain.width + 7) // 8 * plain.height)
        format_ = "TIFF"
    else:
        plain.save(packed, "PNG")
        format_ = "PNG"
    with Image.open(packed, formats=(format_,)) as wrapped:
        xobject = (_fax_strip if format_ == "TIFF" else _png)(pdf, wrapped, packed.getvalue())
    if xobject is None:
        raise ValueError(f"an image of mode {plain.mode} cannot be packed")
    return xobject


def _jpeg(pdf: Pdf, image: Image.Image, data: bytes) -> Stream:
    xobject = _stream(pdf, data, image, Filter=Name.DCTDecode, ColorSpace=_colour_space(pdf, image), BitsPerComponent=8)
    if image.mode == "CMYK" and "adobe" in image.info:
        xobject.Decode = Array([1, 0] * 4)  # Adobe's programs store CMYK inverted
    return xobject


def _png(pdf: Pdf, image: Image.Image, data: bytes) -> Stream | None:
    """Take over the data of a PNG; None if it is interlaced, which PDF cannot read."""
    chunks = list(_png_chunks(data))
    depth, colour_type, interlaced = chunks[0][1][8], chunks[0][1][9], chunks[0][1][12]
    if interlaced or colour_type not in (_PNG_GREY, _PNG_RGB, _PNG_PALETTE):
        return None
    if colour_type == _PNG_PALETTE:
        palette = next(body for kind, body in chunks if kind == b"PLTE")
        colours: Object = Array([Name.Indexed, Name.DeviceRGB, len(palette) // 3 - 1, String(palette)])
    else:
        colours = _colour_space(pdf, image, "RGB" if colour_type == _PNG_RGB else "L")
    return _stream(
        pdf,
        b"".join(body for kind, body in chunks if kind == b"IDAT"),
        image,
        Filter=Name.FlateDecode,
        DecodeParms=Dictionary(
            Predictor=15,
            Colors=3 if colour_type == _PNG_RGB else 1,
            BitsPerComponent=depth,
            Columns=image.width,
        ),
        ColorSpace=colours,
        BitsPerComponent=depth,
    )


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        position += 12 + length


def _fax_strip(pdf: Pdf, image: Image.Image, data: bytes) -> Stream | None:
    """Take over the one strip of a fax-coded TIFF frame; None if there are several."""
    tags: Any = getattr(image, "tag_v2", {})
    starts, lengths = tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_LENGTHS, ())
    photometric = tags.get(_PHOTOMETRIC)
    if len(starts) != 1 or len(lengths) != 1 or photometric not in (0, 1) or tags.get(_T6_OPTIONS):
        return None
    strip = data[starts[0] : starts[0] + lengths[0]]
    if tags.get(_FILL_ORDER, 1) == _LOW_BITS_FIRST:
        strip = strip.translate(_REVERSED_BITS)
    return _stream(
        pdf,
        strip,
        image,
        Filter=Name.CCITTFaxDecode,
        DecodeParms=Dictionary(K=-1, Columns=image.width, Rows=image.height, BlackIs1=photometric == 1),
        ColorSpace=Name.DeviceGray,
        BitsPerComponent=1,
    )


def _cmyk(pdf: Pdf, image: Image.Image) -> Stream:
    packer = zlib.compressobj()
    packed = bytearray()
    for top in range(0, image.height, _ROWS_AT_ONCE):
        band = image.crop((0, top, image.width, min(top + _ROWS_AT_ONCE, image.height)))
        packed += packer.compress(band.tobytes())
    packed += packer.flush()
    return _stream(
        pdf, bytes(packed), image, Filter=Name.FlateDecode, ColorSpace=_colour_space(pdf, image), BitsPerComponent=8
    )


def _stream(pdf: Pdf, data: bytes, image: Image.Image, **entries: Object | int) -> Stream:
    return pdf.make_stream(
        data, Type=Name.XObject, Subtype=Name.Image, Width=image.width, Height=image.height, **entries
    )


def _colour_space(pdf: Pdf, image: Image.Image, mode: str | None = None) -> Object:
    """Use the image's colour profile where it fits its channels."""
    mode = mode or image.mode
    device = _COLOUR_SPACES[mode]
    profile = image.info.get("icc_profile")
    kind, channels = {"L": (b"GRAY", 1), "RGB": (b"RGB ", 3), "CMYK": (b"CMYK", 4)}.get(mode, (b"", 0))
    if not isinstance(profile, bytes) or len(profile) < _ICC_HEADER or profile[16:20] != kind:
        return device
    packed = pdf.make_stream(zlib.compress(profile), Filter=Name.FlateDecode, N=channels, Alternate=device)
    return Array([Name.ICCBased, packed])
