"""How long a client may take to send its request and to take the answer.

gunicorn's threads read from sockets without an end. A client that vanished in the middle of its upload, or that sends
a byte a second, would keep its slot for ever, and eight of them a process. So a socket on which nothing moves is given
up, and a body has an end, in proportion to its size. Either is a body that was cut, hence 400.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from flask import Flask, g, request

#: Nothing has come, or gone.
IDLE_SECONDS = 30.0
#: What any body gets, and the rate below which it is too slow.
GRACE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 64 << 10


def install(app: Flask) -> None:
    """Have each request watched from here on. To be installed after the slots: waiting for one is not the client's."""
    app.before_request(_watch)
    app.teardown_request(_let_go)


def _watch() -> None:
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    if connection is None:
        return  # another server, which has its own ways
    # gunicorn undoes this before the next request on the connection.
    connection.settimeout(IDLE_SECONDS)
    size = request.content_length or request.max_content_length
    if request.content_length or "chunked" in request.headers.get("Transfer-Encoding", ""):
        assert size is not None  # MAX_CONTENT_LENGTH is set
        g.body_end = threading.Timer(GRACE_SECONDS + size / SLOWEST_BYTES_PER_SECOND, _cut, (connection,))
        g.body_end.daemon = True
        g.body_end.start()


def _cut(connection: socket.socket) -> None:
    """The thread that reads finds its end."""
    with contextlib.suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RD)


def _let_go(_error: BaseException | None = None) -> None:
    if (end := g.pop("body_end", None)) is not None:
        end.cancel()
