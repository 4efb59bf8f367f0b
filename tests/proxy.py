"""A TCP proxy that is a bad network: it refuses, delays, stays silent, trickles, or cuts connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_BLOCK = 64 << 10
_LOOK_UP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Mode:
    """What becomes of an answer on its way back. The default is a good network."""

    refuse: bool = False  # the connection is closed at once
    silent: bool = False  # accepted, and never answered
    delay_seconds: float = 0.0  # before each block
    bytes_per_second: float = 0.0  # 0: no limit
    cut_after: int = -1  # bytes of a connection's answers; -1: never


PASS = Mode()
REFUSE = Mode(refuse=True)
SILENT = Mode(silent=True)


class Proxy:
    """Listens on a port of its own and passes on to another. A context manager; ``mode`` may change at any time."""

    def __init__(self, upstream_port: int, mode: Mode = PASS) -> None:
        self.mode = mode
        self.accepted = 0
        self._upstream_port = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._is_closing = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._sockets.append(client)
            if self.mode.refuse:
                client.close()
                continue
            upstream = socket.create_connection(("127.0.0.1", self._upstream_port))
            self._sockets.append(upstream)
            for source, target, is_answer in ((client, upstream, False), (upstream, client, True)):
                source.settimeout(_LOOK_UP_SECONDS)
                thread = threading.Thread(target=self._pass_on, args=(source, target, is_answer), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        sent = 0
        with contextlib.suppress(OSError):  # either end is gone
            while not self._is_closing and not self.mode.refuse:
                block = self._receive(source, is_answer)
                if block is None:
                    continue
                left = self.mode.cut_after - sent if is_answer and self.mode.cut_after >= 0 else len(block)
                target.sendall(block[: max(0, left)])
                sent += len(block)
                if not block or left < len(block):
                    break
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _receive(self, source: socket.socket, is_answer: bool) -> bytes | None:
        """What came, at the pace of the mode; None when nothing came yet."""
        mode = self.mode
        if mode.silent:
            time.sleep(_LOOK_UP_SECONDS)
            return None
        trickle = max(1, int(mode.bytes_per_second * _LOOK_UP_SECONDS)) if mode.bytes_per_second else 0
        if is_answer:
            time.sleep(mode.delay_seconds + (_LOOK_UP_SECONDS if trickle else 0))
        try:
            return source.recv(trickle if is_answer and trickle else _BLOCK)
        except TimeoutError:
            return None
