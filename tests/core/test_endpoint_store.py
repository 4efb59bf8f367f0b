"""What a receiver asked for, and what a tenant signs with."""

from __future__ import annotations

import datetime as dt

from standardwebhooks import Webhook

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.endpoint_store import Endpoint, EndpointStore
from hybrid_ocr_core.settings import _is_secret
from tests.builders import FakeClock
from tests.conftest import WEBHOOK_SECRET
from tests.faults import lost_response

_URL = "https://hooks.example/ocr"
_FREE = Endpoint(is_gone=False, paused_until=None)


def test_a_receiver_that_is_gone_is_so_for_a_month_for_that_tenant_and_url(
    endpoints: EndpointStore, clock: FakeClock
) -> None:
    endpoints.disable("one", _URL)

    assert endpoints.get("one", _URL).is_gone
    assert endpoints.get("two", _URL) == _FREE
    assert endpoints.get("one", f"{_URL}/") == _FREE
    clock.now += dt.timedelta(days=30)
    assert endpoints.get("one", _URL) == _FREE  # though the TTL has not removed it


def test_a_pause_has_an_end(endpoints: EndpointStore, clock: FakeClock) -> None:
    until = clock.now + dt.timedelta(minutes=1)
    endpoints.pause("one", _URL, until)

    assert endpoints.get("one", _URL).paused_until == until
    clock.now = until
    assert endpoints.get("one", _URL).paused_until is None


def test_a_shorter_pause_takes_nothing_from_a_longer_one(endpoints: EndpointStore, clock: FakeClock) -> None:
    day, minute = clock.now + dt.timedelta(days=1), clock.now + dt.timedelta(minutes=1)
    endpoints.pause("one", _URL, day)

    endpoints.pause("one", _URL, minute)

    assert endpoints.get("one", _URL).paused_until == day
    clock.now = day
    endpoints.pause("one", _URL, day + dt.timedelta(minutes=1))
    assert endpoints.get("one", _URL).paused_until == day + dt.timedelta(minutes=1)


def test_pauses_in_a_row_are_counted_until_the_receiver_takes_an_event(
    endpoints: EndpointStore, clients: AwsClients, clock: FakeClock
) -> None:
    endpoints.recovered("one", _URL)
    assert clients.dynamodb.scan(TableName="hybrid-ocr")["Items"] == []
    endpoints.pause("one", _URL, clock.now, pauses=3)
    assert endpoints.get("one", _URL).pauses == 3

    endpoints.recovered("one", _URL)

    assert endpoints.get("one", _URL) == _FREE


def test_a_receiver_may_be_welcomed_back(endpoints: EndpointStore) -> None:
    endpoints.disable("one", _URL)

    endpoints.welcome("one", _URL)

    assert endpoints.get("one", _URL) == _FREE


def test_the_table_knows_no_url(endpoints: EndpointStore, clients: AwsClients) -> None:
    endpoints.disable("one", _URL)

    assert "hooks.example" not in str(clients.dynamodb.scan(TableName="hybrid-ocr")["Items"])


def test_a_tenant_without_secrets_has_those_of_the_deployment(endpoints: EndpointStore) -> None:
    assert endpoints.secrets("one") == (WEBHOOK_SECRET,)


def test_a_rotation_signs_with_the_new_and_the_old_secret_until_that_is_retired(endpoints: EndpointStore) -> None:
    first = endpoints.rotate("one")
    assert endpoints.secrets("one") == (first, WEBHOOK_SECRET)
    second = endpoints.rotate("one")
    assert endpoints.secrets("one") == (second, first)
    third = endpoints.rotate("one")
    assert endpoints.secrets("one") == (third, second)

    endpoints.retire("one")

    assert endpoints.secrets("one") == (third,)
    assert endpoints.secrets("two") == (WEBHOOK_SECRET,)
    assert len({first, second, third}) == 3
    assert all(_is_secret(secret) for secret in (first, second, third))
    assert Webhook(first)._whsecret != Webhook(second)._whsecret


def test_after_a_first_rotation_the_secret_of_the_deployment_signs_until_it_is_retired(
    endpoints: EndpointStore,
) -> None:
    first = endpoints.rotate("one")

    assert endpoints.secrets("one") == (first, WEBHOOK_SECRET)
    endpoints.retire("one")
    assert endpoints.secrets("one") == (first,)


def test_retiring_what_is_not_there_makes_nothing(endpoints: EndpointStore) -> None:
    endpoints.retire("one")

    assert endpoints.secrets("one") == (WEBHOOK_SECRET,)


def test_a_rotation_whose_answer_was_lost_is_one(endpoints: EndpointStore, clients: AwsClients) -> None:
    first = endpoints.rotate("one")
    with lost_response(clients.dynamodb, "UpdateItem") as lost:
        second = endpoints.rotate("one")

    assert lost
    assert endpoints.secrets("one") == (second, first)
