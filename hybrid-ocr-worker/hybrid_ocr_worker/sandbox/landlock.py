"""Landlock: the child reads programs, libraries and fonts, reads and writes its worker's scratch, and nothing else.

Without it a child could read whatever the worker's user may: keys, other documents, other workers' memory, for a
process so confined cannot reach into one that is not, by ptrace or /proc. It needs no privileges and works inside
containers, where the kernel has it (Linux 5.13) and the container's own filter lets its calls through.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _CONTROL_DEVICES = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
#: What makes sense for a file; the rest is about folders.
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _CONTROL_DEVICES
#: How many rights each version of the interface knows; later ones add what is no file.
_RIGHTS = (0, 13, 14, 15, 15, 16)

#: Where systems keep programs, libraries, fonts and language data. No configuration, which may hold secrets.
_SYSTEM = (
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/var/cache/fontconfig",
    "/dev/urandom",
    "/sys/devices/system/cpu",
)
_PROGRAMS = ("pdftoppm", "pdfinfo", "tesseract")


def version() -> int:
    """Which version of Landlock this kernel offers; 0 for none."""
    if sys.platform != "linux":
        return 0
    found: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    return max(0, found)


def confine_files(scratch: Path) -> bool:
    """From now on this process and what it starts write below ``scratch`` only, and read there and what they run on.

    Tells whether the kernel does that. ``no_new_privs`` must be set.
    """
    known = version()
    if not known:
        return False
    rights = (1 << _RIGHTS[min(known, len(_RIGHTS) - 1)]) - 1
    attributes = struct.pack("=Q", rights)
    ruleset = _libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        for path in _readable():
            _allow(ruleset, path, _READ & rights)
        _allow(ruleset, Path(os.devnull), (_READ_FILE | _WRITE_FILE) & rights)
        _allow(ruleset, scratch, rights)
        return bool(_libc().syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


def _readable() -> Iterator[Path]:
    """What Python, poppler and Tesseract are made of, wherever they were installed."""
    yield from (Path(path) for path in _SYSTEM)
    yield from (Path(path) for path in (sys.prefix, sys.base_prefix, *sys.path) if path)
    for name in ("TESSDATA_PREFIX", "LD_LIBRARY_PATH"):
        yield from (Path(path) for path in os.environ.get(name, "").split(os.pathsep) if path)
    for program in _PROGRAMS:
        found = shutil.which(program)
        if found:
            folder = Path(found).resolve().parent
            yield from (folder, folder.parent / "lib", folder.parent / "share")


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(OSError):  # not every system has every path
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = struct.pack("=Qi", rights if path.is_dir() else rights & _OF_A_FILE, place)
            _libc().syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
        finally:
            os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
