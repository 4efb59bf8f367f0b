"""API keys: their form, their way through the table, and what they cost."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hybrid_ocr_api import api_keys, commands
from hybrid_ocr_api.access import Caller, Scope
from hybrid_ocr_api.key_office import KeyOffice
from hybrid_ocr_api.key_ring import KeyRing
from hybrid_ocr_api.key_store import KeyEnds, KeyNotFound, KeyStore
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.errors import NewerSchema, Unavailable
from hybrid_ocr_core.settings import AwsSettings
from tests.builders import FakeClock
from tests.faults import away, lost_response
from tests.observed import requests_of

_KEEP_SECONDS = 30
_READ = frozenset({Scope.READ})
_NOWHERE = f"/jobs/{'0' * 32}"


@pytest.fixture
def key_store(clients: AwsClients, aws_settings: AwsSettings, clock: FakeClock) -> KeyStore:
    return KeyStore(clients.dynamodb, aws_settings.table, clock)


@pytest.fixture
def office(key_store: KeyStore, clock: FakeClock) -> KeyOffice:
    return KeyOffice(store=key_store, clock=clock)


@pytest.fixture
def ring(key_store: KeyStore, clock: FakeClock) -> KeyRing:
    return _ring(key_store, clock)


def _ring(key_store: KeyStore, clock: FakeClock) -> KeyRing:
    """That of another process."""
    return KeyRing(key_store, keep_seconds=_KEEP_SECONDS, clock=clock, timer=lambda: clock().timestamp())


@pytest.fixture
def calls(clients: AwsClients) -> Iterator[Counter[str]]:
    """Requests to the table from here on, by operation."""
    with requests_of(clients.dynamodb) as sent:
        yield sent


def _get(app: Flask, key: str) -> TestResponse:
    return app.test_client().get(_NOWHERE, headers={"x-api-key": key})


def test_a_key_has_its_prefix_128_bits_and_a_checksum() -> None:
    keys = {api_keys.generate() for _ in range(100)}

    assert len(keys) == 100
    for key in keys:
        assert key.startswith("ocr_live_")
        assert len(key) == len("ocr_live_") + 12 + 22 + 6
        assert 62**22 > 2**128
        assert api_keys.read(key) is not None
    assert len({api_keys.read(key) for key in keys}) == 100


def test_the_checksum_is_that_of_a_known_key() -> None:
    # zlib.crc32 in base 62, most significant digit first: scanners elsewhere go by it.
    assert api_keys._checksum("123456789") == "3jZRME"  # CRC-32's check value, 0xCBF43926


@pytest.mark.parametrize("place", [0, 9, 20, 30, 43, 48])
def test_one_wrong_character_is_told_without_the_table(ring: KeyRing, calls: Counter[str], place: int) -> None:
    key = api_keys.generate()
    wrong = "b" if key[place] == "a" else "a"

    assert ring.caller_of(key[:place] + wrong + key[place + 1 :]) is None
    assert not calls


@pytest.mark.parametrize("text", ["", "changeme", "ocr_live_", "ocr_live_" + "é" * 40, "ocr_live_" + "0" * 40 + "\n"])
def test_what_is_no_key_costs_no_request(ring: KeyRing, calls: Counter[str], text: str) -> None:
    assert ring.caller_of(text) is None
    assert not calls


def test_a_key_stands_for_its_tenant_and_scopes(office: KeyOffice, ring: KeyRing) -> None:
    text, _ = office.create(tenant="acme", scopes=frozenset({Scope.SUBMIT, Scope.READ}), label="scanner 7")

    assert ring.caller_of(text) == Caller(tenant="acme", scopes=frozenset({Scope.SUBMIT, Scope.READ}))


def test_the_table_has_nothing_by_which_one_gets_in(office: KeyOffice, clients: AwsClients, app: Flask) -> None:
    text, key = office.create(tenant="acme", scopes=_READ, label="")
    assert _get(app, text).status_code == 404

    items = clients.dynamodb.scan(TableName="hybrid-ocr")["Items"]

    assert items
    secret = text.removeprefix("ocr_live_" + key.key_id)
    for stored in (text, secret, secret[:22], secret[:-6]):
        assert stored not in str(items)
    assert _get(app, key.sha256).status_code == 401


def test_a_key_with_another_secret_is_refused(office: KeyOffice, ring: KeyRing) -> None:
    _, key = office.create(tenant="acme", scopes=_READ, label="")
    body = f"ocr_live_{key.key_id}{'x' * 22}"

    assert api_keys.read(body + api_keys._checksum(body)) is not None
    assert ring.caller_of(body + api_keys._checksum(body)) is None


def test_a_key_that_nobody_made_is_refused(app: Flask) -> None:
    response = _get(app, api_keys.generate())

    assert (response.status_code, response.get_json()["code"]) == (401, "unauthorized")


def test_a_key_is_read_once_in_a_while_and_not_for_each_request(
    office: KeyOffice, ring: KeyRing, clock: FakeClock, calls: Counter[str]
) -> None:
    text, _ = office.create(tenant="acme", scopes=_READ, label="")
    calls.clear()
    for _ in range(100):
        assert ring.caller_of(text)
    assert calls == {"GetItem": 1, "UpdateItem": 1}

    clock.advance(_KEEP_SECONDS + 1)
    assert ring.caller_of(text)
    assert calls == {"GetItem": 2, "UpdateItem": 1}


def test_the_last_use_is_written_once_a_minute(
    office: KeyOffice, key_store: KeyStore, clock: FakeClock, calls: Counter[str]
) -> None:
    text, made = office.create(tenant="acme", scopes=_READ, label="")
    rings = [_ring(key_store, clock) for _ in range(2)]
    calls.clear()
    start = clock.now
    for second in range(0, 180, 5):
        clock.now = start + dt.timedelta(seconds=second)
        for ring in rings:
            assert ring.caller_of(text)

    key = key_store.get(made.key_id)
    assert key is not None
    assert key.last_used_at is not None
    assert clock.now - key.last_used_at <= dt.timedelta(seconds=65)
    assert calls["UpdateItem"] <= 6


def test_a_use_that_cannot_be_noted_is_a_use(
    office: KeyOffice, ring: KeyRing, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _ = office.create(tenant="acme", scopes=_READ, label="")
    monkeypatch.setattr(KeyStore, "used", _unavailable)

    assert ring.caller_of(text)


def _unavailable(*_: object) -> None:
    raise Unavailable("DynamoDB", "away")


def test_with_the_table_away_a_key_that_was_read_works_on_and_others_are_told_to_come_back(
    office: KeyOffice, app: Flask, clients: AwsClients
) -> None:
    known, _ = office.create(tenant="acme", scopes=_READ, label="")
    other, _ = office.create(tenant="acme", scopes=_READ, label="")
    _get(app, known)
    with away(clients.dynamodb):
        identities = app.extensions["hybrid_ocr"].identities

        assert identities.caller_of(known, None).tenant == "acme"
        assert _get(app, other).status_code == 503


def test_a_revoked_key_works_no_longer_than_it_is_believed(
    office: KeyOffice, ring: KeyRing, key_store: KeyStore, clock: FakeClock
) -> None:
    text, key = office.create(tenant="acme", scopes=_READ, label="")
    assert ring.caller_of(text)

    office.revoke(key.key_id)

    assert _ring(key_store, clock).caller_of(text) is None
    clock.advance(_KEEP_SECONDS - 1)
    assert ring.caller_of(text)
    clock.advance(1)
    assert ring.caller_of(text) is None


def test_a_revoked_key_in_steady_use_is_not_believed_for_longer(
    office: KeyOffice, ring: KeyRing, clock: FakeClock
) -> None:
    text, key = office.create(tenant="acme", scopes=_READ, label="")
    ring.caller_of(text)
    office.revoke(key.key_id)
    end = clock.now
    while ring.caller_of(text):
        clock.advance(1)

    assert clock.now - end <= dt.timedelta(seconds=_KEEP_SECONDS)


def test_revoking_twice_changes_nothing(office: KeyOffice, clock: FakeClock) -> None:
    _, key = office.create(tenant="acme", scopes=_READ, label="")
    first = office.revoke(key.key_id)
    clock.advance(100)

    assert office.revoke(key.key_id) == first
    assert first.ends_at == clock.now - dt.timedelta(seconds=100)


def test_two_keys_are_live_while_one_is_rotated(office: KeyOffice, ring: KeyRing, clock: FakeClock) -> None:
    old, key = office.create(tenant="acme", scopes=_READ, label="scanner")
    ring.caller_of(old)
    new, made, ending = office.rotate(key.key_id, overlap=dt.timedelta(days=7))

    assert (made.tenant, made.scopes, made.label) == (key.tenant, key.scopes, key.label)
    assert ending.ends_at == clock.now + dt.timedelta(days=7)
    assert ring.caller_of(old) == ring.caller_of(new)
    clock.advance(7 * 86400 - 1)
    assert ring.caller_of(old) == ring.caller_of(new)
    clock.advance(1)
    assert ring.caller_of(old) is None
    assert ring.caller_of(new)


def test_there_are_never_more_than_two_live_keys_of_a_rotation(office: KeyOffice, clock: FakeClock) -> None:
    _, key = office.create(tenant="acme", scopes=_READ, label="")
    office.rotate(key.key_id, overlap=dt.timedelta(days=7))

    with pytest.raises(KeyEnds):
        office.rotate(key.key_id, overlap=dt.timedelta(days=7))
    assert len([found for found in office.list() if found.is_live(clock.now)]) == 2


def test_a_rotating_key_may_be_revoked_before_its_end(office: KeyOffice, ring: KeyRing) -> None:
    old, key = office.create(tenant="acme", scopes=_READ, label="")
    new, _, _ = office.rotate(key.key_id, overlap=dt.timedelta(days=7))
    office.revoke(key.key_id)

    assert ring.caller_of(old) is None
    assert ring.caller_of(new)


def test_only_what_exists_is_revoked_and_rotated(office: KeyOffice) -> None:
    with pytest.raises(KeyNotFound):
        office.revoke("nobody")
    with pytest.raises(KeyNotFound):
        office.rotate("nobody", overlap=dt.timedelta(days=7))
    assert office.list() == []


def test_a_response_that_is_lost_makes_no_second_key_and_no_error(
    office: KeyOffice, ring: KeyRing, clients: AwsClients
) -> None:
    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        text, key = office.create(tenant="acme", scopes=_READ, label="")
    assert lost
    with lost_response(clients.dynamodb, "TransactWriteItems") as lost:
        new, _, _ = office.rotate(key.key_id, overlap=dt.timedelta(days=7))

    assert lost
    assert ring.caller_of(text) == ring.caller_of(new)
    assert len(office.list()) == 2


def test_the_list_has_the_keys_of_all_tenants_or_of_one(office: KeyOffice, clock: FakeClock) -> None:
    made = []
    for tenant in ("globex", "acme", "acme", "acme-2"):
        made.append(office.create(tenant=tenant, scopes=_READ, label="")[1])
        clock.advance(1)

    assert office.list() == [made[1], made[2], made[3], made[0]]
    assert office.list("acme") == made[1:3]


def test_a_key_of_a_later_version_lets_nobody_in(office: KeyOffice, ring: KeyRing, clients: AwsClients) -> None:
    text, key = office.create(tenant="acme", scopes=_READ, label="")
    clients.dynamodb.update_item(
        TableName="hybrid-ocr",
        Key={"pk": {"S": f"K#{key.key_id}"}, "sk": {"S": "META"}},
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": {"N": "2"}},
    )

    with pytest.raises(NewerSchema):
        ring.caller_of(text)


def test_the_key_of_the_settings_may_do_everything_for_the_default_tenant(client: FlaskClient, app: Flask) -> None:
    with app.test_request_context():
        caller = app.extensions["hybrid_ocr"].identities.caller_of(client.environ_base["HTTP_X_API_KEY"], None)

    assert caller.tenant == "default"
    assert all(caller.may(scope) for scope in Scope)


class TestCommand:
    @pytest.fixture
    def environment(self, aws_settings: AwsSettings) -> dict[str, str]:
        return {
            "AWS_REGION": aws_settings.region,
            "OCR_S3_BUCKET": aws_settings.bucket,
            "OCR_DDB_TABLE": aws_settings.table,
            "OCR_SQS_URL": "unused",
        }

    def test_a_key_is_shown_once_on_stdout(
        self, environment: dict[str, str], ring: KeyRing, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["keys", "create", "--tenant", "acme", "--scopes", "submit,read", "--label", "scanner"]
        assert commands.main(arguments, environment) == 0
        told = capsys.readouterr()
        caller = ring.caller_of(told.out.strip())
        assert caller == Caller(tenant="acme", scopes=frozenset({Scope.SUBMIT, Scope.READ}))
        assert told.out.strip() not in told.err

        assert commands.main(["keys", "list"], environment) == 0
        listed = capsys.readouterr().out
        shown = api_keys.read(told.out.strip())
        assert shown is not None
        assert told.out.strip() not in listed
        assert shown.sha256 not in listed
        row = listed.splitlines()[1].split()
        assert row[:3] + row[5:] == [shown.key_id, "acme", "submit,read", "-", "scanner"]

    def test_rotate_and_revoke_say_what_ends_when(
        self, environment: dict[str, str], ring: KeyRing, capsys: pytest.CaptureFixture[str]
    ) -> None:
        commands.main(["keys", "create", "--tenant", "acme", "--scopes", "read"], environment)
        old = api_keys.read(capsys.readouterr().out.strip())
        assert old is not None

        assert commands.main(["keys", "rotate", old.key_id, "--days", "2"], environment) == 0
        told = capsys.readouterr()
        assert ring.caller_of(told.out.strip())
        assert f"{old.key_id} ends " in told.err

        assert commands.main(["keys", "revoke", old.key_id], environment) == 0
        told = capsys.readouterr()
        assert (told.out, f"{old.key_id} of tenant acme ended" in told.err) == ("", True)
        assert commands.main(["keys", "rotate", old.key_id], environment) == 1
        assert commands.main(["keys", "revoke", "nobody"], environment) == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--tenant", "a#b", "--scopes", "read"],
            ["--tenant", "a/b", "--scopes", "read"],
            ["--tenant", "", "--scopes", "read"],
            ["--tenant", "..", "--scopes", "read"],
            ["--tenant", "acme", "--scopes", "write"],
            ["--tenant", "acme", "--scopes", ""],
            ["--tenant", "acme"],
        ],
    )
    def test_what_is_no_tenant_or_scope_is_refused(
        self, environment: dict[str, str], office: KeyOffice, arguments: list[str]
    ) -> None:
        with pytest.raises(SystemExit) as error:
            commands.main(["keys", "create", *arguments], environment)

        assert error.value.code == 2
        assert office.list() == []

    def test_settings_that_are_missing_are_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert commands.main(["keys", "list"], {}) == 2
        assert "OCR_DDB_TABLE" in capsys.readouterr().err
