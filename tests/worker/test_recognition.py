"""Out of memory, a crashed engine, a full disk: what each of them costs, and whom."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pikepdf import Pdf

from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.errors import DocumentRejected, Unavailable
from hybrid_ocr_core.job import JobStatus
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_worker.ocr.rasteriser import SECOND_TRY_PIXELS
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.recognition import Recognised, Recogniser
from hybrid_ocr_worker.sandbox import child, warm
from hybrid_ocr_worker.sandbox.warm import WarmSandbox
from hybrid_ocr_worker.scratch import full_disk_is_unavailable
from tests.builders import a_document, a_job
from tests.hostile import HOSTILE
from tests.make_documents import GENERATED
from tests.observed import counted
from tests.recognisers import read


@pytest.fixture
def recogniser(real_processor: Processor) -> Recogniser:
    return real_processor.recogniser


def _recognise(recogniser: Recogniser, content: bytes, directory: Path) -> Recognised:
    directory.mkdir(exist_ok=True)
    (directory / "source").write_bytes(content)
    return read(recogniser, a_job(document=a_document(content)), directory)


@pytest.mark.failure(36)
def test_a_page_that_is_too_much_for_memory_is_read_from_fewer_pixels(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm, "_GIBIBYTE", 0)
    recogniser._sandbox._memory_bytes = 400 << 20

    found = _recognise(recogniser, HOSTILE["shapes-page-of-14400.pdf"].make(), tmp_path / "job")

    (page,) = json.loads(found.files["json"].read_text())["pages"]
    assert page["pixels"][0] * page["pixels"][1] < 1.01 * SECOND_TRY_PIXELS
    assert caplog.text.count("tried once more") == 1


@pytest.mark.failure(36)
def test_a_page_that_is_too_much_for_memory_both_times_is_named(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "_GIBIBYTE", 0)
    recogniser._sandbox._memory_bytes = 300 << 20

    with pytest.raises(DocumentRejected) as rejected:
        _recognise(recogniser, HOSTILE["png-of-9900-squared-in-colour.png"].make(), tmp_path / "job")

    assert (rejected.value.document_code, rejected.value.page) == ("engine_crashed", 1)


@pytest.mark.failure(30)
def test_a_file_that_kills_the_child_each_time_is_tried_twice(
    recogniser: Recogniser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        _recognise(recogniser, HOSTILE["flate-bomb-twice.pdf"].make(), tmp_path / "job")

    assert rejected.value.document_code == "engine_crashed"
    assert caplog.text.count("tried once more: the page child died") == 1
    assert _recognise(recogniser, GENERATED["born-digital.pdf"](), tmp_path / "next").pages == 2


@pytest.mark.failure(38)
@pytest.mark.parametrize("said", [{"source": "x" * 9, "reason": ""}, {"source": {}}, {}, [], "ocr", None, 1])
def test_a_child_that_says_what_no_child_of_ours_says_costs_the_page_and_is_replaced(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: object
) -> None:
    real = WarmSandbox._answer

    def answer(sandbox: WarmSandbox, process: Any, command: str, seconds: float) -> dict[str, Any]:
        found = real(sandbox, process, command, seconds)
        return {"ok": said} if command == "page" else found

    monkeypatch.setattr(WarmSandbox, "_answer", answer)
    with counted("hybrid_ocr_pages") as pages, pytest.raises(DocumentRejected) as rejected:
        _recognise(recogniser, GENERATED["born-digital.pdf"](), tmp_path / "job")

    assert (rejected.value.document_code, rejected.value.page) == ("engine_crashed", 1)
    assert set(pages) == {"hybrid_ocr_pages_total{source=failed}"}


@pytest.mark.failure(30)
def test_a_page_on_which_poppler_dies_each_time_is_tried_twice(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pdftoppm").write_text('#!/bin/sh\n[ "$1" = -v ] && exec /usr/bin/pdftoppm -v\nexit 139\n')
    (programs / "pdftoppm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    recogniser._sandbox.close()

    with pytest.raises(DocumentRejected) as rejected:
        _recognise(recogniser, GENERATED["hidden-text.pdf"](), tmp_path / "job")

    assert (rejected.value.document_code, rejected.value.page) == ("engine_crashed", 1)
    assert caplog.text.count("tried once more: poppler gave up on the page") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # the child may still have its directory there


def _fill(folder: Path, *, but: int) -> None:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - but)


@pytest.mark.failure(37)
@pytest.mark.parametrize("name", ["born-digital.pdf", "scan.pdf", "opens-without-password.pdf"])
def test_a_full_disk_is_no_fault_of_the_document(recogniser: Recogniser, small_disk: Path, name: str) -> None:
    content = GENERATED[name]()
    (small_disk / "job").mkdir()
    (small_disk / "job" / "source").write_bytes(content)
    _fill(small_disk, but=4096)

    with pytest.raises(Unavailable, match="the scratch disk"):
        read(recogniser, a_job(document=a_document(content)), small_disk / "job")

    (small_disk / "filler").unlink()
    assert _recognise(recogniser, content, small_disk / "job").pages


@pytest.mark.failure(37)
@pytest.mark.parametrize("room", [0, 4096, 40_000], ids=["for nothing", "for no source", "for no result"])
def test_a_job_on_a_full_disk_is_given_back_whole(
    room: int,
    real_processor: Processor,
    small_disk: Path,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
) -> None:
    content = GENERATED["opens-without-password.pdf"]()
    job = a_job(document=a_document(content))
    documents.put_source(job.id, io.BytesIO(content), media_type="application/pdf")
    store.create(job)
    queue.send(job.id)
    _fill(small_disk, but=room)

    message = queue.receive(wait_seconds=0, visibility_seconds=60)
    assert message is not None
    with contextlib.suppress(Unavailable):
        replace(real_processor, scratch=small_disk).process(message)

    after = store.get(job.id)
    assert (after.status, after.budget_used) == (JobStatus.QUEUED, 0)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.failure(37)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_a_name_of_its_own_on_both_sides(number: int) -> None:
    error = OSError(number, "no room")

    assert child._from_exception(error)["code"] == "disk_full"
    with pytest.raises(Unavailable), full_disk_is_unavailable():
        raise error


def test_another_error_of_the_disk_is_none_of_a_full_one() -> None:
    with pytest.raises(PermissionError), full_disk_is_unavailable():
        raise PermissionError(errno.EACCES, "no")


def _with_a_bad_page(good: int) -> bytes:
    """Pages with text, and before the last of them one that nobody can draw in time."""
    with (
        Pdf.open(io.BytesIO(GENERATED["born-digital.pdf"]())) as text,
        Pdf.open(io.BytesIO(HOSTILE["forms-of-ten-billion-squares.pdf"].make())) as bad,
        Pdf.new() as whole,
    ):
        for _ in range(good - 1):
            whole.pages.append(text.pages[0])
        whole.pages.append(bad.pages[0])
        whole.pages.append(text.pages[0])
        target = io.BytesIO()
        whole.save(target)
    return target.getvalue()


@pytest.fixture
def hasty(recogniser: Recogniser) -> Recogniser:
    recogniser._settings = replace(recogniser._settings, page_seconds=2)
    return recogniser


def test_one_bad_page_is_a_failed_page_and_not_a_failed_document(hasty: Recogniser, tmp_path: Path) -> None:
    found = _recognise(hasty, _with_a_bad_page(11), tmp_path / "job")

    assert (found.pages, found.failed_pages) == (12, (11,))
    pages = json.loads(found.files["json"].read_text())["pages"]
    assert [page["source"] for page in pages] == ["native"] * 10 + ["failed", "native"]
    assert (pages[10]["reason"], pages[10]["words"], pages[10]["confidence"]) == ("page_timeout", [], None)
    assert pages[10]["width"] > 1
    assert found.files["txt"].read_text().split("\f")[10] == "\n"
    with Pdf.open(found.files["pdf"]) as pdf:
        assert len(pdf.pages) == 12


def test_a_document_of_which_too_much_is_missing_has_failed(hasty: Recogniser, tmp_path: Path) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        _recognise(hasty, _with_a_bad_page(2), tmp_path / "job")

    assert (rejected.value.document_code, rejected.value.page) == ("page_timeout", 2)
    assert "1 of 3 pages" in str(rejected.value)


def test_a_page_of_a_chunk_is_named_as_the_document_counts(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = GENERATED["mixed.pdf"]()
    (tmp_path / "source").write_bytes(content)
    plan = recogniser.survey(a_job(document=a_document(content, pages=40)), tmp_path, numbers=(31, 32, 33))
    asked: list[int] = []

    def refuse(_command: str, *, page: int, **_: object) -> None:
        asked.append(page)
        raise DocumentRejected("corrupt_document", "broken", page)

    monkeypatch.setattr(recogniser._sandbox, "call_twice", refuse)
    with pytest.raises(DocumentRejected) as rejected:
        recogniser.read_page(plan, 32)

    assert (asked, rejected.value.page) == ([2], 32)


def test_the_end_of_an_attempts_time_is_no_fault_of_a_page(recogniser: Recogniser, tmp_path: Path) -> None:
    content = GENERATED["scan.pdf"]()
    (tmp_path / "source").write_bytes(content)
    plan = recogniser.survey(a_job(document=a_document(content)), tmp_path)

    def too_long() -> None:
        raise DocumentRejected("page_timeout", "the document was not read in time")

    recogniser._sandbox.still_wanted = too_long
    with pytest.raises(DocumentRejected) as rejected:
        recogniser.read_page(plan, 1)

    assert rejected.value.page is None
    assert not list(tmp_path.glob("pages/*"))
