"""The program that opens ZIP archives: the only one of the API's that parses foreign bytes, so a process of its own.

It is started by its path (see ``archives.py``) and imports nothing of this project and no package: nothing that takes
time or memory comes before its limits. It reads the archive from one open file and writes the members, one after
another, to another; it opens no file by name, so no name in an archive can lead anywhere. What it found it prints as
JSON: ``{"members": [{"name", "start", "bytes"} or {"name", "code", "message"}, …], "unpacked": <bytes>}`` in the
archive's order, or ``{"code", "message"}`` if the archive as a whole is refused, or ``{"disk_full": true}``.

The headers of an archive are not trusted: bytes are counted as they come out. So it does not matter whether members
overlap, name each other's data, or lie about their size.
"""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import stat
import sys
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

CPU_SECONDS = 60
_MEMORY_BYTES = 256 << 20
_BLOCK = 256 << 10
#: Beyond ``_RATIO_FROM_BYTES``, no document compresses better than this but a blank one.
_RATIO = 200
_RATIO_FROM_BYTES = 1 << 20
_LONGEST_NAME = 1000
#: Stored and deflated, which is what archivers make. The other decompressors stay out of reach.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1


class Window(io.RawIOBase):
    """Some bytes of an open file, as a file of their own to be read. It leaves the file's position alone."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.start = start
        self.length = length
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def read(self, amount: int | None = -1, /) -> bytes:
        """As of any file; not by way of ``readinto``, which would have three copies of each block."""
        left = max(0, self.length - self._position)
        wanted = left if amount is None or amount < 0 else min(amount, left)
        found = os.pread(self.descriptor, wanted, self.start + self._position)
        self._position += len(found)
        return found


class Limits(NamedTuple):
    """Of one archive: members, bytes of one of them, bytes of all."""

    files: int
    file_bytes: int
    total_bytes: int


class MemberRefused(Exception):
    """This member is no file of the batch."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ArchiveRefused(Exception):
    """None of the members is."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: list[str]) -> int:
    """Take descriptor, start and length of the archive, the descriptor to write to, and the limits."""
    archive, start, length, target, *numbers = (int(argument) for argument in arguments)
    limits = Limits(*numbers)
    _limit(limits)
    try:
        with os.fdopen(target, "wb") as out:
            found = _unpack(Window(archive, start, length), out, limits)
    except ArchiveRefused as error:
        found = {"code": error.code, "message": str(error)}
    except MemoryError:
        found = {"code": "file_too_large", "message": "its directory is too long to be read"}
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        found = {"disk_full": True}
    json.dump(found, sys.stdout)
    return 0


def _limit(limits: Limits) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: limits.total_bytes + _BLOCK,
    }
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


def _unpack(window: Window, out: IO[bytes], limits: Limits) -> dict[str, Any]:
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", window))
    except MemoryError:
        raise
    except Exception as error:
        raise ArchiveRefused("unsupported_media_type", "it is damaged") from error
    members = [member for member in archive.infolist() if not _is_clutter(member)]
    if len(members) > limits.files:
        raise ArchiveRefused("file_too_large", f"it holds {len(members)} files; the limit is {limits.files}")
    found: list[dict[str, Any]] = []
    total = 0
    for member in members:
        name, start, size = member.filename[-_LONGEST_NAME:], out.tell(), 0
        try:
            for block in _blocks(archive, member, limits):
                size += len(block)
                total += len(block)
                _check_total(total, limits)
                out.write(block)
        except MemberRefused as error:
            out.seek(start)
            out.truncate()
            found.append({"name": name, "code": error.code, "message": str(error)})
        else:
            found.append({"name": name, "start": start, "bytes": size})
    return {"members": found, "unpacked": total}


def _check_total(total: int, limits: Limits) -> None:
    if total > limits.total_bytes:
        raise ArchiveRefused("file_too_large", "it unpacks to more than a batch may hold")


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    """Directories, and what a Mac leaves in every archive."""
    path = member.filename.split("/")
    return member.is_dir() or path[0] == "__MACOSX" or path[-1] == ".DS_Store"


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> Iterator[bytes]:
    """A member's bytes as they come out. Raises MemberRefused."""
    if stat.S_IFMT(member.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise MemberRefused("unsupported_media_type", "it is a link, or another file without bytes of its own")
    if member.flag_bits & _ENCRYPTED:
        raise MemberRefused("encrypted_document", "it is encrypted within the archive")
    if member.compress_type not in _METHODS:
        raise MemberRefused("unsupported_media_type", f"it is compressed by method {member.compress_type}; use deflate")
    size = 0
    for block in _decompressed(archive, member):
        size += len(block)
        if size > limits.file_bytes:
            raise MemberRefused("file_too_large", f"it unpacks to more than {limits.file_bytes >> 20} MB, the limit")
        # The packed size may be a lie. It gains little: what it lets through counts towards the other limits.
        if size > _RATIO_FROM_BYTES and size > _RATIO * member.compress_size:
            raise MemberRefused("file_too_large", f"it unpacks to more than {_RATIO} times its size; send it by itself")
        yield block


def _decompressed(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Whatever a hostile member breaks in the library, it is this member's fault."""
    try:
        with archive.open(member) as stream:
            while block := stream.read(_BLOCK):
                yield block
    except MemoryError:
        raise
    except Exception as error:
        raise MemberRefused("corrupt_document", "it is damaged within the archive") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
