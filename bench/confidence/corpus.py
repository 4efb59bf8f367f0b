"""Scans whose text is known: real ones, and born-digital pages as they come out of a printer and a scanner.

``OCR_CORPUS_DIR`` names a folder with a ``MANIFEST.tsv``: a row a file, tab-separated, with at least the columns
``path`` and ``ground_truth`` (below the folder; UTF-8 text of all its pages; empty where nobody knows), ``page_class``
(``digital``: the text layer is the truth) and, if there is one, ``languages``.
"""

from __future__ import annotations

import csv
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from pdf2image import convert_from_path
from PIL import Image, ImageFilter

from bench.confidence.alignment import folded

#: What the manifest does not tell: the language of a folder, where it is not English.
_LANGUAGES = {
    "acc-gallicorpora": "fra",
    "acc-ocrd-gt": "deu",
    "acc-phone-fr": "fra",
    "eurotext": "eng+deu+fra+ita+spa",
    "geotopo": "deu",
}
#: A ground truth that is itself what some OCR read: half of the words that would be wrong by it are right.
_NO_TRUTH = {"ocrmypdf/gt/linn.txt"}
#: Of a long born-digital document, so that it does not outweigh all others.
_MOST_PAGES = 12
_LEAST_WORDS = 40
#: Of a page of prose, at least so many of what stands between blanks are words. Formulas and plots are not: their text
#: layer breaks them up otherwise than a reader does, and most of what would be wrong by it is right.
_LEAST_PROSE = 0.5
_WORD = re.compile(r"[^\W\d_]{2}")
#: Words that two texts share, of all they have, from which on they are one.
_SAME_TEXT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An image or PDF to be read, and its text.

    ``document`` names what must not be torn apart by a split: all that shows the same text or the same book.
    ``copies`` counts the samples that show this text: the six scans of one page tell no more than one does.
    """

    name: str
    path: Path
    languages: tuple[str, ...]
    truth: tuple[str, ...]
    document: str
    is_real: bool
    copies: int = 1

    @property
    def is_prose(self) -> bool:
        """Is the truth one that a word can be held against?"""
        return sum(_WORD.search(word) is not None for word in self.truth) >= _LEAST_PROSE * len(self.truth)


def samples(corpus: Path, directory: Path) -> list[Sample]:
    """List all of them; the printed ones are made in the directory."""
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    real = [
        _scan(corpus, row)
        for row in rows
        if row["ground_truth"] and row["ground_truth"] not in _NO_TRUTH and not row.get("password")
    ]
    digital = [row for row in rows if row["page_class"] == "digital"]
    return _by_text([*real, *(sample for row in digital for sample in _printed(corpus, row, directory))])


def halves(found: list[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split by document: each, the real ones first, in an order by chance, comes to the half that has fewer words."""
    documents = sorted({sample.document for sample in found})
    Random(seed).shuffle(documents)
    real = {sample.document for sample in found if sample.is_real}
    parts: tuple[list[Sample], list[Sample]] = [], []
    sizes = [0.0, 0.0]
    for document in sorted(documents, key=lambda document: document not in real):
        half = sizes.index(min(sizes))
        members = [sample for sample in found if sample.document == document]
        parts[half].extend(members)
        sizes[half] += sum(len(sample.truth) / sample.copies for sample in members)
    return parts


def _scan(corpus: Path, row: dict[str, str]) -> Sample:
    truth = corpus / row["ground_truth"]
    return Sample(
        name=row["path"],
        path=corpus / row["path"],
        languages=_languages(row),
        truth=tuple(folded(truth.read_text(encoding="utf-8"))),
        document=re.sub(r"_\d+$", "", f"{truth.parent.parent.name}/{truth.stem}"),  # the pages of a book are one
        is_real=True,
    )


def _languages(row: dict[str, str]) -> tuple[str, ...]:
    named = row.get("languages") or next((to for part, to in _LANGUAGES.items() if part in row["path"]), "eng")
    return tuple(named.split("+"))


# ---- printed and scanned


def _printed(corpus: Path, row: dict[str, str], directory: Path) -> Iterator[Sample]:
    path = corpus / row["path"]
    layer = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    texts = layer.removesuffix("\f").split("\f")
    step = -(-len(texts) // _MOST_PAGES)
    for number in range(1, len(texts) + 1, step):
        truth = tuple(folded(texts[number - 1]))
        if len(truth) < _LEAST_WORDS:
            continue
        (page,) = convert_from_path(path, dpi=300, first_page=number, last_page=number, grayscale=True)
        for way, (image, dpi) in _ways(page, Random(f"{row['path']} {number}")).items():
            target = directory / f"{path.stem}-{number}-{way}.png"
            image.save(target, dpi=(dpi, dpi))
            yield Sample(
                name=f"{row['path']}#{number} {way}",
                path=target,
                languages=_languages(row),
                truth=truth,
                document=row["path"],
                is_real=False,
            )


def _ways(page: Image.Image, dice: Random) -> dict[str, tuple[Image.Image, int]]:
    """What a good scanner, a fax and a poor camera make of a page (drawn at 300 dpi), with the resolution of each."""
    blurred = page.filter(ImageFilter.GaussianBlur(1.0))
    noise = Image.effect_noise(page.size, 40)
    scan = Image.blend(blurred, noise, 0.15).rotate(dice.uniform(-0.5, 0.5), Image.Resampling.BICUBIC, fillcolor=235)
    fax = _scaled(Image.blend(blurred, noise, 0.35), 150 / 300).point(lambda grey: 255 * (grey > 135))
    photo = _scaled(page, 100 / 300).filter(ImageFilter.GaussianBlur(0.7))
    photo = Image.blend(photo, Image.effect_noise(photo.size, 60), 0.2)
    photo = photo.rotate(dice.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, fillcolor=220)
    return {"scan": (scan, 300), "fax": (fax, 150), "photo": (photo, 100)}


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BOX)


# ---- what is the same


def _by_text(found: list[Sample]) -> list[Sample]:
    """Give all that shows the same text one document, and count it."""
    texts: list[tuple[Counter[str], str]] = []
    which: list[int] = []
    for sample in found:
        words = Counter(sample.truth)
        place = next((i for i, (text, _) in enumerate(texts) if _is_same(words, text)), None)
        if place is None:
            place = len(texts)
            texts.append((words, sample.document))
        which.append(place)
    copies = Counter(which)
    return [
        replace(sample, document=texts[place][1], copies=copies[place])
        for sample, place in zip(found, which, strict=True)
    ]


def _is_same(one: Counter[str], other: Counter[str]) -> bool:
    return (one & other).total() >= _SAME_TEXT * (one | other).total()
