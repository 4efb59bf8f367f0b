"""An old invisible layer goes; what is visible stays, to the byte and to the pixel."""

from __future__ import annotations

from pathlib import Path

import pytest
from pikepdf import Name, Pdf
from PIL import ImageChops

from hybrid_ocr_worker.ocr.content_stream import UnreadableContentError, instructions
from hybrid_ocr_worker.ocr.old_layer import remove_invisible_text
from tests.worker.ocr.pdf_builders import page_contents, poppler_text, poppler_words, rendered, text_pdf


def _clean(source: Path, target: Path, *pages: int) -> list[bool]:
    with Pdf.open(source) as pdf:
        removed = [remove_invisible_text(pdf, pdf.pages[page - 1].obj) for page in pages or (1,)]
        pdf.save(target)
    return removed


_VISIBLE = b"BT /F 12 Tf 20 300 Td (Seen) Tj ET"
_LAYERS = {
    "in its own q": b"q BT 3 Tr /F 12 Tf 20 200 Td (Ghost) Tj ET Q\n" + _VISIBLE,
    "mode of an earlier text object": b"3 Tr q BT /F 12 Tf 20 200 Td (Ghost) Tj ET Q 0 Tr " + _VISIBLE,
    "mode set in one text object, used in the next": b"BT 3 Tr ET BT /F 9 Tf 20 200 Td (Ghost) Tj ET 0 Tr " + _VISIBLE,
    "mode brought back by Q": b"3 Tr q 0 Tr Q BT /F 9 Tf 20 200 Td (Ghost) Tj ET 0 Tr " + _VISIBLE,
    "beside visible text": b"BT /F 12 Tf 20 300 Td (Seen) Tj 3 Tr 0 -50 Td (Ghost) Tj ET",
    "before visible text": b"BT 3 Tr /F 12 Tf 20 200 Td (Ghost)Tj 0 Tr 1 0 0 1 20 300 Tm(Seen)Tj ET",
    "kerned": b"BT 3 Tr /F 9 Tf 9 20 Td[(Gh)-20(o)(st)]TJ ET 0 Tr " + _VISIBLE,
    "as hexadecimal": b"BT 3 Tr /F 9 Tf 9 20 Td<47686F7374>Tj ET 0 Tr " + _VISIBLE,
    "by apostrophe": b"BT 3 Tr /F 12 Tf 50 TL 20 350 Td(Ghost)' 0 Tr T* ET " + _VISIBLE,
    "by quotation mark": b'BT /F 12 Tf 3 Tr 50 TL 20 350 Td 1 2(Ghost)" 0 Tr ET 0 Tw 0 Tc ' + _VISIBLE,
    "by apostrophe before a line that follows": b"BT 3 Tr /F 12 Tf 50 TL 20 350 Td(Ghost)' 0 Tr (Seen)' ET",
    "by quotation mark before a line that follows": b"BT 3 Tr /F 12 Tf 50 TL 20 350 Td 1 2(Ghost)\" 0 Tr (Seen)' ET",
    "placed by TD, whose leading is used later": b"BT 3 Tr /F 12 Tf 20 350 Td 0 -40 TD (Ghost) Tj ET "
    b"BT 0 Tr 20 350 Td T* 0 20 Td (Seen) Tj ET",
    "marked": b"/OCR BMC BT 3 Tr /F 9 Tf 9 20 Td (Ghost) Tj ET EMC 0 Tr " + _VISIBLE,
    "comment before the operator": b"BT 3 % (not\n Tr /F 9 Tf 9 20 Td (Ghost) Tj ET 0 Tr " + _VISIBLE,
    "brackets in strings": b"BT 3 Tr /F 9 Tf 9 20 Td (Gh(o)\\)st) Tj ET 0 Tr " + _VISIBLE,
}


@pytest.mark.parametrize("content", list(_LAYERS.values()), ids=list(_LAYERS))
def test_invisible_text_goes_and_visible_text_stays_in_its_place(content: bytes, tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", content)
    before = dict(poppler_words(source)[0])

    assert _clean(source, tmp_path / "target.pdf") == [True]

    after = dict(poppler_words(tmp_path / "target.pdf")[0])
    assert len(before) == 2
    assert after == {"Seen": before["Seen"]}
    pictures = [rendered(path, tmp_path, dpi=72) for path in (source, tmp_path / "target.pdf")]
    assert ImageChops.difference(*pictures).getbbox() is None


def test_the_mode_passes_from_one_stream_to_the_next(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"BT 3 Tr /F 12 Tf 20", b"200 Td (Ghost) Tj", b"ET 0 Tr " + _VISIBLE)

    removed = _clean(source, tmp_path / "target.pdf")

    assert removed == [False], "operands that are split between streams are left alone"
    source = text_pdf(tmp_path / "source.pdf", b"BT 3 Tr /F 12 Tf", b"20 200 Td (Ghost) Tj", b"ET 0 Tr " + _VISIBLE)
    assert _clean(source, tmp_path / "target.pdf") == [True]
    assert poppler_text(tmp_path / "target.pdf").split() == ["Seen"]
    assert page_contents(tmp_path / "target.pdf")[2] == b"ET 0 Tr " + _VISIBLE


def test_what_only_led_to_invisible_text_goes_with_it(tmp_path: Path) -> None:
    words = b"\n".join(b"/F 9 Tf 100 Tz 1 0 0 1 20 %d Tm (Ghost) Tj" % y for y in range(50, 250, 10))
    source = text_pdf(tmp_path / "source.pdf", b"q\nBT\n3 Tr\n" + words + b"\nET\nQ\n" + _VISIBLE)

    _clean(source, tmp_path / "target.pdf")

    (content,) = page_contents(tmp_path / "target.pdf")
    assert content.split() == (b"q BT 3 Tr /F 9 Tf 100 Tz ET Q " + _VISIBLE).split()


def test_text_that_leans_on_invisible_text_keeps_its_place(tmp_path: Path) -> None:
    content = b"BT /F 12 Tf 20 300 Td 3 Tr (Leading) Tj 0 Tr (Seen) Tj ET"
    source = text_pdf(tmp_path / "source.pdf", content)

    _clean(source, tmp_path / "target.pdf")

    pictures = [rendered(path, tmp_path, dpi=72) for path in (source, tmp_path / "target.pdf")]
    assert ImageChops.difference(*pictures).getbbox() is None


def test_pages_without_such_text_keep_their_very_streams(tmp_path: Path) -> None:
    content = b"BT 0 Tr /F 12 Tf 20 300 Td (3 Tr) Tj 7 Tr (clip) Tj ET 0 0 5 5 re f"
    source = text_pdf(tmp_path / "source.pdf", content, forms={"X": _VISIBLE})

    with Pdf.open(source) as pdf:
        page = pdf.pages[0].obj
        streams = page.Contents.objgen, page.Resources.objgen
        assert not remove_invisible_text(pdf, page)
        assert (page.Contents.objgen, page.Resources.objgen) == streams


_GHOST_FORM = b"BT 3 Tr /F 12 Tf 20 200 Td (Ghost) Tj ET"


def test_a_form_that_other_pages_share_is_copied_not_changed(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"/X Do " + _VISIBLE, forms={"X": _GHOST_FORM}, pages=2)

    assert _clean(source, tmp_path / "target.pdf", 1) == [True]

    texts = [[text for text, _ in page] for page in poppler_words(tmp_path / "target.pdf")]
    assert texts == [["Seen"], ["Seen", "Ghost"]]


def test_forms_within_forms_are_searched(tmp_path: Path) -> None:
    forms = {"X": b"q /Y Do Q", "Y": b"/Z Do /Z Do", "Z": _GHOST_FORM}
    source = text_pdf(tmp_path / "source.pdf", b"/X Do " + _VISIBLE, forms=forms)

    assert _clean(source, tmp_path / "target.pdf") == [True]

    assert poppler_text(tmp_path / "target.pdf").split() == ["Seen"]


def test_a_form_that_draws_itself_comes_to_an_end(tmp_path: Path) -> None:
    source = text_pdf(tmp_path / "source.pdf", b"/X Do " + _VISIBLE, forms={"X": _GHOST_FORM + b" /X Do"})

    assert _clean(source, tmp_path / "target.pdf") == [True]

    with Pdf.open(tmp_path / "target.pdf") as pdf:
        assert b"Ghost" not in pdf.pages[0].obj.Resources.XObject["/X"].read_bytes()


def test_a_form_inherits_the_mode_it_is_drawn_in(tmp_path: Path) -> None:
    form = b"BT /F 12 Tf 20 200 Td (Ghost) Tj ET"
    source = text_pdf(tmp_path / "source.pdf", b"q 3 Tr /X Do Q " + _VISIBLE, forms={"X": form})

    assert _clean(source, tmp_path / "target.pdf") == [True]

    assert poppler_text(tmp_path / "target.pdf").split() == ["Seen"]


def test_a_form_drawn_visibly_and_invisibly_is_told_apart(tmp_path: Path) -> None:
    form = b"BT /F 12 Tf 20 200 Td (Twice) Tj ET"
    content = b"q 3 Tr /X Do Q q 1 0 0 1 0 50 cm /X Do Q q 3 Tr 1 0 0 1 0 90 cm /X Do Q"
    source = text_pdf(tmp_path / "source.pdf", content, forms={"X": form})

    assert _clean(source, tmp_path / "target.pdf") == [True]

    ((word, box),) = poppler_words(tmp_path / "target.pdf")[0]
    assert word == "Twice"
    assert box[3] == pytest.approx(150, abs=5)


def test_the_data_of_an_inline_image_is_no_text(tmp_path: Path) -> None:
    data = b"3 Tr (Ghost) Tj EI\x80 x(("
    image = b"q 20 0 0 20 5 5 cm BI /W %d /H 1 /BPC 8 /CS /G ID %s EI Q\n" % (len(data), data)
    source = text_pdf(tmp_path / "source.pdf", image + _GHOST_FORM + b" 0 Tr " + _VISIBLE)

    assert _clean(source, tmp_path / "target.pdf") == [True]

    (content,) = page_contents(tmp_path / "target.pdf")
    assert content.startswith(image)
    assert content.count(b"Ghost") == 1


@pytest.mark.parametrize(
    "content", [b"BT 3 Tr (never closed Tj ET", b"3 Tr BI /W 1 ID \xff\xff", b"BT 3 Tr (x) Tj ET 5 5"]
)
def test_content_that_cannot_be_read_is_left_alone(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableContentError):
        list(instructions(content))

    source = text_pdf(tmp_path / "source.pdf", content)

    assert _clean(source, tmp_path / "target.pdf") == [False]
    assert page_contents(tmp_path / "target.pdf") == [content]


def test_a_stream_that_cannot_be_decoded_is_left_alone(tmp_path: Path) -> None:
    with Pdf.open(text_pdf(tmp_path / "plain.pdf", _GHOST_FORM)) as pdf:
        broken = pdf.make_stream(b"no deflate", Filter=Name.FlateDecode)
        pdf.pages[0].obj.Contents = broken
        pdf.save(tmp_path / "source.pdf")

    assert _clean(tmp_path / "source.pdf", tmp_path / "target.pdf") == [False]
