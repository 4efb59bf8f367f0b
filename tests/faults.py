"""What the network does to a call: botocore hooks that lose its response, or refuse it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber


@contextmanager
def lost_response(client: Any, operation: str, *, after: int = 0) -> Iterator[list[str]]:
    """The next ``operation`` takes effect, but its response is lost, so that botocore sends it again.

    With ``after`` it is not the next one, but the one after so many. Registered last on the generic event, after moto's
    own handler has applied the call. Yields what was lost.
    """
    lost: list[str] = []
    seen = 0

    def lose(request: Any, event_name: str, **_: Any) -> None:
        nonlocal seen
        seen += event_name.endswith(f".{operation}")
        if seen > after and not lost:
            lost.append(event_name)
            raise ConnectionClosedError(endpoint_url=request.url)

    client.meta.events.register_last("before-send", lose)
    try:
        yield lost
    finally:
        client.meta.events.unregister("before-send", lose)


@contextmanager
def away(client: Any) -> Iterator[None]:
    """Every call is refused at the door: nothing takes effect."""

    def refuse(request: Any, **_: Any) -> None:
        raise EndpointConnectionError(endpoint_url=request.url)

    client.meta.events.register_first("before-send", refuse)
    try:
        yield
    finally:
        client.meta.events.unregister("before-send", refuse)


@contextmanager
def away_after(client: Any, operation: str, calls: int) -> Iterator[None]:
    """So many calls of ``operation`` take effect; the others are refused at the door, and so is nothing else."""
    left = itertools.count(calls, -1)

    def refuse(request: Any, event_name: str, **_: Any) -> None:
        if event_name.endswith(f".{operation}") and next(left) <= 0:
            raise EndpointConnectionError(endpoint_url=request.url)

    client.meta.events.register_first("before-send", refuse)
    try:
        yield
    finally:
        client.meta.events.unregister("before-send", refuse)


@contextmanager
def answering(client: Any, status: int, code: str) -> Iterator[list[str]]:
    """The service answers every send with this error, as it does when it throttles. Yields what was sent."""
    sent: list[str] = []
    is_xml = client.meta.service_model.service_name == "s3"
    body = f"<Error><Code>{code}</Code></Error>" if is_xml else f'{{"__type":"com.amazonaws#{code}"}}'

    def answer(request: Any, event_name: str, **_: Any) -> AWSResponse:
        sent.append(event_name.rpartition(".")[2])
        return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(body))

    # moto would apply the call all the same: every handler is asked, and the first answer counts.
    client.meta.events.unregister("before-send", botocore_stubber)
    client.meta.events.register_first("before-send", answer)
    try:
        yield sent
    finally:
        client.meta.events.unregister("before-send", answer)
        client.meta.events.register("before-send", botocore_stubber)


@contextmanager
def refused(client: Any, operation: str, code: str, *, times: int) -> Iterator[list[str]]:
    """The next ``operation``s are refused with this error, and take no effect. Yields what was refused."""
    found: list[str] = []

    def refuse(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if len(found) == times or not event_name.endswith(f".{operation}"):
            applied: AWSResponse | None = stub(event_name, request)
            return applied
        found.append(operation)
        body = f'{{"__type":"com.amazonaws#{code}"}}'
        return AWSResponse(request.url, 400, HTTPHeaders(), MockRawResponse(body))

    stub: Any = botocore_stubber
    client.meta.events.unregister("before-send", botocore_stubber)
    client.meta.events.register_first("before-send", refuse)
    try:
        yield found
    finally:
        client.meta.events.unregister("before-send", refuse)
        client.meta.events.register("before-send", botocore_stubber)


@contextmanager
def changed_answer(client: Any, operation: str, change: Callable[[dict[str, Any]], None]) -> Iterator[list[Any]]:
    """Each answer to ``operation`` is changed before the caller sees it; yields what was asked for."""
    asked: list[Any] = []

    def note(params: Any, **_: Any) -> None:
        body = params["body"]
        asked.append(json.loads(body) if body and isinstance(body, bytes | str) else body)

    def alter(parsed: dict[str, Any], **_: Any) -> None:
        change(parsed)

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register_first(f"before-call.{service}.{operation}", note)
    client.meta.events.register_last(f"after-call.{service}.{operation}", alter)
    try:
        yield asked
    finally:
        client.meta.events.unregister(f"before-call.{service}.{operation}", note)
        client.meta.events.unregister(f"after-call.{service}.{operation}", alter)
