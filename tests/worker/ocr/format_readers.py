"""Reads results back as their users do, with readers that are none of ours: the words that each format shows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import trp
from htrvx.schemas import Validator
from lxml import etree
from markdown_it import MarkdownIt

from hybrid_ocr_worker.ocr.formats.alto import write_alto
from hybrid_ocr_worker.ocr.formats.hocr import write_hocr
from hybrid_ocr_worker.ocr.formats.markdown import write_md
from hybrid_ocr_worker.ocr.formats.page_json import write_json
from hybrid_ocr_worker.ocr.formats.plain_text import write_txt
from hybrid_ocr_worker.ocr.formats.textract import write_textract
from hybrid_ocr_worker.ocr.formats.tsv import write_tsv
from hybrid_ocr_worker.ocr.formats.writing import draw
from hybrid_ocr_worker.ocr.result import PageResult, join_words

ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
_ALTO_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-3.xsd"
_FAILED_PAGE = re.compile(r"\*Page \d+ could not be read: \w+\.\*")
_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

#: Output -> what writes it, as the worker does.
WRITERS: dict[str, Callable[[list[PageResult], Path], Iterator[PageResult]]] = {
    "txt": write_txt,
    "json": partial(write_json, {}),
    "hocr": partial(write_hocr, title="a.pdf", engine="tesseract 5"),
    "alto": partial(write_alto, engine="tesseract 5"),
    "tsv": write_tsv,
    "md": write_md,
    "textract": partial(write_textract, engine="tesseract 5", document_pages=None),
}


def drawn(output: str, pages: list[PageResult], directory: Path) -> bytes:
    target = directory / f"result.{output}"
    draw(WRITERS[output](pages, target))
    return target.read_bytes()


def lines_of_words(output: str, content: bytes) -> list[list[list[str]]]:
    """What a result shows: pages of lines of words. Of txt and md, which do not tell words apart, of whole lines."""
    return _READERS[output](content)


def lines_of_pages(output: str, pages: list[PageResult]) -> list[list[list[str]]]:
    """What it has to show, but for characters that the format cannot hold."""
    texts = [[[word.text for word in line] for line in page.lines()] for page in pages]
    if output in {"txt", "md"}:
        return [[[join_words(line)] for line in page] for page in texts]
    return texts


def alto_tree(content: bytes) -> Any:
    """Parse and hold against the schema of the Library of Congress."""
    tree = etree.fromstring(content)
    _alto_schema().assertValid(tree)
    return tree


def markdown_lines(content: bytes) -> Iterator[list[str]]:
    """The text lines of each page as a renderer has them; nothing but paragraphs and the rules between pages."""
    lines: list[str] = []
    for token in _MARKDOWN.parse(content.decode()):
        if token.type == "hr":
            yield lines
            lines = []
        elif token.type == "inline":
            kinds = {child.type for child in token.children or []}
            assert kinds <= {"text", "softbreak", "text_special"} or _FAILED_PAGE.fullmatch(token.content), token
            shown = "".join("\n" if child.type == "softbreak" else child.content for child in token.children or [])
            lines += shown.split("\n")
        else:
            assert token.type in {"paragraph_open", "paragraph_close"}, token.type
    yield lines


def tsv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(content.decode().split("\n")[:-1], delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


def _txt(content: bytes) -> list[list[list[str]]]:
    pages = content.decode().split("\f")
    return [[[line] for line in page.split("\n") if line] for page in pages]


def _json(content: bytes) -> list[list[list[str]]]:
    found = []
    for page in json.loads(content)["pages"]:
        lines: dict[tuple[int, ...], list[str]] = {}
        for word in page["words"]:
            lines.setdefault((word["block"], word["paragraph"], word["line"]), []).append(word["text"])
        found.append(list(lines.values()))
    return found


def _hocr(content: bytes) -> list[list[list[str]]]:
    def named(element: ET.Element, name: str) -> list[ET.Element]:
        return [found for found in element.iter() if found.get("class") == name]

    return [
        [[word.text or "" for word in named(line, "ocrx_word")] for line in named(page, "ocr_line")]
        for page in named(ET.fromstring(content), "ocr_page")
    ]


def _alto(content: bytes) -> list[list[list[str]]]:
    return [
        [[word.get("CONTENT") for word in line.iter(f"{ALTO}String")] for line in page.iter(f"{ALTO}TextLine")]
        for page in alto_tree(content).iter(f"{ALTO}Page")
    ]


def _tsv(content: bytes) -> list[list[list[str]]]:
    found: list[list[list[str]]] = []
    for row in tsv_rows(content):
        if row["level"] == "1":
            found.append([])
        elif row["level"] == "4":
            found[-1].append([])
        elif row["level"] == "5":
            found[-1][-1].append(row["text"])
    return found


def _md(content: bytes) -> list[list[list[str]]]:
    return [[[line] for line in page] for page in markdown_lines(content)]


def _textract(content: bytes) -> list[list[list[str]]]:
    document = trp.Document(json.loads(content))
    return [[[word.text for word in line.words] for line in page.lines] for page in document.pages]


_READERS = {"txt": _txt, "json": _json, "hocr": _hocr, "alto": _alto, "tsv": _tsv, "md": _md, "textract": _textract}


@cache
def _alto_schema() -> Any:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Packaged())
    return etree.XMLSchema(etree.parse(Validator.cache_xsd_path(_ALTO_SCHEMA), parser))


class _Packaged(etree.Resolver):  # type: ignore[misc]
    """Finds what a schema imports in the package that brings it, and nothing in the network."""

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:
        is_url = re.match(r"https?:", system_url)
        return self.resolve_filename(Validator.cache_xsd_path(system_url) if is_url else system_url, context)
