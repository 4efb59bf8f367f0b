"""What only one stack at a time may have: a data directory and two ports.

A claim lasts as long as this process and not a moment longer, however it ends: the lock belongs to an open file and
the ports to open sockets. The sockets are bound here and handed to the servers, so no other program can take a port
while a server is being started again; whoever connects in that moment waits instead of being refused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
#: What a killed stack leaves dies at once, but not in no time.
_PATIENCE_SECONDS = 3.0
_RETRY_SECONDS = 0.1


class Taken(Exception):
    """Somebody else has it; the message says who, and what to do."""


def claim_directory(path: Path, note: str) -> IO[str]:
    """Lock a data directory. ``note`` is shown to the next one who tries.

    Raises:
        Taken: another stack runs on this data.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)  # it will hold other people's documents
    file = (path / "lock").open("a+", encoding="utf-8")
    file.seek(0)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise Taken(
                    f"A stack runs on the data in {path} already ({file.read().strip()}). Use that one, stop it with"
                    f" Ctrl-C, or run another beside it on data and ports of its own:\n"
                    f"    OCR_DATA_DIR=.local-2 OCR_PORT=8001 OCR_EMULATOR_PORT=4567 make run"
                ) from error
            time.sleep(_RETRY_SECONDS)
    file.truncate(0)
    file.write(f"process {os.getpid()}, {note}\n")
    file.flush()
    return file


def claim_port(name: str, port: int) -> socket.socket:
    """Listen on a port of the loopback interface; ``name`` is the variable that sets it.

    Raises:
        Taken: something listens there already, or this user may not.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return socket.create_server((LOOPBACK, port), backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Taken(f"{name}={port} cannot be used: {os.strerror(error.errno or 0)}") from error
            if time.monotonic() > deadline:
                raise Taken(
                    f"Port {port} is in use by another stack or program. Stop that, or choose another one:"
                    f" {name}={port + 1} make run"
                ) from error
            time.sleep(_RETRY_SECONDS)
