"""What it was measured on, and with."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import tesserocr

from infra.local.environment import ROOT


def facts(cores: int) -> dict[str, str]:
    """Cores, load, versions, commit; in the order in which they are shown."""
    return {
        "commit": _first_line("git", "describe", "--always", "--dirty"),
        "cores": f"{cores}, {_processor()}",
        "load at start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "tesserocr": f"{tesserocr.__version__} with {tesserocr.tesseract_version().splitlines()[0]}",
        "tesseract": _first_line("tesseract", "--version"),
        "poppler": _first_line("pdftoppm", "-v"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _first_line(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.partition("\n")[0].strip()
