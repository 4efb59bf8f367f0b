"""Section ``memory``: what one worker and its children hold while they read 10, 100 and 1,000 pages."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.report import Bar, Report
from bench.run import Run
from bench.service import Service, running_stack
from bench.tree import descendants, resident_bytes

_LOOK_SECONDS = 0.05
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Peaks:
    """Bytes: of worker and children together, of the worker, of its children."""

    both: int = 0
    worker: int = 0
    children: int = 0


def memory(run: Run) -> Report:
    """A fresh stack of one worker for each size, so that no size profits or suffers from another."""
    peaks, seconds = {}, {}
    for pages in (10, 100) if run.is_quick else (10, 100, 1000):
        document = run.documents.cheap_scan(pages)
        with running_stack(run.directory, workers=1) as stack:
            (worker,) = stack.workers()
            with _Watch(worker) as watch:
                seconds[pages] = Service(stack).read([document]).seconds
        peaks[pages] = watch.peaks
        run.say(f"{pages} pages in {seconds[pages]:.1f} s, {watch.peaks.both / _MEBIBYTE:.0f} MiB")
    rows = [["pages", "MiB together", "worker alone", "children alone", "s", "pages/s"]]
    for pages, peak in peaks.items():
        sizes = [f"{size / _MEBIBYTE:.0f}" for size in (peak.both, peak.worker, peak.children)]
        rows.append([str(pages), *sizes, f"{seconds[pages]:.1f}", f"{pages / seconds[pages]:.1f}"])
    most, least = peaks[max(peaks)], peaks[10]
    what = f"{max(peaks)} pages against 10"
    return Report(
        title="Peak memory (RSS) of one worker, small scanned pages",
        rows=rows,
        bars=[
            Bar(what=f"Worker and children, {what}", measured=most.both / least.both, bar=1.3, is_most=True),
            Bar(what=f"Children alone, {what}", measured=most.children / least.children, bar=1.3, is_most=True),
        ],
        raw={
            "bytes": {pages: [peak.both, peak.worker, peak.children] for pages, peak in peaks.items()},
            "seconds": seconds,
        },
    )


class _Watch:
    """Looks at the resident memory of a process and its descendants all the time, while it is entered."""

    def __init__(self, pid: int) -> None:
        self.peaks = _Peaks()
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            worker = resident_bytes(self._pid)
            children = sum(map(resident_bytes, descendants(self._pid)))
            self.peaks = _Peaks(
                both=max(self.peaks.both, worker + children),
                worker=max(self.peaks.worker, worker),
                children=max(self.peaks.children, children),
            )
