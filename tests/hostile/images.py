"""Image files that claim more than they hold, or hold more than anyone should unpack."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

from tests.hostile.catalogue import hostile
from tests.hostile.streams import jpeg_of
from tests.hostile.writer import deflated_zeros
from tests.make_documents import images, scan_image

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _RGBA: 4}


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def _png(
    width: int, height: int, *chunks: bytes, colour: int = _GREY, depth: int = 8, rows: int | None = None
) -> bytes:
    """All of its pixels are 0, and all are there unless ``rows`` says less."""
    row = 1 + (width * depth * _CHANNELS[colour] + 7) // 8
    head = _chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    body = _chunk(b"IDAT", deflated_zeros(row * (height if rows is None else rows)))
    return _PNG + head + b"".join(chunks) + body + _chunk(b"IEND", b"")


@hostile("png-of-30000-squared.png")
def png_of_30000() -> bytes:
    return _png(30_000, 30_000)


@hostile("png-of-13000-squared.png")
def png_of_13000() -> bytes:
    return _png(13_000, 13_000)


@hostile("png-of-2-billion-squared.png")
def png_of_2_billion() -> bytes:
    return _png(2_147_483_647, 2_147_483_647, rows=0)


@hostile("png-of-9900-squared-in-colour.png")
def png_at_the_limit() -> bytes:
    """Just under the limit of pixels, with four channels of 16 bits: the most memory that is allowed."""
    return _png(9900, 9900, colour=_RGBA, depth=16)


@hostile("png-of-100000-by-1.png")
def png_wide() -> bytes:
    return _png(100_000, 1)


@hostile("png-of-1-by-100000.png")
def png_tall() -> bytes:
    return _png(1, 100_000)


@hostile("png-of-1-by-1.png")
def png_of_one_pixel() -> bytes:
    return _png(1, 1)


@hostile("png-of-0-by-0.png")
def png_of_nothing() -> bytes:
    return _png(0, 0)


@hostile("png-with-half-of-its-rows.png")
def png_short() -> bytes:
    return _png(1000, 1000, rows=500)


@hostile("png-with-a-wrong-sum.png")
def png_wrong_sum() -> bytes:
    content = bytearray(images()["scan.png"])
    content[29] ^= 0xFF
    return bytes(content)


@hostile("png-chunk-of-4-gigabytes.png")
def png_chunk_lie() -> bytes:
    content = images()["scan.png"]
    place = content.index(b"IDAT") - 4
    return content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :]


@hostile("png-without-data.png")
def png_without_data() -> bytes:
    head = _chunk(b"IHDR", struct.pack(">LLBBBBB", 100, 100, 8, _GREY, 0, 0, 0))
    return _PNG + head + _chunk(b"IEND", b"")


@hostile("png-without-palette.png")
def png_without_palette() -> bytes:
    return _png(100, 100, colour=_PALETTE)


@hostile("png-of-unknown-colour.png")
def png_of_unknown_colour() -> bytes:
    head = _chunk(b"IHDR", struct.pack(">LLBBBBB", 100, 100, 77, 99, 9, 9, 9))
    return _PNG + head + _chunk(b"IDAT", b"x") + _chunk(b"IEND", b"")


@hostile("png-text-bomb.png")
def png_text_bomb() -> bytes:
    return _png(100, 100, _chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(1 << 30, 65)))


@hostile("png-profile-bomb.png")
def png_profile_bomb() -> bytes:
    return _png(100, 100, _chunk(b"iCCP", b"profile\0\0" + deflated_zeros(1 << 30, 65)))


@hostile("png-of-50000-text-chunks.png")
def png_of_text_chunks() -> bytes:
    return _png(100, 100, *(_chunk(b"tEXt", b"k%d\0value" % number) for number in range(50_000)))


@hostile("png-data-longer-than-its-rows.png")
def png_data_bomb() -> bytes:
    return _png(100, 100, rows=10_000_000)


@hostile("apng-of-2-billion-frames.png")
def apng() -> bytes:
    control = _chunk(b"fcTL", struct.pack(">LLLLLHHBB", 0, 100, 100, 0, 0, 1, 1, 0, 0))
    return _png(100, 100, _chunk(b"acTL", struct.pack(">LL", 2_000_000_000, 0)), control)


def _gif(width: int, height: int, frame: tuple[int, int, int, int], data: bytes) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", *frame, 0) + b"\2" + data + b"\0;"


@hostile("gif-of-65535-squared.gif")
def gif_bomb() -> bytes:
    return _gif(65_535, 65_535, (0, 0, 65_535, 65_535), b"\2\x4c\1")


@hostile("gif-frame-outside-its-screen.gif")
def gif_outside() -> bytes:
    return _gif(10, 10, (60_000, 60_000, 5000, 5000), b"\2\x4c\1")


@hostile("gif-of-nothing.gif")
def gif_of_nothing() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 0, 0, 0, 0, 0) + b";"


@hostile("gif-of-100000-frames.gif")
def gif_of_many_frames() -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x4c\1\0"
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + frame * 100_000 + b";"


_SHORT, _LONG = 3, 4


def _tiff(entries: list[tuple[int, int, int, int]], *, following: int = 0, data: bytes = b"") -> bytes:
    """One directory at 8; ``following`` is where it says the next one is."""
    rows = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + rows + struct.pack("<L", following) + data


def _grey_tiff(width: int, height: int, *, following: int = 0, **changes: tuple[int, int, int]) -> bytes:
    """Tags by number as ``t256=(type, count, value)``."""
    tags = {
        256: (_LONG, 1, width),
        257: (_LONG, 1, height),
        258: (_SHORT, 1, 8),
        259: (_SHORT, 1, 1),
        262: (_SHORT, 1, 1),
        273: (_LONG, 1, 200),
        277: (_SHORT, 1, 1),
        278: (_LONG, 1, height),
        279: (_LONG, 1, width * height & 0xFFFFFFFF),
    }
    tags |= {int(name[1:]): entry for name, entry in changes.items()}
    return _tiff([(tag, *tags[tag]) for tag in sorted(tags)], following=following, data=b"\0" * 10_000)


_TIFFS = {
    "tiff-directory-loop.tif": _grey_tiff(50, 50, following=8),
    "tiff-of-60000-squared.tif": _grey_tiff(60_000, 60_000),
    "tiff-of-4-billion-squared.tif": _grey_tiff(0xFFFFFFFF, 0xFFFFFFFF),
    "tiff-of-0-by-0.tif": _grey_tiff(0, 0),
    "tiff-of-a-billion-strips.tif": _grey_tiff(50, 50, t273=(_LONG, 1_000_000_000, 200), t278=(_LONG, 1, 1)),
    "tiff-strip-beyond-its-end.tif": _grey_tiff(50, 50, t273=(_LONG, 1, 0xFFFFFF00)),
    "tiff-strip-of-4-gigabytes.tif": _grey_tiff(50, 50, t279=(_LONG, 1, 0xFFFFFFFF)),
    "tiff-of-rows-of-nothing.tif": _grey_tiff(50, 50, t278=(_LONG, 1, 0)),
    "tiff-of-9999-bits.tif": _grey_tiff(50, 50, t258=(_SHORT, 1, 9999)),
    "tiff-of-60000-samples.tif": _grey_tiff(50, 50, t277=(_SHORT, 1, 60_000)),
    "tiff-of-unknown-packing.tif": _grey_tiff(50, 50, t259=(_SHORT, 1, 31_337)),
    "tiff-deflate-of-zeros.tif": _grey_tiff(50, 50, t259=(_SHORT, 1, 8)),
    "tiff-lzw-of-zeros.tif": _grey_tiff(50, 50, t259=(_SHORT, 1, 5)),
    "tiff-fax-of-zeros.tif": _grey_tiff(50_000, 50, t259=(_SHORT, 1, 4), t258=(_SHORT, 1, 1)),
    "tiff-jpeg-of-zeros.tif": _grey_tiff(50, 50, t259=(_SHORT, 1, 7)),
    "tiff-of-huge-tiles.tif": _grey_tiff(
        50, 50, t322=(_LONG, 1, 0x7FFFFFF0), t323=(_LONG, 1, 0x7FFFFFF0), t324=(_LONG, 1, 200), t325=(_LONG, 1, 9)
    ),
    "tiff-of-tiles-of-1.tif": _grey_tiff(
        9000, 9000, t322=(_LONG, 1, 1), t323=(_LONG, 1, 1), t324=(_LONG, 1, 200), t325=(_LONG, 1, 1)
    ),
    "tiff-exif-loop.tif": _grey_tiff(50, 50, t34665=(_LONG, 1, 8), t330=(_LONG, 1, 8)),
    "tiff-of-65535-tags.tif": b"II*\0\x08\0\0\0\xff\xff" + b"\0\1\4\0\xff\xff\xff\xff\0\0\0\0" * 1000,
    "tiff-of-nothing.tif": b"II*\0\0\0\0\0",
    "bigtiff-beyond-its-end.tif": b"II+\0\x08\0\0\0" + b"\xff" * 8,
}


def _enter(name: str, content: bytes) -> None:
    @hostile(name)
    def image() -> bytes:
        return content


for _name, _content in _TIFFS.items():
    _enter(_name, _content)


@hostile("tiff-of-4000-frames.tif")
def tiff_of_many_frames() -> bytes:
    """Each a directory of its own, all of the same pixels."""
    tags = [(256, _SHORT, 1, 20), (257, _SHORT, 1, 20), (258, _SHORT, 1, 8), (259, _SHORT, 1, 1), (262, _SHORT, 1, 1)]
    tags += [(273, _LONG, 1, 8), (277, _SHORT, 1, 1), (278, _SHORT, 1, 20), (279, _LONG, 1, 400)]
    rows = b"".join(struct.pack("<HHLL", *entry) for entry in tags)
    out = bytearray(b"II*\0" + struct.pack("<L", 408) + b"\0" * 400)
    for number in range(4000):
        after = len(out) + 2 + len(rows) + 4
        out += struct.pack("<H", len(tags)) + rows + struct.pack("<L", after if number < 3999 else 0)
    return bytes(out)


def _bmp(width: int, height: int, *, bits: int = 24, packing: int = 0, data: bytes = b"") -> bytes:
    head = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, packing, len(data), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54 + len(data), 0, 0, 54) + head + data


_BMPS = {
    "bmp-of-negative-height.bmp": _bmp(10, -10, data=b"\0" * 320),
    "bmp-of-the-most-negative-height.bmp": _bmp(10, -2_147_483_648),
    "bmp-of-2-billion-squared.bmp": _bmp(2_147_483_647, 2_147_483_647),
    "bmp-of-60000-squared.bmp": _bmp(60_000, 60_000, data=b"\0" * 100),
    "bmp-of-0-by-0.bmp": _bmp(0, 0),
    "bmp-of-77-bits.bmp": _bmp(10, 10, bits=77),
    "bmp-run-length-of-nothing.bmp": _bmp(9000, 9000, bits=8, packing=1, data=b"\0\2\xff\xff" * 1000),
    "bmp-of-a-header.bmp": b"BM",
}
for _name, _content in _BMPS.items():
    _enter(_name, _content)


@hostile("jpeg-of-65500-squared.jpg")
def jpeg_huge() -> bytes:
    return jpeg_of(65_500, 65_500)


@hostile("jpeg-of-9900-squared-without-data.jpg")
def jpeg_without_data() -> bytes:
    return jpeg_of(9900, 9900)


@hostile("jpeg-of-0-by-0.jpg")
def jpeg_of_nothing() -> bytes:
    return jpeg_of(0, 0)


@hostile("jpeg-of-1000-scans.jpg")
def jpeg_of_scans() -> bytes:
    """Progressive: every scan goes over the whole picture again."""
    buffer = io.BytesIO()
    scan_image(size=(4000, 4000)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    place = content.rindex(b"\xff\xda")
    return content[:place] + content[place:-2] * 1000 + b"\xff\xd9"


@hostile("jpeg-exif-of-noise.jpg")
def jpeg_exif() -> bytes:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\1\3\0\xff\xff\xff\xff\x08\0\0\0" * 100
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + images()["scan.jpg"][2:]


@hostile("jpeg-of-many-pictures.jpg")
def mpo() -> bytes:
    """An MPO whose further pictures are anywhere."""
    entries = b"".join(struct.pack("<LLLHH", 0x20000, 1000, 0xFFFFFF00, 0, 0) for _ in range(100))
    index = b"II*\0\x08\0\0\0\3\0" + struct.pack("<HHL4s", 0xB000, 7, 4, b"0100")
    index += struct.pack("<HHLL", 0xB001, 4, 1, 100) + struct.pack("<HHLL", 0xB002, 7, len(entries), 50)
    index += struct.pack("<L", 0) + entries
    body = b"MPF\0" + index
    return b"\xff\xd8\xff\xe2" + struct.pack(">H", len(body) + 2) + body + images()["scan.jpg"][2:]


@hostile("webp-of-16384-squared.webp")
def webp_huge() -> bytes:
    head = b"VP8X" + struct.pack("<L", 10) + b"\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0"
    data = b"VP8 " + struct.pack("<L", 10) + b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f"
    return b"RIFF" + struct.pack("<L", 4 + len(head) + len(data)) + b"WEBP" + head + data


@hostile("webp-that-lies-about-its-length.webp")
def webp_length_lie() -> bytes:
    content = images()["scan.webp"]
    return content[:4] + b"\xff\xff\xff\xff" + content[8:16] + b"\xff\xff\xff\x7f" + content[20:]


@hostile("picture-of-one-grey.png")
def one_grey() -> bytes:
    """No ink at all: blank, and nothing else may be said of it."""
    buffer = io.BytesIO()
    Image.new("L", (1000, 1000), 128).save(buffer, "PNG")
    return buffer.getvalue()
