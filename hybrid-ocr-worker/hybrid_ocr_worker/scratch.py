"""The scratch disk, where documents are while they are worked on. That it is full is no document's fault."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_ocr_core.errors import Unavailable

#: No room left, or none left for this user.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def full_disk_is_unavailable() -> Iterator[None]:
    """Around work on the scratch disk.

    Raises:
        Unavailable: it is full; the job can be given back, and run where there is room.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise Unavailable("the scratch disk", "it is full") from error
        raise
