"""Tesseract with its languages, poppler and qpdf, by the package manager of the system.

Looks at what can be called, not at how it came there: a Tesseract that was compiled by hand is as good. Run by
``setup.sh`` with the project's own Python, for it is ``OCR_LANGUAGES`` that says which languages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from hybrid_ocr_core.errors import SettingsError
from infra.local.environment import LauncherSettings
from infra.local.installer import SetupFailed, apt_install, brew_install, say, setup_lock

#: command -> Debian package, Homebrew formula
_TOOLS = {
    "tesseract": ("tesseract-ocr", "tesseract"),
    "pdftoppm": ("poppler-utils", "poppler"),
    "qpdf": ("qpdf", "qpdf"),
}
#: Orientation and script detection: installed like a language, and always needed.
_ORIENTATION = "osd"


def main() -> int:
    """Install what is missing."""
    try:
        languages = LauncherSettings.from_env(os.environ).languages
        with setup_lock():
            ensure(languages)
    except (SettingsError, SetupFailed) as error:
        say(str(error))
        return 1
    return 0


def ensure(languages: Sequence[str]) -> None:
    """Make the commands and languages available.

    Raises:
        SetupFailed: see there.
    """
    commands, codes = missing(languages)
    if not commands and not codes:
        return
    if sys.platform == "darwin":
        brew_install([_TOOLS[command][1] for command in commands] + (["tesseract-lang"] if codes else []))
    else:
        apt_install([_TOOLS[command][0] for command in commands] + [language_package(code) for code in codes])
    commands, codes = missing(languages)
    if commands or codes:
        raise SetupFailed(f"Still not found after the installation: {', '.join([*commands, *codes])}.")


def missing(languages: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which commands, and which of Tesseract's languages, are not there."""
    installed = installed_languages()
    commands = [command for command in _TOOLS if shutil.which(command) is None]
    return commands, [code for code in (*languages, _ORIENTATION) if code not in installed]


def installed_languages() -> set[str]:
    """What ``tesseract`` can read."""
    if shutil.which("tesseract") is None:
        return set()
    listing = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    return set(listing.stdout.splitlines()[1:])


def language_package(code: str) -> str:
    """Debian's package of a language: chi_sim is in tesseract-ocr-chi-sim."""
    return "tesseract-ocr-" + code.lower().replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
