"""A part of a long document: some of its pages, for any worker to read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from hybrid_ocr_core.job import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkId:
    """Names a chunk; also what a queue message carries.

    ``split`` is the attempt of the job that cut the document up: the chunks of another one are not ours. ``number``
    counts from 1.
    """

    job: JobId
    split: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """``pages`` are the document's page numbers, in the order in which the chunk's own file holds them."""

    id: ChunkId
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLease:
    """Who may write to a chunk; ``attempt`` is its fencing token. See ``job.Lease``."""

    chunk: ChunkId
    attempt: int
    owner: str
    expires_at: dt.datetime
