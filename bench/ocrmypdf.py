"""OCRmyPDF at its best: in a virtual environment of its own, on every core, without extra work such as PDF/A."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.contestant import Outcome
from bench.documents import Document, page_texts
from bench.tree import watch
from infra.local.installer import setup_lock
from infra.local.virtualenvs import BENCH


class OcrMyPdf:
    """Its command. The searchable PDF is all it makes; its text is taken out of that, off the clock."""

    def __init__(self, *, cores: int, name: str = "OCRmyPDF", options: Sequence[str] = ()) -> None:
        """Install it if it is not there.

        Raises:
            SetupFailed: that does not work here.
        """
        with setup_lock():
            BENCH.ensure()
        self.name = name
        self._cores = cores
        self._options = options

    def version(self) -> str:
        """As in ``17.13.0``."""
        done = subprocess.run([_command(), "--version"], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def read(self, documents: Sequence[Document]) -> Outcome:
        """See Contestant. Short files all at once, a core each; then long ones in turn, each on all cores."""
        with tempfile.TemporaryDirectory(prefix="bench-") as name, ThreadPoolExecutor(self._cores) as pool:
            targets = [Path(name) / f"{number}.pdf" for number in range(len(documents))]
            files = list(zip(documents, targets, strict=True))
            short = [file for file in files if self._is_short(file[0])]
            with watch() as took:
                list(pool.map(lambda file: self._run(*file, jobs=1), short))
                for document, target in files:
                    if not self._is_short(document):
                        self._run(document, target, jobs=self._cores)
            texts = tuple(
                tuple(page_texts(_text_of(target), document.pages))
                for document, target in zip(documents, targets, strict=True)
            )
        return Outcome(seconds=took.seconds, cpu_seconds=took.cpu_seconds, texts=texts)

    def _is_short(self, document: Document) -> bool:
        """Too short for all cores."""
        return document.pages < self._cores

    def _run(self, document: Document, target: Path, *, jobs: int) -> None:
        options = ["--jobs", str(jobs), "--language", document.languages, "--output-type", "pdf", *self._options]
        if not document.is_pdf:
            options += ["--image-dpi", str(_ASSUMED_DPI)]
        subprocess.run([_command(), *options, str(document.path), str(target)], check=True, capture_output=True)


#: It refuses an image without a resolution.
_ASSUMED_DPI = 110


def _command() -> Path:
    return BENCH.directory / "bin/ocrmypdf"


def _text_of(path: Path) -> str:
    return subprocess.run(["pdftotext", str(path), "-"], check=True, capture_output=True, text=True).stdout
