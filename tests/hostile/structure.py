"""PDFs whose objects, references and page trees lie."""

from __future__ import annotations

import zlib

from tests.hostile.catalogue import hostile
from tests.hostile.writer import FONTS, TEXT, page_pdf, stream, write_pdf

_CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
_LEAF = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << " + FONTS + b" >> /Contents 4 0 R >>"
_MANY = 100_000


def _tree(pages: bytes, **more: bytes) -> bytes:
    numbered = {int(name.removeprefix("o")): body for name, body in more.items()}
    return write_pdf({1: _CATALOGUE, 2: pages, 3: _LEAF, 4: stream(TEXT), **numbered})


@hostile("page-tree-cycle.pdf")
def page_tree_cycle() -> bytes:
    return _tree(b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>")


@hostile("page-tree-cycle-beside-a-page.pdf")
def page_tree_cycle_beside_a_page() -> bytes:
    return _tree(
        b"<< /Type /Pages /Kids [3 0 R 5 0 R] /Count 2 >>",
        o5=b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>",
    )


def _dag(count: bytes) -> bytes:
    """Seven levels; each node names the next one ten times: ten million pages in a kilobyte."""
    objects = {1: _CATALOGUE, 3: _LEAF, 4: stream(TEXT)}
    nodes = [2, *range(5, 11)]
    for node, below in zip(nodes, [*nodes[1:], 3], strict=True):
        objects[node] = b"<< /Type /Pages /Kids [%s] /Count %s >>" % (b"%d 0 R " % below * 10, count)
    return write_pdf(objects)


@hostile("page-tree-dag-of-10-million.pdf")
def page_tree_dag() -> bytes:
    return _dag(b"10000000")


@hostile("page-tree-dag-that-says-1.pdf")
def page_tree_dag_that_says_one() -> bytes:
    return _dag(b"1")


@hostile("page-tree-100000-deep.pdf")
def page_tree_deep() -> bytes:
    objects = {1: _CATALOGUE, 2: b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>", 3: _LEAF, 4: stream(TEXT)}
    for number in range(5, _MANY):
        below = number + 1 if number < _MANY - 1 else 3
        objects[number] = b"<< /Type /Pages /Parent 2 0 R /Kids [%d 0 R] /Count 1 >>" % below
    return write_pdf(objects)


@hostile("count-negative.pdf")
def count_negative() -> bytes:
    return _tree(b"<< /Type /Pages /Kids [3 0 R] /Count -1 >>")


@hostile("count-huge.pdf")
def count_huge() -> bytes:
    return _tree(b"<< /Type /Pages /Kids [3 0 R] /Count 2147483647 >>")


@hostile("count-zero.pdf")
def count_zero() -> bytes:
    return _tree(b"<< /Type /Pages /Kids [3 0 R] /Count 0 >>")


@hostile("kids-is-a-number.pdf")
def kids_is_a_number() -> bytes:
    return _tree(b"<< /Type /Pages /Kids 3 /Count 1 >>")


@hostile("kids-is-null.pdf")
def kids_is_null() -> bytes:
    return _tree(b"<< /Type /Pages /Kids [null 99 0 R] /Count 2 >>")


@hostile("kids-name-one-page-5000-times.pdf")
def kids_repeat() -> bytes:
    return _tree(b"<< /Type /Pages /Kids [%s] /Count 5000 >>" % (b"3 0 R " * 5000))


@hostile("10000-empty-pages.pdf")
def ten_thousand_empty_pages() -> bytes:
    return empty_pages(10_000)


@hostile("3001-empty-pages.pdf")
def one_page_too_many() -> bytes:
    return empty_pages(3001)


def empty_pages(count: int) -> bytes:
    """So many pages, a real object each."""
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + count))
    leaf = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] >>"
    pages = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    return write_pdf({1: _CATALOGUE, 2: pages, **dict.fromkeys(range(3, 3 + count), leaf)})


@hostile("no-pages.pdf")
def no_pages() -> bytes:
    return write_pdf({1: b"<< /Type /Catalog >>"})


@hostile("catalogue-is-the-page-tree.pdf")
def catalogue_is_the_page_tree() -> bytes:
    return write_pdf({1: b"<< /Type /Catalog /Pages 1 0 R /Kids [1 0 R] /Count 1 >>"})


@hostile("parent-cycle.pdf")
def parent_cycle() -> bytes:
    """What a page inherits is looked for up the tree, for ever."""
    return write_pdf(
        {
            1: _CATALOGUE,
            2: b"<< /Type /Pages /Parent 5 0 R /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>",
            4: stream(TEXT),
            5: b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>",
        }
    )


@hostile("object-that-is-itself.pdf")
def object_that_is_itself() -> bytes:
    return page_pdf(contents=b"4 0 R")


@hostile("objects-that-are-each-other.pdf")
def objects_that_are_each_other() -> bytes:
    return page_pdf(contents=b"5 0 R", more={5: b"6 0 R", 6: b"5 0 R"})


@hostile("length-of-a-stream-is-the-stream.pdf")
def length_is_the_stream() -> bytes:
    return page_pdf(contents=stream(TEXT, length=b"4 0 R"))


@hostile("length-huge.pdf")
def length_huge() -> bytes:
    return page_pdf(contents=stream(TEXT, length=b"99999999999999999999"))


@hostile("length-negative.pdf")
def length_negative() -> bytes:
    return page_pdf(contents=stream(TEXT, length=b"-1"))


@hostile("contents-name-one-stream-100000-times.pdf")
def contents_repeat() -> bytes:
    return page_pdf(contents=b"[%s]" % (b"5 0 R " * _MANY), more={5: stream(TEXT)})


@hostile("arrays-nested-100000-deep.pdf")
def arrays_nested() -> bytes:
    return page_pdf(page=b"/Deep " + b"[" * _MANY + b"]" * _MANY)


@hostile("dictionaries-nested-100000-deep.pdf")
def dictionaries_nested() -> bytes:
    return page_pdf(page=b"/Deep " + b"<</A" * _MANY + b" 1" + b">>" * _MANY)


@hostile("string-of-a-million-brackets.pdf")
def string_of_brackets() -> bytes:
    return page_pdf(page=b"/Deep " + b"(" * 1_000_000)


@hostile("a-name-of-a-megabyte.pdf")
def name_of_a_megabyte() -> bytes:
    return page_pdf(page=b"/" + b"A" * (1 << 20) + b" 1")


@hostile("a-number-of-a-million-digits.pdf")
def number_of_a_million_digits() -> bytes:
    return page_pdf(box=b"/MediaBox [0 0 595 8" + b"9" * 1_000_000 + b"]")


@hostile("prev-is-itself.pdf")
def prev_is_itself() -> bytes:
    whole = page_pdf()
    start = whole.rindex(b"xref\n0 ")
    return page_pdf(trailer=b"/Prev %d" % start)


@hostile("prev-goes-round.pdf")
def prev_goes_round() -> bytes:
    """Two tables, each the other's predecessor."""
    first = page_pdf(trailer=b"/Prev %010d" % 0)
    start = first.rindex(b"xref\n0 ")
    second = b"xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 5 /Root 1 0 R /Prev %d >>\n" % start
    looped = first.replace(b"/Prev %010d" % 0, b"/Prev %010d" % len(first))
    return looped + second + b"startxref\n%d\n%%%%EOF\n" % len(first)


@hostile("prev-chain-of-20000.pdf")
def prev_chain() -> bytes:
    out = bytearray(page_pdf())
    last = out.rindex(b"xref\n0 ")
    for _ in range(20_000):
        place = len(out)
        out += b"xref\n0 0\ntrailer\n<< /Size 5 /Root 1 0 R /Prev %d >>\n" % last
        last = place
    return bytes(out) + b"startxref\n%d\n%%%%EOF\n" % last


@hostile("xref-of-a-billion.pdf")
def xref_of_a_billion() -> bytes:
    return page_pdf().replace(b"xref\n0 5\n", b"xref\n0 999999999\n")


@hostile("xref-that-points-anywhere.pdf")
def xref_that_points_anywhere() -> bytes:
    whole = page_pdf()
    start = whole.rindex(b"xref\n0 ")
    return whole[:start] + whole[start:].replace(b"00000 n", b"00001 n").replace(b"00000000", b"99999999")


@hostile("startxref-beyond-the-end.pdf")
def startxref_beyond_the_end() -> bytes:
    whole = page_pdf()
    return whole[: whole.rindex(b"startxref")] + b"startxref\n999999999999\n%%EOF\n"


def _xref_stream_pdf(entries: bytes, body: bytes, more: dict[int, bytes]) -> bytes:
    """A PDF whose table of places is a stream, object 9."""
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, item in more.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    start = len(out)
    rows = body
    if not rows:
        rows = b"".join(
            bytes([1]) + places[number].to_bytes(4, "big") + b"\0" if number in places else bytes(6)
            for number in range(10)
        )
    table = stream(rows, b"/Type /XRef /Root 1 0 R %s" % entries.replace(b"START", b"%d" % start))
    return bytes(out) + b"9 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, start)


_OBJECTS = {1: _CATALOGUE, 2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", 3: _LEAF, 4: stream(TEXT)}


@hostile("xref-stream-prev-is-itself.pdf")
def xref_stream_loop() -> bytes:
    return _xref_stream_pdf(b"/Size 10 /W [1 4 1] /Prev START", b"", _OBJECTS)


@hostile("xref-stream-of-huge-widths.pdf")
def xref_stream_of_huge_widths() -> bytes:
    return _xref_stream_pdf(b"/Size 10 /W [2147483647 2147483647 2147483647]", b"", _OBJECTS)


@hostile("xref-stream-of-a-billion.pdf")
def xref_stream_of_a_billion() -> bytes:
    return _xref_stream_pdf(b"/Size 2147483647 /W [1 4 1] /Index [0 2147483647]", b"", _OBJECTS)


@hostile("object-stream-in-itself.pdf")
def object_stream_in_itself() -> bytes:
    """The table says: object 5 is the first one in the object stream 5."""
    rows = b"".join(
        bytes([2]) + (5).to_bytes(4, "big") + bytes([number]) if 0 < number < 6 else bytes(6) for number in range(10)
    )
    return _xref_stream_pdf(b"/Size 10 /W [1 4 1]", rows, _OBJECTS)


@hostile("object-stream-extends-itself.pdf")
def object_stream_extends_itself() -> bytes:
    packed = stream(b"7 0 (x)", b"/Type /ObjStm /N 1 /First 4 /Extends 5 0 R")
    return page_pdf(more={5: packed})


@hostile("object-stream-of-a-billion.pdf")
def object_stream_of_a_billion() -> bytes:
    packed = stream(zlib.compress(b"3 0 null"), b"/Type /ObjStm /N 1000000000 /First 2147483647 /Filter /FlateDecode")
    rows = b"".join(
        bytes([2]) + (5).to_bytes(4, "big") + b"\0" if number == 3 else bytes([1, 0, 0, 0, 9, 0])
        for number in range(10)
    )
    return _xref_stream_pdf(b"/Size 10 /W [1 4 1]", rows, {**_OBJECTS, 5: packed})


@hostile("outline-cycle.pdf")
def outline_cycle() -> bytes:
    return page_pdf(
        catalogue=b"/Outlines 5 0 R",
        more={
            5: b"<< /First 6 0 R /Last 6 0 R /Count 1 >>",
            6: b"<< /Title (x) /Parent 5 0 R /Next 6 0 R /First 5 0 R >>",
        },
    )


@hostile("name-tree-cycle.pdf")
def name_tree_cycle() -> bytes:
    return page_pdf(catalogue=b"/Names << /Dests 5 0 R >>", more={5: b"<< /Kids [5 0 R 5 0 R] >>"})


@hostile("form-field-cycle.pdf")
def form_field_cycle() -> bytes:
    return page_pdf(
        catalogue=b"/AcroForm << /Fields [5 0 R] >>",
        page=b"/Annots [5 0 R]",
        more={5: b"<< /T (x) /Kids [5 0 R] /Parent 5 0 R /Subtype /Widget /Rect [0 0 9 9] >>"},
    )


@hostile("form-fields-of-a-million-leaves.pdf")
def form_field_dag() -> bytes:
    fields = {number: b"<< /T (x) /Kids [%s] >>" % (b"%d 0 R " % (number + 1) * 10) for number in range(5, 11)}
    return page_pdf(catalogue=b"/AcroForm << /Fields [5 0 R] >>", more={**fields, 11: b"<< /FT /Sig /T (y) >>"})


@hostile("structure-tree-cycle.pdf")
def structure_tree_cycle() -> bytes:
    return page_pdf(
        catalogue=b"/StructTreeRoot 5 0 R /MarkInfo << /Marked true >>",
        more={5: b"<< /Type /StructTreeRoot /K [6 0 R] >>", 6: b"<< /S /P /P 5 0 R /K [6 0 R 5 0 R] >>"},
    )


@hostile("200000-annotations.pdf")
def many_annotations() -> bytes:
    note = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (x) >>"
    return page_pdf(page=b"/Annots [%s]" % (b"5 0 R " * 200_000), more={5: note})


@hostile("annotation-whose-look-is-itself.pdf")
def annotation_recursion() -> bytes:
    look = b"/Type /XObject /Subtype /Form /BBox [0 0 99 99] /Resources << /XObject << /A 6 0 R >> >>"
    return page_pdf(
        page=b"/Annots [5 0 R]",
        more={
            5: b"<< /Type /Annot /Subtype /Stamp /Rect [0 0 99 99] /AP << /N 6 0 R >> >>",
            6: stream(b"/A Do", look),
        },
    )
