"""What schemathesis cannot make up from schemas: documents, URLs that may be told, ranges that run upwards.

Loaded by schemathesis itself, as ``schemathesis.toml`` says.
"""

from __future__ import annotations

import io
import os
import re
import uuid
import zipfile
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

from hybrid_ocr_api.forms import IDEMPOTENCY_KEY

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
schemathesis.openapi.format("moment", st.datetimes().map(lambda time: f"{time.isoformat(timespec='seconds')}Z"))
schemathesis.openapi.format("page-ranges", st.lists(st.tuples(st.integers(1, 10**5), st.integers(0, 9))).map(_pages))
# Nobody listens there.
schemathesis.openapi.format(
    "webhook-url", st.sampled_from(["", "http://127.0.0.1:9/hook", "http://[::1]:9/?a=%20b", "https://localhost:9/"])
)


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Less what schemas cannot say: the document is kept no longer than the job."""
    days, source_days = (
        case.body.get(name) or 0 if isinstance(case.body, dict) else 0
        for name in ("retention_days", "source_retention_days")
    )
    return not (isinstance(days, int | float) and isinstance(source_days, int | float)) or source_days <= days


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """What depends on what was asked before; a value that is no good stays."""
    ids, query, headers = case.path_parameters, case.query, case.headers
    # Of a job by any id there is nothing to see: it becomes one that is done, and was told to its webhook.
    if {"results", "webhooks"} & set(case.operation.tags or ()) and _ID.fullmatch(str(ids.get("job_id"))):
        ids["job_id"] = os.environ["DONE_JOB"]
    # With a key that was used, another request is refused: so each is new.
    if re.fullmatch(IDEMPOTENCY_KEY, str(headers.get("Idempotency-Key"))):
        headers["Idempotency-Key"] = uuid.uuid4().hex
    # A cursor can only be had from a list.
    query.pop("cursor", None)
    # Nobody waits for long.
    if re.fullmatch("[0-9]{1,9}", str(query.get("wait"))):
        query["wait"] = min(1, int(query["wait"]))
    if "wait" in headers.get("Prefer", ""):
        headers["Prefer"] = "wait=1"
