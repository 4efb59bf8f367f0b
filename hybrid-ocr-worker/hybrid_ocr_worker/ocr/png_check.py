"""Is a PNG whole? Pillow does not ask: it leaves the sums of the pixel data aside, and missing rows black."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

_SIGNATURE_BYTES: Final = 8
_BLOCK: Final = 1 << 20
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
#: First column and row, and the steps to the next ones, of each pass of an interlaced image.
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_IN_ONE_PASS: Final = ((0, 0, 1, 1),)


def is_whole(path: Path) -> bool:
    """Tell whether the sums of all chunks that matter are right, and all pixels there. Memory stays small."""
    unpacker, missing = zlib.decompressobj(), 0
    try:
        with path.open("rb") as file:
            file.seek(_SIGNATURE_BYTES)
            while True:
                length, kind = struct.unpack(">L4s", file.read(8))
                total = zlib.crc32(kind)
                for block in _blocks(file, length):
                    total = zlib.crc32(block, total)
                    if kind == b"IHDR":
                        missing = _data_bytes(block)
                    elif kind == b"IDAT":
                        missing -= _unpacked_bytes(unpacker, block, missing)
                if file.read(4) != total.to_bytes(4, "big") and kind[:1].isupper():
                    return False
                if kind == b"IEND":
                    return missing <= 0
    except (struct.error, zlib.error, KeyError):
        return False


def _blocks(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length > 0:
        block = file.read(min(length, _BLOCK))
        if not block:
            raise struct.error("the file ends within a chunk")
        length -= len(block)
        yield block


def _unpacked_bytes(unpacker: zlib._Decompress, block: bytes, wanted: int) -> int:
    """Count what comes out; no further than what is wanted, for there may be no end to it."""
    found = 0
    while block and found < wanted and not unpacker.eof:
        found += len(unpacker.decompress(block, _BLOCK))
        block = unpacker.unconsumed_tail
    return found


def _data_bytes(header: bytes) -> int:
    """How many bytes the pixels are when unpacked: each row has one more in front, for its filter."""
    width, height, depth, colour, _, _, interlacing = struct.unpack(">LLBBBBB", header)
    bits = depth * _CHANNELS[colour]
    total = 0
    for column, row, across, down in _PASSES if interlacing else _IN_ONE_PASS:
        columns, rows = -(-(width - column) // across), -(-(height - row) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total
