"""How long bytes may be on their way.

A time-out of a socket starts anew with every byte, so a store that lets a document trickle would keep its reader, and
the heartbeat of its job, for ever. A transfer therefore has an end, in proportion to its size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import IO, Protocol

from hybrid_ocr_core.errors import Unavailable

#: What any transfer gets, and the rate below which a store counts as away.
GRACE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 512 << 10
_BLOCK = 256 << 10


class RawBody(Protocol):
    """What botocore's body is inside: it can read what has arrived, where ``read`` waits for a whole block."""

    def read1(self, amount: int, /) -> bytes:
        """One read of the socket; empty at the end."""


def nobody_minds() -> None:
    """The ``still_wanted`` of a transfer that nothing but its own slowness ends."""


class Transfer:
    """So many bytes on their way. ``still_wanted`` is asked at every block; what it raises ends the transfer."""

    def __init__(self, part: str, size: int, still_wanted: Callable[[], None] = nobody_minds) -> None:
        self._part = part
        self._still_wanted = still_wanted
        self._ends_at = time.monotonic() + GRACE_SECONDS + size / SLOWEST_BYTES_PER_SECOND

    def check(self) -> None:
        """Raises Unavailable when it takes too long, and what ``still_wanted`` raises."""
        self._still_wanted()
        if time.monotonic() > self._ends_at:
            raise Unavailable(self._part, "the transfer is too slow")

    def blocks(self, body: RawBody) -> Iterator[bytes]:
        """What a body brings, as it arrives."""
        while block := body.read1(_BLOCK):
            yield block
            self.check()


class Outgoing:
    """A seekable file that is read by botocore, block by block, for as long as its transfer may last."""

    def __init__(self, part: str, stream: IO[bytes], still_wanted: Callable[[], None] = nobody_minds) -> None:
        size = stream.seek(0, 2)
        stream.seek(0)
        self._stream = stream
        self._transfer = Transfer(part, size, still_wanted)

    def read(self, amount: int = -1) -> bytes:
        """The next bytes."""
        self._transfer.check()
        return self._stream.read(amount)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Back to the start, before it is sent again."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Where the next read begins."""
        return self._stream.tell()
