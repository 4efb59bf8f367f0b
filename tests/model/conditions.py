"""Evaluates DynamoDB condition expressions as the store writes them, so that the model explores the real ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<exists>attribute_(?:not_)?exists\((?P<name>\w+)\))|(?P<word>AND|OR)|(?P<bracket>[()])"
    r"|(?P<compare><=|>=|<>|=|<|>)|(?P<value>:\w+)|(?P<attribute>#?\w+)"
)
_OPERATORS = {"=": "==", "<>": "!="}

Guard = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


class _Missing:
    """A missing attribute: every comparison with it is false, as in DynamoDB."""

    def __eq__(self, _other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]
    __lt__ = __gt__ = __le__ = __ge__ = __eq__


@cache
def compiled(expression: str) -> Guard:
    """An expression as a function of an item and the expression's values."""
    python = "".join(_translated(match) for match in _TOKEN.finditer(expression))
    assert "".join(match[0] for match in _TOKEN.finditer(expression)) == expression, "a token is not understood"
    guard = eval(f"lambda item, values: {python}", {"missing": _Missing()})
    return lambda item, values: bool(guard(item, values))


def _translated(match: re.Match[str]) -> str:
    if match["exists"]:
        return f"({match['name']!r} {'not in' if 'not' in match['exists'] else 'in'} item)"
    if match["word"]:
        return f" {match['word'].lower()} "
    if match["compare"]:
        return _OPERATORS.get(match["compare"], match["compare"])
    if match["value"]:
        return f"values[{match['value']!r}]"
    if match["attribute"]:
        return f"item.get({match['attribute'].removeprefix('#')!r}, missing)"
    return match[0]


_ATOM = re.compile(r"attribute_(?:not_)?exists\(\w+\)|#?\w+ (?:<=|>=|<>|=|<|>) :\w+")
_TRUE = "attribute_not_exists(never)"


def without_each(expression: str) -> list[tuple[str, str]]:
    """Each single condition of the expression taken away, by making it true: (the condition, the expression)."""
    return [
        (match[0], expression[: match.start()] + _TRUE + expression[match.end() :])
        for match in _ATOM.finditer(expression)
    ]
