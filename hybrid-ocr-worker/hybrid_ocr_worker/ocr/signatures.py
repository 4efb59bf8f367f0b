"""Does a PDF carry a digital signature, which any change would break?"""

from __future__ import annotations

from collections.abc import Iterator

from pikepdf import Array, Dictionary, Object, Pdf

_MOST_FIELDS = 500


def is_signed(pdf: Pdf) -> bool:
    """A signature field that holds a signature, or a document certified by its author."""
    if "/DocMDP" in _dictionary(pdf.Root.get("/Perms")):
        return True
    form = _dictionary(pdf.Root.get("/AcroForm"))
    return any("/ByteRange" in _dictionary(field.get("/V")) for field in _fields(form.get("/Fields"), set()))


def _fields(fields: Object | None, seen: set[tuple[int, int]]) -> Iterator[Dictionary]:
    """Every field of the form, each once: hostile trees have cycles."""
    if not isinstance(fields, Array):
        return
    for field in fields:
        if isinstance(field, Dictionary) and field.objgen not in seen and len(seen) < _MOST_FIELDS:
            seen.add(field.objgen)
            yield field
            yield from _fields(field.get("/Kids"), seen)


def _dictionary(value: Object | None) -> Dictionary:
    return value if isinstance(value, Dictionary) else Dictionary()
