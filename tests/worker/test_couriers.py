"""The threads: told at once, told again soon, found by a look, and in nobody's way."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

import pytest

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.dispatch import Dispatch
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.event import Delivery, Try
from hybrid_ocr_core.job import Ended, EventId, JobId, Lane, utc_now
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.places import Places
from hybrid_ocr_core.settings import AwsSettings
from hybrid_ocr_worker import couriers
from hybrid_ocr_worker.courier import Courier
from hybrid_ocr_worker.couriers import Agenda, Couriers
from hybrid_ocr_worker.webhook_post import Poster
from tests.builders import LEASE, a_document, a_job, a_result
from tests.faults import away
from tests.observed import until
from tests.receiver import Receiver

_LONG = 3600.0
_PATIENCE_SECONDS = 30.0


@pytest.fixture
def clock() -> Callable[[], dt.datetime]:
    """Threads wait for real."""
    return utc_now


@pytest.fixture
def courier(store: JobStore, endpoints: EndpointStore) -> Courier:
    return Courier(store, endpoints, Poster(allow_private=True))


def _end_a_job(store: JobStore, url: str, tenant: str = "default") -> EventId:
    job = a_job(webhook_url=url, tenant=tenant)
    store.create(job)
    end = store.complete(store.claim(job.id)[1], a_document(pages=2), a_result())
    assert end.event is not None
    return end.event


def _delivery(store: JobStore, event: EventId) -> Delivery:
    return store.events.of(event.job)[0].delivery


def test_the_end_of_a_job_is_told_at_once(
    store: JobStore,
    queue: JobQueue,
    clients: AwsClients,
    aws_settings: AwsSettings,
    courier: Courier,
    receiver: Receiver,
) -> None:
    agenda = Agenda()
    places = Places(clients.dynamodb, aws_settings.table, most=9, lease=LEASE)
    dispatch = Dispatch(store, queue, places, announce=agenda.put)
    with Couriers(courier, store.events, agenda, look_seconds=_LONG):
        event = _end_a_job(store, receiver.url)
        dispatch.ended(Ended(job=event.job, lane=Lane.NORMAL, followers=frozenset(), event=event))
        until(lambda: _delivery(store, event) is Delivery.DELIVERED)

    assert len(receiver.received) == 1


def test_a_try_that_fails_is_made_again_soon(store: JobStore, courier: Courier, receiver: Receiver) -> None:
    receiver.will_answer(500)
    agenda = Agenda()
    with Couriers(courier, store.events, agenda, look_seconds=_LONG):
        event = _end_a_job(store, receiver.url)
        agenda.put(event)
        until(lambda: _delivery(store, event) is Delivery.DELIVERED)

    assert [made.status for made in store.events.of(event.job)[0].tries] == [500, 204]


@pytest.mark.failure(47)
def test_an_event_whose_worker_died_is_found_by_a_look_at_the_table(
    store: JobStore, courier: Courier, receiver: Receiver
) -> None:
    event = _end_a_job(store, receiver.url)

    with Couriers(courier, store.events, Agenda(), look_seconds=0.05):
        until(lambda: _delivery(store, event) is Delivery.DELIVERED)

    assert len(receiver.received) == 1


def test_more_events_than_a_look_finds_are_all_told(
    store: JobStore, courier: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "_LOOK_MOST", 2)
    events = [_end_a_job(store, receiver.url) for _ in range(5)]

    with Couriers(courier, store.events, Agenda(), look_seconds=0.05):
        until(lambda: all(_delivery(store, event) is Delivery.DELIVERED for event in events))

    assert len(receiver.received) == 5


@pytest.mark.failure(41)
def test_an_outage_ends_no_thread(store: JobStore, courier: Courier, clients: AwsClients, receiver: Receiver) -> None:
    event = _end_a_job(store, receiver.url)
    agenda = Agenda()
    with Couriers(courier, store.events, agenda, look_seconds=0.05):
        with away(clients.dynamodb):
            agenda.put(event)
            until(lambda: len(agenda) == 0)
        until(lambda: _delivery(store, event) is Delivery.DELIVERED)


def test_a_defect_ends_no_thread_and_says_no_url(
    store: JobStore, endpoints: EndpointStore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Poster):
        def post(self, *_: object) -> Try:
            raise ValueError("https://canary.example/")

    agenda = Agenda()
    events = [_end_a_job(store, receiver.url) for _ in range(8)]
    with Couriers(Courier(store, endpoints, Broken(allow_private=True)), store.events, agenda, look_seconds=_LONG):
        for event in events:
            agenda.put(event)
        until(lambda: sum("ValueError" in line for line in caplog.messages) == 8)

    assert "canary" not in caplog.text


def test_receivers_of_one_tenant_that_hang_do_not_take_every_thread(
    store: JobStore, endpoints: EndpointStore, receiver: Receiver
) -> None:
    hang = threading.Event()

    class Slow(Poster):
        def post(self, url: str, *rest: object) -> Try:
            if "slow" in url:
                hang.wait()
            return Poster.post(self, url, *rest)  # type: ignore[arg-type]

    slow = [_end_a_job(store, receiver.url.replace("hook", f"slow{number}"), "slow") for number in range(6)]
    other = _end_a_job(store, receiver.url, "other")
    agenda = Agenda()
    try:
        with Couriers(Courier(store, endpoints, Slow(allow_private=True)), store.events, agenda, look_seconds=_LONG):
            for event in (*slow, other):
                agenda.put(event)
            until(lambda: _delivery(store, other) is Delivery.DELIVERED)
            assert [request.path for request in receiver.received] == ["/hook?a=1"]
            hang.set()
            until(lambda: all(_delivery(store, event) is Delivery.DELIVERED for event in slow))
    finally:
        hang.set()


def test_a_worker_that_stops_waits_for_nobody_for_long(
    store: JobStore, endpoints: EndpointStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "_LAST_SECONDS", 0.1)
    hang, sending = threading.Event(), threading.Event()

    class Slow(Poster):
        def post(self, *_: object) -> Try:
            sending.set()
            hang.wait()
            raise ValueError

    agenda = Agenda()
    try:
        with Couriers(Courier(store, endpoints, Slow(allow_private=True)), store.events, agenda, look_seconds=_LONG):
            agenda.put(_end_a_job(store, receiver.url))
            assert sending.wait(_PATIENCE_SECONDS)
    finally:
        hang.set()


def test_an_agenda_is_bounded_and_names_each_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couriers, "_MOST_ON_AGENDA", 3)
    agenda = Agenda()
    events = [EventId(job=JobId(tenant=str(number), job_id="0" * 32), attempt=1) for number in range(5)]
    for event in (*events, *events):
        agenda.put(event)

    assert len(agenda) == 3
    assert {agenda.take() for _ in range(3)} == set(events[:3])


def _events_of(tenant: str, count: int) -> list[EventId]:
    return [EventId(job=JobId(tenant=tenant, job_id=f"{number:032d}"), attempt=1) for number in range(count)]


@pytest.mark.failure(43)
def test_of_a_full_agenda_the_tenant_with_most_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couriers, "_MOST_ON_AGENDA", 4)
    agenda = Agenda()
    many, few, another = _events_of("many", 9), _events_of("few", 3), _events_of("another", 1)
    for event in (*many, *few, *another):
        agenda.put(event)

    assert set(agenda._at) == {many[0], *few[:2], *another}


@pytest.mark.failure(43)
def test_who_has_no_courier_comes_before_who_waits_for_longest() -> None:
    agenda = Agenda()
    for event in (*_events_of("many", 5), *_events_of("other", 1)):
        agenda.put(event)

    taken = [agenda.take() for _ in range(2)]

    assert {event.job.tenant for event in taken if event} == {"many", "other"}


@pytest.mark.failure(43)
def test_a_backlog_of_one_tenant_hides_no_event_of_another(
    store: JobStore, courier: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the first are older, never leave the agenda, and are more than a look finds."""
    monkeypatch.setattr(couriers, "_LOOK_MOST", 2)
    monkeypatch.setattr(couriers, "_MOST_ON_AGENDA", 4)
    monkeypatch.setattr(couriers, "_MOST_OF_A_TENANT", 0)
    for _ in range(7):
        _end_a_job(store, receiver.url, "many")
    other = _end_a_job(store, receiver.url, "other")
    agenda = Agenda()

    with Couriers(courier, store.events, agenda, look_seconds=0.05):
        until(lambda: other in agenda._at)


def test_an_agenda_takes_the_sooner_of_two_times_and_the_next_first() -> None:
    agenda = Agenda()
    late, soon = (EventId(job=JobId(tenant=name, job_id="0" * 32), attempt=1) for name in ("late", "soon"))
    agenda.put(soon, seconds=_LONG)
    agenda.put(late, seconds=0.05)
    agenda.put(soon)

    assert [agenda.take(), agenda.take()] == [soon, late]
    agenda.close()
    assert agenda.take() is None
