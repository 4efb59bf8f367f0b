"""Makes the image of a PDF page from an image file's frame, as it is where PDF can hold it, else without loss.

JPEG, the data of a PNG, the strips of a fax- or JPEG-coded TIFF are taken over. The rest is packed anew.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream, String
from PIL import Image

from hybrid_ocr_worker.ocr.images import eight_bits, flattened, orientation
from hybrid_ocr_worker.ocr.tiff_jpeg import joined_strips

_ROWS_AT_ONCE: Final = 256
_ICC_HEADER: Final = 128
_PNG_GREY, _PNG_RGB, _PNG_PALETTE = 0, 2, 3
_PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _STRIP_LENGTHS, _T6_OPTIONS = 262, 266, 273, 279, 293
_ROWS_PER_STRIP, _PLANAR, _JPEG_TABLES = 278, 284, 347
_LOW_BITS_FIRST: Final = 2
#: By the TIFF's photometric interpretation: the colours that come out, and whether they go in as brightness and hues.
_JPEG_KINDS: Final = {1: ("L", 0), 2: ("RGB", 0), 6: ("RGB", 1)}
_COLOUR_SPACES: Final = {"1": Name.DeviceGray, "L": Name.DeviceGray, "RGB": Name.DeviceRGB, "CMYK": Name.DeviceCMYK}
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def image_object(pdf: Pdf, image: Image.Image, source: Path) -> Stream:
    """Take the file's own packing over where PDF knows it, else pack the pixels anew."""
    if image.format in ("JPEG", "MPO") and image.mode in _COLOUR_SPACES:
        return _jpeg(pdf, image, source.read_bytes())
    if image.format == "PNG" and not image.has_transparency_data:
        xobject = _png(pdf, image, source.read_bytes())
        if xobject is not None:
            return xobject
    reader = {"group4": _fax_strip, "jpeg": _jpeg_strips}.get(image.info.get("compression", ""))
    if image.format == "TIFF" and reader is not None and orientation(image) == 1:
        xobject = reader(pdf, image, source.read_bytes())
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


def _jpeg_strips(pdf: Pdf, image: Image.Image, data: bytes) -> Stream | None:
    """Join the strips of a JPEG-coded TIFF frame; None if they are tiles, or of a kind that does not join."""
    tags: Any = getattr(image, "tag_v2", {})
    places = zip(tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_LENGTHS, ()), strict=True)
    strips = [data[start : start + length] for start, length in places]
    photometric = tags.get(_PHOTOMETRIC)
    if not strips or photometric not in _JPEG_KINDS or tags.get(_PLANAR, 1) != 1:
        return None
    rows = min(tags.get(_ROWS_PER_STRIP, image.height), image.height)
    jpeg = joined_strips(tags.get(_JPEG_TABLES, b""), strips, rows, image.height)
    if jpeg is None:
        return None
    colours, transform = _JPEG_KINDS[photometric]
    return _stream(
        pdf,
        jpeg,
        image,
        Filter=Name.DCTDecode,
        DecodeParms=Dictionary(ColorTransform=transform),
        ColorSpace=_colour_space(pdf, image, colours),
        BitsPerComponent=8,
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
