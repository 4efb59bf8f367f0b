"""The font of the text layer: every character of every script, none of them visible.

It is made here, byte by byte, so that no font file need be shipped. A code is the character's own number in the Basic
Multilingual Plane; the characters beyond it borrow the codes of the surrogates, which no text can hold by themselves.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream

#: In thousandths of the font size. The box from DESCENT to ASCENT is what a reader marks for a word, so it follows the
#: ink of print (capitals to the tails of g and p) and not the looser line height of a real font.
ASCENT = 670
DESCENT = 180
ADVANCE = 500

_NAME = "HybridOcrInvisible"
#: Controls, lone surrogates, byte order marks and non-characters.
_NO_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
_BEYOND_PLANE = re.compile("[\U00010000-\U0010ffff]")
_FIRST_BORROWED, _LAST_BORROWED = 0xD800, 0xDFFF


@dataclass(slots=True)
class GlyphlessFont:
    """One font for a document; it learns what it must map to Unicode while the pages are drawn."""

    _borrowed: dict[str, int] = field(default_factory=dict)
    _used_rows: set[int] = field(default_factory=set)

    def encode(self, text: str) -> bytes:
        """Turn text into the font's codes, two bytes a character; what cannot be text is left out."""
        codes = _BEYOND_PLANE.sub(self._borrow, _NO_TEXT.sub("", text)).encode("utf-16-be", "surrogatepass")
        self._used_rows.update(codes[::2])
        return codes

    def _borrow(self, character: re.Match[str]) -> str:
        code = self._borrowed.setdefault(character[0], _FIRST_BORROWED + len(self._borrowed))
        return chr(code) if code <= _LAST_BORROWED else "\ufffd"

    def write_to(self, pdf: Pdf, font: Dictionary) -> None:
        """Fill in the font's dictionary, when all text has been encoded."""
        font.Type = Name.Font
        font.Subtype = Name.Type0
        font.BaseFont = Name("/" + _NAME)
        font.Encoding = Name("/Identity-H")
        font.DescendantFonts = Array([self._descendant(pdf)])
        font.ToUnicode = _flate(pdf, self._to_unicode())

    def _descendant(self, pdf: Pdf) -> Dictionary:
        program = font_program()
        descriptor = Dictionary(
            Type=Name.FontDescriptor,
            FontName=Name("/" + _NAME),
            Flags=1 | 4,  # fixed pitch, symbolic: no standard Latin encoding
            FontBBox=[0, -DESCENT, ADVANCE, ASCENT],
            ItalicAngle=0,
            Ascent=ASCENT,
            Descent=-DESCENT,
            CapHeight=ASCENT,
            StemV=80,
            FontFile2=_flate(pdf, program, Length1=len(program)),
        )
        highest = (max(self._used_rows, default=0) << 8) + 0xFF
        return Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=Name("/" + _NAME),
            CIDSystemInfo=Dictionary(Registry="Adobe", Ordering="Identity", Supplement=0),
            FontDescriptor=pdf.make_indirect(descriptor),
            DW=ADVANCE,
            CIDToGIDMap=_flate(pdf, b"\0\1" * (highest + 1)),
        )

    def _to_unicode(self) -> bytes:
        rows = sorted(row for row in self._used_rows if not _FIRST_BORROWED <= row << 8 <= _LAST_BORROWED)
        ranges = [f"<{row:02X}00><{row:02X}FF><{row:02X}00>" for row in rows]
        singles = [
            f"<{code:04X}><{character.encode('utf-16-be').hex().upper()}>"
            for character, code in self._borrowed.items()
            if code <= _LAST_BORROWED
        ]
        body = _blocks("bfrange", ranges) + _blocks("bfchar", singles)
        return (
            "/CIDInit/ProcSet findresource begin 12 dict begin begincmap\n"
            "/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def\n"
            "/CMapName/Adobe-Identity-UCS def/CMapType 2 def\n"
            "1 begincodespacerange\n<0000><FFFF>\nendcodespacerange\n"
            f"{body}endcmap CMapName currentdict/CMap defineresource pop end end"
        ).encode("ascii")


def _blocks(operator: str, entries: list[str]) -> str:
    """Write a CMap's entries; a block may hold a hundred."""
    blocks = (entries[start : start + 100] for start in range(0, len(entries), 100))
    return "".join(f"{len(block)} begin{operator}\n" + "\n".join(block) + f"\nend{operator}\n" for block in blocks)


def _flate(pdf: Pdf, data: bytes, **entries: int) -> Stream:
    more: dict[str, Object | int] = dict(entries)
    return pdf.make_stream(zlib.compress(data, 9), Filter=Name.FlateDecode, **more)


def font_program() -> bytes:
    """Make a TrueType font of two glyphs, 0 for "not defined" and 1 for everything else.

    Both hold nothing but two lone points, which no renderer can fill. They span the box of a word, because pdfium asks
    the outline, not the descriptor, how tall a character is.
    """
    outline = struct.pack(
        ">h4h 2H H 2B 4h",
        *(2, 0, -DESCENT, ADVANCE, ASCENT),  # contours, bounding box
        *(0, 1),  # each contour ends with its only point
        0,  # no instructions
        *(1, 1),  # both points lie on the curve, coordinates as words
        *(0, ADVANCE),
        *(-DESCENT, ASCENT + DESCENT),
    )
    tables = {
        b"OS/2": _os2_table(),
        b"cmap": struct.pack(">HH HHL HHHHHH", 0, 1, 1, 0, 12, 6, 12, 0, 32, 1, 1),
        b"glyf": outline * 2,
        b"head": struct.pack(
            ">LLLL HH QQ 4h HH hhh",
            *(0x10000, 0x10000, 0, 0x5F0F3CF5),
            *(0b1011, 1000),  # baseline and side bearing at 0, whole ppem; units per em
            *(0, 0),  # made in 1904, so that the bytes are the same in each build
            *(0, -DESCENT, ADVANCE, ASCENT),
            *(0, 3),
            *(2, 1, 0),  # left to right, long offsets
        ),
        b"hhea": struct.pack(
            ">L hhh H hhh hh h 4h h H", 0x10000, ASCENT, -DESCENT, 0, ADVANCE, 0, 0, ADVANCE, 1, 0, 0, *[0] * 4, 0, 2
        ),
        b"hmtx": struct.pack(">HhHh", ADVANCE, 0, ADVANCE, 0),
        b"loca": struct.pack(">3L", 0, len(outline), 2 * len(outline)),
        b"maxp": struct.pack(">L 14H", 0x10000, 2, 2, 2, 0, 0, 2, *[0] * 8),
        b"name": _name_table(),
        b"post": struct.pack(">LL hh L 4L", 0x30000, 0, -100, 50, 1, 0, 0, 0, 0),
    }
    return _assemble(tables)


def _name_table() -> bytes:
    """Copyright is left out; family, style, identifier, full name, version and PostScript name are asked for."""
    names = {1: _NAME, 2: "Regular", 3: _NAME, 4: _NAME, 5: "Version 1.0", 6: _NAME}
    records, strings = b"", b""
    for identifier, text in names.items():
        encoded = text.encode("utf-16-be")
        records += struct.pack(">6H", 3, 1, 0x409, identifier, len(encoded), len(strings))
        strings += encoded
    return struct.pack(">3H", 0, len(names), 6 + len(records)) + records + strings


def _os2_table() -> bytes:
    return struct.pack(
        ">H h HHH 10h h 10B 4L 4s HHH hhh HH",
        *(1, ADVANCE, 400, 5, 0),  # version, average width, weight, width class, free to embed
        *(650, 600, 0, 75, 650, 600, 0, 350, 50, 250),  # sub- and superscripts, strike-out
        0,
        *[0] * 10,
        *[0] * 4,
        b"NONE",
        *(0x40, 32, 32),
        *(ASCENT, -DESCENT, 0),
        *(ASCENT, DESCENT),
    ) + struct.pack(">LL", 1, 0)


def _assemble(tables: dict[bytes, bytes]) -> bytes:
    """Lay out the tables with their checksums, as the TrueType specification has it."""
    power = len(tables).bit_length() - 1
    header = struct.pack(">L4H", 0x10000, len(tables), 16 << power, power, 16 * len(tables) - (16 << power))
    directory, body = b"", b""
    start = len(header) + 16 * len(tables)
    for tag, table in sorted(tables.items()):
        directory += struct.pack(">4s3L", tag, _checksum(table), start + len(body), len(table))
        body += table + b"\0" * (-len(table) % 4)
    font = bytearray(header + directory + body)
    head = font.index(b"\x5f\x0f\x3c\xf5") - 4
    font[head : head + 4] = struct.pack(">L", (0xB1B0AFBA - _checksum(bytes(font))) & 0xFFFFFFFF)
    return bytes(font)


def _checksum(table: bytes) -> int:
    padded = table + b"\0" * (-len(table) % 4)
    total: int = sum(struct.unpack(f">{len(padded) // 4}L", padded))
    return total & 0xFFFFFFFF
