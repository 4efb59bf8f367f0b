"""The limits a child sets on itself before it imports a parser. They hold for every program it starts.

Resource limits bound memory, file size and CPU. ``no_new_privs`` and a seccomp filter take away the network and the
system calls that reach into other processes, signals included; Landlock takes away the files. None of them needs
privileges, and all work inside containers, where user namespaces do not. ``RLIMIT_NPROC`` is left alone: it counts all
processes of the user, the worker's other ones too.

Outside Linux there are only the resource limits; the worker says so at boot.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

from hybrid_ocr_worker.sandbox import landlock

_MEBIBYTE = 1 << 20
_OPEN_FILES = 256
#: CPU seconds a page may use beyond its wall clock limit: the wall clock ends it first, this ends what escaped it.
_CPU_MARGIN_SECONDS = 5

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SECCOMP_RET_ALLOW = 0x7FFF0000
_SECCOMP_RET_ERRNO = 0x00050000
_SECCOMP_RET_KILL = 0x80000000

# fmt: off
#: In this order: socket, connect, bind, listen, accept, accept4,
#: sendto, sendmsg, sendmmsg, socketpair, ptrace, process_vm_readv, process_vm_writev, mount, umount2, unshare, setns,
#: bpf, userfaultfd, keyctl, add_key, request_key, io_uring_setup, io_uring_enter, io_uring_register, perf_event_open,
#: pidfd_getfd, kexec_load, init_module, finit_module, open_by_handle_at,
#: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal.
#: The worker ends what hangs, with the child's whole group: nothing in the child needs to send a signal. A library that
#: aborts dies all the same, by the trap behind its signal.
_X86_64_NUMBERS = (
    41, 42, 49, 50, 43, 288, 44, 46, 307, 53, 101, 310, 311, 165, 166, 272, 308, 321, 323, 250, 248, 249, 425, 426, 427,
    298, 438, 246, 175, 313, 304, 62, 200, 234, 129, 297, 424,
)
_AARCH64_NUMBERS = (
    198, 203, 200, 201, 202, 242, 206, 211, 269, 199, 117, 270, 271, 40, 39, 97, 268, 280, 282, 219, 217, 218, 425, 426,
    427, 241, 438, 104, 105, 273, 265, 129, 130, 131, 138, 240, 424,
)
# fmt: on
#: Denied system calls by machine: (audit architecture, numbers, prlimit64: denied for other processes).
_DENIED = {
    "x86_64": (
        0xC000003E,
        _X86_64_NUMBERS,
        302,
    ),
    "aarch64": (
        0xC00000B7,
        _AARCH64_NUMBERS,
        261,
    ),
}
_X32_BIT = 0x40000000


def confine(scratch: Path) -> None:
    """Once, at the very start of the child, which may write below ``scratch`` only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if sys.platform == "linux":
        # A worker that is killed must not leave a busy child behind.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        landlock.confine_files(scratch)
        _deny_system_calls()


def shield() -> list[str]:
    """Once, in the worker: do what can be done against a child that reaches for it; tell what is missing here."""
    if sys.platform != "linux":
        return ["seccomp and Landlock, which are Linux's"]
    missing = []
    if not landlock.version():
        # Then a child could read the worker's environment and memory, as a process of the same user.
        _prctl(_PR_SET_DUMPABLE, 0)
        missing.append("Landlock: the child can read files of the worker's user")
    if platform.machine() not in _DENIED:
        missing.append(f"a seccomp filter for {platform.machine()}: the child has the network")
    return missing


def limit_document(*, memory_bytes: int, file_bytes: int) -> None:
    """Before each document: address space and the size of any one written file."""
    _set_soft(resource.RLIMIT_AS, memory_bytes)
    _set_soft(resource.RLIMIT_FSIZE, file_bytes)


def limit_cpu(seconds: float) -> None:
    """Before each request: a warm child's limit counts all it ever used, so it must be raised each time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _set_soft(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + _CPU_MARGIN_SECONDS)


def _set_soft(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _prctl(option: int, *arguments: int | ctypes.c_void_p) -> None:
    padded = [*arguments, *([0] * (4 - len(arguments)))]
    libc = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in padded]
    if libc.prctl(ctypes.c_int(option), *values) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {errno.errorcode.get(number, number)}")


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _deny_system_calls() -> None:
    known = _DENIED.get(platform.machine())
    if known is None:
        return
    program = _assemble(*known)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _FilterProgram(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.cast(ctypes.byref(header), ctypes.c_void_p))


def _assemble(architecture: int, numbers: tuple[int, ...], own_only: int) -> bytes:
    """A classic BPF program: kill on a foreign architecture, EPERM for the denied numbers, allow the rest.

    ``own_only`` is allowed where its first argument, a process, is 0: oneself.
    """

    def statement(code: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, 0, 0, value)

    def jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    lines = [
        statement(load, 4),  # struct seccomp_data: arch
        jump(equal, architecture, 1, 0),
        statement(give, _SECCOMP_RET_KILL),
        statement(load, 0),  # struct seccomp_data: nr
    ]
    if architecture == _DENIED["x86_64"][0]:
        # The x32 numbers reach the same calls by another door.
        lines.append(jump(at_least, _X32_BIT, len(numbers) + 3, 0))
    for position, number in enumerate(numbers):
        lines.append(jump(equal, number, len(numbers) - position + 3, 0))
    lines.append(jump(equal, own_only, 0, 2))
    lines.append(statement(load, 16))  # the lower half of the first argument; both machines are little-endian
    lines.append(jump(equal, 0, 0, 1))
    lines.append(statement(give, _SECCOMP_RET_ALLOW))
    lines.append(statement(give, _SECCOMP_RET_ERRNO | errno.EPERM))
    return b"".join(lines)
