"""Makes one chosen AWS call go wrong, in one of seven ways."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from hybrid_ocr_core.aws import AwsClients


class Died(BaseException):
    """The process is gone at this very point. No handler of ours may catch it."""


class Fault(StrEnum):
    REFUSED = "refused"  # no effect, no answer
    THROTTLED = "throttled"  # no effect, 400 after all retries
    BROKEN = "broken"  # no effect, 500 after all retries
    LOST = "lost"  # effect, response lost, so that the SDK sends it again
    SURFACED = "surfaced"  # effect, but the caller sees a time-out
    DIED_BEFORE = "died before"
    DIED_AFTER = "died after"


class Injector:
    """Counts the calls of a scenario; ``plan`` says which of them go wrong, by their number from 0."""

    def __init__(self, clients: AwsClients) -> None:
        self.calls: list[str] = []
        self.plan: dict[int, Fault] = {}
        self.is_armed = False
        self.observe: Callable[[], None] = lambda: None
        self._lost: set[int] = set()
        for client in (clients.s3, clients.dynamodb, clients.sqs):
            events: Any = client.meta.events
            events.register_first("before-call", self._before_call)
            events.register_last("before-send", self._after_send)
            events.register_last("after-call", self._after_call)

    def arm(self, plan: dict[int, Fault]) -> None:
        self.calls, self.plan, self.is_armed = [], plan, True
        self._lost = set()

    def disarm(self) -> None:
        self.is_armed = False

    def _fault(self) -> Fault | None:
        return self.plan.get(len(self.calls) - 1) if self.is_armed else None

    def _before_call(self, event_name: str, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        if not self.is_armed:
            return None
        self.calls.append(event_name.removeprefix("before-call."))
        fault = self._fault()
        if fault is Fault.DIED_BEFORE:
            raise Died(self.calls[-1])
        if fault is Fault.REFUSED:
            raise EndpointConnectionError(endpoint_url="http://test")
        if fault is Fault.THROTTLED:
            return _answer(400, "ThrottlingException")
        if fault is Fault.BROKEN:
            return _answer(500, "InternalServerError")
        return None

    def _after_send(self, request: Any, **_: Any) -> None:
        number = len(self.calls) - 1
        if self._fault() is Fault.LOST and number not in self._lost:
            self._lost.add(number)
            raise ConnectionClosedError(endpoint_url=request.url)

    def _after_call(self, **_: Any) -> None:
        fault = self._fault()
        if fault is Fault.DIED_AFTER:
            raise Died(self.calls[-1])
        if fault is Fault.SURFACED:
            raise ReadTimeoutError(endpoint_url="http://test")
        if self.is_armed:
            self.is_armed = False  # what is observed is not part of the scenario
            try:
                self.observe()
            finally:
                self.is_armed = True


def _answer(status: int, code: str) -> tuple[AWSResponse, dict[str, Any]]:
    body = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return AWSResponse("http://test", status, HTTPHeaders(), None), body
