"""One page -> its words: the way of a page through text layer, raster and Tesseract. Runs in the sandbox."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw

from hybrid_ocr_core.errors import DocumentRejected
from hybrid_ocr_core.options import Mode
from hybrid_ocr_worker.ocr import images, rasteriser
from hybrid_ocr_worker.ocr.calibration import Calibration, shipped
from hybrid_ocr_worker.ocr.engine import OcrEngine, PixelWord
from hybrid_ocr_worker.ocr.hybrid import is_confirmed, legible, merge, reads_less
from hybrid_ocr_worker.ocr.native_text import NativeText, NativeTextReader
from hybrid_ocr_worker.ocr.native_words import words_of
from hybrid_ocr_worker.ocr.preflight import IMAGE_FORMATS
from hybrid_ocr_worker.ocr.result import Box, PageResult, Source, Word
from hybrid_ocr_worker.ocr.router import Route, route

#: Below this mean confidence a page may lie on its side: upright print reads well above, sideways print under 50.
_LOOK_FOR_TURN_BELOW = 65.0
_LEAST_ORIENTATION_CONFIDENCE = 1.0
_READABLE = 60.0
_LONG_WORD = 4
#: What is read out of a picture without text are short words, or unsure ones.
_SURE = 85.0
_LEAST_SURE_WORDS = 3
#: Without pictures to go by.
_VECTOR_DPI = 200.0
_MARGIN = 20
PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look at an image gave. Boxes are in pixels of the image as given, also where it had to be turned."""

    words: list[PixelWord]
    rotation: int

    @property
    def confidence(self) -> float:
        """Mean of the words; 0 without words."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0

    @property
    def readable_characters(self) -> int:
        """The measure by which one look is better than another."""
        return sum(len(word.text) for word in self.words if word.confidence >= _READABLE)

    @property
    def may_be_turned(self) -> bool:
        """Read badly; or well, but in words that stand on end, for Tesseract finds some sideways lines by itself."""
        long_words = [word for word in self.words if len(word.text) >= _LONG_WORD]
        tall = sum(word.bottom - word.top > word.right - word.left for word in long_words)
        return self.confidence < _LOOK_FOR_TURN_BELOW or tall > len(long_words) / 2

    def moved(self, right: int, down: int) -> Reading:
        """The same words in a larger image, of which this one was a part."""
        return replace(self, words=[_moved(word, right, down) for word in self.words])


class PageReader:
    """Reads pages with one engine and one set of languages.

    Whatever is decided on the way is decided by the engine's own scores; the words of a page carry calibrated ones.
    """

    def __init__(
        self,
        engine: OcrEngine,
        languages: tuple[str, ...],
        *,
        page_seconds: float,
        most_pixels: int = rasteriser.MOST_PIXELS,
        calibration: Calibration | None = None,
    ) -> None:
        self._engine = engine
        self._languages = languages
        self._page_seconds = page_seconds
        self._most_pixels = most_pixels
        self._calibration = calibration or shipped()

    def read_pdf_page(self, path: Path, text: NativeTextReader, number: int, *, unit: float, mode: Mode) -> PageResult:
        """Route a PDF page and read it the way that is good enough.

        Raises:
            DocumentRejected: the page cannot be loaded or drawn.
        """
        native = text.read(number, unit=unit, trust_invisible=mode is Mode.NATIVE_ONLY)
        chosen = route(native, mode)
        if chosen.source is Source.NATIVE:
            return _page(number, native, chosen, words_of(native, is_sound=True), rotation=native.rotation)
        dpi = rasteriser.raster_dpi(native.page, _wanted_dpi(native), self._most_pixels)
        image = None
        if chosen.source is Source.OCR:  # a hybrid page has text, so it is never a scan alone
            image = text.scan(number, native.page, dpi=dpi, most_pixels=self._most_pixels)
        if image is None:
            image = rasteriser.rasterise(path, number, native.page, dpi, seconds=self._page_seconds)
        if chosen.source is Source.HYBRID:
            return self._read_pictures(number, native, chosen, image, dpi)
        if not rasteriser.has_ink(image):
            rasteriser.refuse_failed_blank(path, number, native.page, seconds=self._page_seconds)
            blank = replace(chosen, source=Source.BLANK, reason="no_ink")
            return _page(number, native, blank, (), image=image, dpi=dpi)
        reading = self._look(image, dpi)
        own = words_of(native, is_sound=False)
        kept = _kept_layer(native, own, chosen, reading)
        if kept is not None:
            return _page(number, native, kept, own, rotation=native.rotation)
        words = self._to_points(reading.words, native.page.width / image.width, native.page.height / image.height)
        return _page(number, native, chosen, words, rotation=reading.rotation, image=image, dpi=dpi)

    def read_image_page(self, path: Path, frame: int, number: int, *, mode: Mode) -> PageResult:
        """Read one frame of an image file.

        Raises:
            DocumentRejected: the frame cannot be decoded whole.
        """
        try:
            with Image.open(path, formats=IMAGE_FORMATS) as opened:
                opened.seek(frame)
                declared = images.usable_dpi(opened)
                image = images.upright(opened)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DocumentRejected("corrupt_document", "the image is broken or truncated", number) from error
        width, height = (
            (pixels / dpi * 72 for pixels, dpi in zip(image.size, declared, strict=True)) if declared else image.size
        )
        evidence: dict[str, float | int] = {"chars": 0, "image_coverage": 1.0}
        if mode is Mode.NATIVE_ONLY:
            return _blank_page(number, (width, height), Source.NATIVE, "mode_native_only", evidence)
        image, dpi = _scaled(image, declared, self._most_pixels)
        if not rasteriser.has_ink(image):
            page = _blank_page(number, (width, height), Source.BLANK, "no_ink", evidence)
        else:
            page = _blank_page(number, (width, height), Source.OCR, "image", evidence)
        reading = self._look(image, dpi) if page.source is Source.OCR else Reading(words=[], rotation=0)
        words = self._to_points(reading.words, width / image.width, height / image.height)
        return PageResult(
            page=number,
            width=width,
            height=height,
            pixels=image.size,
            dpi=dpi,
            rotation=reading.rotation,
            source=page.source,
            reason=page.reason,
            evidence=evidence,
            words=words,
            confidence=_mean(words),
        )

    def _read_pictures(
        self, number: int, native: NativeText, chosen: Route, image: Image.Image, dpi: float
    ) -> PageResult:
        """Keep the page's text, and read only what its pictures show."""
        scale = dpi / 72
        canvas = Image.new("L", image.size, 255)
        boxes: list[PixelBox] = []
        for picture in native.pictures:
            box = _pixels(picture.box, scale)
            canvas.paste(image.crop(box), box[:2])
            boxes.append(box)
        own = words_of(native, is_sound=True)
        pen = ImageDraw.Draw(canvas)
        for word in own:
            pen.rectangle([edge * scale for edge in word.bbox], fill=255)
        reading = Reading(words=[], rotation=0)
        if rasteriser.has_ink(canvas):
            part = _around(boxes, canvas.size)
            reading = self._look(canvas.crop(part), dpi).moved(part[0], part[1])
        seen = self._to_points(
            legible(reading.words), native.page.width / image.width, native.page.height / image.height
        )
        words = merge(own, seen)
        if len(words) == len(own):
            chosen = replace(chosen, source=Source.NATIVE, reason="pictures_without_text")
        return _page(number, native, chosen, words, rotation=native.rotation, image=image, dpi=dpi)

    def _look(self, image: Image.Image, dpi: float) -> Reading:
        """Read an image, without its layout where no text is found by it: print that stands askew hides from that."""
        reading = self._look_both_ways(image, dpi)
        if reading.words:
            return reading
        block = self._engine.words(image, languages=self._languages, dpi=dpi, is_one_block=True)
        sure = sum(word.confidence >= _SURE and len(word.text) >= _LONG_WORD for word in block)
        return replace(reading, words=block) if sure >= _LEAST_SURE_WORDS else reading  # else it read a picture

    def _look_both_ways(self, image: Image.Image, dpi: float) -> Reading:
        """Read an image; where that goes badly, see whether it lies on its side, and take the better reading."""
        first = Reading(words=self._engine.words(image, languages=self._languages, dpi=dpi), rotation=0)
        if not first.may_be_turned:
            return first
        found = self._engine.orientation(image, dpi=dpi)
        if found is None or not found.degrees or found.confidence < _LEAST_ORIENTATION_CONFIDENCE:
            return first
        turned = image.rotate(-found.degrees, expand=True)
        words = self._engine.words(turned, languages=self._languages, dpi=dpi)
        second = Reading(words=[_turn_back(word, found.degrees, image.size) for word in words], rotation=found.degrees)
        return max(second, first, key=lambda reading: reading.readable_characters)

    def _to_points(self, words: list[PixelWord], x: float, y: float) -> tuple[Word, ...]:
        """What the engine saw -> words of the page; a pixel is so many points across and down."""
        return tuple(
            Word(
                text=word.text,
                confidence=self._calibration(word.confidence),
                bbox=(word.left * x, word.top * y, word.right * x, word.bottom * y),
                block=word.block,
                paragraph=word.paragraph,
                line=word.line,
            )
            for word in words
        )


def _kept_layer(native: NativeText, own: tuple[Word, ...], chosen: Route, reading: Reading) -> Route | None:
    """A doubtful layer is kept where OCR confirms it, or reads much less."""
    if chosen.is_doubtful and is_confirmed(own, reading.words):
        return replace(chosen, source=Source.NATIVE, reason=f"{chosen.reason}_confirmed_by_ocr")
    if chosen.may_beat_ocr and reads_less(reading.words, native.visible - native.unmapped):
        return replace(chosen, source=Source.NATIVE, reason=f"{chosen.reason}_but_ocr_reads_less")
    return None


def _pixels(box: Box, scale: float) -> PixelBox:
    left, top, right, bottom = (round(edge * scale) for edge in box)
    return left, top, right, bottom


def _around(boxes: list[PixelBox], size: tuple[int, int]) -> PixelBox:
    """The part of an image that holds all boxes, with the margin that Tesseract likes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (
        max(min(lefts) - _MARGIN, 0),
        max(min(tops) - _MARGIN, 0),
        min(max(rights) + _MARGIN, size[0]),
        min(max(bottoms) + _MARGIN, size[1]),
    )


def _moved(word: PixelWord, right: int, down: int) -> PixelWord:
    return replace(
        word, left=word.left + right, top=word.top + down, right=word.right + right, bottom=word.bottom + down
    )


def _turn_back(word: PixelWord, degrees: int, size: tuple[int, int]) -> PixelWord:
    """A box in an image that was turned clockwise by so many degrees -> the box in the image of ``size`` before."""
    width, height = size
    left, top, right, bottom = {
        90: (word.top, height - word.right, word.bottom, height - word.left),
        180: (width - word.right, height - word.bottom, width - word.left, height - word.top),
        270: (width - word.bottom, word.left, width - word.top, word.right),
    }[degrees]
    return PixelWord(
        text=word.text,
        confidence=word.confidence,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        block=word.block,
        paragraph=word.paragraph,
        line=word.line,
    )


def _wanted_dpi(native: NativeText) -> float:
    """The resolution of the largest picture; that of a scan is its own."""
    if not native.pictures:
        return _VECTOR_DPI
    largest = max(
        native.pictures, key=lambda picture: (picture.box[2] - picture.box[0]) * (picture.box[3] - picture.box[1])
    )
    return round(largest.dpi)


def _scaled(image: Image.Image, declared: tuple[float, float] | None, most_pixels: int) -> tuple[Image.Image, float]:
    """Bring an image to a resolution that reads well, and tell which it is.

    A declared resolution below that of any scanner says nothing (cameras write 72); then the image is taken for a
    page of A4 width. Small ones are enlarged, large ones reduced.
    """
    dpi = declared[0] if declared and declared[0] >= rasteriser.LEAST_DPI else max(image.size) / _A4_LONG_SIDE_INCHES
    target = min(rasteriser.MOST_DPI, max(_SMALL_IMAGE_DPI, dpi))
    factor = min(
        target / dpi,
        _MOST_ENLARGED,
        rasteriser.MOST_PIXELS_A_SIDE / max(image.size),
        math.sqrt(most_pixels / (image.width * image.height)),
    )
    if 0.95 < factor < 1.05:
        return image, dpi
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS), dpi * factor


_A4_LONG_SIDE_INCHES = 11.69
_SMALL_IMAGE_DPI = 200.0
_MOST_ENLARGED = 3.0


def _mean(words: tuple[Word, ...]) -> float | None:
    return sum(word.confidence for word in words) / len(words) if words else None


def _blank_page(
    number: int, size: tuple[float, float], source: Source, reason: str, evidence: dict[str, float | int]
) -> PageResult:
    return PageResult(
        page=number,
        width=size[0],
        height=size[1],
        pixels=None,
        dpi=None,
        rotation=0,
        source=source,
        reason=reason,
        evidence=evidence,
        words=(),
        confidence=None,
    )


def _page(
    number: int,
    native: NativeText,
    chosen: Route,
    words: tuple[Word, ...],
    *,
    rotation: int = 0,
    image: Image.Image | None = None,
    dpi: float | None = None,
) -> PageResult:
    return PageResult(
        page=number,
        width=native.page.width,
        height=native.page.height,
        pixels=image.size if image else None,
        dpi=dpi,
        rotation=rotation,
        source=chosen.source,
        reason=chosen.reason,
        evidence=chosen.evidence,
        words=words,
        confidence=_mean(words),
    )
