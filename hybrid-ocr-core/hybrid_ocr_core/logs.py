"""JSON lines on stderr: sentences for people, ``action`` and ids for machines.

Only the fields named in ``_FIELDS`` are ever written besides the message: never a document's text, a file name, a
key or a presigned URL.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

_FIELDS = ("action", "code", "page", "pages", "seconds", "bytes", "status", "engine", "languages", "method", "route")
_context: contextvars.ContextVar[Mapping[str, str | int]] = contextvars.ContextVar(
    "log_context", default=MappingProxyType({})
)


@contextmanager
def log_context(**fields: str | int) -> Iterator[None]:
    """Put fields (job_id, attempt, request_id) on every line logged inside the block."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def fresh_log_context(**fields: str | int) -> Iterator[None]:
    """As ``log_context``, without the fields of the blocks around it."""
    token = _context.set(fields)
    try:
        yield
    finally:
        _context.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line. JSON escapes CR and LF, so no input can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Draw one record."""
        line: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context.get(),
        }
        line.update({name: record.__dict__[name] for name in _FIELDS if name in record.__dict__})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str) -> None:
    """Send every log line of this process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("botocore", "boto3", "urllib3", "s3transfer", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Warns of odd headers with the URL: a webhook's, or a presigned one.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
