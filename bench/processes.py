"""Section ``processes``: one long document, read by one worker process and by two."""

from __future__ import annotations

from bench.report import Bar, Report
from bench.run import Run
from bench.service import Service, running_stack


def processes(run: Run) -> Report:
    """Two stacks that take turns; while one works, the other waits for messages."""
    document = run.documents.long_scan(24 if run.is_quick else 60)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with running_stack(run.directory, workers=1) as single, running_stack(run.directory, workers=2) as double:
        stacks = {1: Service(single), 2: Service(double)}
        for service in stacks.values():
            service.read([run.documents.long_scan(2)])  # warm
        for _ in range(run.rounds):
            for count, service in stacks.items():
                seconds[count].append(service.read([document]).seconds)
                run.say(f"{count} worker processes: {document.pages} pages in {seconds[count][-1]:.1f} s")
    best = {count: min(found) for count, found in seconds.items()}
    rows = [["worker processes", "s", "pages/s"]]
    rows += [[str(count), f"{found:.2f}", f"{document.pages / found:.2f}"] for count, found in best.items()]
    return Report(
        title=f"One scanned document of {document.pages} pages",
        rows=rows,
        bars=[Bar(what="1 -> 2 worker processes", measured=best[1] / best[2], bar=1.8)],
        raw={"seconds": seconds},
    )
