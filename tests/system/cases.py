"""What schemathesis cannot make up from schemas: documents, URLs that may be told, ranges that run upwards.

Loaded by schemathesis itself, as ``schemathesis.toml`` says.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

_ID = re.compile("[0-9a-f]{32}")
_DOCUMENTS = Path(__file__).resolve().parents[1] / "documents"


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside/broken.pdf", b"%PDF-1.7 broken")
    return file.getvalue()


def _pages(starts: list[tuple[int, int]]) -> str:
    return ",".join(f"{first}-{first + more}" if more else str(first) for first, more in starts)


# Most are nothing but a beginning: they are accepted, and the workers are soon done with them.
schemathesis.openapi.format(
    "binary", st.sampled_from([b"%PDF-1.7 broken", b"\x89PNG\r\n\x1a\n", (_DOCUMENTS / "toc.pdf").read_bytes()])
)
schemathesis.openapi.format("page-ranges", st.lists(st.tuples(st.integers(1, 10**5), st.integers(0, 9))).map(_pages))
# Nobody listens there.
schemathesis.openapi.format(
    "webhook-url", st.sampled_from(["", "http://127.0.0.1:9/hook", "http://[::1]:9/?a=%20b", "https://localhost:9/"])
)


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: dict[str, Any] | None) -> Any:
    """Of a job by any id there is nothing to see: it becomes one that is done, and was told to its webhook."""
    operation = context.operation
    is_of_one = operation is not None and {"results", "webhooks"} & set(operation.tags or ())
    if is_of_one and path_parameters and _ID.fullmatch(str(path_parameters.get("job_id"))):
        path_parameters["job_id"] = os.environ["DONE_JOB"]
    return path_parameters
