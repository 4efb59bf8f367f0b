"""Takes the invisible text off a page: an old OCR layer, which a new one would double."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pikepdf import Array, Dictionary, Name, Object, Pdf, PdfError, Stream

from hybrid_ocr_worker.ocr.content_stream import Instruction, UnreadableContentError, instructions, page_streams
from hybrid_ocr_worker.ocr.invisible_text import INVISIBLE, Edit, InvisibleText
from hybrid_ocr_worker.ocr.page_geometry import inherited

#: The clean copies of forms, by the form and the rendering mode it is drawn in; None where it needs no cleaning.
CleanForms = dict[tuple[tuple[int, int], int], Stream | None]

_MENTION: Final = re.compile(rb"3[\0\t\n\f\r ]+(?:%[^\r\n]*[\0\t\n\f\r ]+)*Tr")
_DEEPEST_FORM: Final = 20
_MOST_FORMS: Final = 500


def remove_invisible_text(pdf: Pdf, page: Object, clean_forms: CleanForms | None = None) -> bool:
    """Remove text of rendering mode 3 from a page and from the forms it draws; tell whether there was any.

    Nothing is changed in place, for other pages may share it: the page gets streams, forms and resources of its own.
    What holds no invisible text, or cannot be read, stays as it is.

    Args:
        pdf: the page's document.
        page: the page's dictionary.
        clean_forms: what was made of forms on earlier pages of the document; it is added to.

    """
    streams = page_streams(page)
    run = _Run(pdf, inherited(page, "/Resources"), {} if clean_forms is None else clean_forms)
    if not run.read(streams, mode=0):
        return False
    page.Contents = Array(run.edited(streams))
    if run.has_clean_forms:
        page.Resources = run.edited_resources()
    return True


@dataclass(slots=True)
class _Run:
    """The streams of a page, or the one of a form, with the resources they draw from."""

    pdf: Pdf
    resources: Object | None
    clean_forms: CleanForms
    depth: int = 0
    has_clean_forms: bool = False
    _contents: list[bytes] = field(default_factory=list)
    _edits: list[Edit] = field(default_factory=list)
    _drawn: dict[str, Object] = field(default_factory=dict)

    def read(self, streams: Iterable[Stream], mode: int) -> bool:
        """Find what is to be cut; tell whether there is anything."""
        text = InvisibleText(mode)
        try:
            self._contents = [_decoded(stream) for stream in streams]
            if mode != INVISIBLE and not self._may_hold_some():
                return False
            for number, content in enumerate(self._contents):
                for instruction in instructions(content):
                    text.follow(number, instruction)
                    if instruction.operator == b"Do" and instruction.operands:
                        self._draw(number, instruction, text.mode)
        except UnreadableContentError:
            return False
        text.end_text()
        self._edits += text.edits
        return bool(self._edits) or self.has_clean_forms

    def _may_hold_some(self) -> bool:
        """Look before reading: most pages have no such layer, and telling a drawing into instructions takes long."""
        if any(_MENTION.search(content) for content in self._contents):
            return True
        return _is_mentioned_in_forms(self.resources, set())

    def _draw(self, number: int, instruction: Instruction, mode: int) -> None:
        """Enter a form with the mode it inherits here; where it holds invisible text, have its clean copy drawn."""
        xobjects = _entries(self.resources, "/XObject")
        name = _decoded_name(instruction.operands[-1])
        form = _form(xobjects.get(name))
        if form is None or self.depth == _DEEPEST_FORM:
            return
        clean = self._clean(form, mode)
        self.has_clean_forms |= clean is not None
        wanted = form if clean is None else clean
        if self._drawn.setdefault(name, wanted).objgen != wanted.objgen:
            # drawn visibly in one place and invisibly in another: two forms now, so it needs a second name
            name = next(new for n in range(len(xobjects) + 1) if (new := f"/Clean{n}") not in xobjects | self._drawn)
            self._drawn[name] = wanted
            self._edits.append(Edit(number, instruction.start, instruction.end, name.encode() + b" Do"))

    def _clean(self, form: Stream, mode: int) -> Stream | None:
        key = (form.objgen, mode)
        if key not in self.clean_forms:
            self.clean_forms[key] = None  # a form that draws itself ends here
            resources = form.get("/Resources", self.resources)
            run = _Run(self.pdf, resources, self.clean_forms, self.depth + 1)
            if run.read([form], mode):
                self.clean_forms[key] = run.edited_form(form)
        return self.clean_forms[key]

    def edited(self, streams: Sequence[Stream]) -> list[Stream]:
        """Make the streams anew that something is cut from."""
        edited = []
        for number, (stream, content) in enumerate(zip(streams, self._contents, strict=True)):
            edits = sorted(edit for edit in self._edits if edit.stream == number)
            edited.append(_compressed(self.pdf, _apply(content, edits)) if edits else stream)
        return edited

    def edited_form(self, form: Stream) -> Stream:
        """Copy a form, without what is cut."""
        new = _compressed(self.pdf, _apply(self._contents[0], sorted(self._edits)))
        for key, value in form.items():
            if key not in ("/Length", "/Filter", "/DecodeParms", "/F", "/FFilter", "/FDecodeParms"):
                new[key] = value
        if self.has_clean_forms:
            new.Resources = self.edited_resources()
        return new

    def edited_resources(self) -> Dictionary:
        """Copy the resources, with clean forms in the place of the old ones."""
        resources = Dictionary(_entries(self.resources))
        resources.XObject = Dictionary(_entries(self.resources, "/XObject") | self._drawn)
        return resources


def _is_mentioned_in_forms(resources: Object | None, seen: set[tuple[int, int]]) -> bool:
    for entry in _entries(resources, "/XObject").values():
        form = _form(entry)
        if form is not None and form.objgen not in seen and len(seen) < _MOST_FORMS:
            seen.add(form.objgen)
            if _MENTION.search(_decoded(form)) or _is_mentioned_in_forms(form.get("/Resources"), seen):
                return True
    return False


def _decoded(stream: Stream) -> bytes:
    try:
        return stream.read_bytes()
    except (PdfError, RuntimeError, ValueError) as error:  # a filter that fails, or is told nonsense
        raise UnreadableContentError("a stream cannot be decoded") from error


def _apply(content: bytes, edits: Iterable[Edit]) -> bytes:
    pieces, position = [], 0
    for edit in edits:
        pieces += [content[position : edit.start], edit.replacement]
        position = edit.end
        is_between_blanks = (
            content[edit.start - 1 : edit.start].isspace() and content[position : position + 1].isspace()
        )
        if not edit.replacement and is_between_blanks:
            position += 1
    return b"".join([*pieces, content[position:]])


def _compressed(pdf: Pdf, content: bytes) -> Stream:
    return pdf.make_stream(zlib.compress(content, 9), Filter=Name.FlateDecode)


def _form(entry: Object | None) -> Stream | None:
    return entry if isinstance(entry, Stream) and entry.get("/Subtype") == Name.Form else None


def _entries(resources: Object | None, kind: str | None = None) -> dict[str, Object]:
    if kind is not None and isinstance(resources, Dictionary):
        resources = resources.get(kind)
    return dict(resources.items()) if isinstance(resources, Dictionary) else {}


def _decoded_name(token: bytes) -> str:
    return re.sub(rb"#([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), token).decode("utf-8", "replace")
