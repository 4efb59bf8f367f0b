"""``make pins``: resolve every requirements.in and write the whole closure, pinned, to the .txt beside it.

Versions that are pinned already stay, unless ``--upgrade`` is given. The services take their versions from
requirements-dev.txt, so that what is tested is what is shipped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
DEVELOPMENT = ROOT / "requirements-dev.in"
SERVICES = (ROOT / "hybrid-ocr-api/requirements.in", ROOT / "hybrid-ocr-worker/requirements.in")
EMULATOR = ROOT / "infra/local/requirements-emulator.in"
BENCH = ROOT / "bench/requirements.in"


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = parser.parse_args().upgrade
    for source in (DEVELOPMENT, EMULATOR, BENCH):
        pin(source, constraints=None if upgrade else source.with_suffix(".txt"))
    for source in SERVICES:
        pin(source, constraints=DEVELOPMENT.with_suffix(".txt"))


def pin(source: Path, *, constraints: Path | None) -> None:
    """Resolve one file; ``constraints`` holds the versions to keep."""
    markers = {canonicalize_name(found.name): found.marker for found in requirements(source)}
    lines = [f"# Made from {source.name} by `make pins` (for Python 3.11); do not edit."]
    for name, version in sorted(resolve(source, constraints), key=lambda found: found[0].lower()):
        marker = markers.get(canonicalize_name(name))
        lines.append(f"{name}=={version}" + (f" ; {marker}" if marker else ""))
    target = source.with_suffix(".txt")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{target.relative_to(ROOT)}: {len(lines) - 1} packages")


def requirements(source: Path) -> list[Requirement]:
    """The requirements of a file and of the files it includes."""
    found = []
    for raw in source.read_text(encoding="utf-8").splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("-r "):
            found += requirements(source.parent / line.removeprefix("-r ").strip())
        elif line:
            found.append(Requirement(line))
    return found


def resolve(source: Path, constraints: Path | None) -> list[tuple[str, str]]:
    """Name and version of everything that pip would install, whatever is installed here."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    if constraints and constraints.exists():
        command += ["--constraint", str(constraints)]
    report = subprocess.run([*command, "--requirement", str(source)], check=True, stdout=subprocess.PIPE, text=True)
    packages = [entry["metadata"] for entry in json.loads(report.stdout)["install"]]
    return [(package["name"], package["version"]) for package in packages]


if __name__ == "__main__":
    main()
