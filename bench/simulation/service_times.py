"""How long each step of the real service takes, measured; the model draws from these and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from bench.simulation.distributions import Empirical, PerPage

Pairs = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What a document of some kind takes up in the bucket, for each of its pages."""

    source: float
    results: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one run yielded: seconds, and where there are pairs, (pages, seconds)."""

    #: POST /jobs, from the first byte to the 202.
    submit: tuple[float, ...]
    #: From a message that is there to the claim, for a worker that waits.
    wake: tuple[float, ...]
    #: From one end to the next claim, for a worker that has a backlog before it.
    turnaround: tuple[float, ...]
    #: One page, by kind of document.
    page: Mapping[str, tuple[float, ...]]
    #: A document in one piece, less its pages: fetch, preflight, outputs, upload, terminal write. By kind.
    job: Mapping[str, Pairs]
    #: The same of a chunk; of cutting a document up; of putting it together.
    chunk: Pairs
    split: Pairs
    assemble: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimes:
    """What a run yielded, as distributions."""

    submit: Empirical
    wake: Empirical
    turnaround: Empirical
    page: Mapping[str, Empirical]
    job: Mapping[str, PerPage]
    chunk: PerPage
    split: PerPage
    assemble: PerPage

    @classmethod
    def of(cls, measured: Measured) -> Self:
        """From a run in which every step happened at least once."""
        return cls(
            submit=Empirical(measured.submit),
            # Where no worker ever waited, it is as quick as from one job to the next.
            wake=Empirical(measured.wake or measured.turnaround),
            turnaround=Empirical(measured.turnaround),
            page={kind: Empirical(seconds) for kind, seconds in measured.page.items()},
            job={kind: PerPage.fit(pairs) for kind, pairs in measured.job.items()},
            chunk=PerPage.fit(measured.chunk),
            split=PerPage.fit(measured.split),
            assemble=PerPage.fit(measured.assemble),
        )

    def with_slower_requests(self, seconds: float) -> Self:
        """Each AWS request so much slower than the emulator's; those of the worker, one after the other."""
        return replace(
            self,
            wake=Empirical(tuple(value + seconds for value in self.wake.values)),
            turnaround=Empirical(tuple(value + 2 * seconds for value in self.turnaround.values)),
            # One GET, three PUTs, the terminal write, the delete.
            job={kind: times.plus(6 * seconds) for kind, times in self.job.items()},
            # A look, the list, one GET, the renewal, home, a look, a send, the delete; and a PUT for each page.
            chunk=self.chunk.plus(8 * seconds, seconds),
            # A GET, the split, the delete; of each chunk of ten pages a PUT to S3, one to the table, and a send.
            split=self.split.plus(3 * seconds, 0.3 * seconds),
            # As a job, and the tidying: a DELETE for each page; the GETs come eight at a time.
            assemble=self.assemble.plus(6 * seconds, (1 + 1 / 8) * seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is checked in: a run, and where and when it was made."""

    machine: str
    date: str
    command: str
    #: Of the time that they had work in hand, the workers had a processor for this share: the machine was not theirs
    #: alone. A plan for machines of their own shortens all durations by it.
    cpu_share: float
    seconds: Measured
    bytes: Mapping[str, Bytes]

    def save(self, path: Path) -> None:
        """As JSON, a line for each list of numbers."""
        path.write_text(_dump(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What ``save`` wrote."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        seconds = found["seconds"]
        return cls(
            machine=found["machine"],
            date=found["date"],
            command=found["command"],
            cpu_share=found["cpu_share"],
            seconds=Measured(
                submit=tuple(seconds["submit"]),
                wake=tuple(seconds["wake"]),
                turnaround=tuple(seconds["turnaround"]),
                page={kind: tuple(values) for kind, values in seconds["page"].items()},
                job={kind: _pairs(values) for kind, values in seconds["job"].items()},
                chunk=_pairs(seconds["chunk"]),
                split=_pairs(seconds["split"]),
                assemble=_pairs(seconds["assemble"]),
            ),
            bytes={kind: Bytes(**values) for kind, values in found["bytes"].items()},
        )


def _pairs(values: Sequence[Sequence[float]]) -> Pairs:
    return tuple((int(pages), float(seconds)) for pages, seconds in values)


def _dump(value: Any, indent: str = "") -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    deeper = indent + "  "
    lines = [f"{deeper}{json.dumps(name)}: {_dump(inner, deeper)}" for name, inner in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
