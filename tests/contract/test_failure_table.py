"""docs/failures.md and the marks of the tests are one: each row has its tests, each mark its row."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.conftest import ROOT

_ALL = set(range(1, 51))
#: There is nothing to hold yet; the table says what each waits for.
_NOT_YET = {44, 45}


class Row(NamedTuple):
    number: int
    what_happens: str
    tests: list[str]


def _rows() -> list[Row]:
    lines = re.findall(r"^\| (\d+) \|[^|]+\|([^|]+)\|([^|]*)\|$", (ROOT / "docs/failures.md").read_text(), re.MULTILINE)
    return [Row(int(number), text.strip(), re.findall(r"`(\w+)`", tests)) for number, text, tests in lines]


def _marks() -> dict[str, set[int]]:
    """Test name -> the rows that its marks name; a test may have namesakes in other files."""
    found: dict[str, set[int]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name].update(*(_numbers(tree, decorator) for decorator in node.decorator_list))
    return found


def _numbers(tree: ast.Module, decorator: ast.expr) -> Iterator[int]:
    """Those of ``failure(3, 8)``, also inside ``parametrize``; for ``failure(*_ROWS[name])`` all that it may be."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "failure":
            for argument in node.args:
                if isinstance(argument, ast.Starred):
                    yield from _of_dictionary(tree, argument)
                else:
                    yield int(ast.literal_eval(argument))


def _of_dictionary(tree: ast.Module, starred: ast.Starred) -> Iterator[int]:
    names = {node.id for node in ast.walk(starred) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names:
            for numbers in ast.literal_eval(node.value).values():
                yield from numbers


_TABLE = _rows()
_MARKS = _marks()


def test_every_row_is_there_once_and_in_order() -> None:
    assert [row.number for row in _TABLE] == sorted(_ALL)


def test_every_row_in_scope_has_a_test_that_is_marked_with_it() -> None:
    held = set().union(*_MARKS.values())

    assert _ALL - _NOT_YET - held == set()
    assert {row.number for row in _TABLE if not row.tests} == _NOT_YET


def test_every_row_out_of_scope_says_so() -> None:
    assert all(row.what_happens.startswith("*Not yet*") for row in _TABLE if row.number in _NOT_YET)


def test_every_test_that_the_table_names_exists_and_is_marked_with_the_row() -> None:
    wrong = [(row.number, name) for row in _TABLE for name in row.tests if row.number not in _MARKS.get(name, set())]

    assert wrong == []


def test_no_mark_names_a_row_that_the_table_does_not_have() -> None:
    assert {name: rows - _ALL for name, rows in _MARKS.items() if rows - _ALL} == {}
