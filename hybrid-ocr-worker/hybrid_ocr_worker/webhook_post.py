"""One signed POST to a foreign server, which is believed nothing and given little.

Every address that the name has must be one that we send to; the connection then goes to one of those very addresses,
whatever the name says by then, and TLS is for the name. No proxy, no redirect, no cookie; time and answer are bounded.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.exceptions import SSLError as WrappedSslError
from urllib3.util.retry import Retry

from hybrid_ocr_core.errors import WebhookUrlDenied
from hybrid_ocr_core.event import LONGEST_WAIT, Try, TryError
from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.webhook_url import Address, WebhookUrl, is_denied, read

#: Of an answer no more is read.
MOST_BYTES = 64 << 10

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """For the name, for a connection (TLS as well), and for everything together."""

    resolve_seconds: float = 5.0
    connect_seconds: float = 10.0
    total_seconds: float = 25.0


class _Failed(Exception):
    def __init__(self, error: TryError) -> None:
        super().__init__(error.value)
        self.error = error


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system has them now. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Poster:
    """Sends. Any number of threads; ``context`` and ``resolve`` are the system's own unless a test brings others."""

    def __init__(
        self,
        *,
        allow_private: bool,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        limits: Limits | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._allow_private = allow_private
        self._context = context or ssl.create_default_context()
        self._resolve = resolve
        self._limits = limits or Limits()
        self._clock = clock

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Try:
        """Send, and tell what came of it. Raises nothing that the other side could cause."""
        at, started = self._clock(), time.monotonic()
        try:
            status, digest, retry_after = self._exchange(url, headers, body)
        except _Failed as failed:
            return Try(at=at, seconds=time.monotonic() - started, error=failed.error)
        return Try(
            at=at,
            seconds=time.monotonic() - started,
            status=status,
            body_sha256=digest,
            retry_after=retry_after,
        )

    def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, dt.timedelta | None]:
        ends_at = time.monotonic() + self._limits.total_seconds
        try:
            target = read(url, allow_private=self._allow_private)
        except WebhookUrlDenied as error:
            # It was allowed when it was submitted.
            raise _Failed(TryError.URL_DENIED) from error
        connection = self._connect(target, self._addresses_of(target, ends_at), ends_at)
        try:
            with _failures_told(ends_at), _ended_at(ends_at, connection):
                connection.request(
                    "POST",
                    target.path,
                    body=body,
                    headers={"Host": target.host_header, "Connection": "close", **headers},
                    preload_content=False,
                    decode_content=False,
                )
                response = connection.getresponse()
                if time.monotonic() >= ends_at:
                    # Cut off in its headers, which looks like their end.
                    raise _Failed(TryError.TIMEOUT)
                return response.status, _digest(response), _retry_after(response)
        finally:
            connection.close()

    def _addresses_of(self, target: WebhookUrl, ends_at: float) -> list[Address]:
        """All of them, and all allowed: were one of them not, the next answer might be that one alone."""
        if target.address is not None:
            found: list[Address] = [target.address]
        else:
            try:
                seconds = min(self._limits.resolve_seconds, _left(ends_at))
                names = _within(seconds, lambda: self._resolve(target.host, target.port))
                found = list(dict.fromkeys(ipaddress.ip_address(name) for name in names))
            except (OSError, UnicodeError, ValueError) as error:
                raise _Failed(TryError.NAME_NOT_FOUND) from error
        if not found:
            raise _Failed(TryError.NAME_NOT_FOUND)
        if any(is_denied(address, allow_private=self._allow_private) for address in found):
            raise _Failed(TryError.ADDRESS_DENIED)
        return found

    def _connect(self, target: WebhookUrl, addresses: Sequence[Address], ends_at: float) -> HTTPConnection:
        ends_at = min(ends_at, time.monotonic() + self._limits.connect_seconds)
        failure = TryError.NOT_CONNECTED
        for address in addresses:
            if time.monotonic() >= ends_at:
                break
            connection = self._connection(target, str(address), ends_at)
            try:
                connection.connect()
            except (ssl.SSLError, WrappedSslError):
                failure = TryError.TLS_FAILED
            except NewConnectionError:  # which urllib3 has among its time-outs
                failure = TryError.NOT_CONNECTED
            except (TimeoutError, ConnectTimeoutError):
                failure = TryError.TIMEOUT
            except (OSError, HTTPError, ValueError):
                failure = TryError.NOT_CONNECTED
            else:
                return connection
            connection.close()
        raise _Failed(failure)

    def _connection(self, target: WebhookUrl, address: str, ends_at: float) -> HTTPConnection:
        if not target.is_https:
            return HTTPConnection(address, target.port, timeout=_left(ends_at))
        # The certificate, and SNI, are for the name; an address as the host has a certificate for that.
        connection = _TlsConnection(
            address, target.port, timeout=_left(ends_at), ssl_context=self._context, server_hostname=target.host
        )
        connection.ends_at = ends_at
        return connection


class _TlsConnection(HTTPSConnection):
    """The library gives its time-out to TCP, and then to TLS once more; here that has what TCP has left."""

    ends_at = 0.0

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        sock.settimeout(_left(self.ends_at))
        return sock


def _left(ends_at: float) -> float:
    """Seconds; a socket takes 0 for another thing."""
    return max(0.001, ends_at - time.monotonic())


def _within(seconds: float, call: Callable[[], Sequence[str]]) -> Sequence[str]:
    """The system's resolver knows no time-out of ours; a thread that is left behind ends when that one does.

    Raises:
        OSError: what it raised, or it took too long.
    """
    answer: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(call())
        except Exception as error:  # noqa: BLE001 - the border of a thread
            answer.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty as error:
        raise TimeoutError("no answer about a name") from error
    if isinstance(found, Exception):
        raise found
    return found


@contextlib.contextmanager
def _ended_at(ends_at: float, connection: HTTPConnection) -> Iterator[None]:
    """A time-out of a socket starts anew with every byte; this end does not."""
    sock, seconds = connection.sock, _left(ends_at)
    assert sock is not None
    connection.timeout = seconds  # until here it was that of connecting

    def cut() -> None:
        with contextlib.suppress(OSError):
            # Of the plain socket: TLS would say good-bye first.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _failures_told(ends_at: float) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPError, HTTPException, ValueError) as error:
        is_late = isinstance(error, TimeoutError) or time.monotonic() >= ends_at
        raise _Failed(TryError.TIMEOUT if is_late else TryError.BROKEN_ANSWER) from error


def _digest(response: BaseHTTPResponse) -> str:
    """Of what came in time of the body, to a limit: the status has said all that counts."""
    digest, left = hashlib.sha256(), MOST_BYTES
    with contextlib.suppress(OSError, HTTPError, HTTPException, ValueError):
        while left > 0 and (block := response.read(min(left, 8192), decode_content=False)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _retry_after(response: BaseHTTPResponse) -> dt.timedelta | None:
    """Seconds, or a date; cut to what we wait at most."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    # It says no more than when to come back: whatever a parser makes of a foreign date, status and try stand.
    with contextlib.suppress(Exception):
        longest = Retry(retry_after_max=int(LONGEST_WAIT.total_seconds()))
        return dt.timedelta(seconds=longest.parse_retry_after(value))
    return None
