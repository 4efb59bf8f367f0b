"""Does a PDF carry a digital signature, which any change would break?"""

from __future__ import annotations

from collections.abc import Iterator

from pikepdf import Array, Dictionary, Object, Pdf

_DEEPEST_FIELD = 20


def is_signed(pdf: Pdf) -> bool:
    """A signature field that holds a signature, or a document certified by its author."""
    if "/DocMDP" in _dictionary(pdf.Root.get("/Perms")):
        return True
    form = _dictionary(pdf.Root.get("/AcroForm"))
    return any("/ByteRange" in _dictionary(field.get("/V")) for field in _fields(form.get("/Fields"), 0))


def _fields(fields: Object | None, depth: int) -> Iterator[Dictionary]:
    if not isinstance(fields, Array) or depth > _DEEPEST_FIELD:
        return
    for field in fields:
        if isinstance(field, Dictionary):
            yield field
            yield from _fields(field.get("/Kids"), depth + 1)


def _dictionary(value: Object | None) -> Dictionary:
    return value if isinstance(value, Dictionary) else Dictionary()
