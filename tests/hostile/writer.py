"""Writes PDFs byte by byte: no library would write what these tests need."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

_ADLER = 65521
_BLOCK = 1 << 20

#: What a page says that can be read in spite of all.
TEXT = b"BT /F1 24 Tf 1 0 0 1 60 700 Tm (Every word of this page can be read by anyone) Tj ET\n"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
FONTS = b"/Font << /F1 " + FONT + b" >>"


def write_pdf(objects: Mapping[int, bytes], *, trailer: bytes = b"", size: int | None = None) -> bytes:
    """Objects by number; 1 is the catalogue. The table of places is right."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = {}
    for number, body in sorted(objects.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    count = size or max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % count
    for number in range(1, count):
        out += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 00000 f \n"
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (count, trailer, start)
    return bytes(out)


def page_pdf(
    content: bytes = TEXT,
    *,
    resources: bytes = FONTS,
    box: bytes = b"/MediaBox [0 0 595 842]",
    page: bytes = b"",
    catalogue: bytes = b"",
    trailer: bytes = b"",
    contents: bytes | None = None,
    more: Mapping[int, bytes] | None = None,
) -> bytes:
    """One page: object 3, its content object 4; ``contents`` replaces the whole stream object. More from 5 on."""
    return write_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R %s /Resources << %s >> /Contents 4 0 R %s >>" % (box, resources, page),
            4: contents if contents is not None else stream(content),
            **(more or {}),
        },
        trailer=trailer,
    )


def stream(data: bytes, entries: bytes = b"", *, length: bytes | None = None) -> bytes:
    """A stream object; ``length`` to lie about it."""
    told = length if length is not None else b"%d" % len(data)
    return b"<< /Length %s %s >>\nstream\n%s\nendstream" % (told, entries, data)


def picture(width: int, height: int, data: bytes, entries: bytes) -> bytes:
    """An image object."""
    size = b"/Type /XObject /Subtype /Image /Width %d /Height %d " % (width, height)
    return stream(data, size + entries)


def picture_pdf(image: bytes) -> bytes:
    """A page that shows one image object, all over."""
    return page_pdf(b"q 595 0 0 842 0 0 cm /Im1 Do Q", resources=b"/XObject << /Im1 5 0 R >>", more={5: image})


def deflated_zeros(count: int, value: int = 0) -> bytes:
    """So many bytes of one value as zlib would pack them, without packing them: one packed block, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes([value]) * _BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    blocks, rest = divmod(count, _BLOCK)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    tail = packer.compress(bytes([value]) * rest) + packer.flush()
    low = (1 + value * count) % _ADLER
    high = (count + value * (count * (count + 1) // 2)) % _ADLER
    return b"\x78\xda" + block * blocks + tail + (high << 16 | low).to_bytes(4, "big")


def deflated(data: bytes, times: int) -> bytes:
    """Packed again and again."""
    for _ in range(times):
        data = zlib.compress(data, 9)
    return data
