"""A PNG that is whole passes, whatever its kind; one that lost anything does not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from hybrid_ocr_worker.ocr.png_check import is_whole
from tests.hostile import HOSTILE
from tests.hostile.images import _chunk, _png
from tests.make_documents import DOCUMENTS, images


def _is_whole(content: bytes, tmp_path: Path) -> bool:
    (tmp_path / "source").write_bytes(content)
    return is_whole(tmp_path / "source")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (300, 200)])
def test_a_whole_one_passes(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")

    assert _is_whole(buffer.getvalue(), tmp_path)


@pytest.mark.parametrize("name", ["testocr.png", "phototest-rotated-L.png"])
def test_a_real_one_passes(name: str) -> None:
    assert is_whole(DOCUMENTS / name)


@pytest.mark.parametrize(("size", "bytes_of_rows"), [((1, 1), 2), ((5, 5), 36), ((8, 8), 79)])
def test_an_interlaced_one_is_measured_by_its_passes(tmp_path: Path, size: tuple[int, int], bytes_of_rows: int) -> None:
    width, height = size
    whole = _png(width, height)
    head = whole[16:24] + b"\x08\0\0\0\x01"

    def interlaced(count: int) -> bytes:
        import zlib

        data = _chunk(b"IDAT", zlib.compress(bytes(count)))
        return whole[:8] + _chunk(b"IHDR", head) + data + _chunk(b"IEND", b"")

    with Image.open(io.BytesIO(interlaced(bytes_of_rows))) as image:
        image.load()
    assert _is_whole(interlaced(bytes_of_rows), tmp_path)
    assert not _is_whole(interlaced(bytes_of_rows - 1), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "png-with-half-of-its-rows.png",
        "png-with-a-wrong-sum.png",
        "png-chunk-of-4-gigabytes.png",
        "png-without-data.png",
    ],
)
def test_one_that_lacks_something_does_not_pass(tmp_path: Path, name: str) -> None:
    assert not _is_whole(HOSTILE[name].make(), tmp_path)


def test_one_turned_byte_of_its_pixels_is_found(tmp_path: Path) -> None:
    content = bytearray(images()["scan.png"])
    content[len(content) // 2] ^= 1

    assert not _is_whole(bytes(content), tmp_path)


def test_one_that_ends_early_does_not_pass(tmp_path: Path) -> None:
    content = images()["scan.png"]

    assert not any(_is_whole(content[:length], tmp_path) for length in (0, 8, 20, len(content) // 2, len(content) - 1))


def test_what_comes_after_the_pixels_is_not_unpacked(tmp_path: Path) -> None:
    assert _is_whole(HOSTILE["png-data-longer-than-its-rows.png"].make(), tmp_path)
