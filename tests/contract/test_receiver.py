"""The receiver that the README shows is a file, and takes what we send and nothing else."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import re
from types import ModuleType

import pytest
from standardwebhooks import Webhook

from hybrid_ocr_core.event import PATIENCE, Delivery, Event, body
from hybrid_ocr_core.job import EventId, JobStatus
from hybrid_ocr_worker.courier import headers
from tests.builders import a_job
from tests.conftest import ROOT, WEBHOOK_SECRET

_FILE = ROOT / "docs" / "webhook_receiver.py"
_OTHER = "whsec_" + "b3RoZXIg" * 5


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("OCR_WEBHOOK_SECRET", WEBHOOK_SECRET)
    spec = importlib.util.spec_from_file_location("webhook_receiver", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sent(
    *secrets: str, age: dt.timedelta = dt.timedelta(), client_reference: str | None = "order 7 – ü"
) -> tuple[dict[str, str], bytes]:
    now = dt.datetime.now(dt.UTC)
    job = a_job(client_reference=client_reference)
    event = Event(
        id=EventId(job=job.id, attempt=1),
        status=JobStatus.DONE,
        error_code=None,
        occurred_at=now,
        delivery=Delivery.PENDING,
        tried=1,
        give_up_at=now + PATIENCE,
        next_at=None,
    )
    text = body(event, job)
    return headers(event.id, text, secrets, now - age), text.encode()


def test_the_documentation_shows_the_receiver_as_it_is() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert _FILE.read_text() in blocks


def test_it_takes_what_we_send_once(receiver: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    sent, content = _sent(WEBHOOK_SECRET)
    client = receiver.app.test_client()

    assert [client.post("/ocr", headers=sent, data=content).status_code for _ in range(2)] == [204, 204]

    job_id = json.loads(content)["data"]["job_id"]
    assert capsys.readouterr().out == f"job.done {job_id} order 7 – ü\n"


def test_while_secrets_rotate_it_may_have_either(receiver: ModuleType) -> None:
    for secrets in ((WEBHOOK_SECRET, _OTHER), (_OTHER, WEBHOOK_SECRET)):
        sent, content = _sent(*secrets)
        assert receiver.app.test_client().post("/ocr", headers=sent, data=content).status_code == 204


def test_what_is_signed_by_another_or_old_or_changed_is_refused(receiver: ModuleType) -> None:
    sent, content = _sent(WEBHOOK_SECRET)
    by_another, theirs = _sent(_OTHER)
    old, old_content = _sent(WEBHOOK_SECRET, age=dt.timedelta(minutes=6))
    ahead, ahead_content = _sent(WEBHOOK_SECRET, age=dt.timedelta(minutes=-6))
    client = receiver.app.test_client()

    for tried in (
        (by_another, theirs),
        (old, old_content),
        (ahead, ahead_content),
        (sent, content.replace(b"DONE", b"LOST")),
        ({**sent, "webhook-id": "evt_another"}, content),
        ({**sent, "webhook-timestamp": str(int(sent["webhook-timestamp"]) + 1)}, content),
        ({}, content),
    ):
        assert client.post("/ocr", headers=tried[0], data=tried[1]).status_code == 401
    assert receiver.seen == set()


@pytest.mark.parametrize("signature", ["garbage", "v1", "v1,a,b", "v1,%%%", "v1,\xff", ",", " ", "v2,AAAA"])
def test_a_signature_of_no_sense_is_refused_too(receiver: ModuleType, signature: str) -> None:
    """The library raises ValueError for some of them."""
    sent, content = _sent(WEBHOOK_SECRET)

    response = receiver.app.test_client().post("/ocr", headers={**sent, "webhook-signature": signature}, data=content)

    assert response.status_code == 401


def test_the_library_signs_as_the_standard_says() -> None:
    """The example of the specification, so that no other library disagrees."""
    signed = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        dt.datetime.fromtimestamp(1614265330, dt.UTC),
        '{"test": 2432232314}',
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
