"""Every kind of document, through HTTP and back, with real Tesseract and poppler."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

from hybrid_ocr_core.options import OUTPUTS
from tests.conftest import ROOT
from tests.make_documents import DOCUMENTS, GENERATED, LINES, images
from tests.system.stack import Stack
from tests.worker.ocr.format_readers import lines_of_words

_SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text())
_WORDS = " ".join(LINES).split()


def _make(name: str) -> bytes:
    return GENERATED[name]()


def _sources(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(page["source"], page["reason"]) for page in result["pages"]]


def _pdf_words(content: bytes, tmp_path: Path) -> list[str]:
    (tmp_path / "result.pdf").write_bytes(content)
    text = subprocess.run(["pdftotext", tmp_path / "result.pdf", "-"], capture_output=True, text=True, check=True)
    return text.stdout.split()


def _assert_reads(page: dict[str, Any], expected: list[str]) -> None:
    """At most one word in twenty may be misread."""
    missed = set(expected) - set(page["text"].split())
    assert len(missed) <= len(expected) / 20, missed


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("born-digital.pdf", [("native", "sound_text")] * 2),
        ("scan.pdf", [("ocr", "no_text")]),
        ("mixed.pdf", [("native", "sound_text"), ("ocr", "no_text"), ("blank", "no_ink")]),
        ("rotate-90.pdf", [("ocr", "no_text")]),
        ("rotate-180.pdf", [("ocr", "no_text")]),
        ("rotate-270.pdf", [("ocr", "no_text")]),
        ("odd-boxes.pdf", [("ocr", "no_text")]),
        ("lying-layer.pdf", [("ocr", "untrusted_invisible_text")]),
        ("hidden-text.pdf", [("ocr", "untrusted_invisible_text")]),
        ("opens-without-password.pdf", [("ocr", "no_text")]),
    ],
)
def test_a_document_comes_back_as_text_words_and_searchable_pdf(
    stack: Stack, tmp_path: Path, name: str, sources: list[tuple[str, str]]
) -> None:
    result = stack.read(_make(name), name)

    job_id = result["job_id"]
    jsonschema.validate({key: result[key] for key in result if key != "job"}, _SCHEMA)
    assert _sources(result) == sources
    for page in result["pages"]:
        if page["source"] != "blank":
            _assert_reads(page, _WORDS)
    pages_of_text = stack.result(job_id, "txt").decode().split("\f")
    assert [text.strip("\n") for text in pages_of_text] == [page["text"] for page in result["pages"]]
    missed = set(_WORDS) - set(_pdf_words(stack.result(job_id, "pdf"), tmp_path))
    assert len(missed) <= 2, missed


@pytest.mark.parametrize("name", sorted(images()))
def test_an_image_of_every_format_is_read(stack: Stack, tmp_path: Path, name: str) -> None:
    result = stack.read(images()[name], name)

    assert _sources(result) == [("ocr", "image")]
    _assert_reads(result["pages"][0], _WORDS)
    assert "Invoice" in _pdf_words(stack.result(result["job_id"], "pdf"), tmp_path)


def test_a_page_with_text_and_a_scanned_picture_gives_both(stack: Stack, tmp_path: Path) -> None:
    result = stack.read(_make("text-and-picture.pdf"))

    (page,) = result["pages"]
    assert (page["source"], page["reason"]) == ("hybrid", "text_and_pictures")
    _assert_reads(page, [*_WORDS, "Receipt", "harbour", "herring"])
    words = _pdf_words(stack.result(result["job_id"], "pdf"), tmp_path)
    assert words.count("Invoice") == 1
    assert "herring" in words


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_page_that_lies_on_its_side_is_found_and_read(stack: Stack, degrees: int) -> None:
    from tests.make_documents import turned_pixels

    (page,) = stack.read(turned_pixels(degrees), "turned.png")["pages"]

    assert page["rotation"] == degrees
    _assert_reads(page, _WORDS)


def test_the_orientation_of_a_camera_is_honoured(stack: Stack) -> None:
    (page,) = stack.read((DOCUMENTS / "simple-90.jpg").read_bytes(), "simple-90.jpg")["pages"]

    assert "Tesseract.js" in page["text"]
    assert page["rotation"] == 0


def test_every_page_of_a_tiff_is_read_in_order(stack: Stack, tmp_path: Path) -> None:
    result = stack.read(_make("multipage.tif"), "multipage.tif")

    assert [re.findall(r"number (\w+)", page["text"]) for page in result["pages"]] == [["one"], ["two"], ["three"]]
    words = _pdf_words(stack.result(result["job_id"], "pdf"), tmp_path)
    assert [word for word in words if word in {"one", "two", "three"}] == ["one", "two", "three"]


def test_letters_drawn_as_shapes_are_read(stack: Stack) -> None:
    (page,) = stack.read((DOCUMENTS / "vector.pdf").read_bytes())["pages"]

    assert page["source"] == "ocr"
    assert "Sample Vector PDF for Testing" in page["text"]


def test_a_font_that_maps_to_other_letters_is_not_believed(stack: Stack) -> None:
    (page,) = stack.read((DOCUMENTS / "truetype_font_nomapping.pdf").read_bytes())["pages"]

    assert (page["source"], page["text"]) == ("ocr", "Phone")


def test_a_real_scan_is_read_well(stack: Stack) -> None:
    (page,) = stack.read((DOCUMENTS / "phototest.tif").read_bytes(), "phototest.tif", outputs="json,hocr")["pages"]

    _assert_reads(page, (DOCUMENTS / "phototest.txt").read_text().split())
    assert page["confidence"] > 90


def test_a_blank_page_says_so(stack: Stack) -> None:
    result = stack.read(_make("blank.pdf"))

    (page,) = result["pages"]
    assert (page["source"], page["words"], page["confidence"]) == ("blank", [], None)
    assert (result["job"]["confidence"], result["job"]["triage"]) == (None, "approved")


@pytest.mark.parametrize("name", ["born-digital.pdf", "blank.pdf", "signed.pdf"])
def test_a_document_that_needs_no_layer_or_bears_no_change_comes_back_byte_for_byte(stack: Stack, name: str) -> None:
    content = _make(name)
    result = stack.read(content)

    assert stack.result(result["job_id"], "pdf") == content
    assert ("signed" in result["job"]["warnings"]) == (name == "signed.pdf")


def test_an_encrypted_document_that_opens_comes_back_unencrypted(stack: Stack, tmp_path: Path) -> None:
    result = stack.read(_make("opens-without-password.pdf"))

    (tmp_path / "result.pdf").write_bytes(stack.result(result["job_id"], "pdf"))
    shown = subprocess.run(
        ["qpdf", "--show-encryption", tmp_path / "result.pdf"], capture_output=True, text=True, check=True
    )
    assert "not encrypted" in shown.stdout
    assert result["job"]["warnings"] == ["decrypted"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (_make("needs-password.pdf"), "encrypted_document"),
        (_make("truncated.pdf"), "corrupt_document"),
        ((DOCUMENTS / "truncated_jpeg.jpg").read_bytes(), "corrupt_document"),
        ((DOCUMENTS / "bug_325_a.pdf").read_bytes(), "corrupt_document"),
        ((DOCUMENTS / "decompression_bomb.gif").read_bytes(), "image_too_large"),
    ],
    ids=["needs-password", "truncated-pdf", "truncated-jpeg", "no-pages", "bomb"],
)
def test_a_document_that_cannot_be_read_ends_failed_with_its_code(stack: Stack, content: bytes, code: str) -> None:
    job = stack.finish(stack.submit(content))

    assert (job["status"], job["error"]["code"], job["attempt"]) == ("FAILED", code, 1)
    assert job["results"] == {}
    assert stack.get(f"/jobs/{job['job_id']}/result.json").status_code == 404


def test_only_the_pages_asked_for_are_read_and_the_pdf_keeps_all(stack: Stack, tmp_path: Path) -> None:
    result = stack.read((DOCUMENTS / "pdflatex-4-pages.pdf").read_bytes(), pages="2,4")

    assert [page["page"] for page in result["pages"]] == [2, 4]
    assert result["job"]["progress"] == {"pages_done": 2, "pages_total": 2}
    assert result["document"]["pages"] == 4
    assert stack.result(result["job_id"], "txt").count(b"\f") == 1
    (tmp_path / "result.pdf").write_bytes(stack.result(result["job_id"], "pdf"))
    pages = subprocess.run(
        ["qpdf", "--show-npages", tmp_path / "result.pdf"], capture_output=True, text=True, check=True
    )
    assert pages.stdout.strip() == "4"
    assert stack.get(f"/jobs/{result['job_id']}/pages/4").json() == result["pages"][1]
    assert stack.get(f"/jobs/{result['job_id']}/pages/1").status_code == 404


@pytest.mark.parametrize(("mode", "source"), [("auto", "native"), ("force", "ocr"), ("native_only", "native")])
def test_the_mode_is_honoured(stack: Stack, mode: str, source: str) -> None:
    result = stack.read(_make("born-digital.pdf"), mode=mode)

    assert {page["source"] for page in result["pages"]} == {source}
    for page in result["pages"]:
        _assert_reads(page, _WORDS)


def test_native_only_never_reads_a_raster(stack: Stack) -> None:
    (page,) = stack.read(_make("scan.pdf"), mode="native_only")["pages"]

    assert (page["source"], page["reason"], page["words"]) == ("native", "mode_native_only", [])


@pytest.mark.parametrize("name", ["mixed.pdf", "rotate-90.pdf", "text-and-picture.pdf"])
def test_every_format_shows_the_words_of_the_json(stack: Stack, name: str) -> None:
    result = stack.read(_make(name), outputs=",".join(OUTPUTS))

    assert result["job"]["results"].keys() == set(OUTPUTS)
    expected = lines_of_words("json", json.dumps(result).encode())
    for output in set(OUTPUTS) - {"json", "pdf"}:
        found = lines_of_words(output, stack.result(result["job_id"], output))
        if output in {"txt", "md"}:
            assert found == [[[" ".join(line)] for line in page] for page in expected]
        else:
            assert found == expected, output


def test_the_hocr_shows_the_words_of_the_json(stack: Stack) -> None:
    result = stack.read(_make("scan.pdf"), outputs="hocr")

    hocr = stack.result(result["job_id"], "hocr").decode()
    assert result["job"]["results"].keys() == {"json", "hocr"}
    assert hocr.count("ocrx_word") >= len(result["pages"][0]["words"])
    assert "Invoice" in hocr


def test_a_result_url_cannot_be_bent_to_another_job_or_time(stack: Stack) -> None:
    job = stack.read(_make("born-digital.pdf"))["job"]
    url = job["result_url"]
    assert requests.get(url, timeout=30).headers["Content-Disposition"].startswith("attachment")

    for bent in (url.replace("X-Amz-Expires=900", "X-Amz-Expires=90000"), url.replace("result.json", "result.txt")):
        assert requests.get(bent, timeout=30).status_code == 403
