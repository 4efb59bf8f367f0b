"""Makes one JPEG of the strips of a JPEG-coded TIFF, without decoding a pixel.

Each strip is a JPEG of its own whose tables stand apart. A strip starts coding anew, just as JPEG itself does after a
restart marker: so the strips' data, parted by such markers, are the data of the whole image.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_START, _END, _SCAN, _RESTARTS, _FIRST_RESTART = 0xD8, 0xD9, 0xDA, 0xDD, 0xD0
_SEQUENTIAL_FRAMES: Final = (0xC0, 0xC1)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES: Final = (0xC4, 0xDB)
_BLOCK: Final = 8  # pixels


def joined_strips(tables: bytes, strips: Sequence[bytes], rows_per_strip: int, height: int) -> bytes | None:
    """Join the strips of an image, which all but the last have so many rows; None where they do not fit together."""
    try:
        shared = [segment for segment in _segments(tables)[0] if segment[0] in _TABLES]
        parts = [_Strip.read(strip) for strip in strips]
        first = parts[0]
        restarts = [(_RESTARTS, struct.pack(">H", first.units_in(rows_per_strip)))] if len(parts) > 1 else []
    except (IndexError, KeyError, struct.error, ValueError):
        return None
    if any(part.layout != first.layout or part.tables not in ([], first.tables) for part in parts):
        return None
    frame = struct.pack(">BH", first.frame[0], height) + first.frame[3:]
    head = [*shared, *first.tables, (first.frame_marker, frame), *restarts, (_SCAN, first.scan)]
    joined = bytearray((0xFF, _START))
    for marker, body in head:
        joined += struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
    for number, part in enumerate(parts):
        joined += (bytes((0xFF, _FIRST_RESTART + (number - 1) % 8)) if number else b"") + part.data
    return bytes(joined) + bytes((0xFF, _END))


@dataclass(frozen=True, slots=True)
class _Strip:
    frame_marker: int
    frame: bytes
    tables: list[tuple[int, bytes]]
    scan: bytes
    data: bytes

    @classmethod
    def read(cls, strip: bytes) -> _Strip:
        segments, data_start = _segments(strip)
        markers = dict(segments)
        frame_marker = min(marker for marker in markers if marker in _FRAMES)
        frame, scan = markers[frame_marker], markers[_SCAN]
        if frame_marker not in _SEQUENTIAL_FRAMES or _RESTARTS in markers or scan[0] != frame[5]:
            raise ValueError("the strip is not coded in one sequence")
        data_end = strip.rfind(bytes((0xFF, _END)))
        tables = [segment for segment in segments if segment[0] in _TABLES]
        return cls(frame_marker, frame, tables, scan, strip[data_start : data_end if data_end > 0 else None])

    @property
    def layout(self) -> tuple[int, bytes, bytes, bytes]:
        """What all strips must share: everything but their height."""
        return self.frame_marker, self.frame[:1], self.frame[3:], self.scan

    def units_in(self, rows: int) -> int:
        """Count the coding units of so many rows, which must end with a row of units."""
        width, samplings = int.from_bytes(self.frame[3:5], "big"), self.frame[7::3]
        across, down = _BLOCK * (max(samplings) >> 4), _BLOCK * max(sampling & 15 for sampling in samplings)
        units = -(-width // across) * (rows // down)
        if rows % down or not 0 < units <= 0xFFFF:
            raise ValueError("the strip does not end with a row of units")
        return units


def _segments(jpeg: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Read the segments before the first data, and tell where those start."""
    segments: list[tuple[int, bytes]] = []
    position = 2
    while position + 4 <= len(jpeg) and not (segments and segments[-1][0] == _SCAN):
        fill, marker, length = struct.unpack_from(">BBH", jpeg, position)
        if fill != 0xFF or length < 2:
            raise ValueError("no marker where one must be")
        segments.append((marker, jpeg[position + 4 : position + 2 + length]))
        position += 2 + length
    return segments, position
