"""``make bench``: measures, prints a table, and leaves the raw figures in a JSON file. Exit code 1: a bar is missed.

Ratios within one run are what counts: everybody reads the same files on the same cores, in rounds that take turns,
and the best round of each counts. Seconds on a machine that does other things as well say nothing.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import machine, memory, processes, rates, small_jobs, waiting
from bench.documents import Documents
from bench.report import Report
from bench.run import Run
from infra.local.environment import ROOT

_ROUNDS = 2

_SECTIONS: dict[str, Callable[[Run], Report]] = {
    "scans": rates.scans,
    "digital": rates.digital,
    "mixed": rates.mixed,
    "photos": rates.photos,
    "processes": processes.processes,
    "small": small_jobs.small,
    "throughput": small_jobs.throughput,
    "memory": memory.memory,
    "waiting": waiting.waiting,
}


def main() -> int:
    """Measure the sections that were asked for."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(_SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="less of everything, one round: to see that it works")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the raw figures go (default: .local/bench/)")
    parsed = parser.parse_args()
    unknown = set(parsed.sections) - set(_SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    # What was started must go with it, however it is ended.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts = machine.facts(cores)
    print("\n".join(f"{name:<14}{value}" for name, value in facts.items()), flush=True)
    reports = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        run = Run(
            directory=Path(name),
            cores=cores,
            rounds=1 if parsed.quick else _ROUNDS,
            is_quick=parsed.quick,
            documents=Documents(Path(name) / "documents"),
        )
        for section in parsed.sections or _SECTIONS:
            reports[section] = _SECTIONS[section](run)
            print(reports[section], flush=True)
    path = parsed.json or ROOT / f".local/bench/{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"machine": facts, "sections": {name: report.as_json() for name, report in reports.items()}}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\nThe raw figures are in {path}.")
    return int(not all(bar.is_held for report in reports.values() for bar in report.bars))


if __name__ == "__main__":
    raise SystemExit(main())
