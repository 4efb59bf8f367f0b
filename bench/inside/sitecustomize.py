"""Runs inside the processes of a stack whose AWS requests are counted: a line a request, in the file that is named.

Python imports this module at its start when its directory is on PYTHONPATH; production code knows nothing of it.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

if "COUNT_REQUESTS_IN" in os.environ:
    from botocore.session import Session

    _file = Path(os.environ["COUNT_REQUESTS_IN"])
    _create_client = Session.create_client

    def _count(event_name: str, **_: object) -> None:
        # One write of a line, appended: the lines of several processes do not mix.
        with _file.open("a", encoding="utf-8") as file:
            file.write(event_name.rpartition(".")[2] + "\n")

    @functools.wraps(_create_client)
    def _create_counting_client(self: Session, *arguments: Any, **named: Any) -> Any:
        client = _create_client(self, *arguments, **named)
        client.meta.events.register_first("before-send", _count)
        return client

    Session.create_client = _create_counting_client  # type: ignore[method-assign]
