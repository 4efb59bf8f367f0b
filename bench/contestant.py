"""What is measured, and how well it read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.documents import Document

#: Letters and digits only: how a dash or a bracket is read is taste.
_WORD = re.compile(r"[^\W_]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one contestant made of some documents: the text of each page, in order; a sample of them perhaps."""

    seconds: float
    cpu_seconds: float
    texts: tuple[tuple[str, ...], ...]

    @property
    def pages(self) -> int:
        """How many were read."""
        return sum(map(len, self.texts))

    @property
    def pages_a_second(self) -> float:
        """The measure."""
        return self.pages / self.seconds


class Contestant(Protocol):
    """A way from documents to text."""

    @property
    def name(self) -> str:
        """In the table."""

    def read(self, documents: Sequence[Document]) -> Outcome:
        """Read all of them, on all cores that it can use."""


def recall(documents: Sequence[Document], outcome: Outcome) -> float | None:
    """The share of the words on the pages that were found; None where nobody knows the words."""
    return _share(_pairs(documents, outcome))


def precision(documents: Sequence[Document], outcome: Outcome) -> float | None:
    """The share of the words found that stand on the page."""
    return _share((found, truth) for truth, found in _pairs(documents, outcome))


def _pairs(documents: Sequence[Document], outcome: Outcome) -> Iterable[tuple[Counter[str], Counter[str]]]:
    for document, texts in zip(documents, outcome.texts, strict=True):
        for truth, text in zip(document.truth, texts, strict=False):  # of a sample fewer pages were read
            if truth is not None:
                yield _words(truth), _words(text)


def _share(pairs: Iterable[tuple[Counter[str], Counter[str]]]) -> float | None:
    """How much of the first is in the second, page by page; the order of words counts for nothing."""
    wanted = common = 0
    for first, second in pairs:
        wanted += first.total()
        common += (first & second).total()
    return common / wanted if wanted else None


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))
