"""The searchable PDF: words lie on the ink, everything else is as it was."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from itertools import chain, product
from pathlib import Path

import pytest
from pikepdf import Array, Dictionary, Encryption, Name, ObjectStreamMode, Pdf, StreamDecodeLevel
from PIL import ImageChops

from hybrid_ocr_worker.ocr.result import Box, PageResult, Source, Word
from hybrid_ocr_worker.ocr.text_layer import draw_searchable_pdf
from tests.worker.ocr.pdf_builders import (
    Shape,
    a_page,
    a_word,
    ink_as_shown,
    ink_pdf,
    overlap,
    page_contents,
    pdfium_text,
    pdfium_word_box,
    poppler_text,
    poppler_words,
    rendered,
    scaled,
    text_pdf,
)

_MEDIA: list[Box] = [(0, 0, 300, 400), (100, 200, 400, 600), (-150, -50, 150, 350), (400.5, 500, 100.5, 100)]
_CROPS: list[Box | None] = [None, (20, 30, 250, 380), (280, 10.25, 5, 390), (-1000, -1000, 2000, 2000)]
_ROTATES = [None, 0, 90, 180, 270, -90, -270, 450]


def _shapes() -> list[Shape]:
    """Each media box with each rotation; crop boxes, units and inheritance take turns so that all pairs come up."""
    shapes = []
    for number, (media, rotate) in enumerate(product(_MEDIA, _ROTATES)):
        crop = _CROPS[(number + number // 8) % 4]
        left, bottom = min(media[0], media[2]), min(media[1], media[3])
        moved = crop and (crop[0] + left, crop[1] + bottom, crop[2] + left, crop[3] + bottom)
        unit = [None, 2.5, None][number % 3]
        shapes.append(Shape(media=media, crop=moved, rotate=rotate, user_unit=unit, is_inherited=number % 5 < 2))
    return shapes


def _visible(shape: Shape) -> Box:
    boxes = [
        (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3]))
        for box in (shape.media, shape.crop or shape.media)
    ]
    lows = [max(pair) for pair in zip(boxes[0][:2], boxes[1][:2], strict=True)]
    highs = [min(pair) for pair in zip(boxes[0][2:], boxes[1][2:], strict=True)]
    return lows[0], lows[1], highs[0], highs[1]


@pytest.mark.parametrize("shape", _shapes(), ids=str)
def test_words_lie_on_the_ink_whatever_the_boxes_of_the_page(shape: Shape, tmp_path: Path) -> None:
    x0, y0, x1, y1 = _visible(shape)
    places = [(0.1, 0.8), (0.5, 0.45), (0.7, 0.05)]
    inks = [
        (x0 + (x1 - x0) * x, y0 + (y1 - y0) * y, x0 + (x1 - x0) * x + 45, y0 + (y1 - y0) * y + 14) for x, y in places
    ]
    source = ink_pdf(tmp_path / "source.pdf", shape, inks)
    shown = ink_as_shown(source, len(inks), tmp_path)
    texts = ["Hg1", "Hg2", "Hg3"]
    unit = shape.user_unit or 1

    words = [
        a_word(text, scaled(box, unit), line=line) for line, (text, box) in enumerate(zip(texts, shown, strict=True))
    ]
    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    for text, box in zip(texts, shown, strict=True):
        assert overlap(found[text], box) > 0.9, "poppler"
        assert overlap(pdfium_word_box(tmp_path / "target.pdf", text), box) > 0.9, "pdfium"


@pytest.mark.parametrize(("rotate", "turn"), list(product((0, 90, 180, 270), repeat=2)))
def test_sideways_text_is_copied_in_reading_order(rotate: int, turn: int, tmp_path: Path) -> None:
    shape = Shape(rotate=rotate)
    along, down = {0: ((1, 0), (0, -1)), 90: ((0, 1), (1, 0)), 180: ((-1, 0), (0, 1)), 270: ((0, -1), (-1, 0))}[
        (rotate + turn) % 360
    ]
    texts = [["First", "Line"], ["Then", "Second"]]
    inks = []
    for line, place in product((0, 1), (0, 1)):
        middle_x, middle_y = (
            150 + along[0] * 50 * place + down[0] * 20 * line,
            200 + along[1] * 50 * place + down[1] * 20 * line,
        )
        half_width, half_height = (22, 5) if along[0] else (5, 22)
        inks.append((middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height))
    source = ink_pdf(tmp_path / "source.pdf", shape, inks)
    shown = ink_as_shown(source, 4, tmp_path)

    words = [a_word(text, box, line=n // 2) for n, (text, box) in enumerate(zip(chain(*texts), shown, strict=True))]
    draw_searchable_pdf(source, [a_page(*words, rotation=turn)], tmp_path / "target.pdf")

    assert poppler_text(tmp_path / "target.pdf").split("\n")[:2] == ["First Line", "Then Second"]
    lines = pdfium_text(tmp_path / "target.pdf").split("\r\n")
    if turn == 180:  # pdfium sorts what stands on one line from left to right as shown, even if it is upside down
        lines = [" ".join(reversed(line.split())) for line in lines]
    assert lines == ["First Line", "Then Second"]
    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    for word in words:
        assert overlap(found[word.text], word.bbox) > 0.75
        assert overlap(pdfium_word_box(tmp_path / "target.pdf", word.text), word.bbox) > 0.75


def _line(*inks: tuple[str, float, float], foot: float = 100, slope: float = 0) -> list[Word]:
    """Words of 10 point type with ink from ``high`` to ``low`` above the baseline, 30 points wide, 5 apart."""
    words = []
    for number, (text, low, high) in enumerate(inks):
        left = 20 + 35 * number
        baseline, tilt = foot + slope * (left + 15), abs(slope) * 15
        words.append(a_word(text, (left, baseline - high - tilt, left + 30, baseline - low + tilt)))
    return words


_TYPE = [("Hope", -2, 7), ("sun", 0, 5), ("dog", -2, 7), ("xxxx", 0, 5), ("-", 2, 3), ("Tell", 0, 7), ("gypsy", -2, 5)]


def test_the_words_of_a_line_share_one_baseline_and_one_size(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")

    draw_searchable_pdf(source, [a_page(*_line(*_TYPE))], tmp_path / "target.pdf")

    boxes = [box for _, box in poppler_words(tmp_path / "target.pdf")[0]]
    assert len(boxes) == len(_TYPE)
    assert {(round(box[1], 2), round(box[3], 2)) for box in boxes} == {(round(boxes[0][1], 2), round(boxes[0][3], 2))}
    assert boxes[0][1] == pytest.approx(93, abs=0.7)
    assert boxes[0][3] == pytest.approx(102, abs=0.7)


@pytest.mark.parametrize("slope", [0.03, -0.03, 0.06])
def test_the_baseline_follows_a_skewed_line(slope: float, tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    words = _line(*_TYPE, slope=slope)

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    for word in words:
        baseline = 100 + slope * (word.bbox[0] + word.bbox[2]) / 2
        assert found[word.text][3] == pytest.approx(baseline + 2, abs=0.8)


def test_a_word_that_is_far_off_its_line_is_set_by_itself(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    drop_capital = a_word("Hq", (5, 60, 18, 105))
    words = [drop_capital, *_line(*_TYPE)]

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    assert overlap(found["Hq"], drop_capital.bbox) > 0.9
    assert overlap(found["Hope"], words[1].bbox) > 0.8


@pytest.mark.parametrize("is_up", [True, False])
def test_a_line_that_runs_up_or_down_an_upright_page_is_set_that_way(is_up: bool, tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    tops = [250, 200, 150] if is_up else [50, 100, 150]
    column = [a_word(text, (100, top, 109, top + 45)) for text, top in zip(("Read", "this", "head"), tops, strict=True)]
    words = [a_word("Upright", (20, 20, 60, 29), block=1), *column, a_word("Alone", (120, 50, 129, 95), line=1)]

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    assert "Read this head" in pdfium_text(tmp_path / "target.pdf")
    assert "Read this head" in poppler_text(tmp_path / "target.pdf")
    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    assert all(overlap(found[word.text], word.bbox) > 0.7 for word in words)


@pytest.mark.parametrize("slope", [0.0, 0.033, -0.033])
def test_lines_of_a_skewed_page_are_not_mixed(slope: float, tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    texts = [[f"{letter}{place}" for place in range(12)] for letter in ("First", "Second", "Third")]
    words = []
    for line, row in enumerate(texts):
        for place, text in enumerate(row):
            left, baseline = 5 + 24 * place, 100 + 11 * line + slope * (17 + 24 * place)
            words.append(a_word(text, (left, baseline - 7.3, left + 21, baseline + 0.3), line=line))

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    lines = [line for line in pdfium_text(tmp_path / "target.pdf").split("\r\n") if line.strip()]
    assert lines == [" ".join(row) for row in texts]


def test_every_words_ends_lie_within_a_point(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    widths = [1.5, 3, 7.77, 20.01, 55.5, 130]
    words = [
        a_word(f"Hg{n}ag"[: n + 2], (10, 20 + 15 * n, 10 + width, 29 + 15 * n), line=n)
        for n, width in enumerate(widths)
    ]

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    for word in words:
        assert found[word.text][0] == pytest.approx(word.bbox[0], abs=0.3)
        assert found[word.text][2] == pytest.approx(word.bbox[2], abs=0.5)


_SCRIPTS = {
    "latin": ["Ägypten", "naïve", "straße", "œuvre", "(a)\\b)", "50€"],
    "cyrillic and greek": ["Война", "мир", "λόγος", "Ωδή"],
    "beyond the BMP": ["😀smile", "𐍈𐌰𐌹", "𝔉raktur"],
    "combining": ["e\u0301te\u0301", "हिन्दी", "ทดสอบ"],
    "carriage return in a code": ["č", "чč\u010d\u0d0d", "\u280d"],
}


@pytest.mark.parametrize("texts", list(_SCRIPTS.values()), ids=list(_SCRIPTS))
def test_text_of_any_script_comes_back(texts: list[str], tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    words = [a_word(text, (20, 20 + 30 * n, 20 + 8 * len(text), 30 + 30 * n), line=n) for n, text in enumerate(texts)]

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    assert pdfium_text(tmp_path / "target.pdf").split("\r\n") == texts
    assert [line for line in poppler_text(tmp_path / "target.pdf").split("\n") if line] == texts


def test_no_code_holds_a_bare_carriage_return(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")

    draw_searchable_pdf(source, [a_page(a_word("\u010d\u0d0d"))], tmp_path / "target.pdf")

    assert b"\r" not in page_contents(tmp_path / "target.pdf")[0]


def test_chinese_words_are_joined_and_latin_ones_parted(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    texts = ["漢字", "仮名", "𠀋です", "Latin", "words"]
    lefts = [20, 41, 62, 86, 125]
    words = [a_word(text, (x, 50, x + (20 if x < 80 else 35), 60)) for text, x in zip(texts, lefts, strict=True)]

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    assert poppler_text(tmp_path / "target.pdf").strip() == "漢字仮名𠀋です Latin words"
    assert pdfium_text(tmp_path / "target.pdf") == "漢字仮名𠀋です Latin words"


@pytest.mark.parametrize(
    "texts", [["שלום", "עולם", "טוב"], ["مرحبا", "بالعالم", "123", "اللغة"]], ids=["hebrew", "arabic"]
)
def test_text_from_right_to_left_is_copied_in_logical_order(texts: list[str], tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    words, right = [], 250.0
    for text in texts:
        words.append(a_word(text, (right - 6 * len(text), 50, right, 60)))
        right -= 6 * len(text) + 4

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    assert pdfium_text(tmp_path / "target.pdf") == " ".join(texts)
    unmarked = poppler_text(tmp_path / "target.pdf").translate(dict.fromkeys(range(0x202A, 0x202F)))
    assert all(text in unmarked for text in texts)
    boxes = {text[::-1]: word.bbox for text, word in zip(texts, words, strict=True)}
    found = dict(poppler_words(tmp_path / "target.pdf")[0])
    assert all(overlap(found[text], box) > 0.9 for text, box in boxes.items() if text in found)


def test_what_is_no_text_is_dropped(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"")
    words = [a_word("a\0b\x07c\ufeff\ud800\uffff"), a_word("\0", (100, 60, 110, 70)), a_word("", (120, 60, 130, 70))]

    draw_searchable_pdf(source, [a_page(*words)], tmp_path / "target.pdf")

    assert poppler_words(tmp_path / "target.pdf")[0][0][0] == "abc"
    assert pdfium_text(tmp_path / "target.pdf").strip() == "abc"


def test_the_layer_comes_first_and_is_never_painted(tmp_path: Path) -> None:
    content = b"BT /F 12 Tf 20 300 Td (Visible) Tj ET 0.5 g 10 10 50 50 re f"
    source = text_pdf(tmp_path / "source.pdf", content)

    draw_searchable_pdf(source, [a_page(a_word("hidden"))], tmp_path / "target.pdf")

    layer, old = page_contents(tmp_path / "target.pdf")
    assert old == content
    assert b"3 Tr" in layer
    assert layer.startswith(b"q ")
    assert layer.rstrip().endswith(b"Q")
    before, after = (rendered(tmp_path / name, tmp_path, dpi=72) for name in ("source.pdf", "target.pdf"))
    assert ImageChops.difference(before, after).getbbox() is None


def test_native_words_and_pages_are_not_repeated(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"BT /F 12 Tf 50 330 Td (Native) Tj ET", pages=3)
    native = a_word("Native", (50, 60, 90, 70), native=True)
    pages = [
        a_page(native, page=1, source=Source.NATIVE),
        a_page(native, a_word("Scanned", (50, 160, 90, 170), line=1), page=3, source=Source.HYBRID),
    ]

    draw_searchable_pdf(source, pages, tmp_path / "target.pdf")

    texts = [[text for text, _ in page] for page in poppler_words(tmp_path / "target.pdf")]
    assert texts == [["Native"], ["Native"], ["Native", "Scanned"]]
    assert len(page_contents(tmp_path / "target.pdf", 2)) == 1


def test_a_document_without_recognised_pages_comes_back_byte_for_byte(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"BT /F 12 Tf 50 330 Td (Native) Tj ET")
    pages = [
        a_page(a_word("Native", native=True), source=Source.NATIVE),
    ]

    draw_searchable_pdf(source, pages, tmp_path / "target.pdf")

    assert (tmp_path / "target.pdf").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("source_of_page", [Source.NATIVE, Source.OCR])
def test_an_encrypted_document_comes_back_in_the_clear(source_of_page: Source, tmp_path: Path) -> None:
    plain = text_pdf(tmp_path / "plain.pdf", b"BT /F 12 Tf 50 330 Td (Native) Tj ET")
    with Pdf.open(plain) as pdf:
        pdf.save(tmp_path / "source.pdf", encryption=Encryption(owner="owner", user="", R=6))

    draw_searchable_pdf(
        tmp_path / "source.pdf", [a_page(a_word("new"), source=source_of_page)], tmp_path / "target.pdf"
    )

    with Pdf.open(tmp_path / "target.pdf") as pdf:
        assert not pdf.is_encrypted
    assert "Native" in poppler_text(tmp_path / "target.pdf")


def test_pages_are_read_as_a_stream_and_share_one_font(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"", pages=30)
    drawn = []

    def pages() -> Iterator[PageResult]:
        for number in range(1, 31):
            drawn.append(number)
            yield a_page(a_word(f"page{number}"), page=number)

    draw_searchable_pdf(source, pages(), tmp_path / "target.pdf")

    assert [page[0][0] for page in poppler_words(tmp_path / "target.pdf")] == [f"page{n}" for n in range(1, 31)]
    with Pdf.open(tmp_path / "target.pdf") as pdf:
        fonts = [item for item in pdf.objects if isinstance(item, Dictionary) and item.get("/Type") == Name.Font]
        assert sum(font.Subtype == Name.Type0 for font in fonts) == 1


def test_a_font_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "plain.pdf", b"BT /Ocr 12 Tf 50 330 Td (Native) Tj ET")
    with Pdf.open(source) as pdf:
        pdf.pages[0].obj.Resources.Font["/Ocr"] = pdf.pages[0].obj.Resources.Font["/F"]
        pdf.save(tmp_path / "source.pdf")

    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("new", (50, 160, 90, 170)))], tmp_path / "target.pdf")

    assert {text for text, _ in poppler_words(tmp_path / "target.pdf")[0]} == {"new", "Native"}


@pytest.mark.parametrize("missing", ["/Resources", "/Contents", "/MediaBox"])
def test_a_page_that_lacks_an_entry_gets_its_words_too(missing: str, tmp_path: Path) -> None:
    with Pdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(612, 792)).obj
        page.Contents = pdf.make_stream(b"0 0 5 5 re f")
        del page[missing]
        pdf.save(tmp_path / "source.pdf")

    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("Hg"))], tmp_path / "target.pdf")

    assert [text for text, _ in poppler_words(tmp_path / "target.pdf")[0]] == ["Hg"]
    assert (
        subprocess.run(["qpdf", "--check", tmp_path / "target.pdf"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("mode", [ObjectStreamMode.disable, ObjectStreamMode.generate])
def test_drawing_the_same_again_gives_the_same_bytes(mode: ObjectStreamMode, tmp_path: Path) -> None:
    with Pdf.open(text_pdf(tmp_path / "plain.pdf", b"")) as pdf:
        pdf.save(tmp_path / "source.pdf", object_stream_mode=mode)

    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("same"))], tmp_path / "one.pdf")
    time.sleep(1.1)  # identifiers that are made from the time change by the second
    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("same"))], tmp_path / "two.pdf")

    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


def test_small_objects_do_not_outgrow_the_bytes_allowed(tmp_path: Path) -> None:
    with Pdf.open(text_pdf(tmp_path / "plain.pdf", b"")) as pdf:
        pdf.Root.PieceInfo = Array([pdf.make_indirect(Dictionary(A=n, B=Name.C, D=Array([n]))) for n in range(3000)])
        pdf.save(tmp_path / "spaced.pdf", object_stream_mode=ObjectStreamMode.disable)
    compact = re.sub(rb"([<\[>]) (?=[/<\[>\]])| (?=[\]>/])", rb"\1", (tmp_path / "spaced.pdf").read_bytes())
    (tmp_path / "source.pdf").write_bytes(compact)

    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("new"))], tmp_path / "target.pdf")

    assert len(compact) + 4096 + 20 >= (tmp_path / "target.pdf").stat().st_size
    assert [text for text, _ in poppler_words(tmp_path / "target.pdf")[0]] == ["new"]


def test_content_that_is_no_stream_is_passed_over(tmp_path: Path) -> None:
    with Pdf.open(text_pdf(tmp_path / "plain.pdf", b"BT /F 12 Tf 50 330 Td (Native) Tj ET")) as pdf:
        page = pdf.pages[0].obj
        page.Contents = Array([page.Contents, None])
        pdf.save(tmp_path / "source.pdf")

    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("new"))], tmp_path / "target.pdf")

    assert {text for text, _ in poppler_words(tmp_path / "target.pdf")[0]} == {"new", "Native"}


def test_streams_keep_their_bytes_and_their_filters(tmp_path: Path) -> None:
    with Pdf.open(text_pdf(tmp_path / "plain.pdf", b"q 20 0 0 20 5 5 cm /Im Do Q")) as pdf:
        image = pdf.make_stream(b"74>", Type=Name.XObject, Subtype=Name.Image, Width=1, Height=1)
        image.ColorSpace, image.BitsPerComponent, image.Filter = Name.DeviceGray, 8, Name.ASCIIHexDecode
        pdf.pages[0].obj.Resources.XObject["/Im"] = image
        pdf.pages[0].obj.Resources.ProcSet = Array([Name.PDF])
        pdf.save(tmp_path / "source.pdf", compress_streams=False, stream_decode_level=StreamDecodeLevel.none)

    draw_searchable_pdf(tmp_path / "source.pdf", [a_page(a_word("new"))], tmp_path / "target.pdf")

    with Pdf.open(tmp_path / "target.pdf") as pdf:
        kept = pdf.pages[0].obj.Resources.XObject["/Im"]
        assert kept.Filter == Name.ASCIIHexDecode
        assert kept.read_raw_bytes() == b"74>"
