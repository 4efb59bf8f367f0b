"""A job of a real stack, told to a real receiver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from tests.conftest import WEBHOOK_SECRET
from tests.make_documents import GENERATED
from tests.receiver import Receiver
from tests.system.stack import Stack

_SMALL = GENERATED["born-digital.pdf"]()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("webhooks") / "data",
        OCR_WORKER_PROCESSES="2",
        OCR_SWEEP_SECONDS="2",
        OCR_WEBHOOK_SECRET=WEBHOOK_SECRET,
        OCR_WEBHOOK_ALLOW_PRIVATE="1",
    ) as found:
        yield found


def test_the_end_of_a_job_is_told_tried_again_and_told_again_on_request(stack: Stack, receiver: Receiver) -> None:
    receiver.will_answer(500)
    done = stack.submit(_SMALL, webhook_url=receiver.url, client_reference="order 7")
    stack.wait_until(lambda: len(receiver.received) == 2, "a second try")
    broken = stack.submit(GENERATED["truncated.pdf"](), webhook_url=receiver.url)
    stack.wait_until(lambda: len(receiver.received) == 3, "the other job to be told")
    path = f"/jobs/{done}/webhook"
    stack.wait_until(lambda: _delivery(stack, path) == "delivered", "the delivery to be noted")
    log = stack.get(path).json()
    assert stack.post(f"{path}/redeliver").status_code == 202
    stack.wait_until(lambda: len(receiver.received) == 4, "the redelivery")

    first, second, other, again = receiver.received
    events = [Webhook(WEBHOOK_SECRET).verify(one.body, dict(one.headers)) for one in receiver.received]
    assert [(event["type"], event["data"]["job_id"]) for event in events] == [
        ("job.done", done),
        ("job.done", done),
        ("job.failed", broken),
        ("job.done", done),
    ]
    assert events[0]["data"]["client_reference"] == "order 7"
    assert events[2]["data"]["error_code"] == "corrupt_document"
    ids = [one.headers["webhook-id"] for one in (first, second, again)]
    assert ids == [log["events"][0]["webhook_id"]] * 3
    assert other.headers["webhook-id"] not in ids
    assert [made["status"] for made in log["events"][0]["tries"]] == [500, 204]
    for log_file in (stack.data / "logs").glob("*.log"):
        text = log_file.read_text()
        assert "/hook?a=1" not in text
        assert WEBHOOK_SECRET not in text


def _delivery(stack: Stack, path: str) -> str:
    found: str = stack.get(path).json()["events"][0]["delivery"]
    return found
