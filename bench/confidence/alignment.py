"""Which of the words that were read stand in the document, in whatever order either side tells them.

Greedy string tiling (Wise 1993), as plagiarism detectors do: the longest run of words that both sides have is found and
taken from both, then the next longest, and so on. A column that is told before another one, a heading at the end or a
page number between two paragraphs costs nothing, for each is a run of its own. And yet a word is not right merely
because it stands somewhere: single words, what is left over at the end, count only where their neighbours were found
about there too, or where they are too long to be found by chance.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

#: A single word of so many letters is hardly found by chance among what is left.
_TELLING = 5
#: How far, in words, a single word may stand from where its neighbours were found, and how far those from it.
_NEAR = 4
#: What print and truth write in different ways, without either being wrong.
_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―⸗¬", "-"),
        "\u0364": "\u0308",  # the small e above a vowel, of which our umlaut has come
        "\ue42c": "ä",  # the same in one character, as MUFI fonts have it
        "\ue644": "ö",
        "\ue72b": "ü",
    }
)


def folded(text: str) -> list[str]:
    """A text's words; ligatures, long s, old umlauts, quotes and dashes are made one; case and accents count."""
    return unicodedata.normalize("NFKC", text.translate(_SAME)).split()


def right_words(read: Sequence[str], truth: Sequence[str]) -> list[bool]:
    """Tell of each word that was read whether it stands in the truth; each word of the truth is found once."""
    found: list[int | None] = [None] * len(read)
    free = [True] * len(truth)
    places: dict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(truth):
        places[word].append(place)
    limit = max(len(read), 1)
    while runs := _longest_runs(read, truth, found=found, free=free, places=places, limit=limit):
        length = runs[0][2]
        for start, place, _ in runs:
            ours, theirs = range(start, start + length), range(place, place + length)
            if any(found[i] is not None for i in ours) or not all(free[j] for j in theirs):
                continue  # a run of this round has taken of it
            if length == 1 and not _is_no_chance(read, found, start, place):
                continue
            for i, j in zip(ours, theirs, strict=True):
                found[i], free[j] = j, False
        limit = length - 1
    return [place is not None for place in found]


def _longest_runs(
    read: Sequence[str],
    truth: Sequence[str],
    *,
    found: Sequence[int | None],
    free: Sequence[bool],
    places: dict[str, list[int]],
    limit: int,
) -> list[tuple[int, int, int]]:
    """All runs that no other is longer than, ``limit`` at most, as (start in read, start in truth, length)."""
    best = 1
    runs: list[tuple[int, int, int]] = []
    if limit < 1:
        return []
    for start, word in enumerate(read):
        if found[start] is not None:
            continue
        for place in places.get(word, ()):
            if not free[place]:
                continue
            length = 1
            while (
                length < limit
                and start + length < len(read)
                and place + length < len(truth)
                and found[start + length] is None
                and free[place + length]
                and read[start + length] == truth[place + length]
            ):
                length += 1
            if length > best:
                best, runs = length, []
            if length == best:
                runs.append((start, place, length))
    return runs


def _is_no_chance(read: Sequence[str], found: Sequence[int | None], start: int, place: int) -> bool:
    """Is a single word long, or was a neighbour of it found near ``place``?"""
    if len(read[start]) >= _TELLING:
        return True
    around = range(max(start - _NEAR, 0), min(start + _NEAR + 1, len(read)))
    return any(abs(there - place) <= _NEAR for i in around if (there := found[i]) is not None)
