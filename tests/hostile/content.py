"""PDFs whose page content recurses, multiplies or never ends."""

from __future__ import annotations

from tests.hostile.catalogue import hostile
from tests.hostile.writer import FONT, FONTS, TEXT, page_pdf, stream

_FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] "
_BLACK = b"0 g 100 100 400 400 re f\n"


@hostile("form-that-draws-itself.pdf")
def form_recursion() -> bytes:
    form = stream(_BLACK + b"/A Do", _FORM + b"/Resources << /XObject << /A 5 0 R >> >>")
    return page_pdf(b"/A Do", resources=b"/XObject << /A 5 0 R >>", more={5: form})


@hostile("forms-that-draw-each-other.pdf")
def form_mutual_recursion() -> bytes:
    form = stream(_BLACK + b"/A Do /B Do", _FORM + b"/Resources << /XObject << /A 5 0 R /B 6 0 R >> >>")
    return page_pdf(b"/A Do /B Do", resources=b"/XObject << /A 5 0 R /B 6 0 R >>", more={5: form, 6: form})


@hostile("forms-of-ten-billion-squares.pdf")
def form_laughs() -> bytes:
    """Ten levels; each draws the next ten times. Memory ends it on a quick machine, the clock on a busy one."""
    forms = {
        number: stream(b"/A Do " * 10, _FORM + b"/Resources << /XObject << /A %d 0 R >> >>" % (number + 1))
        for number in range(5, 15)
    }
    return page_pdf(b"/A Do", resources=b"/XObject << /A 5 0 R >>", more={**forms, 15: stream(_BLACK, _FORM)})


@hostile("forms-nested-5000-deep.pdf")
def form_nested() -> bytes:
    forms = {
        number: stream(b"/A Do", _FORM + b"/Resources << /XObject << /A %d 0 R >> >>" % (number + 1))
        for number in range(5, 5005)
    }
    return page_pdf(b"/A Do", resources=b"/XObject << /A 5 0 R >>", more={**forms, 5005: stream(_BLACK, _FORM)})


@hostile("resources-are-the-page.pdf")
def resources_are_the_page() -> bytes:
    return page_pdf(TEXT, resources=FONTS + b"/XObject 3 0 R /ExtGState 3 0 R /Properties 3 0 R")


_TILE = b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 9 9] "


@hostile("pattern-that-fills-itself.pdf")
def pattern_recursion() -> bytes:
    tile = stream(
        b"/Pattern cs /P scn 0 0 9 9 re f",
        _TILE + b"/XStep 9 /YStep 9 /Resources << /Pattern << /P 5 0 R >> >>",
    )
    content = b"/Pattern cs /P scn 0 0 595 842 re f"
    return page_pdf(content, resources=b"/Pattern << /P 5 0 R >>", more={5: tile})


def _tiled(step: bytes) -> bytes:
    tile = stream(b"0 g 0 0 5 5 re f", _TILE + b"/XStep %s /YStep %s /Resources << >>" % (step, step))
    content = b"/Pattern cs /P scn 0 0 595 842 re f"
    return page_pdf(content, resources=b"/Pattern << /P 5 0 R >>", more={5: tile})


@hostile("pattern-of-tiny-steps.pdf")
def pattern_of_tiny_steps() -> bytes:
    return _tiled(b"0.0001")


@hostile("pattern-of-no-step.pdf")
def pattern_of_no_step() -> bytes:
    return _tiled(b"0")


def _type3(procedure: bytes, more: dict[int, bytes]) -> bytes:
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [0.001 0 0 0.001 0 0] /FirstChar 97 "
        b"/LastChar 97 /Widths [1000] /Encoding << /Differences [97 /a] >> /CharProcs << /a 6 0 R >> "
        b"/Resources << /Font << /F1 5 0 R >> /XObject << /A 7 0 R >> >> >>"
    )
    content = b"BT /F1 24 Tf 60 700 Td (aaaaaaaaaa) Tj ET"
    return page_pdf(content, resources=b"/Font << /F1 5 0 R >>", more={5: font, 6: stream(procedure), **more})


@hostile("type-3-glyph-that-writes-itself.pdf")
def type3_recursion() -> bytes:
    return _type3(b"1000 0 d0 BT /F1 1 Tf (aaaaaaaaaa) Tj ET", {7: stream(b"", _FORM)})


@hostile("type-3-glyph-that-draws-a-form-that-writes-it.pdf")
def type3_form_recursion() -> bytes:
    form = stream(b"BT /F1 9 Tf (aa) Tj ET", _FORM + b"/Resources << /Font << /F1 5 0 R >> /XObject << /A 7 0 R >> >>")
    return _type3(b"1000 0 d0 /A Do", {7: form})


@hostile("soft-mask-that-masks-itself.pdf")
def soft_mask_recursion() -> bytes:
    state = b"<< /SMask << /S /Luminosity /G 6 0 R >> >>"
    group = stream(
        b"/G gs " + _BLACK,
        _FORM + b"/Group << /S /Transparency /CS /DeviceGray >> /Resources << /ExtGState << /G 5 0 R >> >>",
    )
    return page_pdf(b"/G gs " + _BLACK, resources=b"/ExtGState << /G 5 0 R >>", more={5: state, 6: group})


@hostile("transparency-groups-nested-300-deep.pdf")
def transparency_nested() -> bytes:
    """Each group holds a raster of its own."""
    entries = _FORM + b"/Group << /S /Transparency /I true /CS /DeviceRGB >> "
    forms = {
        number: stream(
            b"/G gs /A Do",
            entries + b"/Resources << /ExtGState << /G << /ca 0.9 >> >> /XObject << /A %d 0 R >> >>" % (number + 1),
        )
        for number in range(5, 305)
    }
    content = b"/G gs /A Do"
    resources = b"/ExtGState << /G << /ca 0.9 >> >> /XObject << /A 5 0 R >>"
    return page_pdf(content, resources=resources, more={**forms, 305: stream(_BLACK, entries)})


def _shaded(function: bytes) -> bytes:
    shading = b"<< /ShadingType 2 /ColorSpace /DeviceGray /Coords [0 0 595 842] /Function 6 0 R >>"
    return page_pdf(b"/S sh", resources=b"/Shading << /S 5 0 R >>", more={5: shading, 6: function})


@hostile("shading-by-a-table-of-a-billion.pdf")
def shading_table() -> bytes:
    entries = b"/FunctionType 0 /Domain [0 1] /Range [0 1] /Size [1000000000] /BitsPerSample 32"
    return _shaded(stream(b"\0\1\2\3", entries))


@hostile("shading-by-a-function-of-itself.pdf")
def shading_recursion() -> bytes:
    return _shaded(b"<< /FunctionType 3 /Domain [0 1] /Functions [6 0 R 6 0 R] /Bounds [0.5] /Encode [0 1 0 1] >>")


@hostile("shading-by-nested-braces.pdf")
def shading_braces() -> bytes:
    entries = b"/FunctionType 4 /Domain [0 1] /Range [0 1]"
    return _shaded(stream(b"{" * 100_000 + b"}" * 100_000, entries))


@hostile("mesh-of-huge-coordinates.pdf")
def shading_mesh() -> bytes:
    entries = (
        b"/ShadingType 4 /ColorSpace /DeviceGray /BitsPerCoordinate 32 /BitsPerComponent 16 /BitsPerFlag 8 "
        b"/Decode [-1000000000 1000000000 -1000000000 1000000000 0 1]"
    )
    mesh = stream(bytes(range(256)) * 200, entries)
    return page_pdf(b"/S sh", resources=b"/Shading << /S 5 0 R >>", more={5: mesh})


@hostile("saved-100000-times.pdf")
def saved_deep() -> bytes:
    return page_pdf(b"q " * 100_000 + TEXT)


@hostile("restored-100000-times.pdf")
def restored_without_saving() -> bytes:
    return page_pdf(b"Q " * 100_000 + TEXT)


@hostile("content-arrays-nested-100000-deep.pdf")
def content_nested() -> bytes:
    return page_pdf(TEXT + b"[" * 100_000 + b"]" * 100_000 + b" TJ")


@hostile("content-of-marked-content-100000-deep.pdf")
def marked_content_nested() -> bytes:
    return page_pdf(b"/P BMC " * 100_000 + TEXT)


@hostile("content-never-ends-its-string.pdf")
def content_open_string() -> bytes:
    return page_pdf(TEXT + b"BT /F1 9 Tf (" + b"\\(" * 100_000)


@hostile("a-million-letters-on-one-spot.pdf")
def letters_on_one_spot() -> bytes:
    return page_pdf(b"BT /F1 9 Tf 60 700 Td\n" + (b"(" + b"x" * 1000 + b") Tj 0 0 Td\n") * 1000 + b"ET")


@hostile("200000-lines-of-a-path.pdf")
def path_of_many_lines() -> bytes:
    lines = b"".join(b"%d %d l\n" % (number * 7919 % 595, number * 104_729 % 842) for number in range(200_000))
    return page_pdf(b"0 0 m\n" + lines + b"b*")


@hostile("dashes-of-a-millionth.pdf")
def dashes() -> bytes:
    return page_pdf(b"[0.000001] 0 d 5 w 0 0 m 595 842 l S " * 20)


@hostile("lines-of-1e30-width.pdf")
def lines_of_huge_width() -> bytes:
    huge = b"1" + b"0" * 30
    return page_pdf(b"%s w %s 0 0 %s 0 0 cm 0 0 m %s %s l S" % (huge, huge, huge, huge, huge))


@hostile("clips-of-100000.pdf")
def clips() -> bytes:
    return page_pdf(b"q 10 10 500 800 re W n " * 20_000 + TEXT)


@hostile("text-of-1e9-points.pdf")
def text_of_huge_size() -> bytes:
    return page_pdf(b"BT /F1 1000000000 Tf 0 0 Td (Every word) Tj ET")


@hostile("all-content-is-hidden-by-a-layer.pdf")
def optional_content() -> bytes:
    return page_pdf(
        b"/OC /L BDC " + TEXT + b"EMC",
        resources=FONTS + b"/Properties << /L 5 0 R >>",
        catalogue=b"/OCProperties << /OCGs [5 0 R] /D << /OFF [5 0 R] /BaseState /OFF >> >>",
        more={5: b"<< /Type /OCG /Name (hidden) >>"},
    )


def _embedded_font(program: bytes, key: bytes = b"FontFile2", kind: bytes = b"TrueType") -> bytes:
    font = (
        b"<< /Type /Font /Subtype /%s /BaseFont /ABCDEF+Broken /FirstChar 32 /LastChar 33 /Widths [500 500] "
        b"/FontDescriptor 6 0 R >>" % kind
    )
    descriptor = (
        b"<< /Type /FontDescriptor /FontName /ABCDEF+Broken /Flags 4 /FontBBox [0 0 1 1] /ItalicAngle 0 /Ascent 1 "
        b"/Descent 0 /CapHeight 1 /StemV 1 /%s 7 0 R >>" % key
    )
    return page_pdf(resources=b"/Font << /F1 5 0 R >>", more={5: font, 6: descriptor, 7: stream(program)})


@hostile("font-of-noise.pdf")
def font_of_noise() -> bytes:
    return _embedded_font(bytes(range(256)) * 40)


@hostile("font-that-claims-60000-tables.pdf")
def font_of_many_tables() -> bytes:
    return _embedded_font(b"\0\1\0\0\xea\x60\0\0\0\0\0\0" + b"glyf\0\0\0\0\xff\xff\xff\x00\xff\xff\xff\xff" * 100)


@hostile("type-1-font-that-runs-for-ever.pdf")
def font_that_runs() -> bytes:
    return _embedded_font(b"%!PS-AdobeFont-1.0\n{ } loop " + b"{" * 50_000, b"FontFile", b"Type1")


@hostile("widths-of-a-million.pdf")
def widths() -> bytes:
    font = FONT.replace(b">>", b"/FirstChar 0 /LastChar 1000000 /Widths [%s] >>" % (b"500 " * 1_000_000))
    return page_pdf(resources=b"/Font << /F1 5 0 R >>", more={5: font})


def _mapped(cmap: bytes) -> bytes:
    font = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H "
        b"/DescendantFonts [6 0 R] /ToUnicode 7 0 R >>"
    )
    inner = (
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
        b"/Supplement 0 >> >>"
    )
    return page_pdf(
        b"BT /F1 24 Tf 60 700 Td <0001000200030004> Tj ET",
        resources=b"/Font << /F1 5 0 R >>",
        more={5: font, 6: inner, 7: stream(cmap, b"/UseCMap 7 0 R")},
    )


@hostile("unicode-map-of-huge-ranges.pdf")
def unicode_map() -> bytes:
    return _mapped(b"1 beginbfrange <00000000> <ffffffff> <0041> endbfrange " * 1000)


@hostile("unicode-map-of-long-strings.pdf")
def unicode_map_of_long_strings() -> bytes:
    return _mapped(b"1 beginbfrange <0000> <ffff> <" + b"0041" * 50_000 + b"> endbfrange")


@hostile("font-whose-descendant-is-itself.pdf")
def font_cycle() -> bytes:
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding 5 0 R /DescendantFonts [5 0 R] >>"
    return page_pdf(resources=b"/Font << /F1 5 0 R >>", more={5: font})


@hostile("colour-space-of-itself.pdf")
def colour_space_cycle() -> bytes:
    return page_pdf(
        b"/C cs 0 scn " + _BLACK,
        resources=b"/ColorSpace << /C 5 0 R >>",
        more={5: b"[/Indexed 5 0 R 255 5 0 R]"},
    )


@hostile("colours-of-10000-components.pdf")
def device_n() -> bytes:
    names = b"".join(b"/C%d " % number for number in range(10_000))
    function = stream(b"{ 0 }", b"/FunctionType 4 /Domain [%s] /Range [0 1]" % (b"0 1 " * 10_000))
    space = b"[/DeviceN [%s] /DeviceGray 6 0 R]" % names
    return page_pdf(b"/C cs " + _BLACK, resources=b"/ColorSpace << /C 5 0 R >>", more={5: space, 6: function})


@hostile("javascript-and-launch.pdf")
def active_content() -> bytes:
    """Whatever it wants to start, nothing starts."""
    return page_pdf(
        catalogue=b"/OpenAction 5 0 R /AA << /WC 6 0 R /DP 7 0 R >> /Names << /JavaScript << /Names [(a) 5 0 R] >> >>",
        page=b"/AA << /O 6 0 R >> /Annots [<< /Subtype /Link /Rect [0 0 595 842] /A 7 0 R >>]",
        more={
            5: b"<< /S /JavaScript /JS (while \\(true\\) {}) >>",
            6: b"<< /S /Launch /F (/bin/sh) /Unix << /F (/bin/sh) >> >>",
            7: b"<< /S /SubmitForm /F (http://127.0.0.1:1/) /Next << /S /GoToR /F (/etc/passwd) /D [0 /Fit] >> >>",
        },
    )


@hostile("content-in-another-file.pdf")
def external_stream() -> bytes:
    """A stream may name a file to be read instead of its own bytes."""
    return page_pdf(contents=stream(b"", b"/F (/etc/passwd) /FFilter /ASCIIHexDecode"))


@hostile("form-in-another-document.pdf")
def reference_xobject() -> bytes:
    form = stream(_BLACK, _FORM + b"/Ref << /F (/etc/passwd) /Page 0 >> /OPI << /2.0 << /F (/etc/passwd) >> >>")
    return page_pdf(b"/A Do", resources=b"/XObject << /A 5 0 R >>", more={5: form})
