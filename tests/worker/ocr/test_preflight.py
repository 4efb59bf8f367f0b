"""One look at a document: what it is, and whether it can be read."""

from __future__ import annotations

from pathlib import Path

import pikepdf
import pytest

from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_worker.ocr.preflight import Preflight, inspect
from tests import make_documents
from tests.make_documents import DOCUMENTS, GENERATED


def _inspect(content: bytes, tmp_path: Path, *, max_pages: int = 100, max_pixels: int = 100_000_000) -> Preflight:
    (tmp_path / "source").write_bytes(content)
    return inspect(tmp_path / "source", tmp_path / "working-copy", max_pages=max_pages, max_pixels=max_pixels)


def _document(name: str) -> bytes:
    return GENERATED[name]() if name in GENERATED else (DOCUMENTS / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "pages", "warnings"),
    [
        ("born-digital.pdf", 2, ()),
        ("mixed.pdf", 3, ()),
        ("signed.pdf", 1, ("signed",)),
        ("opens-without-password.pdf", 1, ("decrypted",)),
        ("V4-aes.pdf", 30, ("decrypted",)),
        ("zen_of_python_corrupted.pdf", 1, ()),
        ("multipage.tif", 3, ()),
        ("g4-multi.tiff", 3, ()),
        ("multipage_multiple_frame_loop.tiff", 2, ()),
        ("testocr.png", 1, ()),
        ("shared-unnamed-field.pdf", 1, ("repaired",)),
    ],
)
def test_a_document_is_known_after_the_preflight(
    tmp_path: Path, name: str, pages: int, warnings: tuple[str, ...]
) -> None:
    found = _inspect(_document(name), tmp_path)

    assert (found.pages, found.warnings) == (pages, warnings)
    assert (tmp_path / "working-copy").exists()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("needs-password.pdf", "encrypted_document"),
        ("encrypted.pdf", "encrypted_document"),
        ("truncated.pdf", "corrupt_document"),
        ("bug_325_a.pdf", "corrupt_document"),
        ("decompression_bomb.gif", "image_too_large"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused(tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        _inspect(_document(name), tmp_path)

    assert rejected.value.document_code == code


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("name", ["jbig2.pdf", "pdflatex-4-pages.pdf", "cardinal.pdf", "born-digital.pdf"])
def test_nothing_of_a_truncated_pdf_is_salvaged_silently(tmp_path: Path, name: str, share: float) -> None:
    content = _document(name)

    with pytest.raises(DocumentRejected) as rejected:
        _inspect(content[: int(len(content) * share)], tmp_path)

    assert rejected.value.document_code == "corrupt_document"


def test_a_damaged_pdf_that_is_whole_is_repaired_and_says_so(tmp_path: Path) -> None:
    content = GENERATED["born-digital.pdf"]()
    offset = content.rindex(b"startxref")
    broken = content[:offset] + b"startxref\n7\n%%EOF\n"

    found = _inspect(broken, tmp_path)

    assert (found.pages, found.warnings) == (2, ("repaired",))
    with pikepdf.open(tmp_path / "working-copy") as copy:
        assert not copy.get_warnings()


def test_plain_text_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        _inspect(b"just text", tmp_path)

    assert rejected.value.document_code == "unsupported_media_type"


def test_limits_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DocumentRejected, match="3 pages; the limit is 2") as too_many:
        _inspect(_document("mixed.pdf"), tmp_path, max_pages=2)
    with pytest.raises(DocumentRejected, match="the limit is 2") as frames:
        _inspect(_document("multipage.tif"), tmp_path, max_pages=2)
    with pytest.raises(DocumentRejected, match="pixels") as large:
        _inspect(_document("testocr.png"), tmp_path, max_pixels=1000)

    codes = [error.value.document_code for error in (too_many, frames, large)]
    assert codes == ["too_many_pages", "too_many_pages", "image_too_large"]


def test_a_user_unit_is_remembered_per_page(tmp_path: Path) -> None:
    assert _inspect(_document("odd-boxes.pdf"), tmp_path).user_units == {"1": 2.0}


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [make_documents.scan_image((text,), size=(400, 300)) for text in ("one", "two")]
    content = make_documents._image_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)

    found = _inspect(content, tmp_path)

    assert (found.pages, found.warnings) == (1, ("animation_first_frame_only",))
