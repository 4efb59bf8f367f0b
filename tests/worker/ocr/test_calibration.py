"""What the worker says of its words: the shipped calibration, and where it is applied."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_ocr_core.job import Triage
from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr.calibration import SHIPPED, Calibration, shipped
from hybrid_ocr_worker.ocr.engine import OcrEngine
from hybrid_ocr_worker.ocr.native_text import NativeTextReader
from hybrid_ocr_worker.ocr.reader import PageReader
from hybrid_ocr_worker.ocr.result import PageResult
from hybrid_ocr_worker.recognition import Summary
from tests.conftest import ROOT
from tests.make_documents import DOCUMENTS, GENERATED, scan_image
from tests.worker.ocr.test_engines import engine  # noqa: F401 - fixture

#: Expected calibration error on the half that nothing was fitted on; at most.
_BAR = 0.03
_SCORES = st.floats(0, 100)
_RAW = Calibration([(0, 0), (100, 100)])
#: Under every threshold of the reader and above it, by turns: whoever looked at these would decide otherwise.
_WORTHLESS = Calibration([(0, 0), (100, 10)])


@given(_SCORES, _SCORES)
def test_the_shipped_calibration_never_falls_and_stays_in_bounds(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert 0 <= shipped()(low) <= shipped()(high) <= 100


def test_the_shipped_data_say_where_they_come_from() -> None:
    data = json.loads(SHIPPED.read_text(encoding="utf-8"))

    assert data.keys() >= {"made_by", "made_on", "engines", "corpus", "seed", "fitted_on", "tested_on"}
    assert data["engines"].keys() == data["ece_before"].keys() == data["ece_after"].keys()
    for name, after in data["ece_after"].items():
        assert after < data["ece_before"][name]
        assert after <= _BAR
    assert all(0 < share < 100 for _, share in data["points"])  # nothing is certain


def test_the_figures_that_are_told_are_those_of_the_shipped_data() -> None:
    data = json.loads(SHIPPED.read_text(encoding="utf-8"))
    bench, reference, changes = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("bench/README.md", "docs/api.md", "CHANGELOG.md")
    )

    for name in data["engines"]:
        row = re.search(rf"\*\*held-out half\*\*, {name}.* \| (0\.\d+) \(.*\| \*\*(0\.\d+)\*\*", bench)
        assert row is not None
        assert row.groups() == (f"{data['ece_before'][name]:.3f}", f"{data['ece_after'][name]:.3f}")
    before, after = (fmean(data[name].values()) for name in ("ece_before", "ece_after"))
    for text in (reference, changes):
        assert f"ECE {after:.3f} instead of {before:.3f}" in text
    assert f"ECE ≤ {_BAR}" in bench


def test_between_two_points_the_line_is_straight() -> None:
    calibration = Calibration([(0, 10), (50, 20), (80, 80), (100, 90)])

    assert [calibration(score) for score in (0, 25, 50, 65, 80, 100)] == [10, 15, 20, 50, 80, 90]


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, 50)],
        [(1, 0), (100, 100)],
        [(0, 0), (99, 100)],
        [(0, 0), (50, 60), (50, 70), (100, 100)],
        [(0, 0), (50, 60), (60, 59), (100, 100)],
        [(0, -1), (100, 100)],
        [(0, 0), (100, 101)],
    ],
)
def test_what_is_no_rising_line_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"points|share"):
        Calibration(points)


def _read(
    engine: OcrEngine,  # noqa: F811 - fixture
    path: Path,
    calibration: Calibration | None = None,
) -> PageResult:
    reader = PageReader(engine, ("eng",), page_seconds=60, calibration=calibration)
    if path.suffix == ".pdf":
        return reader.read_pdf_page(path, NativeTextReader(path), 1, unit=1, mode=Mode.AUTO)
    return reader.read_image_page(path, 0, 1, mode=Mode.AUTO)


def test_the_words_of_a_scan_carry_calibrated_confidences(engine: OcrEngine) -> None:  # noqa: F811 - fixture
    raw, page = _read(engine, DOCUMENTS / "phototest.tif", _RAW), _read(engine, DOCUMENTS / "phototest.tif")

    expected = [shipped()(word.confidence) for word in raw.words]
    assert [word.confidence for word in page.words] == expected
    assert expected != [word.confidence for word in raw.words]
    assert page.confidence == pytest.approx(sum(expected) / len(expected))


def test_native_words_are_certain_beside_calibrated_ones(engine: OcrEngine, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "document.pdf"
    path.write_bytes(GENERATED["text-and-picture.pdf"]())

    page = _read(engine, path, _WORTHLESS)

    assert {word.confidence for word in page.words if word.native} == {100.0}
    seen = [word.confidence for word in page.words if not word.native]
    assert seen
    assert max(seen) <= 10


@pytest.mark.parametrize(
    "name", ["truetype_font_nomapping.pdf", "rot90.pdf", "eurotext.tif", "phototest-rotated-L.png"]
)
def test_what_the_reader_decides_it_decides_by_tesseracts_own_scores(
    engine: OcrEngine,  # noqa: F811 - fixture
    name: str,
) -> None:
    expected, found = _read(engine, DOCUMENTS / name), _read(engine, DOCUMENTS / name, _WORTHLESS)

    assert (found.source, found.reason, found.rotation) == (expected.source, expected.reason, expected.rotation)
    assert found.text == expected.text


@pytest.mark.parametrize(("pixels", "band"), [(310, Triage.APPROVED), (230, Triage.REVIEW), (170, Triage.REJECTED)])
def test_the_worse_a_scan_the_lower_its_band(
    engine: OcrEngine,  # noqa: F811 - fixture
    tmp_path: Path,
    pixels: int,
    band: Triage,
) -> None:
    scan = scan_image()
    scan.resize((pixels, pixels * 1754 // 1240)).resize(scan.size).save(tmp_path / "scan.png", dpi=(150, 150))

    assert _triage(_read(engine, tmp_path / "scan.png")) is band


def _triage(page: PageResult) -> Triage:
    summary = Summary()
    assert list(summary.of([page])) == [page]
    confidence = summary.confidence()
    assert confidence is not None
    return confidence.triage
