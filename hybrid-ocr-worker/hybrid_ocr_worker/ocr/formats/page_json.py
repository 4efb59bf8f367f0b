"""The project's own JSON (docs/result.schema.json)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hybrid_ocr_worker.ocr.formats.writing import json_line, opened
from hybrid_ocr_worker.ocr.result import PageResult, to_json


def write_json(header: Mapping[str, Any], pages: Iterable[PageResult], target: Path) -> Iterator[PageResult]:
    """Write one JSON object: the header's entries on the first line, then a page a line, so that lines can be cut out.

    Raises:
        ValueError: a number is infinite or none at all.

    """
    with opened(target) as file:
        file.write(_start(header))
        for number, page in enumerate(pages):
            file.write((",\n" if number else "\n") + json_line(to_json(page)))
            yield page
        file.write("\n]}\n")


def rename_json(source: Path, target: Path, changes: Mapping[str, Any]) -> None:
    """Copy what ``write_json`` wrote, with other entries in its header.

    Raises:
        ValueError: it was not written by ``write_json``.
    """
    with source.open(encoding="utf-8", newline="\n") as old, opened(target) as new:
        header = json.loads(old.readline() + "]}")
        del header["pages"]
        new.write(_start({**header, **changes}) + "\n")
        shutil.copyfileobj(old, new)


def _start(header: Mapping[str, Any]) -> str:
    return json_line(header)[:-1] + ("," if header else "") + '"pages": ['
