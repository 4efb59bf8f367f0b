"""From a job with a ``webhook_url`` to one signed POST, and what becomes of it otherwise."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging

import pytest
from standardwebhooks import Webhook

from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.contents import fingerprint
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.endpoint_store import EndpointStore
from hybrid_ocr_core.errors import DocumentRejected, Unavailable
from hybrid_ocr_core.event import BREATHER, SCHEDULE, Delivery, Event, Try, TryError
from hybrid_ocr_core.event_store import SEND_LEASE
from hybrid_ocr_core.job import EventId, JobId, Retention
from hybrid_ocr_core.job_queue import JobQueue
from hybrid_ocr_core.job_store import JobStore
from hybrid_ocr_core.logs import JsonFormatter
from hybrid_ocr_worker import courier as courier_module
from hybrid_ocr_worker.courier import Courier
from hybrid_ocr_worker.processing import Processor
from hybrid_ocr_worker.webhook_post import Poster
from tests.builders import FakeClock, a_document, a_job, a_result
from tests.conftest import WEBHOOK_SECRET
from tests.faults import away, lost_response
from tests.observed import counted
from tests.receiver import Received, Receiver
from tests.recognisers import ScriptedRecogniser
from tests.worker.conftest import CONTENT


@pytest.fixture
def courier(store: JobStore, endpoints: EndpointStore, clock: FakeClock) -> Courier:
    return Courier(store, endpoints, Poster(allow_private=True, clock=clock), clock=clock)


@pytest.fixture
def ended(store: JobStore, receiver: Receiver) -> EventId:
    """The event of a job that is DONE."""
    return _ended(store, receiver.url)


def _ended(store: JobStore, url: str) -> EventId:
    job = a_job(webhook_url=url, client_reference="order 7")
    store.create(job)
    _, lease = store.claim(job.id)
    end = store.complete(lease, a_document(pages=2), a_result())
    assert end.event is not None
    return end.event


def _event(store: JobStore, event: EventId) -> Event:
    (found,) = store.events.of(event.job)
    return found


@pytest.fixture
def now(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receivers' library knows no other clock than the wall's."""
    clock.now = dt.datetime.now(dt.UTC)


def _verified(request: Received, secret: str = WEBHOOK_SECRET) -> dict[str, object]:
    found: dict[str, object] = Webhook(secret).verify(request.body, dict(request.headers))
    return found


@pytest.mark.usefixtures("now")
def test_a_job_that_is_done_is_told_by_one_signed_post(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    courier: Courier,
    receiver: Receiver,
    clock: FakeClock,
) -> None:
    job = a_job(
        document=a_document(CONTENT), webhook_url=receiver.url, client_reference="order 7", created_at=clock.now
    )
    documents.put_source(job.id, io.BytesIO(CONTENT), "application/pdf")
    store.create(job)
    queue.send(job.id)
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    processor.process(message)
    (event_id,) = store.events.due(limit=10)

    assert courier.deliver(event_id) is None

    (request,) = receiver.received
    assert request.headers["webhook-id"] == f"evt_{job.job_id}_1"
    assert request.headers["content-type"] == "application/json"
    assert _verified(request) == {
        "type": "job.done",
        "timestamp": _event(store, event_id).occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "job_id": job.job_id,
            "batch_id": None,
            "client_reference": "order 7",
            "status": "DONE",
            "error_code": None,
        },
    }
    event = _event(store, event_id)
    assert (event.delivery, event.next_at, [made.status for made in event.tries]) == (Delivery.DELIVERED, None, [204])
    assert store.events.due(limit=10) == []
    assert courier.deliver(event_id) is None
    assert len(receiver.received) == 1


@pytest.mark.usefixtures("now")
def test_a_job_that_failed_is_told_with_its_code(
    processor: Processor,
    store: JobStore,
    queue: JobQueue,
    documents: DocumentStore,
    courier: Courier,
    receiver: Receiver,
    recogniser: ScriptedRecogniser,
) -> None:
    def refuse() -> None:
        raise DocumentRejected("corrupt_document", "broken")

    recogniser.script = [refuse]
    job = a_job(document=a_document(CONTENT), webhook_url=receiver.url)
    documents.put_source(job.id, io.BytesIO(CONTENT), "application/pdf")
    store.create(job)
    queue.send(job.id)
    message = queue.receive(visibility_seconds=60, wait_seconds=0)
    assert message is not None
    processor.process(message)
    (event,) = store.events.due(limit=10)

    courier.deliver(event)

    body = _verified(receiver.received[0])
    assert body["type"] == "job.failed"
    assert body["data"] == {
        "job_id": job.job_id,
        "batch_id": None,
        "client_reference": None,
        "status": "FAILED",
        "error_code": "corrupt_document",
    }


@pytest.mark.usefixtures("now")
def test_what_is_sent_is_small_and_holds_no_url_and_nothing_of_the_document(
    store: JobStore, courier: Courier, receiver: Receiver
) -> None:
    job = a_job(webhook_url=receiver.url, client_reference="\u20ac" * 256, batch_id="b" * 32)
    store.create(job)
    store.complete(store.claim(job.id)[1], a_document(pages=2, filename="secret.pdf"), a_result())
    courier.deliver(EventId(job=job.id, attempt=1))

    body = receiver.received[0].body
    assert len(body) < 20_000
    for word in (b"http", b"secret.pdf", job.document.sha256.encode()):
        assert word not in body


@pytest.mark.usefixtures("now")
def test_each_try_has_the_same_id_and_body_and_a_time_and_signature_of_its_own(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    receiver.will_answer(500)
    courier.deliver(ended)
    clock.advance(6)
    courier.deliver(ended)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) in {6, 7}
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert _verified(first) == _verified(second)


def test_the_tries_follow_the_schedule_and_then_end(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    for _ in SCHEDULE:
        receiver.will_answer(500)
    waits = []
    for _ in SCHEDULE:
        assert store.events.due(limit=10) == [ended]
        next_at = courier.deliver(ended)
        assert store.events.due(limit=10) == []
        if next_at is not None:
            waits.append(next_at - clock.now)
            clock.now = next_at

    event = _event(store, ended)
    assert (event.delivery, len(event.tries), len(receiver.received)) == (Delivery.FAILED, 10, 10)
    for wait, planned in zip(waits, SCHEDULE[1:], strict=True):
        assert planned <= wait <= planned * 1.1 + dt.timedelta(seconds=1)
    assert sum(SCHEDULE, dt.timedelta()) == dt.timedelta(hours=75, minutes=35, seconds=5)


@pytest.mark.parametrize("status", [300, 301, 308, 400, 404, 500])
def test_any_answer_but_2xx_is_tried_again_after_five_seconds(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock, status: int
) -> None:
    receiver.will_answer(status)

    next_at = courier.deliver(ended)

    assert next_at is not None
    assert dt.timedelta(seconds=5) <= next_at - clock.now <= dt.timedelta(seconds=6)


def test_a_receiver_that_is_gone_is_told_nothing_any_more_of_any_job(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId
) -> None:
    other = _ended(store, receiver.url)
    elsewhere = _ended(store, receiver.url.replace("hook", "elsewhere"))
    receiver.will_answer(410)

    for event in (ended, other, elsewhere):
        assert courier.deliver(event) is None

    assert [request.path for request in receiver.received] == ["/hook?a=1", "/elsewhere?a=1"]
    assert _event(store, ended).delivery is Delivery.DISABLED
    assert _event(store, other).delivery is Delivery.DISABLED
    assert _event(store, elsewhere).delivery is Delivery.DELIVERED


def test_another_tenant_may_still_use_the_url_that_is_gone(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId
) -> None:
    job = a_job(tenant="other", webhook_url=receiver.url)
    store.create(job)
    store.complete(store.claim(job.id)[1], a_document(pages=2), a_result())
    receiver.will_answer(410)
    courier.deliver(ended)

    courier.deliver(EventId(job=job.id, attempt=1))

    assert len(receiver.received) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_overloaded_receiver_has_a_pause_from_everything(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock, status: int
) -> None:
    other = _ended(store, receiver.url)
    receiver.will_answer(status)
    started = clock.now

    next_at = courier.deliver(ended)
    put_off = courier.deliver(other)

    assert next_at == started + BREATHER
    assert put_off is not None
    assert started + BREATHER <= put_off <= started + BREATHER + dt.timedelta(seconds=30)
    assert len(receiver.received) == 1
    assert _event(store, other).tried == 0  # nothing was sent, so no try is used up
    clock.now = put_off
    assert courier.deliver(other) is None
    assert len(receiver.received) == 2


def test_a_receiver_that_says_when_is_waited_for_but_not_for_ever(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    receiver.will_answer(429, Retry_After="3600")
    assert courier.deliver(ended) == clock.now + dt.timedelta(hours=1)
    clock.advance(3601)
    receiver.will_answer(503, Retry_After="99999999")
    assert courier.deliver(ended) == clock.now + dt.timedelta(hours=24)


def test_a_receiver_that_fails_slowly_has_a_pause_from_everything(
    store: JobStore, endpoints: EndpointStore, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    class Slow(Poster):
        def post(self, *_: object) -> Try:
            return Try(at=clock.now, seconds=24.0, status=500)

    Courier(store, endpoints, Slow(allow_private=True), clock=clock).deliver(ended)

    assert endpoints.get(ended.job.tenant, receiver.url).paused_until == clock.now + BREATHER


@pytest.mark.parametrize("status", [200, 410])
def test_who_answers_slowly_and_well_has_none(
    store: JobStore, endpoints: EndpointStore, receiver: Receiver, ended: EventId, clock: FakeClock, status: int
) -> None:
    class Slow(Poster):
        def post(self, *_: object) -> Try:
            return Try(at=clock.now, seconds=24.0, status=status)

    Courier(store, endpoints, Slow(allow_private=True), clock=clock).deliver(ended)

    assert endpoints.get(ended.job.tenant, receiver.url).paused_until is None


def test_pauses_double_up_to_an_hour_until_the_receiver_takes_an_event(
    store: JobStore, courier: Courier, receiver: Receiver, clock: FakeClock, endpoints: EndpointStore
) -> None:
    pauses = []
    for status in (504, 504, 504, 504, 504, 504, 504, 504, 200, 504):
        receiver.will_answer(status)
        event = _ended(store, receiver.url)
        courier.deliver(event)
        until = endpoints.get(event.job.tenant, receiver.url).paused_until
        pauses.append(None if until is None else (until - clock.now) / dt.timedelta(minutes=1))
        clock.now = until or clock.now

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, None, 1]


def test_those_who_fail_together_lengthen_the_pause_once(
    store: JobStore, endpoints: EndpointStore, receiver: Receiver, clock: FakeClock
) -> None:
    others = [_ended(store, receiver.url) for _ in range(3)]

    class AtOnce(Poster):
        def post(self, *_: object) -> Try:
            if others:
                sender.deliver(others.pop())
            return Try(at=clock.now, seconds=1.0, status=503)

    sender = Courier(store, endpoints, AtOnce(allow_private=True), clock=clock)
    sender.deliver(_ended(store, receiver.url))

    found = endpoints.get("default", receiver.url)
    assert (found.pauses, found.paused_until) == (1, clock.now + BREATHER)


@pytest.mark.failure(46)
def test_an_event_that_meets_a_defect_is_tried_ten_times_as_any(
    store: JobStore, endpoints: EndpointStore, ended: EventId, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Poster):
        def post(self, *_: object) -> Try:
            raise OverflowError("https://canary.example/")

    courier = Courier(store, endpoints, Broken(allow_private=True), clock=clock)
    while (next_at := courier.deliver(ended)) is not None:
        clock.now = next_at

    event = _event(store, ended)
    assert (event.delivery, len(event.tries)) == (Delivery.FAILED, 10)
    assert {made.error for made in event.tries} == {TryError.BROKEN_ANSWER}
    assert sum("OverflowError" in line for line in caplog.messages) == 10
    assert "canary" not in caplog.text


def test_what_becomes_of_webhooks_is_counted(
    store: JobStore, courier: Courier, receiver: Receiver, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.will_answer(500)
    given_up = _ended(store, receiver.url)
    with counted("hybrid_ocr_webhooks_total") as grown:
        courier.deliver(given_up)
        courier.deliver(_ended(store, receiver.url))
        for _ in SCHEDULE[1:]:
            receiver.will_answer(500)
            clock.now = _event(store, given_up).next_at or clock.now
            courier.deliver(given_up)
        receiver.will_answer(410)
        courier.deliver(_ended(store, receiver.url))
        courier.deliver(_ended(store, receiver.url))

    numbers = {"pending": 9, "delivered": 1, "failed": 1, "disabled": 2}
    assert grown == {f"hybrid_ocr_webhooks_total{{outcome={outcome}}}": count for outcome, count in numbers.items()}
    assert "Gave up on a webhook." in caplog.messages


def test_a_job_whose_days_are_over_takes_its_event_with_it_and_that_is_said(
    store: JobStore, courier: Courier, receiver: Receiver, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    job = a_job(webhook_url=receiver.url, retention=Retention(days=1, source_days=1))
    store.create(job)
    event = store.complete(store.claim(job.id)[1], a_document(pages=2), a_result()).event
    assert event is not None
    receiver.will_answer(500)
    courier.deliver(event)
    clock.now += dt.timedelta(days=1)

    assert courier.deliver(event) is None

    assert store.events.of(job.id) == []
    assert "A webhook went untold with its job." in caplog.messages
    assert len(receiver.received) == 1


def test_an_event_that_is_put_off_again_and_again_is_given_up_after_five_days(
    store: JobStore, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock, endpoints: EndpointStore
) -> None:
    while _event(store, ended).delivery is Delivery.PENDING:
        endpoints.pause(ended.job.tenant, receiver.url, clock.now + dt.timedelta(hours=12))
        next_at = courier.deliver(ended)
        if next_at is not None:
            clock.now = next_at

    assert _event(store, ended).delivery is Delivery.FAILED
    assert receiver.received == []


def test_two_workers_do_not_send_at_once(
    store: JobStore, courier: Courier, endpoints: EndpointStore, ended: EventId, clock: FakeClock
) -> None:
    inner: list[object] = []

    class Slow(Poster):
        def post(self, *_: object) -> Try:
            inner.append(courier.deliver(ended))
            return Try(at=clock.now, seconds=0.1, status=200)

    Courier(store, endpoints, Slow(allow_private=True), clock=clock).deliver(ended)

    assert inner == [None]
    assert len(_event(store, ended).tries) == 1


@pytest.mark.failure(46)
def test_a_sender_that_dies_before_it_notes_its_try_is_replaced_and_the_id_is_the_same(
    store: JobStore, courier: Courier, endpoints: EndpointStore, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    class Died(BaseException):
        pass

    class Dying(Poster):
        def post(self, *arguments: object) -> Try:
            Poster.post(self, *arguments)  # type: ignore[arg-type]
            raise Died

    with pytest.raises(Died):
        Courier(store, endpoints, Dying(allow_private=True, clock=clock), clock=clock).deliver(ended)
    assert courier.deliver(ended) is None
    assert len(receiver.received) == 1
    clock.now += SEND_LEASE
    assert store.events.due(limit=10) == [ended]

    courier.deliver(ended)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert _event(store, ended).delivery is Delivery.DELIVERED


@pytest.mark.failure(46)
def test_a_sender_that_was_paused_past_its_lease_overwrites_nothing(
    store: JobStore, courier: Courier, endpoints: EndpointStore, ended: EventId, clock: FakeClock
) -> None:
    class Paused(Poster):
        def post(self, *_: object) -> Try:
            clock.now += SEND_LEASE
            courier.deliver(ended)  # another worker
            return Try(at=clock.now, seconds=200, status=500)

    Courier(store, endpoints, Paused(allow_private=True), clock=clock).deliver(ended)

    event = _event(store, ended)
    assert (event.delivery, [made.status for made in event.tries]) == (Delivery.DELIVERED, [204])


@pytest.mark.failure(46)
@pytest.mark.parametrize("number", range(2))
def test_a_lost_answer_of_the_table_changes_nothing(
    store: JobStore, clients: AwsClients, courier: Courier, receiver: Receiver, ended: EventId, number: int
) -> None:
    if number:
        receiver.will_answer(500)
    with lost_response(clients.dynamodb, "UpdateItem") as lost:
        courier.deliver(ended)

    assert lost
    assert len(receiver.received) == 1
    assert len(_event(store, ended).tries) == 1


@pytest.mark.failure(46)
def test_with_the_table_away_the_event_waits_for_its_lease(
    store: JobStore, clients: AwsClients, courier: Courier, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    with away(clients.dynamodb), pytest.raises(Unavailable):
        courier.deliver(ended)

    assert receiver.received == []
    courier.deliver(ended)
    assert len(receiver.received) == 1


@pytest.mark.failure(49)
def test_an_erased_job_is_told_to_nobody_and_its_url_is_gone(
    store: JobStore, clients: AwsClients, courier: Courier, receiver: Receiver, ended: EventId
) -> None:
    store.erase(ended.job)

    assert courier.deliver(ended) is None

    assert receiver.received == []
    assert store.events.of(ended.job) == []
    assert receiver.url not in str(clients.dynamodb.scan(TableName="hybrid-ocr")["Items"])


def test_a_job_that_is_erased_while_its_event_is_sent_leaves_no_event(
    store: JobStore, endpoints: EndpointStore, clients: AwsClients, ended: EventId, clock: FakeClock
) -> None:
    class Slow(Poster):
        def post(self, *_: object) -> Try:
            store.erase(ended.job)
            store.events.remove(ended.job)  # as the purge does
            return Try(at=clock.now, seconds=0.1, status=500)

    Courier(store, endpoints, Slow(allow_private=True), clock=clock).deliver(ended)

    assert store.events.of(ended.job) == []


@pytest.mark.usefixtures("now")
def test_while_secrets_rotate_both_verify_and_then_the_new_one_only(
    store: JobStore, endpoints: EndpointStore, courier: Courier, receiver: Receiver
) -> None:
    first = endpoints.rotate("default")
    second = endpoints.rotate("default")
    courier.deliver(_ended(store, receiver.url))
    endpoints.retire("default")
    courier.deliver(_ended(store, receiver.url))

    during, after = receiver.received
    assert _verified(during, first) == _verified(during, second)
    assert len(during.headers["webhook-signature"].split(" ")) == 2
    assert _verified(after, second)
    assert len(after.headers["webhook-signature"].split(" ")) == 1


def test_without_a_secret_an_event_waits_and_no_try_is_used_up(
    store: JobStore, clients: AwsClients, receiver: Receiver, ended: EventId, clock: FakeClock
) -> None:
    none = EndpointStore(clients.dynamodb, "hybrid-ocr", default_secrets=(), clock=clock)
    courier = Courier(store, none, Poster(allow_private=True, clock=clock), clock=clock)

    next_at = courier.deliver(ended)

    assert next_at is not None
    assert next_at > clock.now
    assert _event(store, ended).tried == 0
    assert receiver.received == []


def test_the_time_is_signed_as_utc_whatever_zone_it_is_given_in(ended: EventId) -> None:
    at = dt.datetime(2026, 11, 20, 12, 0, 0, 900000, tzinfo=dt.UTC)
    elsewhere = at.astimezone(dt.timezone(dt.timedelta(hours=7)))

    assert courier_module.headers(ended, "{}", (WEBHOOK_SECRET,), at) == courier_module.headers(
        ended, "{}", (WEBHOOK_SECRET,), elsewhere
    )


def test_no_log_line_holds_the_url_or_the_secret_or_what_was_answered(
    store: JobStore, courier: Courier, receiver: Receiver, caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.will_answer(500, b"canary", X_Canary="canary")
    for url in (
        f"http://127.0.0.1:{receiver.port}/canary?canary",
        "http://canary.invalid/canary",
        "http://127.0.0.1:1/canary",
    ):
        courier.deliver(_ended(store, url))

    lines = [JsonFormatter().format(record) for record in caplog.records if not record.name.startswith("boto")]
    told = [json.loads(line) for line in lines if "webhook_failed" in line]
    assert [line.get("status") for line in told] == [500, None, None]
    for secret in ("canary", "127.0.0.1", WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_")):
        assert not any(secret in line for line in lines), secret


def test_who_is_told_does_not_make_a_document_another_one() -> None:
    job = a_job()

    assert fingerprint(job) == fingerprint(a_job(webhook_url="https://hooks.example/", client_reference="x"))


def test_an_event_of_a_job_that_does_not_exist_is_no_event(courier: Courier) -> None:
    assert courier.deliver(EventId(job=JobId(tenant="default", job_id="0" * 32), attempt=1)) is None
