"""PDFs whose streams grow: bombs in every filter, pictures that claim what they do not hold."""

from __future__ import annotations

import base64
import struct

from tests.hostile.catalogue import hostile
from tests.hostile.writer import (
    FONTS,
    TEXT,
    deflated,
    deflated_zeros,
    page_pdf,
    picture,
    picture_pdf,
    stream,
)

_GIBIBYTE = 1 << 30
_GREY = b"/ColorSpace /DeviceGray /BitsPerComponent 8 "
_FLATE = b"/Filter /FlateDecode "
_BLANK = 0x20  # the byte of a space: content that says nothing


def _filters(name: bytes, times: int) -> bytes:
    return b"/Filter [%s] " % (name * times)


@hostile("flate-bomb-of-1-gib.pdf")
def flate_bomb() -> bytes:
    return page_pdf(contents=stream(deflated_zeros(_GIBIBYTE, _BLANK), _FLATE))


@hostile("flate-bomb-twice.pdf")
def flate_bomb_twice() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE, _BLANK), 1)
    return page_pdf(contents=stream(packed, _filters(b"/FlateDecode ", 2)))


@hostile("flate-bomb-thrice.pdf")
def flate_bomb_thrice() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE, _BLANK), 2)
    return page_pdf(contents=stream(packed, _filters(b"/FlateDecode ", 3)))


@hostile("flate-bomb-in-a-picture.pdf")
def flate_bomb_in_a_picture() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE, _BLANK), 1)
    return picture_pdf(picture(32_000, 32_000, packed, _GREY + _filters(b"/FlateDecode ", 2)))


@hostile("flate-bomb-in-a-font.pdf")
def flate_bomb_in_a_font() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE, _BLANK), 1)
    font = b"<< /Type /Font /Subtype /TrueType /BaseFont /X /FontDescriptor 6 0 R /ToUnicode 7 0 R >>"
    descriptor = b"<< /Type /FontDescriptor /FontName /X /Flags 4 /FontBBox [0 0 1 1] /FontFile2 7 0 R >>"
    program = stream(packed, _filters(b"/FlateDecode ", 2) + b"/Length1 1073741824")
    return page_pdf(resources=b"/Font << /F1 5 0 R >>", more={5: font, 6: descriptor, 7: program})


@hostile("flate-bomb-in-a-colour-profile.pdf")
def flate_bomb_in_a_profile() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE, _BLANK), 1)
    profile = stream(packed, _filters(b"/FlateDecode ", 2) + b"/N 1")
    content = b"/C cs 0 scn 100 100 400 400 re f"
    return page_pdf(content, resources=b"/ColorSpace << /C [/ICCBased 5 0 R] >>", more={5: profile})


@hostile("flate-bomb-as-object-stream.pdf")
def flate_bomb_as_object_stream() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE, _BLANK), 1)
    table = b"".join(
        bytes([kind]) + value.to_bytes(4, "big") + bytes([index])
        for kind, value, index in ((0, 0, 0), (2, 5, 0), (2, 5, 1), (2, 5, 2), (2, 5, 3), (1, 9, 0), (0, 0, 0))
    )
    out = b"%%PDF-1.7\n5 0 obj\n%s\nendobj\n" % stream(
        packed, _filters(b"/FlateDecode ", 2) + b"/Type /ObjStm /N 4 /First 40"
    )
    rows = stream(table, b"/Type /XRef /Size 7 /W [1 4 1] /Root 1 0 R")
    return out + b"6 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (rows, len(out))


@hostile("flate-bomb-as-xref.pdf")
def flate_bomb_as_xref() -> bytes:
    packed = deflated(deflated_zeros(_GIBIBYTE), 1)
    entries = _filters(b"/FlateDecode ", 2) + b"/Type /XRef /Size 178956970 /W [1 4 1] /Root 1 0 R"
    return b"%%PDF-1.7\n6 0 obj\n%s\nendobj\nstartxref\n9\n%%%%EOF\n" % stream(packed, entries)


@hostile("flate-bomb-as-embedded-file.pdf")
def flate_bomb_as_attachment() -> bytes:
    """Nobody asks for the attachment."""
    packed = deflated(deflated_zeros(_GIBIBYTE), 1)
    return page_pdf(
        catalogue=b"/Names << /EmbeddedFiles << /Names [(a) 5 0 R] >> >>",
        more={
            5: b"<< /Type /Filespec /F (a) /EF << /F 6 0 R >> >>",
            6: stream(packed, _filters(b"/FlateDecode ", 2) + b"/Type /EmbeddedFile"),
        },
    )


@hostile("flate-nested-1000-times.pdf")
def flate_nested() -> bytes:
    return page_pdf(contents=stream(deflated(TEXT, 100), _filters(b"/FlateDecode ", 1000)))


@hostile("flate-cut-short.pdf")
def flate_cut_short() -> bytes:
    return page_pdf(contents=stream(deflated(TEXT * 100, 1)[:60], _FLATE))


def _run_lengths(count: int) -> bytes:
    """A run of 128 bytes that are again a run: each level grows 64-fold."""
    return b"\x81 " * count + b"\x80"


@hostile("run-length-chain.pdf")
def run_length_chain() -> bytes:
    return page_pdf(contents=stream(b"\x81\x81" * 64 + b"\x80", _filters(b"/RunLengthDecode ", 6)))


@hostile("run-length-bomb-in-flate.pdf")
def run_length_in_flate() -> bytes:
    packed = deflated(_run_lengths(8 << 20), 2)
    return page_pdf(contents=stream(packed, b"/Filter [/FlateDecode /FlateDecode /RunLengthDecode]"))


@hostile("hex-nested-14-times.pdf")
def hex_nested() -> bytes:
    data = TEXT
    for _ in range(14):
        data = data.hex().encode() + b">"
    return page_pdf(contents=stream(data, _filters(b"/ASCIIHexDecode ", 14)))


@hostile("ascii-85-of-zeros.pdf")
def ascii85_of_zeros() -> bytes:
    return page_pdf(
        contents=stream(deflated(b"z" * (64 << 20), 2), b"/Filter [/FlateDecode /FlateDecode /ASCII85Decode]")
    )


@hostile("lzw-of-noise.pdf")
def lzw_of_noise() -> bytes:
    return page_pdf(contents=stream(b"\x80\x0b\x60\x50\x22\x0c" * 10_000, b"/Filter /LZWDecode"))


@hostile("filter-unknown.pdf")
def filter_unknown() -> bytes:
    return page_pdf(contents=stream(TEXT, b"/Filter /Nonsense"))


@hostile("filter-is-the-stream.pdf")
def filter_is_the_stream() -> bytes:
    return page_pdf(contents=stream(TEXT, b"/Filter [4 0 R] /DecodeParms 4 0 R"))


@hostile("predictor-of-huge-columns.pdf")
def predictor_of_huge_columns() -> bytes:
    parameters = b"/DecodeParms << /Predictor 15 /Columns 2147483647 /Colors 2147483647 /BitsPerComponent 32 >>"
    return page_pdf(contents=stream(deflated(TEXT, 1), _FLATE + parameters))


@hostile("predictor-of-negative-columns.pdf")
def predictor_of_negative_columns() -> bytes:
    parameters = b"/DecodeParms << /Predictor 2 /Columns -5 /Colors 0 /BitsPerComponent 999 >>"
    return page_pdf(contents=stream(deflated(TEXT, 1), _FLATE + parameters))


@hostile("picture-of-60000-squared.pdf")
def picture_huge() -> bytes:
    return picture_pdf(picture(60_000, 60_000, deflated_zeros(1 << 20), _GREY + _FLATE))


@hostile("picture-of-2-billion-by-1.pdf")
def picture_wide() -> bytes:
    return picture_pdf(picture(2_147_483_647, 1, deflated_zeros(1 << 20), _GREY + _FLATE))


@hostile("picture-of-minus-1.pdf")
def picture_negative() -> bytes:
    return picture_pdf(picture(-1, -1, b"\0" * 9, _GREY))


@hostile("picture-of-nothing.pdf")
def picture_of_nothing() -> bytes:
    return picture_pdf(picture(0, 0, b"", _GREY))


@hostile("picture-of-1-bit-and-30000-squared.pdf")
def picture_mono() -> bytes:
    """Whole: every bit is there."""
    data = deflated_zeros(30_000 * 3750)
    return picture_pdf(picture(30_000, 30_000, data, b"/ColorSpace /DeviceGray /BitsPerComponent 1 " + _FLATE))


@hostile("picture-whose-mask-is-itself.pdf")
def picture_mask_cycle() -> bytes:
    return picture_pdf(picture(9, 9, b"\0" * 81, _GREY + b"/SMask 5 0 R /Mask 5 0 R"))


@hostile("picture-drawn-100000-times.pdf")
def picture_many_times() -> bytes:
    image = picture(100, 100, deflated_zeros(10_000), _GREY + _FLATE)
    content = b"q 595 0 0 842 0 0 cm /Im1 Do Q\n" * 100_000
    return page_pdf(content, resources=b"/XObject << /Im1 5 0 R >>", more={5: image})


@hostile("inline-picture-of-60000-squared.pdf")
def inline_picture() -> bytes:
    start = b"q 595 0 0 842 0 0 cm BI /W 60000 /H 60000 /BPC 8 /CS /G /F /Fl ID "
    return page_pdf(start + deflated_zeros(1 << 20) + b" EI Q " + TEXT)


@hostile("inline-picture-without-end.pdf")
def inline_picture_without_end() -> bytes:
    return page_pdf(TEXT + b"BI /W 10 /H 10 /BPC 8 /CS /G ID " + b"\0" * 100_000)


def _jbig2(width: int, height: int) -> bytes:
    """A page and one generic region of that size, and next to no data."""
    page = struct.pack(">IBBBI", 0, 48, 0, 1, 19) + struct.pack(">IIIIBH", width, height, 0, 0, 0, 0)
    body = (
        struct.pack(">IIIIB", width, height, 0, 0, 0) + b"\0" + bytes([3, 255, 253, 255, 2, 254, 254, 254]) + b"\0" * 20
    )
    return page + struct.pack(">IBBBI", 1, 38, 0, 1, len(body)) + body


@hostile("jbig2-of-60000-squared.pdf")
def jbig2_huge() -> bytes:
    return picture_pdf(
        picture(
            60_000, 60_000, _jbig2(60_000, 60_000), b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /JBIG2Decode"
        )
    )


@hostile("jbig2-of-4-billion-squared.pdf")
def jbig2_of_4_billion() -> bytes:
    return picture_pdf(
        picture(
            100,
            100,
            _jbig2(0xFFFFFFFF, 0xFFFFFFFF),
            b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /JBIG2Decode",
        )
    )


@hostile("jbig2-with-itself-as-globals.pdf")
def jbig2_cycle() -> bytes:
    entries = b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /JBIG2Decode /DecodeParms << /JBIG2Globals 5 0 R >>"
    return picture_pdf(picture(100, 100, _jbig2(100, 100), entries))


def _jpx(width: int, height: int) -> bytes:
    """A JPEG 2000 codestream: its sizes, and no tile."""
    sizes = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, width, height, 0, 0, 1) + b"\7\1\1"
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(sizes) + 2) + sizes + b"\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93"


@hostile("jpx-of-60000-squared.pdf")
def jpx_huge() -> bytes:
    return picture_pdf(picture(60_000, 60_000, _jpx(60_000, 60_000), _GREY + b"/Filter /JPXDecode"))


@hostile("jpx-of-tiles-of-1-pixel.pdf")
def jpx_tiles() -> bytes:
    data = bytearray(_jpx(60_000, 60_000))
    data[24:32] = struct.pack(">II", 1, 1)
    return picture_pdf(picture(60_000, 60_000, bytes(data), _GREY + b"/Filter /JPXDecode"))


@hostile("fax-of-a-million-columns.pdf")
def fax_huge() -> bytes:
    parameters = b"/DecodeParms << /K -1 /Columns 1000000 /Rows 1000000 >>"
    entries = b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /CCITTFaxDecode "
    return picture_pdf(picture(60_000, 60_000, b"\xff" * 1000, entries + parameters))


@hostile("fax-of-negative-columns.pdf")
def fax_negative() -> bytes:
    parameters = b"/DecodeParms << /K 4 /Columns -9 /Rows -9 >>"
    entries = b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /CCITTFaxDecode "
    return picture_pdf(picture(100, 100, b"\0\1\xff" * 1000, entries + parameters))


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG with headers, and no picture."""
    frame = b"\xff\xc0\0\x0b\x08" + struct.pack(">HH", height, width) + b"\1\1\x11\0"
    tables = (
        b"\xff\xdb\0\x43\0"
        + b"\1" * 64
        + b"\xff\xc4\0\x14\0\1"
        + b"\0" * 15
        + b"\0\xff\xc4\0\x14\x10\1"
        + b"\0" * 15
        + b"\0"
    )
    return b"\xff\xd8" + tables + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"\xff\xd9"


@hostile("jpeg-of-65500-squared.pdf")
def dct_huge() -> bytes:
    return picture_pdf(picture(65_500, 65_500, jpeg_of(65_500, 65_500), _GREY + b"/Filter /DCTDecode"))


@hostile("jpeg-smaller-than-its-picture.pdf")
def dct_lies() -> bytes:
    return picture_pdf(picture(30_000, 30_000, jpeg_of(8, 8), _GREY + b"/Filter /DCTDecode"))


@hostile("content-behind-a-crypt-filter.pdf")
def crypt_filter() -> bytes:
    return page_pdf(contents=stream(TEXT, b"/Filter /Crypt /DecodeParms << /Name /Nobody >>"))


_IDS = b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
_ENCRYPTIONS = {
    "encrypted-by-version-99.pdf": b"/Filter /Standard /V 99 /R 99 /Length 128 /P -1 /O (o) /U (u)",
    "encrypted-by-a-stranger.pdf": b"/Filter /Stranger /V 1 /R 2",
    "encrypted-with-short-keys.pdf": b"/Filter /Standard /V 2 /R 3 /Length 8 /P -1 /O (o) /U (u)",
    "encrypted-with-a-negative-key.pdf": b"/Filter /Standard /V 2 /R 3 /Length -128 /P -1 /O (%s) /U (%s)"
    % (b"o" * 32, b"u" * 32),
    "encrypted-with-a-key-of-a-gigabit.pdf": b"/Filter /Standard /V 2 /R 3 /Length 1073741824 /P -1 /O (%s) /U (%s)"
    % (b"o" * 32, b"u" * 32),
    "encrypted-for-certificates.pdf": b"/Filter /Adobe.PubSec /SubFilter /adbe.pkcs7.s4 /V 1 /Recipients [<00>]",
    "encrypted-by-an-unknown-crypt-filter.pdf": b"/Filter /Standard /V 4 /R 4 /Length 128 /P -1 /CF << >> /StmF /A "
    b"/StrF /A /O (%s) /U (%s)" % (b"o" * 32, b"u" * 32),
    "encrypted-version-5-with-short-keys.pdf": b"/Filter /Standard /V 5 /R 6 /Length 256 /P -1 /O (o) /U (u) /OE (o) "
    b"/UE (u) /Perms (p)",
}


def _enter(name: str, entries: bytes) -> None:
    @hostile(name)
    def encrypted() -> bytes:
        return page_pdf(trailer=b"/Encrypt << %s >> %s" % (entries, _IDS))


for _name, _entries in _ENCRYPTIONS.items():
    _enter(_name, _entries)


@hostile("encryption-is-the-catalogue.pdf")
def encryption_is_the_catalogue() -> bytes:
    return page_pdf(trailer=b"/Encrypt 1 0 R " + _IDS)


@hostile("a-megabyte-of-base64.pdf")
def noise_as_content() -> bytes:
    return page_pdf(base64.b64encode(bytes(range(256)) * 4096), resources=FONTS)
