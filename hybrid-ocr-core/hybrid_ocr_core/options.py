"""What a client may ask of a job, and how it is spelled. Shared, so that API and worker read it alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from hybrid_ocr_core.errors import BadRequest, UnsupportedLanguage

#: Result formats in the order in which they are made. Grows with the formats; ``json`` is always made.
OUTPUTS = ("json", "txt", "pdf", "md", "hocr", "alto", "tsv", "textract")
DEFAULT_OUTPUTS = ("json", "txt", "pdf")

#: A page, or a range of them.
PAGES = "[1-9][0-9]{0,5}(?:-[1-9][0-9]{0,5})?"


class Mode(StrEnum):
    """Who decides where a page's words come from."""

    AUTO = "auto"
    FORCE = "force"
    NATIVE_ONLY = "native_only"


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Pages asked for, as ranges counted from 1, both ends included. No ranges: all pages."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> PageSelection:
        """Read ``1-5,9``.

        Raises:
            BadRequest: the text is not of that form, or a range runs backwards.
        """
        ranges = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            if not re.fullmatch(PAGES, part):
                raise BadRequest(f"pages: {part!r} is not a page or a range; write it like 1-5,9")
            first, _, last = part.partition("-")
            if int(last or first) < int(first):
                raise BadRequest(f"pages: {part!r} must run upwards")
            ranges.append((int(first), int(last or first)))
        return cls(tuple(sorted(ranges)))

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.ranges)

    def of(self, count: int) -> list[int]:
        """The selected page numbers of a document with ``count`` pages, ascending, each once."""
        if not self.ranges:
            return list(range(1, count + 1))
        chosen = {n for first, last in self.ranges for n in range(first, min(last, count) + 1)}
        return sorted(chosen)


class SpelledOptions(TypedDict):
    """Options as a form has them."""

    languages: str
    mode: Mode
    outputs: str
    pages: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of one job, validated."""

    languages: tuple[str, ...] = ("eng",)
    mode: Mode = Mode.AUTO
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    pages: PageSelection = PageSelection()

    def spelled(self) -> SpelledOptions:
        """The form by which they could have been asked for."""
        return {
            "languages": "+".join(self.languages),
            "mode": self.mode,
            "outputs": ",".join(self.outputs),
            "pages": str(self.pages),
        }


def parse_languages(text: str, installed: tuple[str, ...]) -> tuple[str, ...]:
    """Read ``eng+deu`` (a comma or a blank serves as well); the first language installed is the default.

    Raises:
        UnsupportedLanguage: one of them is not installed; the message lists those that are.
    """
    wanted = tuple(dict.fromkeys(filter(None, re.split(r"[+,\s]+", text.strip()))))
    if not wanted:
        return installed[:1]
    for language in wanted:
        if language not in installed:
            raise UnsupportedLanguage(
                f"language {language[:32]!r} is not installed; installed are: {', '.join(installed)}"
            )
    return wanted


def parse_outputs(text: str) -> tuple[str, ...]:
    """Read ``txt,pdf``; ``json`` is always among the outputs.

    Raises:
        BadRequest: there is no such output.
    """
    wanted = set(filter(None, (piece.strip() for piece in text.split(",")))) or set(DEFAULT_OUTPUTS)
    unknown = sorted(wanted - set(OUTPUTS))
    if unknown:
        raise BadRequest(f"outputs: {unknown[0][:32]!r} is unknown; known are: {', '.join(OUTPUTS)}")
    return tuple(name for name in OUTPUTS if name in wanted or name == "json")
