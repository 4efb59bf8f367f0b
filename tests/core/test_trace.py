"""Trace context: taken if valid, continued with a span of our own, and carried by what is sent."""

from __future__ import annotations

import json
import logging
import re

import pytest

from hybrid_ocr_core import trace
from hybrid_ocr_core.logs import JsonFormatter

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = "00f067aa0ba902b7"
_VALID = f"00-{_TRACE}-{_PARENT}-01"


def _line() -> dict[str, str]:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "m", None, None)
    line: dict[str, str] = json.loads(JsonFormatter().format(record))
    return line


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (_VALID, 1),
        (f"00-{_TRACE}-{_PARENT}-00", 0),
        (f"00-{_TRACE}-{_PARENT}-ff", 1),  # flags that version 00 does not know are not passed on
        (f"cc-{_TRACE}-{_PARENT}-01", 1),
        (f"cc-{_TRACE}-{_PARENT}-01-what-the-future-will-bring", 1),
    ],
)
def test_a_valid_header_is_read(header: str, flags: int) -> None:
    assert trace.parse(header) == trace.Span(trace_id=_TRACE, span_id=_PARENT, flags=flags)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{_TRACE.upper()}-{_PARENT}-01",
        f"00-{'0' * 32}-{_PARENT}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE[:-1]}-{_PARENT}-01",
        f"00-{_TRACE}-{_PARENT}-1",
        f"00-{_TRACE}-{_PARENT}-01-more",
        f"ff-{_TRACE}-{_PARENT}-01",
        f"cc-{_TRACE}-{_PARENT}-01.more",
        f"cc-{_TRACE}-{_PARENT}-01-{'x' * 1000}",
        f" {_VALID}",
        f"{_VALID}\n",
        f"{_VALID},{_VALID}",
    ],
)
def test_any_other_header_is_none(header: str | None) -> None:
    assert trace.parse(header) is None


def test_a_span_continues_the_trace_under_an_id_of_its_own() -> None:
    with trace.span(_VALID) as span:
        sent, line = trace.traceparent(), _line()

    assert (span.trace_id, span.flags) == (_TRACE, 1)
    assert re.fullmatch("[0-9a-f]{16}", span.span_id)
    assert span.span_id != _PARENT
    assert sent == f"00-{_TRACE}-{span.span_id}-01"
    assert (line["trace_id"], line["span_id"]) == (_TRACE, span.span_id)


def test_without_a_valid_header_a_trace_begins_each_time_another() -> None:
    spans = []
    for header in (None, "nonsense"):
        with trace.span(header) as span:
            spans.append(span)

    assert len({span.trace_id for span in spans}) == 2
    assert [trace.parse(span.traceparent) for span in spans] == spans


def test_what_is_sent_for_another_job_carries_that_ones_trace_or_none() -> None:
    other = f"00-{'a' * 32}-{'b' * 16}-00"
    with trace.span(_VALID) as span:
        with trace.on_behalf_of(other):
            theirs = trace.traceparent()
        with trace.on_behalf_of(None):
            none = trace.traceparent()
        ours = trace.traceparent()

    assert (theirs, none, ours) == (other, None, span.traceparent)
    assert trace.traceparent() is None
    assert "trace_id" not in _line()
