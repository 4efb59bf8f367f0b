"""ZIP archive -> its members, by a child process with limits; see ``unzip.py`` for what goes on in there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from hybrid_ocr_api import unzip
from hybrid_ocr_api.spool import Spool, disk_full
from hybrid_ocr_api.unzip import Limits, Window
from hybrid_ocr_core.errors import FileTooLarge, UnsupportedMediaType

_log = logging.getLogger(__name__)

#: Wall clock, of all the archives of a request.
_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of an archive: its bytes, or why they are not there as a code and a message."""

    name: str
    stream: IO[bytes] | None
    code: str = ""
    message: str = ""


class Unpacking:
    """The archives of one request: what one of them takes of the limits on bytes and time, the others do not have."""

    def __init__(self, spool: Spool, limits: Limits) -> None:
        self._spool = spool
        self._limits = limits
        self._ends_at = time.monotonic() + _SECONDS

    def unpack(self, name: str, archive: Window) -> list[Member]:
        """The members of the archive of this name.

        Raises:
            UnsupportedMediaType: it cannot be read.
            FileTooLarge: it holds too many files, or unpacks to too much.
            Unavailable: the disk is full.
        """
        target = self._spool.new_file()
        found = _run(archive, target, self._limits, seconds=self._ends_at - time.monotonic())
        if found.get("disk_full"):
            raise disk_full()
        if "code" in found:
            kind = FileTooLarge if found["code"] == FileTooLarge.code else UnsupportedMediaType
            raise kind(f"the archive {name!r} cannot be taken: {found['message']}")
        self._limits = self._limits._replace(total_bytes=self._limits.total_bytes - found["unpacked"])
        return [_to_member(member, target) for member in found["members"]]


def _run(archive: Window, target: IO[bytes], limits: Limits, *, seconds: float) -> dict[str, Any]:
    arguments = [archive.descriptor, archive.start, archive.length, target.fileno(), *limits]
    try:
        done = subprocess.run(
            # -I and -S: nothing of the environment and no package is looked at. The child gets no secret either.
            [sys.executable, "-I", "-S", str(Path(unzip.__file__)), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(archive.descriptor, target.fileno()),
            env={},
            timeout=max(0.0, seconds),
            check=True,
        )
        return cast("dict[str, Any]", json.loads(done.stdout))
    except (subprocess.SubprocessError, ValueError) as error:
        # Out of time or memory, or a defect that this archive has found; whichever, it is no use to try it again.
        _log.warning("An archive was not unpacked: %s.", type(error).__name__, extra={"action": "archive_refused"})
        return {"code": UnsupportedMediaType.code, "message": "it cannot be unpacked within the limits"}


def _to_member(found: dict[str, Any], target: IO[bytes]) -> Member:
    if "code" in found:
        return Member(name=found["name"], stream=None, code=found["code"], message=found["message"])
    window = Window(target.fileno(), found["start"], found["bytes"])
    return Member(name=found["name"], stream=cast("IO[bytes]", window))
