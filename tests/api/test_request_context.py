"""The id and the trace of a request: the client's where they look like what they are to be."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tests.observed import log_lines_of

_OURS = re.compile("[0-9a-f]{16}")
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, str]]]:
    caplog.set_level(logging.DEBUG, logger="hybrid_ocr_api")
    with log_lines_of("hybrid_ocr_api") as found:
        yield found


@pytest.mark.parametrize("given", ["a", "0f8fad5b-d9cb-469f-a165-70867728950e", "req_1.2", "x" * 64])
def test_a_sane_request_id_is_taken_and_told(client: FlaskClient, lines: list[dict[str, str]], given: str) -> None:
    answer = client.get(f"/jobs/{'0' * 32}", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == answer.get_json()["request_id"] == given
    assert {line["request_id"] for line in lines} == {given}


@pytest.mark.parametrize("given", ["", "two words", 'a"b', "x" * 65, "a/b", "naïve", "a;b"])
def test_any_other_is_replaced(client: FlaskClient, lines: list[dict[str, str]], given: str) -> None:
    answer = client.get("/nothing", headers={"X-Request-Id": given})

    told = answer.headers["X-Request-Id"]
    assert _OURS.fullmatch(told)
    assert answer.get_json()["request_id"] == told
    assert {line["request_id"] for line in lines} == {told}


def test_each_request_has_an_id_of_its_own_also_one_that_is_refused(client: FlaskClient) -> None:
    answers = [client.get("/health"), client.get("/health"), client.application.test_client().get("/jobs")]

    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert answers[-1].status_code == 401
    assert len(set(ids)) == 3


def test_the_lines_of_a_request_are_in_the_trace_of_its_client(
    client: FlaskClient, lines: list[dict[str, str]]
) -> None:
    client.get("/health", headers={"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01"})
    client.get("/health", headers={"traceparent": "nonsense"})
    client.get("/health")

    traces = [line["trace_id"] for line in lines]
    assert traces[0] == _TRACE
    assert len(set(traces)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", trace_id) for trace_id in traces)
    assert len({line["span_id"] for line in lines} | {"00f067aa0ba902b7"}) == 4
