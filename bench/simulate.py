"""``make simulate``: plans past one machine, by a model whose times are measured and whose prediction is checked.

(nothing)   the scenarios: time in queue, workers, cost for each 1,000 pages; from bench/service_times.json
--check     the real service on this machine under a trace, beside the model's prediction; exit code 1 beyond 20 %
--measure   measure anew what the scenarios draw from
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean

from bench.simulation.autoscaling import Deaths, Scaling
from bench.simulation.checking import TOLERANCE, Figure, block, run_check
from bench.simulation.costs import Prices, TaskSize
from bench.simulation.fleet import Rules
from bench.simulation.scenarios import Answer, Scenario, play
from bench.simulation.service_times import Bytes, Record, ServiceTimes
from bench.simulation.stack_run import DOCUMENTS_OF, Order, measured, pooled, run_trace, stored_bytes
from bench.simulation.workload import DAY, HOUR, WEEK, Workload
from tests.system.stack import Stack, UncheckedStack

SERVICE_TIMES = Path(__file__).resolve().parent / "service_times.json"
_A_MONTH = 1_000_000
_SPIKE = 50_000
_SPIKE_AT = 10 * HOUR


def main() -> int:
    """Exit code 1 when a prediction is off by more than a fifth."""
    arguments = _arguments()
    # SIGTERM ends this as Ctrl-C does, so that no stack is left behind.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    if arguments.measure:
        return measure(arguments.seed, arguments.workers)
    if arguments.check:
        return check(arguments)
    plan(arguments)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="a measured run beside the prediction")
    parser.add_argument("--measure", action="store_true", help="write bench/service_times.json anew")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="of the real service")
    parser.add_argument("--blocks", type=int, default=4, help="--check: each has calm and rush")
    parser.add_argument("--jobs", type=int, default=50, help="--check: jobs in each block")
    parser.add_argument(
        "--slowness",
        type=float,
        help="a worker takes so many times as long as measured; default: without the others' load",
    )
    parser.add_argument("--aws-seconds", type=float, default=0.02, help="how much slower AWS answers than the emulator")
    parser.add_argument("--target", type=float, default=5, help="messages of backlog for each worker")
    parser.add_argument("--days", type=float, default=7, help="of the month that are played; a few for a quick look")
    parser.add_argument("--sweep", action="store_true", help="the plain month at several targets")
    return parser.parse_args()


# ---- the plan


def plan(arguments: argparse.Namespace) -> None:
    """Print a table for each scenario."""
    record, prices = Record.load(SERVICE_TIMES), Prices.load()
    arguments.slowness = arguments.slowness or record.cpu_share
    times = ServiceTimes.of(pooled(record.seconds)).with_slower_requests(arguments.aws_seconds / arguments.slowness)
    print(f"Service times of {record.date}, {record.machine}, all times {arguments.slowness:g};")
    print(f"each AWS request {arguments.aws_seconds * 1000:g} ms slower than the emulator's.")
    print(f"List prices of us-east-1, read {prices.read_on}; seed {arguments.seed}.")
    wanted = _sweep(arguments) if arguments.sweep else _scenarios(arguments)
    for scenario in wanted:
        print()
        print(table(play(scenario, times, record.bytes, prices, arguments.seed)), flush=True)


def _scenarios(arguments: argparse.Namespace) -> list[Scenario]:
    rules, scaling = Rules(slowness=arguments.slowness), Scaling(target_backlog=arguments.target)
    month = Workload(documents=_A_MONTH, seconds=min(WEEK, arguments.days * DAY))
    # A Tuesday, the busiest day.
    spike = Workload(documents=_A_MONTH, seconds=DAY, starts_at=DAY, spike_documents=_SPIKE, spike_at=_SPIKE_AT)
    kills = Deaths(killed_every_hours=1)
    spot = Deaths(killed_every_hours=1, reclaimed_every_hours=4)
    on_spot, pair = TaskSize(is_spot=True), TaskSize(vcpus=2, gb=4)
    pairs = Scaling(target_backlog=arguments.target, workers_per_task=2, least=1, most=100)
    return [
        Scenario(name="a million a month", workload=month, scaling=scaling, rules=rules),
        Scenario(name="a million a month, kills", workload=month, scaling=scaling, deaths=kills, rules=rules),
        Scenario(
            name="a million a month, Spot, kills",
            workload=month,
            scaling=scaling,
            deaths=spot,
            task=on_spot,
            rules=rules,
        ),
        Scenario(
            name="a million a month, tasks of 2 vCPU and 2 workers",
            workload=month,
            scaling=pairs,
            task=pair,
            rules=rules,
        ),
        Scenario(name="spike of 50,000 in an hour", workload=spike, scaling=scaling, rules=rules),
        Scenario(name="spike of 50,000 in an hour, kills", workload=spike, scaling=scaling, deaths=kills, rules=rules),
        Scenario(
            name="spike of 50,000 in an hour, Spot, kills",
            workload=spike,
            scaling=scaling,
            deaths=spot,
            task=on_spot,
            rules=rules,
        ),
    ]


def _sweep(arguments: argparse.Namespace) -> list[Scenario]:
    month = Workload(documents=_A_MONTH, seconds=min(WEEK, arguments.days * DAY))
    rules = Rules(slowness=arguments.slowness)
    return [
        Scenario(
            name=f"a million a month, target {target:g}",
            workload=month,
            scaling=Scaling(target_backlog=target),
            rules=rules,
        )
        for target in (2, 5, 10, 20, 50)
    ]


def table(answer: Answer) -> str:
    """One scenario as plain text."""
    scenario = answer.scenario
    lines = [
        f"== {scenario.name}",
        (
            f"{answer.jobs:,} documents, {answer.pages:,} pages in {answer.seconds / HOUR:.1f} h;"
            f" {answer.failed} failed, {answer.kills} tasks died"
        ),
        (
            f"workers: {answer.mean_workers:.1f} on average, {answer.peak_workers} at most"
            f" ({scenario.task.vcpus:g} vCPU, {scenario.task.gb:g} GB each{', Spot' if scenario.task.is_spot else ''})"
        ),
        "",
        "lane         jobs    time in queue, s: p50     p95     p99    to DONE, s: p50     p95     p99",
    ]
    for name, waits in answer.waits.items():
        queue, done = ("".join(f"{value:8.1f}" for value in values) for values in (waits.in_queue, waits.to_done))
        lines.append(f"{name:<8}{waits.jobs:9,}{'':16}{queue}{'':13}{done}")
    lines += ["", "US dollars            all    for each 1,000 pages"]
    total = sum(answer.dollars.values())
    for name, dollars in (*answer.dollars.items(), ("together", total), ("Textract", answer.textract_dollars)):
        lines.append(f"{name:<12}{dollars:13,.2f}{answer.per_thousand_pages(dollars):24.4f}")
    return "\n".join(lines)


# ---- the real service


def measure(seed: int, workers: int) -> int:
    """Two blocks of the check's trace, and long documents of three lengths; written to bench/service_times.json."""
    with tempfile.TemporaryDirectory() as directory, _stack(Path(directory), workers) as stack:
        run_trace(stack, [Order(at=0, kind="scan", name="phototest.tif")] * workers)  # warm
        runs = [run_trace(stack, block(50, Random(f"{seed} measure {place}"))) for place in range(2)]
        runs += [run_trace(stack, [Order(at=0, kind="long", name=name)]) for name in DOCUMENTS_OF["long"]]
        observed = [one for run in runs for one in run.jobs]
        sizes = stored_bytes(stack, observed)
    record = Record(
        machine=_machine(),
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        command=f"make simulate ARGS='--measure --seed {seed} --workers {workers}'",
        cpu_share=round(fmean(run.cpu_share for run in runs), 3),
        seconds=measured(observed),
        bytes={kind: Bytes(source=source, results=results) for kind, (source, results) in sizes.items()},
    )
    record.save(SERVICE_TIMES)
    print(f"{SERVICE_TIMES.name}: {len(observed)} jobs.")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Print model and measurement side by side."""
    what = f"{arguments.blocks} blocks of {arguments.jobs} jobs, seed {arguments.seed}"
    print(f"{_machine()}, {arguments.workers} workers; {what}.", flush=True)
    with tempfile.TemporaryDirectory() as directory, _stack(Path(directory), arguments.workers) as stack:
        run_trace(stack, [Order(at=0, kind="scan", name="phototest.tif")] * arguments.workers)  # warm
        found = run_check(stack, blocks=arguments.blocks, jobs=arguments.jobs, seed=arguments.seed)
    figures = found.figures(arguments.workers, Rules(tenant_jobs_in_lane=None))
    print(comparison(figures))
    return 0 if all(figure.holds for figure in figures) else 1


def comparison(figures: Sequence[Figure]) -> str:
    """Side by side, as plain text."""
    lines = [f"{'figure':<20}{'measured':>10}{'predicted':>11}{'deviation':>11}"]
    for figure in figures:
        verdict = "" if figure.is_binding else "  (not binding)"
        verdict = verdict if figure.holds else f"  beyond {TOLERANCE:.0%}"
        lines.append(
            f"{figure.name:<20}{figure.measured:10.2f}{figure.predicted:11.2f}{figure.deviation:+11.1%}{verdict}"
        )
    return "\n".join(lines)


def _stack(directory: Path, workers: int) -> Stack:
    # The seconds of a page are in the log at DEBUG only.
    return UncheckedStack(directory / "data", OCR_WORKER_PROCESSES=str(workers), OCR_LOG_LEVEL="DEBUG")


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
