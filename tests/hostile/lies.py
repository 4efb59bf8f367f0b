"""Files that are no document, whatever their name says."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

from tests.hostile.catalogue import hostile


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<w:document/>")
    return buffer.getvalue()


_FILES = {
    "text.pdf": b"just some text that calls itself a document\n" * 20,
    "empty.pdf": b"",
    "one-byte.pdf": b"%",
    "page.pdf": b"<!DOCTYPE html><html><body>a page</body></html>",
    "archive.pdf": _zip(),
    "packed.pdf": gzip.compress(b"%PDF-1.7", mtime=0),
    "program.pdf": b"\x7fELF\2\1\1" + b"\0" * 2000,
    "postscript.pdf": b"%!PS-Adobe-3.0\n{ } loop\n",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "photo.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100,
    "icon.png": b"\0\0\1\0\1\0\x10\x10",
    "zeros.pdf": bytes(4096),
    "noise.pdf": random.Random(7).randbytes(4096),
    "header-too-late.pdf": b"\n" * 2000 + b"%PDF-1.7\n",
    "riff.webp": b"RIFF\0\0\0\0WAVE" + b"\0" * 100,
    "jpeg-mark.jpg": b"\xff\xd8\xff",
    "png-mark.png": b"\x89PNG\r\n\x1a\n",
}


def _enter(name: str, content: bytes) -> None:
    @hostile(f"no-document-{name}")
    def lie() -> bytes:
        return content


for _name, _content in _FILES.items():
    _enter(_name, _content)
