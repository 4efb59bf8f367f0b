"""The rules that decide on a page's source, on numbers alone."""

from __future__ import annotations

import pytest

from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr.geometry import ShownPage
from hybrid_ocr_worker.ocr.native_text import Character, NativeText, Picture
from hybrid_ocr_worker.ocr.plausibility import plausibility
from hybrid_ocr_worker.ocr.result import Box, Source
from hybrid_ocr_worker.ocr.router import LEAST_PLAUSIBLE, route
from tests.make_documents import DOCUMENTS

_PAGE = ShownPage(left=0, bottom=0, right=600, top=800, rotate=0)
_PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom, the age of foolishness. " * 2


def _native(text: str = _PROSE, *, pictures: tuple[Box, ...] = (), **counts: int) -> NativeText:
    """A page with its text in a band at the top."""
    characters = [
        Character("", (0, 0, 0, 0), is_space=True) if letter == " " else Character(letter, (x, 50, x + 5, 60))
        for x, letter in enumerate(text)
    ]
    return NativeText(
        page=_PAGE,
        characters=characters,
        pictures=[Picture(box, 200, index, is_opaque=True) for index, box in enumerate(pictures)],
        **{"visible": sum(not character.is_space for character in characters), **counts},
    )


@pytest.mark.parametrize(
    ("native", "source", "reason"),
    [
        (_native(), Source.NATIVE, "sound_text"),
        (_native(""), Source.OCR, "no_text"),
        (_native("", invisible=500), Source.OCR, "untrusted_invisible_text"),
        (_native("", hidden=500), Source.OCR, "untrusted_invisible_text"),
        (_native(invisible=2000), Source.OCR, "untrusted_invisible_text"),
        (_native(unmapped=50), Source.OCR, "unmapped_text"),
        (_native(unmapped=5), Source.NATIVE, "sound_text"),
        (_native("Page 3", paths=40), Source.OCR, "sparse_text"),
        (_native("Page 3"), Source.NATIVE, "sound_text"),
        (_native(pictures=((0, 100, 600, 800),)), Source.HYBRID, "text_and_pictures"),
        (_native(pictures=((0, 100, 40, 140),)), Source.NATIVE, "sound_text"),
        (_native("Page 3", pictures=((0, 0, 600, 800),)), Source.HYBRID, "text_and_pictures"),
    ],
)
def test_a_page_goes_the_cheapest_way_that_is_good_enough(native: NativeText, source: Source, reason: str) -> None:
    chosen = route(native, Mode.AUTO)

    assert (chosen.source, chosen.reason) == (source, reason)


def test_letters_that_are_mapped_wrongly_are_not_believed() -> None:
    shifted = "".join(chr((ord(c) - 96) % 26 + 97) if c.isalpha() else c for c in _PROSE.lower())

    chosen = route(_native(shifted), Mode.AUTO)

    assert (chosen.source, chosen.reason, chosen.is_doubtful) == (Source.OCR, "implausible_text", True)


def test_the_caller_may_overrule_the_evidence() -> None:
    assert route(_native(), Mode.FORCE).source is Source.OCR
    assert route(_native(""), Mode.NATIVE_ONLY).source is Source.NATIVE


def test_the_evidence_is_part_of_the_answer() -> None:
    evidence = route(
        _native(pictures=((0, 0, 600, 800),), unmapped=5, invisible=7, hidden=3, paths=2), Mode.AUTO
    ).evidence

    assert evidence["chars"] == sum(letter != " " for letter in _PROSE)
    assert (evidence["invisible_chars"], evidence["hidden_chars"], evidence["paths"]) == (7, 3, 2)
    assert evidence["image_coverage"] == 1.0
    assert 0.9 < evidence["picture_coverage"] < 1.0


@pytest.mark.parametrize("shift", [1, 3, 7, 13])
def test_real_language_is_told_from_shifted_letters(shift: int) -> None:
    text = (DOCUMENTS / "linn.txt").read_text().lower()
    garbled = "".join(chr((ord(c) - 97 + shift) % 26 + 97) if "a" <= c <= "z" else c for c in text)

    assert (plausibility(text) or 0) > LEAST_PLAUSIBLE + 0.2
    assert (plausibility(garbled) or 1) < LEAST_PLAUSIBLE


@pytest.mark.parametrize("text", ["", "短い", "AB-12 4711", "Привет, мир! " * 50])
def test_what_cannot_be_judged_is_not_judged(text: str) -> None:
    assert plausibility(text) is None
