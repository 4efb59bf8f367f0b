"""Which bytes are a document we take: by content, never by name. Nothing is parsed here."""

from __future__ import annotations

#: A PDF header may stand anywhere in the first 1,024 bytes (ISO 32000-1, annex H.3.4.1).
SNIFF_BYTES = 1024

PDF = "application/pdf"

_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)

MEDIA_TYPES = (PDF, *dict.fromkeys(kind for _, kind in _SIGNATURES), "image/webp")


#: Of a member, of an archive without any, and of one in several volumes.
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def is_archive(head: bytes) -> bool:
    """Do these first bytes begin a ZIP archive? Office documents are some, too."""
    return head.startswith(_ARCHIVES)


def sniff(head: bytes) -> str | None:
    """The media type of a document by its first ``SNIFF_BYTES`` bytes; None when it is none that we read."""
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    # A PDF that is stored in an archive would show its header here.
    return PDF if b"%PDF-" in head[:SNIFF_BYTES] and not is_archive(head) else None
