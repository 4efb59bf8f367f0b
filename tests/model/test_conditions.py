"""The expressions that the model evaluates mean what they mean to DynamoDB."""

from __future__ import annotations

import pytest

from hybrid_ocr_core import chunk_store, job_store
from tests.model.conditions import compiled, without_each
from tests.model.store import CONDITIONS, Protocol


@pytest.mark.parametrize(
    ("expression", "item", "holds"),
    [
        ("attribute_exists(pk)", {}, False),
        ("attribute_not_exists(pk)", {}, True),
        ("attempt = :a", {"attempt": 1}, True),
        ("attempt = :a", {}, False),
        ("attempt < :b AND attempt >= :a", {"attempt": 1}, True),
        ("(#status = :s OR (attempt = :b AND attempt < :a))", {"status": "S"}, True),
        ("#status = :s AND attempt <> :a", {"status": "S", "attempt": 1}, False),
    ],
)
def test_expressions_mean_what_they_mean_to_dynamodb(expression: str, item: dict[str, object], holds: bool) -> None:
    assert compiled(expression)(item, {":a": 1, ":b": 2, ":s": "S"}) is holds


def test_the_model_is_explored_with_the_conditions_of_the_store() -> None:
    stores = job_store.CONDITIONS, job_store.SPLIT_CONDITIONS, chunk_store.CONDITIONS
    theirs = sorted(condition for conditions in stores for condition in conditions.values())

    assert sorted(Protocol().conditions.values()) == theirs


@pytest.mark.parametrize("transition", CONDITIONS)
def test_each_single_condition_can_be_taken_away(transition: str) -> None:
    expression = CONDITIONS[transition]
    mutants = without_each(expression)

    assert len(mutants) == expression.count(" AND ") + expression.count(" OR ") + 1
    assert all(taken in expression and changed != expression for taken, changed in mutants)
