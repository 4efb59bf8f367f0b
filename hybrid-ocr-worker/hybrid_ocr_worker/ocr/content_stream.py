"""Reads a content stream into its instructions, each with its place in the bytes.

pikepdf's parser gives values, not places, and writes a stream anew. To take a few instructions out and leave every
other byte as it is, the places are what counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pikepdf import Array, Object, Stream

_TOKEN: Final = re.compile(
    rb"""
      (?P<blank>[\0\t\n\f\r\ ]+ | %[^\r\n]*)
    | (?P<string>\()
    | (?P<name>/[^\0\t\n\f\r\ ()<>\[\]{}/%]*)
    | (?P<hex><(?!<)[^>]*>)
    | (?P<mark><<|>>|[\[\]{}()<>])
    | (?P<word>[^\0\t\n\f\r\ ()<>\[\]{}/%]+)
    """,
    re.VERBOSE,
)
_IN_STRING: Final = re.compile(rb"[()]|\\.?", re.DOTALL)
_NUMBER_START: Final = frozenset(b"+-.0123456789")
_KEYWORD_OPERANDS: Final = frozenset({b"true", b"false", b"null"})
_END_OF_IMAGE: Final = re.compile(rb"[\0\t\n\f\r ]EI(?=[\0\t\n\f\r /<\[(]|$)")
_LIKE_CONTENT: Final = re.compile(rb"[\t\n\f\r\x20-\x7e\0]*")
_LOOK_AHEAD: Final = 24


class UnreadableContentError(Exception):
    """The bytes cannot be told into instructions."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """An operator with its operands; ``start`` is where the first operand starts, ``end`` is behind the operator."""

    operator: bytes
    operands: tuple[bytes, ...]
    start: int
    end: int


def page_streams(page: Object) -> list[Stream]:
    """List the streams of a page's contents; what else stands there by mistake is left out, as readers do."""
    contents = page.get("/Contents")
    return [item for item in (contents if isinstance(contents, Array) else [contents]) if isinstance(item, Stream)]


def instructions(content: bytes) -> Iterator[Instruction]:
    """Tell content into instructions; an inline image is one, named BI.

    Raises:
        UnreadableContentError: a string or an inline image has no end, or operands wait for an operator at the end.

    """
    operands: list[bytes] = []
    start, position = 0, 0
    while match := _TOKEN.match(content, position):
        kind, begin, position = match.lastgroup, position, match.end()
        if kind == "blank":
            continue
        if kind == "string":
            position = _string_end(content, position)
        if not operands:
            start = begin
        token = content[begin:position]
        if kind != "word" or token[0] in _NUMBER_START or token in _KEYWORD_OPERANDS:
            operands.append(token)
            continue
        if token == b"BI":
            position = _image_end(content, position)
        yield Instruction(token, tuple(operands), start, position)
        operands = []
    if operands:
        raise UnreadableContentError("operands without an operator")


def _string_end(content: bytes, position: int) -> int:
    depth = 1
    for match in _IN_STRING.finditer(content, position):
        depth += {b"(": 1, b")": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    raise UnreadableContentError("a string without an end")


def _image_end(content: bytes, position: int) -> int:
    """Find the end of an inline image: the data may hold "EI" by chance, so what follows must look like content."""
    data_start = _image_data(content, position)
    for match in _END_OF_IMAGE.finditer(content, data_start - 1):
        following = content[match.end() : match.end() + _LOOK_AHEAD]
        if _LIKE_CONTENT.fullmatch(following):
            return match.end()
    raise UnreadableContentError("an inline image without an end")


def _image_data(content: bytes, position: int) -> int:
    while match := _TOKEN.match(content, position):
        position = _string_end(content, match.end()) if match.lastgroup == "string" else match.end()
        if match[0] == b"ID":
            return position + 1
    raise UnreadableContentError("an inline image without data")
