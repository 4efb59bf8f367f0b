"""The parts of `make calibration`, by hand-made words."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.confidence.alignment import folded, right_words
from bench.confidence.corpus import Sample, halves
from bench.confidence.diagram import Panel, reliability_diagram
from bench.confidence.fitting import fit
from bench.confidence.reading import Judged
from bench.confidence.reliability import BINS, Claim, ece, equal_mass_bins, equal_width_bins
from hybrid_ocr_worker.ocr.calibration import Calibration

_TRUTH = "the quick brown dog jumped over the lazy fox and went on to the end of the road"


def _right(read: str, truth: str = _TRUTH) -> str:
    """A mark for each word that was read."""
    return "".join("+" if right else "-" for right in right_words(read.split(), truth.split()))


def test_what_was_misread_is_wrong_and_nothing_around_it() -> None:
    assert _right("the quick brovvn dog jumped over thelazy fox and") == "++-+++-++"


def test_the_order_of_columns_does_not_matter() -> None:
    left, right = "one two three four five ", "six seven eight nine ten "
    by_rows = "one two six seven three four eight nine five ten"

    assert _right(by_rows, left + right) == "+" * 10
    assert _right(right + left, left + right) == "+" * 10


def test_a_word_of_the_truth_is_found_once() -> None:
    assert _right("lazy fox lazy fox") == "++--"


def test_a_short_word_far_from_its_neighbours_is_chance() -> None:
    truth = "a b c d e f g h i j k l m n o p q r s t"

    assert _right("a b c d t", truth) == "++++-"
    assert _right("a b c x e", truth) == "+++-+"
    assert _right("a b c d standing", truth + " standing") == "+++++"


def test_what_print_writes_in_two_ways_is_one() -> None:
    assert folded("daß „Iſt” ﬁn — Mu\u0364he K\ue72bhe") == folded('daß "Ist" fin - Mühe Kühe')
    assert folded("Café") != folded("cafe")


def test_ece_by_hand() -> None:
    claims = [Claim(confidence=90, is_right=right) for right in (True, True, True, False)]
    claims += [Claim(confidence=50, is_right=right, weight=2) for right in (True, False)]

    # |0.9 - 0.75| by 4 of 8, |0.5 - 0.5| by the other 4.
    assert ece(equal_mass_bins(claims)) == pytest.approx(0.075)
    assert ece(equal_width_bins(claims)) == pytest.approx(0.075)


def test_bins_of_equal_mass_hold_about_the_same_and_keep_equal_claims_together() -> None:
    claims = [Claim(confidence=number % 100, is_right=True) for number in range(1500)]
    claims += [Claim(confidence=96.5, is_right=True) for _ in range(600)]

    bins = equal_mass_bins(claims)

    assert len(bins) <= BINS
    assert sum(one.weight for one in bins) == len(claims)
    assert sum(one.weight > 2 * len(claims) / BINS for one in bins) == 1


@given(st.lists(st.tuples(st.floats(0, 100).map(lambda score: round(score, 2)), st.booleans()), min_size=1))
def test_whatever_is_fitted_is_a_calibration(words: list[tuple[float, bool]]) -> None:
    points = fit([Judged(score=score, is_right=right, weight=0.5) for score, right in words])

    calibration = Calibration(points)
    told = [calibration(score) for score in range(101)]
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] < 100  # nothing is certain, however often it was seen
    assert [calibration(score) for score, _ in points] == pytest.approx([share for _, share in points], abs=0.01)


def test_a_fit_brings_claims_to_the_truth() -> None:
    dice = Random(1)
    scores = [dice.uniform(0, 100) for _ in range(20_000)]
    words = [Judged(score=score, is_right=dice.random() < (score / 100) ** 3, weight=1) for score in scores]

    calibration = Calibration(fit(words[::2]))

    raw = [Claim(confidence=word.score, is_right=word.is_right) for word in words[1::2]]
    calibrated = [Claim(confidence=calibration(word.score), is_right=word.is_right) for word in words[1::2]]
    assert ece(equal_mass_bins(raw)) > 0.2
    assert ece(equal_mass_bins(calibrated)) < 0.02
    assert calibration(20) < 5  # else any constant would do
    assert calibration(95) > 75


def _sample(document: str, words: int, copies: int = 1, *, is_real: bool = True) -> Sample:
    return Sample(
        name=document,
        path=Path(document),
        languages=("eng",),
        truth=("word",) * words,
        document=document,
        is_real=is_real,
        copies=copies,
    )


@given(st.integers(0, 100))
def test_a_document_is_on_one_side_only_and_copies_weigh_as_one(seed: int) -> None:
    found = [_sample("page", 600, copies=6)] * 6 + [_sample(f"page-{number}", 100) for number in range(12)]

    fitted, tested = halves(found, seed)

    assert len(fitted) + len(tested) == len(found)
    assert not {sample.document for sample in fitted} & {sample.document for sample in tested}
    sizes = [sum(len(sample.truth) / sample.copies for sample in half) for half in (fitted, tested)]
    assert min(sizes) >= 600
    assert halves(found, seed) == (fitted, tested)


@given(st.integers(0, 100))
def test_either_half_has_real_scans(seed: int) -> None:
    found = [_sample(f"real-{number}", 100) for number in range(4)]
    found += [_sample(f"printed-{number}", 100, is_real=False) for number in range(12)]

    for half in halves(found, seed):
        assert sum(sample.is_real for sample in half) == 2


def test_formulas_are_no_prose() -> None:
    sample = _sample("page", 1)

    assert replace(sample, truth=tuple(folded("Sei X ein Raum, d eine Metrik."))).is_prose
    assert not replace(sample, truth=tuple(folded("Sei x ∈ X : ( x 1 , . . . , x n ) ↦ 2 y"))).is_prose


def test_the_diagram_is_drawn() -> None:
    bins = equal_mass_bins([Claim(confidence=number, is_right=number % 2 > 0) for number in range(100)])

    drawn = ET.fromstring(reliability_diagram([Panel(title="one", bins=bins, ece=0.25)] * 2))

    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == 2 * len(bins)
    assert "ECE 0.250" in [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
