"""W3C Trace Context: which lines, of whichever service, belong to one request of a client.

A ``traceparent`` comes with a request or a message; what we do for it is a span of ours in the same trace, and what we
send meanwhile carries that span. Spans are not sent anywhere: their ids stand on the log lines.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import contextvars
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hybrid_ocr_core.logs import log_context

#: Version, trace, parent, flags; a later version may have more behind them.
_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")
_LONGEST = 512
_VERSION = "00"
_INVALID_VERSION = "ff"
#: The only flag that version 00 knows; the others must not be passed on.
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place in a trace."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def traceparent(self) -> str:
        """The header by which others continue from here."""
        return f"{_VERSION}-{self.trace_id}-{self.span_id}-{self.flags:02x}"


_current: contextvars.ContextVar[Span | None] = contextvars.ContextVar("span", default=None)


def parse(traceparent: str | None) -> Span | None:
    """The sender's span; None where there is no header, or none that is valid."""
    if traceparent is None or len(traceparent) > _LONGEST:
        return None
    found = _HEADER.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == _INVALID_VERSION or (version == _VERSION and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Span(trace_id=trace_id, span_id=span_id, flags=int(flags, 16) & _SAMPLED)


def traceparent() -> str | None:
    """What a request or a message that is sent now carries; None outside of every span."""
    span = _current.get()
    return span.traceparent if span else None


@contextmanager
def span(parent: str | None) -> Iterator[Span]:
    """A new span, in the trace of the ``traceparent`` given or in a new one. Log lines inside have the ids of both."""
    above = parse(parent)
    ours = Span(
        trace_id=above.trace_id if above else _random_id(16),
        span_id=_random_id(8),
        flags=above.flags if above else 0,
    )
    with _as_current(ours), log_context(trace_id=ours.trace_id, span_id=ours.span_id):
        yield ours


@contextmanager
def on_behalf_of(parent: str | None) -> Iterator[None]:
    """What is sent inside carries this ``traceparent`` or none: it is about another job than the one in hand."""
    with _as_current(parse(parent)):
        yield


@contextmanager
def _as_current(span: Span | None) -> Iterator[None]:
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


def _random_id(size: int) -> str:
    """Hexadecimal, and not all zeros, which would mean none."""
    return secrets.token_hex(size - 1) + f"{secrets.randbelow(255) + 1:02x}"
