"""Finds the invisible text in a run of content, and tells what to cut so that all else is drawn as before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hybrid_ocr_worker.ocr.content_stream import Instruction

INVISIBLE: Final = 3  # the text rendering mode that neither fills nor strokes nor clips

_SHOWING: Final = frozenset({b"Tj", b"TJ", b"'", b'"'})
_PLACING: Final = frozenset({b"Td", b"TD", b"Tm", b"T*"})
_SETTING: Final = frozenset({b"Tf", b"Tz", b"Tc", b"Tw", b"TL", b"Ts", b"Tr"})
_MARKING: Final = frozenset({b"BMC", b"BDC", b"EMC", b"MP", b"DP"})


class Edit(NamedTuple):
    """Bytes of one of the run's streams to be replaced."""

    stream: int
    start: int
    end: int
    replacement: bytes


@dataclass(slots=True)
class InvisibleText:
    """Follows the rendering mode through a run: it outlives ET, is saved by q, and passes from stream to stream."""

    mode: int
    edits: list[Edit] = field(default_factory=list)
    _saved_modes: list[int] = field(default_factory=list)
    _text: _TextObject | None = None

    def follow(self, stream: int, instruction: Instruction) -> None:
        """Take the run's next instruction."""
        match instruction.operator:
            case b"q":
                self._saved_modes.append(self.mode)
            case b"Q":
                self.mode = self._saved_modes.pop() if self._saved_modes else self.mode
            case b"Tr":
                self.mode = _mode(instruction, self.mode)
            case b"BT" | b"ET":
                self.end_text()
                self._text = _TextObject() if instruction.operator == b"BT" else None
                return
        if self._text is not None:
            self._text.follow(Edit(stream, instruction.start, instruction.end, b""), instruction, self.mode)

    def end_text(self) -> None:
        """Settle what to cut from the text object that ends here."""
        if self._text is not None:
            self.edits += self._text.edits()
        self._text = None


@dataclass(slots=True)
class _TextObject:
    """What came since BT. Cuts are kept back, for visible text may lean on them."""

    _shows: list[Edit] = field(default_factory=list)
    _leaned_on: list[Edit] = field(default_factory=list)  # shows since the last placing: they moved the pen
    _spare: list[Edit] = field(default_factory=list)  # placings, and settings that a later one overrides
    _last_setting: dict[bytes, Edit] = field(default_factory=dict)
    _is_plain: bool = True
    _shows_ink: bool = False

    def follow(self, cut: Edit, instruction: Instruction, mode: int) -> None:
        operator = instruction.operator
        if operator in _SHOWING:
            self._show(cut, instruction, mode)
        elif operator in _PLACING:
            self._leaned_on = []
            self._spare.append(cut._replace(replacement=_leading(instruction)))
        elif operator in _SETTING:
            if operator in self._last_setting:
                self._spare.append(self._last_setting[operator])
            self._last_setting[operator] = cut
        elif operator not in _MARKING:
            self._is_plain = False

    def _show(self, cut: Edit, instruction: Instruction, mode: int) -> None:
        starts_line = instruction.operator in (b"'", b'"')
        if starts_line:
            self._leaned_on = []
        if mode == INVISIBLE:
            cut = cut._replace(replacement=_next_line(instruction))
            self._is_plain &= not starts_line
            self._shows.append(cut)
            self._leaned_on.append(cut)
            return
        # Visible text that starts where invisible text ended: without the fonts' widths its place is only sure if the
        # invisible text stays.
        self._shows_ink = True
        del self._shows[len(self._shows) - len(self._leaned_on) :]
        self._leaned_on = []

    def edits(self) -> list[Edit]:
        """Cut the invisible shows; where nothing else was shown, cut what only led up to them too."""
        only_invisible = self._shows and self._is_plain and not self._shows_ink
        return self._shows + self._spare if only_invisible else self._shows


def _mode(instruction: Instruction, before: int) -> int:
    """Read the operand of Tr; one that is no whole number changes nothing, to poppler at least."""
    try:
        return int(instruction.operands[-1])
    except (IndexError, ValueError):
        return before


def _next_line(instruction: Instruction) -> bytes:
    """Keep what a show does besides: it may start a new line, and set the word and the character spacing."""
    if instruction.operator == b"'":
        return b" T*"
    if instruction.operator == b'"' and len(instruction.operands) >= 2:
        return b" %s Tw %s Tc T*" % instruction.operands[:2]
    return b""


def _leading(instruction: Instruction) -> bytes:
    """Keep what a placing does besides: TD sets the leading."""
    if instruction.operator == b"TD" and len(instruction.operands) == 2:
        return b"%s TL" % (b"%.5f" % -float(instruction.operands[1])).rstrip(b"0").rstrip(b".")
    return b""
