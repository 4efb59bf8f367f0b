"""Documents are told by their content."""

from __future__ import annotations

import pytest

from hybrid_ocr_core.media import sniff


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"junk before" * 20 + b"%PDF-1.4", "application/pdf"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"II*\x00", "image/tiff"),
        (b"MM\x00*", "image/tiff"),
        (b"BM....", "image/bmp"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"plain text named .pdf", None),
        (b"PK\x03\x04", None),
        (b"PK\x03\x04 stored: %PDF-1.7", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_document_is_known_by_its_first_bytes(head: bytes, media_type: str | None) -> None:
    assert sniff(head) == media_type
