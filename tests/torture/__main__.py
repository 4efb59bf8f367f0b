"""``python -m tests.torture``: exit code 1 when a worker died by itself, or a job hung, was lost, doubled or empty.

died    worker processes that ended without being killed by us, by the launcher's log
hung    jobs that were not terminal when all the others had been for longer than any of them may take
lost    accepted jobs that the table does not know any more, or DONE without a result that can be fetched
double  terminal states that were overwritten or undone, by a look at the whole table every two seconds
empty   DONE pages without a word where a second look, by other means (``second_look``), finds something: ink on a page
        that is called blank, or three words that can be read for sure on any other. Where the second look itself
        fails, for most of these files are broken, the page counts as unsure, which is told apart and is no fault.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.hostile import HOSTILE
from tests.make_documents import DOCUMENTS
from tests.system import outcome
from tests.system.stack import KEY, Stack
from tests.torture.second_look import look

#: The same ways as with the limits of production, in less time. A killed worker costs an attempt: many are allowed, so
#: that a long document gets through between two kills.
_PREFLIGHT_SECONDS, _PAGE_SECONDS, _ATTEMPTS = 4, 5, 50
_SETTINGS = {
    "OCR_WORKER_PROCESSES": "2",
    "OCR_LEASE_SECONDS": "6",
    "OCR_HEARTBEAT_SECONDS": "2",
    "OCR_SWEEP_SECONDS": "2",
    "OCR_GRACE_SECONDS": "1",
    "OCR_PREFLIGHT_SECONDS": str(_PREFLIGHT_SECONDS),
    "OCR_PAGE_SECONDS": str(_PAGE_SECONDS),
    "OCR_ATTEMPT_BUDGET": str(_ATTEMPTS),
}
#: No job ended for so long: what is still open hangs.
_PATIENCE_SECONDS = 180.0
#: The last jobs are spared: among so few a long one is hit each time, and would only show how often it was.
_SPARED_JOBS = 4
_REPORT_SECONDS = 5.0
_SENDERS = 4
_SURE_WORDS = 3


@dataclass(slots=True)
class Run:
    """What is known of one run."""

    files: dict[str, Path]
    jobs: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    is_spared: bool = False
    hung: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        return {
            "died": self.died,
            "hung": self.hung,
            "lost": self.lost,
            "double": self.double,
            "empty successes": self.empty,
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-between-kills", type=float, default=5.0)
    parser.add_argument("--limit", type=int, default=0, help="so many files at most, taken at random")
    parsed = parser.parse_args()
    dice = random.Random(parsed.seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        folder = Path(name)
        run = Run(_files(folder / "files", dice, parsed.limit))
        print(
            f"{len(run.files)} files; seed {parsed.seed}; a kill every {parsed.seconds_between_kills:g} s", flush=True
        )
        with Stack(folder / "data", **_SETTINGS) as stack:
            with (
                outcome.Watch(stack, every_seconds=2) as watch,
                _killer(stack, run, dice, parsed.seconds_between_kills),
            ):
                _submit(stack, run)
                _wait(stack, run)
            run.double += watch.broken
            _judge(stack, run)
            run.died += _deaths(folder / "launcher.log", run.kills)
        _print_table(run, time.monotonic() - started)
    return int(any(run.faults.values()))


def _files(folder: Path, dice: random.Random, limit: int) -> dict[str, Path]:
    """The corpus, or the documents of the tests without one, and all that are made; in any order."""
    corpus = Path(os.environ.get("OCR_CORPUS_DIR") or DOCUMENTS)
    found = {str(path.relative_to(corpus)): path for path in sorted(corpus.rglob("*")) if path.is_file()}
    folder.mkdir()
    for hostile in HOSTILE.values():
        found[hostile.name] = folder / hostile.name
        found[hostile.name].write_bytes(hostile.make())
    names = list(found)
    dice.shuffle(names)
    return {name: found[name] for name in names[: limit or None]}


@contextmanager
def _killer(stack: Stack, run: Run, dice: random.Random, seconds: float) -> Iterator[None]:
    """While entered, a worker is killed at random times."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(dice.uniform(0.5, 1.5) * seconds):
            workers = [] if run.is_spared else stack.workers()
            if workers:
                try:
                    os.kill(dice.choice(workers), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                run.kills += 1

    thread = threading.Thread(target=kill, name="killer")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _submit(stack: Stack, run: Run) -> None:
    """Send everything; a file may be refused at the door."""

    def send(name: str) -> None:
        with run.files[name].open("rb") as file:
            response = requests.post(
                f"{stack.url}/jobs", files={"file": (Path(name).name, file)}, headers={"x-api-key": KEY}, timeout=120
            )
        if response.status_code == 202:
            run.jobs[str(response.json()["job_id"])] = name
        else:
            run.refused[f"{response.status_code} {response.json()['code']}"] += 1

    with ThreadPoolExecutor(_SENDERS) as pool:
        list(pool.map(send, run.files))


def _wait(stack: Stack, run: Run) -> None:
    """Until all jobs have ended, or none ends any more."""
    last_open, last_change, last_report = len(run.jobs), time.monotonic(), 0.0
    while True:
        found = outcome.open_jobs(stack)
        now = time.monotonic()
        run.is_spared = len(found) <= _SPARED_JOBS
        if len(found) != last_open:
            last_open, last_change = len(found), now
        if now - last_report > _REPORT_SECONDS:
            last_report = now
            print(f"  {len(run.jobs) - len(found)} of {len(run.jobs)} jobs ended, {run.kills} kills", flush=True)
        if not found:
            return
        if now - last_change > _PATIENCE_SECONDS:
            run.hung += [run.jobs.get(job_id, job_id) for job_id in found]
            return
        time.sleep(2.5)


def _judge(stack: Stack, run: Run) -> None:
    """Count the ends; look at what is DONE."""
    items = outcome.items(stack)
    for job_id, name in run.jobs.items():
        if job_id not in items:
            run.lost.append(name)
            continue
        end = outcome.end_of(items[job_id])
        run.ends[end] += 1
        if end == "DONE":
            try:
                result = json.loads(stack.result(job_id, "json"))
            except (AssertionError, ValueError, requests.RequestException) as error:
                run.lost.append(f"{name}: {error}")
                continue
            _judge_pages(run, name, {page["page"]: page["source"] for page in result["pages"] if not page["words"]})


def _judge_pages(run: Run, name: str, wordless: dict[int, str]) -> None:
    if not wordless:
        return
    looks = look(run.files[name], wordless)
    if looks is None:
        run.unsure.append(name)
        return
    for page, source in wordless.items():
        found = looks[page]
        if found.sure_words >= _SURE_WORDS or (source == "blank" and found.has_ink):
            run.empty.append(f"{name}, page {page} ({source}): {found}")


def _deaths(log: Path, kills: int) -> list[str]:
    """Workers that ended, less those that we killed."""
    ended = [line for line in log.read_text().splitlines() if line.startswith("worker") and "starting it again" in line]
    killed = [line for line in ended if "was killed by SIGKILL" in line]
    return [line for line in ended if line not in killed] + killed[kills:]


def _print_table(run: Run, seconds: float) -> None:
    refused, failed = sum(run.refused.values()), sum(run.ends.values()) - run.ends["DONE"]
    print(f"\n{'files':<34}{len(run.files):>6}   in {seconds:.0f} s, {run.kills} workers killed")
    print(f"{'DONE':<34}{run.ends['DONE']:>6}   {len(run.unsure)} of them with pages that nothing else could look at")
    print(f"{'FAILED':<34}{failed:>6}")
    for code, count in sorted((run.ends - Counter({"DONE": run.ends["DONE"]})).items()):
        print(f"  {code:<32}{count:>6}")
    print(f"{'refused at the door':<34}{refused:>6}")
    for code, count in sorted(run.refused.items()):
        print(f"  {code:<32}{count:>6}")
    for fault, found in run.faults.items():
        print(f"{fault:<34}{len(found):>6}")
        for what in found:
            print(f"  ! {what}")


if __name__ == "__main__":
    sys.exit(main())
