"""Documents that the tests need and nobody has: made with known words in known places.

Text on rasters is drawn by Pillow's own font, so a reader can be held against what was drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image, ImageDraw, ImageFont

DOCUMENTS = Path(__file__).resolve().parent / "documents"

#: What every generated page says.
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank"
LINES = (
    "Invoice number 4711 of the second of March",
    SENTENCE,
    "Every page of this document was made for a test",
    "and says nothing that anybody would want to know",
)
_A4 = (595, 842)
_DPI = 150


def scan_image(lines: tuple[str, ...] = LINES, *, size: tuple[int, int] | None = None) -> Image.Image:
    """A grey A4 page at 150 dpi with printed lines."""
    size = size or (round(_A4[0] / 72 * _DPI), round(_A4[1] / 72 * _DPI))
    image = Image.new("L", size, 255)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(34)
    for index, line in enumerate(lines):
        pen.text((120, 150 + index * 80), line, font=font, fill=0)
    return image


def blank_pdf(pages: int = 1, *, media_box: tuple[float, float, float, float] = (0, 0, *_A4)) -> Pdf:
    """Empty pages."""
    pdf = Pdf.new()
    for _ in range(pages):
        pdf.pages.append(
            pikepdf.Page(Dictionary(Type=Name.Page, MediaBox=Array(list(media_box)), Resources=Dictionary()))
        )
    return pdf


def add_text(
    pdf: Pdf, page: pikepdf.Page, lines: tuple[str, ...] = LINES, *, top: float = 760, invisible: bool = False
) -> None:
    """Lines of Helvetica at 14 pt."""
    page.obj.Resources.Font = Dictionary(
        F1=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
    )
    mode = 3 if invisible else 0
    shown = "".join(f"1 0 0 1 60 {top - index * 30} Tm ({line}) Tj\n" for index, line in enumerate(lines))
    _append(pdf, page, f"BT /F1 14 Tf {mode} Tr\n{shown}ET\n".encode())


def add_picture(
    pdf: Pdf, page: pikepdf.Page, image: Image.Image, box: tuple[float, float, float, float], *, name: str = "Im1"
) -> None:
    """An image as JPEG, in a box of user space: x, y, width, height."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    stream = Stream(pdf, buffer.getvalue())
    stream.stream_dict = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=image.width,
        Height=image.height,
        ColorSpace=Name.DeviceGray,
        BitsPerComponent=8,
        Filter=Name.DCTDecode,
    )
    resources = page.obj.Resources
    if Name.XObject not in resources:
        resources.XObject = Dictionary()
    resources.XObject[f"/{name}"] = pdf.make_indirect(stream)
    x, y, width, height = box
    _append(pdf, page, f"q {width} 0 0 {height} {x} {y} cm /{name} Do Q\n".encode())


def _append(pdf: Pdf, page: pikepdf.Page, content: bytes) -> None:
    page.contents_add(Stream(pdf, content))


def _saved(pdf: Pdf) -> bytes:
    buffer = io.BytesIO()
    pdf.save(buffer, deterministic_id=True)
    return buffer.getvalue()


def _image_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def born_digital() -> bytes:
    pdf = blank_pdf(2)
    for page in pdf.pages:
        add_text(pdf, page)
    return _saved(pdf)


def scan() -> bytes:
    pdf = blank_pdf()
    add_picture(pdf, pdf.pages[0], scan_image(), (0, 0, *_A4))
    return _saved(pdf)


def long_scan(pages: int) -> bytes:
    """The scan, many times."""
    pdf = blank_pdf(pages)
    image = scan_image()
    for page in pdf.pages:
        add_picture(pdf, page, image, (0, 0, *_A4))
    return _saved(pdf)


def numbered_scan(pages: int) -> bytes:
    """Scanned pages that say which they are."""
    pdf = blank_pdf(pages)
    for number, page in enumerate(pdf.pages, 1):
        add_picture(pdf, page, scan_image((f"Page {number} of a long document", SENTENCE)), (0, 0, *_A4))
    return _saved(pdf)


def numbered_tiff(pages: int) -> bytes:
    """The same as frames."""
    frames = [scan_image((f"Page {number} of a long document", SENTENCE)) for number in range(1, pages + 1)]
    return _image_bytes(frames[0], "TIFF", save_all=True, append_images=frames[1:], dpi=(_DPI, _DPI))


def mixed() -> bytes:
    """A digital page, a scanned one and an empty one."""
    pdf = blank_pdf(3)
    add_text(pdf, pdf.pages[0])
    add_picture(pdf, pdf.pages[1], scan_image(), (0, 0, *_A4))
    return _saved(pdf)


def text_and_picture() -> bytes:
    """Text above, a scanned picture with other text below."""
    pdf = blank_pdf()
    add_text(pdf, pdf.pages[0])
    picture = scan_image(("Receipt of the harbour office", "Nine barrels of salted herring"), size=(1000, 400))
    add_picture(pdf, pdf.pages[0], picture, (60, 200, 475, 190))
    return _saved(pdf)


def rotated(degrees: int) -> bytes:
    """A scan that /Rotate brings upright."""
    pdf = blank_pdf(media_box=(0, 0, _A4[1], _A4[0]) if degrees % 180 else (0, 0, *_A4))
    turned = scan_image().rotate(degrees, expand=True)
    page = pdf.pages[0]
    add_picture(pdf, page, turned, (0, 0, float(page.mediabox[2]), float(page.mediabox[3])))
    page.obj.Rotate = degrees
    return _saved(pdf)


def turned_pixels(degrees: int) -> bytes:
    """An image that must be turned clockwise by so many degrees to be read."""
    return _image_bytes(scan_image().rotate(degrees, expand=True), "PNG", dpi=(_DPI, _DPI))


def odd_boxes() -> bytes:
    """A MediaBox off the origin, a CropBox within it, UserUnit 2, and a scan that fills the CropBox."""
    pdf = blank_pdf(media_box=(100, 200, 100 + 400, 200 + 500))
    page = pdf.pages[0]
    page.obj.CropBox = Array([150, 250, 150 + _A4[0] / 2, 250 + _A4[1] / 2])
    page.obj.UserUnit = 2
    add_picture(pdf, page, scan_image(), (150, 250, _A4[0] / 2, _A4[1] / 2))
    return _saved(pdf)


def lying_layer() -> bytes:
    """A scan under an invisible layer that says something else."""
    pdf = blank_pdf()
    add_picture(pdf, pdf.pages[0], scan_image(), (0, 0, *_A4))
    add_text(pdf, pdf.pages[0], ("Nothing of this stands on the page at all",) * 4, invisible=True)
    return _saved(pdf)


def hidden_text() -> bytes:
    """Text that is painted over by a scan."""
    pdf = blank_pdf()
    add_text(pdf, pdf.pages[0], ("Nothing of this stands on the page at all",) * 4)
    add_picture(pdf, pdf.pages[0], scan_image(), (0, 0, *_A4))
    return _saved(pdf)


def multipage_tiff() -> bytes:
    pages = [scan_image((f"This is page number {word}", SENTENCE)) for word in ("one", "two", "three")]
    return _image_bytes(pages[0], "TIFF", save_all=True, append_images=pages[1:], dpi=(_DPI, _DPI))


def blank() -> bytes:
    return _saved(blank_pdf())


def encrypted(*, user: str) -> bytes:
    """Encrypted; with an empty user password it opens for everyone."""
    pdf = Pdf.open(io.BytesIO(scan()))
    buffer = io.BytesIO()
    pdf.save(buffer, encryption=pikepdf.Encryption(user=user, owner="the owner's own", R=6))
    return buffer.getvalue()


def truncated() -> bytes:
    content = scan()
    return content[: len(content) * 2 // 3]


def signed() -> bytes:
    """A scan with a signature field that holds a (meaningless) signature."""
    pdf = Pdf.open(io.BytesIO(scan()))
    value = pdf.make_indirect(
        Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), ByteRange=Array([0, 10, 20, 10]), Contents=b"\0" * 16)
    )
    sig = pdf.make_indirect(Dictionary(FT=Name.Sig, T="Signature1", V=value))
    pdf.Root.AcroForm = Dictionary(Fields=Array([sig]), SigFlags=3)
    return _saved(pdf)


def images() -> dict[str, bytes]:
    """The scan in every image format we take."""
    page = scan_image()
    return {
        "scan.png": _image_bytes(page, "PNG", dpi=(_DPI, _DPI)),
        "scan.jpg": _image_bytes(page, "JPEG", dpi=(_DPI, _DPI)),
        "scan.tif": _image_bytes(page, "TIFF", dpi=(_DPI, _DPI)),
        "scan.bmp": _image_bytes(page, "BMP"),
        "scan.gif": _image_bytes(page, "GIF"),
        "scan.webp": _image_bytes(page, "WEBP", lossless=True),
    }


#: Name -> maker, of all kinds that the issue of the end-to-end path names.
GENERATED: dict[str, Callable[[], bytes]] = {
    "born-digital.pdf": born_digital,
    "scan.pdf": scan,
    "mixed.pdf": mixed,
    "text-and-picture.pdf": text_and_picture,
    "rotate-90.pdf": lambda: rotated(90),
    "rotate-180.pdf": lambda: rotated(180),
    "rotate-270.pdf": lambda: rotated(270),
    "turned-90.png": lambda: turned_pixels(90),
    "odd-boxes.pdf": odd_boxes,
    "lying-layer.pdf": lying_layer,
    "hidden-text.pdf": hidden_text,
    "multipage.tif": multipage_tiff,
    "blank.pdf": blank,
    "opens-without-password.pdf": lambda: encrypted(user=""),
    "signed.pdf": signed,
    "needs-password.pdf": lambda: encrypted(user="secret"),
    "truncated.pdf": truncated,
}


def main() -> None:
    """Write all of them into the current directory, to look at by hand: python -m tests.make_documents."""
    for name, make in GENERATED.items():
        Path(name).write_bytes(make())
    for name, content in images().items():
        Path(name).write_bytes(content)


if __name__ == "__main__":
    main()
