"""Per page: read the text layer, OCR it, or both; decided on numbers that the result shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr.geometry import Coverage
from hybrid_ocr_worker.ocr.native_text import NativeText
from hybrid_ocr_worker.ocr.plausibility import plausibility
from hybrid_ocr_worker.ocr.result import Source

#: More characters than this without a Unicode value, as a share: the layer cannot be read.
MOST_UNMAPPED = 0.1
#: Fewer common letter pairs than this, as a share: the layer reads as nonsense.
LEAST_PLAUSIBLE = 0.7
#: More invisible or painted-over characters than seen ones, as a share of all: an old OCR layer.
MOST_UNSEEN = 0.5
#: Pictures that hold no text and cover more of the page than this may hold print.
LEAST_PICTURE = 0.03


#: Fewer characters than this beside drawn shapes: the shapes may be the text, or the few be mapped wrongly.
SPARSE_CHARACTERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where the words of a page shall come from, and why.

    ``is_doubtful``: the layer may be right after all; see whether OCR confirms it. ``may_beat_ocr``: it is better than
    nothing where OCR reads less, for want of the language perhaps.
    """

    source: Source
    reason: str
    evidence: dict[str, float | int]
    is_doubtful: bool = False
    may_beat_ocr: bool = False


def route(native: NativeText, mode: Mode) -> Route:  # noqa: PLR0911 - a list of rules
    """Decide on the evidence; the first rule that fits wins."""
    evidence = _measure(native)
    decide = Route(source=Source.OCR, reason="", evidence=evidence)
    if mode is Mode.FORCE:
        return _with(decide, Source.OCR, "mode_force")
    if mode is Mode.NATIVE_ONLY:
        return _with(decide, Source.NATIVE, "mode_native_only")
    seen, unseen = native.visible, native.invisible + native.hidden
    if seen == 0:
        return _with(decide, Source.OCR, "untrusted_invisible_text" if unseen else "no_text")
    if unseen > MOST_UNSEEN * (seen + unseen):
        return _with(decide, Source.OCR, "untrusted_invisible_text")
    doubtful = replace(decide, source=Source.OCR, is_doubtful=True)
    if evidence["unmapped_share"] > MOST_UNMAPPED:
        return replace(doubtful, reason="unmapped_text", may_beat_ocr=True)
    if evidence.get("plausibility", 1.0) < LEAST_PLAUSIBLE:
        return replace(doubtful, reason="implausible_text")
    if seen < SPARSE_CHARACTERS and native.paths and not native.pictures:
        return replace(doubtful, reason="sparse_text", may_beat_ocr=True)
    if evidence["picture_coverage"] > LEAST_PICTURE:
        return _with(decide, Source.HYBRID, "text_and_pictures")
    return _with(decide, Source.NATIVE, "sound_text")


def _with(decide: Route, source: Source, reason: str) -> Route:
    return replace(decide, source=source, reason=reason)


def _measure(native: NativeText) -> dict[str, float | int]:
    width, height = native.page.width, native.page.height
    images, open_pictures = Coverage(width, height), Coverage(width, height)
    for picture in native.pictures:
        images.add(picture.box)
        open_pictures.add(picture.box)
    for character in native.characters if native.pictures else ():
        if not character.is_space:
            open_pictures.remove(character.box)
    evidence: dict[str, float | int] = {
        "chars": native.visible,
        "invisible_chars": native.invisible,
        "hidden_chars": native.hidden,
        "unmapped_share": round(native.unmapped / native.visible, 3) if native.visible else 0.0,
        "paths": native.paths,
        "image_coverage": round(images.share, 3),
        "picture_coverage": round(open_pictures.share, 3),
    }
    plausible = plausibility(native.text)
    if plausible is not None:
        evidence["plausibility"] = round(plausible, 3)
    return evidence
