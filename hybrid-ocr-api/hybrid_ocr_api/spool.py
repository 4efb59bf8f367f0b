"""Where the files of a batch are while it is accepted: on disk, without a name.

They take no memory, two open files a request and not one for each part, and vanish with the request even if its process
is killed.
"""

from __future__ import annotations

import errno
import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self, cast

from hybrid_ocr_api.unzip import Window
from hybrid_ocr_core.errors import FileTooLarge, Unavailable


class Spool:
    """A context manager: the files of one request, which are gone after it."""

    def __init__(self, *, most_parts: int) -> None:
        self._open = ExitStack()
        self._most_parts = most_parts
        self._parts = 0
        self._received = self.new_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def received_bytes(self) -> int:
        """Of all parts, up to now."""
        return self._received.seek(0, 2)

    def new_file(self) -> IO[bytes]:
        """A file of its own; unbuffered, for others read and write by its descriptor."""
        return self._open.enter_context(tempfile.TemporaryFile(buffering=0))

    def new_part(self, *_: object, **__: object) -> IO[bytes]:
        """What Werkzeug's parser writes the next part of a form to: all of them go to the same file.

        Raises:
            FileTooLarge: there are too many.
        """
        self._parts += 1
        if self._parts > self._most_parts:
            raise FileTooLarge(f"a batch holds at most {self._most_parts} files")
        return cast("IO[bytes]", Part(self._received))


class Part(Window):
    """One part of a form, written at the end of the common file; the parser begins the next only when this is done."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file.fileno(), file.seek(0, 2), 0)
        self._file = file

    def write(self, data: bytes) -> int:  # type: ignore[override]  # the parser writes bytes
        """Append.

        Raises:
            Unavailable: the disk is full.
        """
        written = 0
        while written < len(data):
            try:
                written += self._file.write(data[written:])
            except OSError as error:
                raise disk_full(error) from error
        self.length += written
        return written


def disk_full(error: OSError | None = None) -> Exception:
    """What an error of the disk means to a client: it may come back later."""
    if error is not None and error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return error
    return Unavailable("the spool", "the disk is full")
