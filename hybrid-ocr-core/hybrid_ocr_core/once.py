"""What makes one job and no more: an ``Idempotency-Key``, an upload.

It is written in the transaction that creates the job. So there is neither without the other, and of requests that race
one wins.
"""

from __future__ import annotations

from typing import Protocol

from hybrid_ocr_core.errors import IdempotencyMismatch, KeyUsed, UploadNotFound, UploadUsed
from hybrid_ocr_core.job_item import Item
from hybrid_ocr_core.table import Put, Write

#: What ``Once.check`` raises: nothing was created.
REFUSED = (KeyUsed, IdempotencyMismatch, UploadUsed, UploadNotFound)


class Once(Protocol):
    """A write that is refused the second time."""

    def record(self, made: str) -> Put | Write:
        """It belongs into the transaction which makes ``made``."""

    def check(self, item: Item, /, *, made: str) -> None:
        """Look at the item that refused it; one that shows ``made``, or none, is no reason. Raises one of REFUSED."""
