"""The JSON that Amazon Textract's GetDocumentTextDetection answers with, for programs that are written for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from hybrid_ocr_worker.ocr.formats.writing import json_line, opened
from hybrid_ocr_worker.ocr.geometry import unite
from hybrid_ocr_worker.ocr.result import Box, PageResult, Source, Word, join_words


def write_textract(
    pages: Iterable[PageResult], target: Path, *, engine: str, document_pages: int | None
) -> Iterator[PageResult]:
    """Write one response with all blocks, those of a page on a line: its PAGE, its LINEs, its WORDs.

    Ids tell page, line and word, so that the same words always give the same file. Polygons begin at the upper left
    corner of the text, however the page lies. With a failed page, which has a PAGE block and no more, the job's status
    is PARTIAL_SUCCESS and StatusMessage names it. Not ``Warnings``: Amazon's own parser does not read them.

    Args:
        pages: in page order.
        target: where the result goes.
        engine: name and version of what recognised it.
        document_pages: how many pages the document has, of which ``pages`` may be some; None where it is not known.

    """
    failed: list[str] = []
    drawn = 0
    with opened(target) as file:
        file.write(json_line({"DetectDocumentTextModelVersion": engine})[:-1] + ',"Blocks": [')
        for page in pages:
            file.write((",\n" if drawn else "\n") + json_line(_blocks(page))[1:-1])
            drawn += 1
            if page.source is Source.FAILED:
                failed.append(f"{page.page} ({page.reason})")
            yield page
        end: dict[str, Any] = {"DocumentMetadata": {"Pages": document_pages or drawn}, "JobStatus": "SUCCEEDED"}
        if failed:
            end |= {"JobStatus": "PARTIAL_SUCCESS", "StatusMessage": f"Pages not read: {', '.join(failed)}"}
        file.write("\n]," + json_line(end)[1:] + "\n")


def _blocks(page: PageResult) -> list[dict[str, Any]]:
    lines, words = [], []
    for number, line in enumerate(page.lines(), 1):
        name = f"{page.page}-{number}"
        of_line = [_word(word, f"word-{name}-{place}", page) for place, word in enumerate(line, 1)]
        lines.append(_line(line, f"line-{name}", [word["Id"] for word in of_line], page))
        words += of_line
    whole = {
        "BlockType": "PAGE",
        "Geometry": _geometry((0.0, 0.0, page.width, page.height), page, turn=0),
        "Id": f"page-{page.page}",
        **_children([line["Id"] for line in lines]),
        "Page": page.page,
    }
    return [whole, *lines, *words]


def _line(line: list[Word], name: str, words: list[str], page: PageResult) -> dict[str, Any]:
    return {
        "BlockType": "LINE",
        "Confidence": round(fmean(word.confidence for word in line), 1),
        "Text": join_words([word.text for word in line]),
        "Geometry": _geometry(unite([word.bbox for word in line]), page, turn=page.rotation),
        "Id": name,
        **_children(words),
        "Page": page.page,
    }


def _word(word: Word, name: str, page: PageResult) -> dict[str, Any]:
    return {
        "BlockType": "WORD",
        "Confidence": round(word.confidence, 1),
        "Text": word.text,
        "TextType": "PRINTED",
        "Geometry": _geometry(word.bbox, page, turn=page.rotation),
        "Id": name,
        "Page": page.page,
    }


def _children(ids: list[str]) -> dict[str, Any]:
    return {"Relationships": [{"Type": "CHILD", "Ids": ids}]} if ids else {}


def _geometry(box: Box, page: PageResult, *, turn: int) -> dict[str, Any]:
    """Shares of the page's width and height; ``turn`` is the clockwise degrees that make the text upright."""
    left, right = (_share(edge, page.width) for edge in (box[0], box[2]))
    top, bottom = (_share(edge, page.height) for edge in (box[1], box[3]))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    first = -turn // 90 % 4
    return {
        "BoundingBox": {"Width": _rounded(right - left), "Height": _rounded(bottom - top), "Left": left, "Top": top},
        "Polygon": [{"X": x, "Y": y} for x, y in corners[first:] + corners[:first]],
    }


def _share(edge: float, length: float) -> float:
    return _rounded(min(max(edge / length, 0.0), 1.0))


def _rounded(share: float) -> float:
    return round(share, 6)
