"""Good files, broken: cut off, bytes turned, glued to other files."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable

from tests.hostile.catalogue import hostile
from tests.hostile.writer import page_pdf
from tests.make_documents import GENERATED, images

_SHARES = (1, 25, 50, 75, 90, 98)
_SEEDS = range(12)
_FLIPS = 40


def _enter_cuts(name: str, make: Callable[[], bytes]) -> None:
    for percent in _SHARES:

        @hostile(f"cut-at-{percent}-percent-{name}")
        def cut(percent: int = percent) -> bytes:
            content = make()
            return content[: len(content) * percent // 100]


def _enter_flips(name: str, make: Callable[[], bytes]) -> None:
    for seed in _SEEDS:

        @hostile(f"turned-bytes-{seed}-{name}")
        def turned(seed: int = seed) -> bytes:
            dice = random.Random(seed)
            content = bytearray(make())
            for _ in range(_FLIPS):
                content[dice.randrange(8, len(content))] = dice.randrange(256)
            return bytes(content)


for _name in ("born-digital.pdf", "scan.pdf"):
    _enter_cuts(_name, GENERATED[_name])
    _enter_flips(_name, GENERATED[_name])
for _name in ("scan.png", "scan.jpg", "scan.tif", "scan.gif", "scan.webp", "scan.bmp"):
    _enter_cuts(_name, lambda name=_name: images()[name])  # type: ignore[misc]
for _name in ("scan.png", "scan.jpg", "scan.tif", "scan.webp"):
    _enter_flips(_name, lambda name=_name: images()[name])  # type: ignore[misc]


@hostile("pdf-after-a-kilobyte-of-junk.pdf")
def pdf_after_junk() -> bytes:
    return b"junk \n" * 160 + page_pdf()


@hostile("pdf-and-zip.pdf")
def pdf_and_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "not for us")
    return page_pdf() + buffer.getvalue()


@hostile("pdf-in-html.pdf")
def pdf_in_html() -> bytes:
    return b"<html><script>alert(1)</script><!--\n" + page_pdf() + b"--></html>"


@hostile("pdf-in-a-jpeg.jpg")
def pdf_in_a_jpeg() -> bytes:
    document = page_pdf()
    return b"\xff\xd8\xff\xfe" + (len(document) + 2).to_bytes(2, "big") + document + images()["scan.jpg"][2:]


@hostile("pdf-after-a-png.png")
def pdf_after_a_png() -> bytes:
    return images()["scan.png"] + page_pdf()


@hostile("two-pdfs.pdf")
def two_pdfs() -> bytes:
    return page_pdf() + page_pdf(b"BT /F1 24 Tf 60 700 Td (The second one counts for a reader) Tj ET")


@hostile("pdf-of-a-header.pdf")
def pdf_of_a_header() -> bytes:
    return b"%PDF-1.7"


@hostile("pdf-of-a-header-and-an-end.pdf")
def pdf_of_a_header_and_an_end() -> bytes:
    return b"%PDF-1.7\n%%EOF\n"


@hostile("pdf-of-4-megabytes-of-zeros.pdf")
def pdf_of_zeros() -> bytes:
    return b"%PDF-1.7\n" + bytes(4 << 20)


@hostile("pdf-of-half-a-million-obj.pdf")
def pdf_of_obj() -> bytes:
    return b"%PDF-1.7\n" + b"1 0 obj\n" * 500_000


@hostile("pdf-of-noise.pdf")
def pdf_of_noise() -> bytes:
    return b"%PDF-1.7\n" + random.Random(1).randbytes(1 << 20)


@hostile("pdf-with-a-comment-of-4-megabytes.pdf")
def pdf_of_a_comment() -> bytes:
    return page_pdf().replace(b"\nxref", b"\n%" + b"x" * (4 << 20) + b"\nxref")


@hostile("pdf-of-old-mac-lines.pdf")
def pdf_of_old_mac_lines() -> bytes:
    return page_pdf().replace(b"\n", b"\r")
