"""What all sections of one run share."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.documents import Documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of ``make bench``. ``directory`` is its own, for documents and stacks."""

    directory: Path
    cores: int
    rounds: int
    is_quick: bool
    documents: Documents
    started_at: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Progress, for people."""
        print(f"  [{time.monotonic() - self.started_at:5.0f} s] {text}", file=sys.stderr, flush=True)
