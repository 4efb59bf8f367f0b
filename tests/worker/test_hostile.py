"""Every hostile file ends in bounded time with a right code, or is read; what comes after it is read as ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid_ocr_core.errors import DOCUMENT_CODES
from tests.hostile import HOSTILE, Hostile
from tests.hostile.gauntlet import READ, WORDLESS, Gauntlet, faults_of, gauntlet, resident_bytes
from tests.make_documents import born_digital

_MOST_GROWTH_BYTES = 64 << 20


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gauntlet]:
    """One child for all of them, as in a worker, unless one of them ends it."""
    with gauntlet(tmp_path_factory.mktemp("scratch"), preflight_seconds=2, page_seconds=3) as course:
        before = resident_bytes()
        yield course
        assert course.run(born_digital()).end == READ
        assert resident_bytes() - before < _MOST_GROWTH_BYTES


@pytest.mark.failure(30, 36, 38)
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(hostile, id=hostile.name, marks=[pytest.mark.long] if hostile.is_long else [])
        for hostile in HOSTILE.values()
    ],
)
def test_a_hostile_file_ends_well(course: Gauntlet, hostile: Hostile) -> None:
    outcome = course.run(hostile.make())

    assert faults_of(course, outcome, hostile.ends) == []


def test_the_ends_that_are_expected_are_on_the_closed_list() -> None:
    expected = frozenset[str]().union(*(hostile.ends for hostile in HOSTILE.values()))

    assert expected <= {READ, WORDLESS, *DOCUMENT_CODES}


@pytest.mark.long
def test_a_hostile_file_is_the_same_every_time() -> None:
    for hostile in HOSTILE.values():
        assert hostile.make() == hostile.make(), hostile.name
