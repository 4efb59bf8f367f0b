"""Bearer tokens: what a good one is, and every way in which one is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask import Flask
from werkzeug.test import TestResponse

from hybrid_ocr_api.access import Caller, Scope
from hybrid_ocr_api.jwks import Jwks, OneKey
from hybrid_ocr_api.refusals import Unauthorized
from hybrid_ocr_api.token_settings import TokenSettings
from hybrid_ocr_api.tokens import Tokens
from hybrid_ocr_core.errors import SettingsError, Unavailable
from hybrid_ocr_core.settings import Reader

_ISSUER = "https://login.example"
_AUDIENCE = "hybrid-ocr"
_PRIVATE = rsa.generate_private_key(65537, 2048)
_OTHER = rsa.generate_private_key(65537, 2048)
_NOWHERE = f"/jobs/{'0' * 32}"


def _pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


_PUBLIC = _pem(_PRIVATE)


def _settings(**changes: str) -> TokenSettings:
    variables = {
        "OCR_JWT_PUBLIC_KEY": _PUBLIC,
        "OCR_JWT_ISSUER": _ISSUER,
        "OCR_JWT_AUDIENCE": _AUDIENCE,
        **changes,
    }
    reader = Reader(variables)
    settings = TokenSettings.read(reader)
    reader.finish()
    assert settings is not None
    return settings


@pytest.fixture
def token_settings() -> TokenSettings:
    """What the API is made with."""
    return _settings()


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "tenant": "acme",
        "scope": "openid read",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _token(key: Any = _PRIVATE, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(_claims(**changes), key, algorithm=algorithm, headers=headers)


def _get(app: Flask, token: str, **headers: str) -> TestResponse:
    return app.test_client().get(_NOWHERE, headers={"Authorization": f"Bearer {token}", **headers})


def _segment(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@pytest.fixture
def tokens() -> Tokens:
    settings = _settings()
    assert settings.public_key is not None
    return Tokens(settings, OneKey(settings.public_key))


def test_a_token_stands_for_its_tenant_and_scopes(tokens: Tokens) -> None:
    assert tokens.caller_of(_token()) == Caller(tenant="acme", scopes=frozenset({Scope.READ}))


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "submit read profile"}, {"submit", "read"}),
        ({"scope": None, "scp": ["submit", "review"]}, {"submit", "review"}),
        ({"scope": None, "scp": "read"}, {"read"}),
        ({"scope": "read", "scp": ["admin"]}, {"read"}),
        ({"scope": "administrator"}, set()),
        ({"scope": ""}, set()),
        ({"scope": None}, set()),
        ({"scope": 7}, set()),
        ({"scope": [["admin"], {"admin": 1}, None]}, set()),
    ],
)
def test_scopes_come_as_words_or_as_a_list(tokens: Tokens, claims: dict[str, Any], scopes: set[str]) -> None:
    assert tokens.caller_of(_token(**claims)).scopes == scopes


def test_the_claim_of_the_tenant_has_the_name_that_is_set() -> None:
    settings = _settings(OCR_JWT_TENANT_CLAIM="https://login.example/org")
    assert settings.public_key is not None
    tokens = Tokens(settings, OneKey(settings.public_key))

    claim: dict[str, Any] = {"https://login.example/org": "globex"}
    assert tokens.caller_of(_token(**claim)).tenant == "globex"
    with pytest.raises(Unauthorized):
        tokens.caller_of(_token())


@pytest.mark.parametrize("tenant", [None, "", "a#b", "a/b", "..", 7, ["acme"], "a" * 65, "é"])
def test_a_token_without_a_tenant_lets_nobody_in(tokens: Tokens, tenant: Any) -> None:
    with pytest.raises(Unauthorized, match="tenant"):
        tokens.caller_of(_token(tenant=tenant))


@pytest.mark.parametrize("claim", ["exp", "iat", "aud", "iss"])
def test_each_of_the_four_claims_is_required(tokens: Tokens, claim: str) -> None:
    without: dict[str, Any] = {claim: None}
    with pytest.raises(Unauthorized):
        tokens.caller_of(_token(**without))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://login.example.evil"},
        {"iss": f"{_ISSUER}/"},
        {"aud": "another-service"},
        {"aud": []},
        {"aud": f"{_AUDIENCE} "},
        {"exp": int(time.time()) - 61},
        {"exp": "tomorrow"},
        {"nbf": int(time.time()) + 3600},
        {"iat": int(time.time()) + 3600},
    ],
)
def test_a_claim_that_does_not_hold_lets_nobody_in(tokens: Tokens, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        tokens.caller_of(_token(**changes))


def test_clocks_may_differ_by_seconds(tokens: Tokens) -> None:
    assert tokens.caller_of(_token(exp=int(time.time()) - 10, iat=int(time.time()) + 10))


def test_an_audience_may_be_one_of_several(tokens: Tokens) -> None:
    assert tokens.caller_of(_token(aud=["another-service", _AUDIENCE]))


def test_a_token_of_another_key_is_refused(tokens: Tokens) -> None:
    with pytest.raises(Unauthorized):
        tokens.caller_of(_token(_OTHER))


def test_a_token_of_another_algorithm_of_the_same_key_is_refused(tokens: Tokens) -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        with pytest.raises(Unauthorized):
            tokens.caller_of(_token(algorithm=algorithm))


def test_an_unsigned_token_is_refused(tokens: Tokens) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        token = f"{_segment({'alg': algorithm, 'typ': 'JWT'})}.{_segment(_claims())}."
        with pytest.raises(Unauthorized):
            tokens.caller_of(token)


def test_the_public_key_is_no_shared_secret(tokens: Tokens) -> None:
    signed = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(_claims())}"
    for secret in (_PUBLIC, _PUBLIC.strip()):
        mac = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
        with pytest.raises(Unauthorized):
            tokens.caller_of(f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


def test_a_token_that_was_changed_is_refused(tokens: Tokens) -> None:
    header, _, signature = _token().split(".")

    with pytest.raises(Unauthorized):
        tokens.caller_of(f"{header}.{_segment(_claims(tenant='globex'))}.{signature}")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "ocr_live_", "é.é.é", "a" * 4000])
def test_what_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    with pytest.raises(Unauthorized):
        tokens.caller_of(text)


def test_a_token_gets_in_over_http(app: Flask) -> None:
    assert _get(app, _token()).status_code == 404
    assert _get(app, _token(scope="submit")).status_code == 403


def test_the_answer_says_what_was_wrong_and_what_to_show(app: Flask) -> None:
    nothing = app.test_client().get(_NOWHERE)
    bad = _get(app, _token(_OTHER))
    expired = _get(app, _token(exp=int(time.time()) - 3600))
    narrow = _get(app, _token(scope="submit"))

    key, bearer = 'ApiKey realm="hybrid-ocr"', 'Bearer realm="hybrid-ocr"'
    assert (nothing.status_code, nothing.headers["WWW-Authenticate"]) == (401, f"{key}, {bearer}")
    assert (bad.status_code, bad.headers["WWW-Authenticate"]) == (401, f'{key}, {bearer}, error="invalid_token"')
    assert "expired" in expired.get_json()["detail"]
    assert (narrow.status_code, narrow.get_json()["code"]) == (403, "forbidden")
    assert narrow.headers["WWW-Authenticate"].endswith('error="insufficient_scope", scope="read"')


def test_a_key_and_a_token_together_are_refused(app: Flask) -> None:
    assert _get(app, _token(), **{"x-api-key": "a-key-of-the-tests"}).status_code == 401


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "bearer ", "Token x"])
def test_another_scheme_is_refused(app: Flask, header: str) -> None:
    assert app.test_client().get(_NOWHERE, headers={"Authorization": header}).status_code == 401


def test_no_log_line_holds_a_token(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = _token(_OTHER, headers={"kid": "canary"}, tenant="canary")
    assert _get(app, token).status_code == 401

    assert any(getattr(record, "action", "") == "token_refused" for record in caplog.records)
    for part in ("canary", *token.split(".")):
        assert part not in caplog.text


class TestJwks:
    """The provider is a server of our own."""

    @pytest.fixture
    def provider(self) -> Iterator[Provider]:
        with Provider() as provider:
            yield provider

    def test_a_token_is_verified_by_the_key_that_it_names(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE, two=_OTHER)
        tokens = provider.tokens()

        assert tokens.caller_of(_token(headers={"kid": "one"}))
        assert tokens.caller_of(_token(_OTHER, headers={"kid": "two"}))
        with pytest.raises(Unauthorized):
            tokens.caller_of(_token(_OTHER, headers={"kid": "one"}))
        with pytest.raises(Unauthorized):
            tokens.caller_of(_token())
        assert provider.requests == ["/jwks"]

    def test_keys_are_fetched_again_when_they_are_old(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        tokens = provider.tokens()
        for _ in range(700):
            assert tokens.caller_of(_token(headers={"kid": "one"}))
            provider.now += 1

        assert len(provider.requests) == 3

    def test_a_withdrawn_key_is_good_until_then(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE, two=_OTHER)
        tokens = provider.tokens()
        assert tokens.caller_of(_token(headers={"kid": "one"}))
        provider.publish(two=_OTHER)
        provider.now += 300

        with pytest.raises(Unauthorized):
            tokens.caller_of(_token(headers={"kid": "one"}))

    def test_a_new_key_is_fetched_when_a_token_names_it(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        tokens = provider.tokens()
        assert tokens.caller_of(_token(headers={"kid": "one"}))
        provider.publish(one=_PRIVATE, two=_OTHER)
        provider.now += 10

        assert tokens.caller_of(_token(_OTHER, headers={"kid": "two"}))

    def test_unknown_keys_cost_a_fetch_now_and_then_and_no_more(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        tokens = provider.tokens()
        for number in range(100):
            with pytest.raises(Unauthorized):
                tokens.caller_of(_token(_OTHER, headers={"kid": f"made-up-{number}"}))
            provider.now += 0.5

        assert len(provider.requests) == 5

    def test_while_the_provider_is_away_its_keys_are_used_on(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        tokens = provider.tokens()
        assert tokens.caller_of(_token(headers={"kid": "one"}))
        provider.status = 503
        provider.now += 23 * 3600

        assert tokens.caller_of(_token(headers={"kid": "one"}))
        provider.now += 3600
        with pytest.raises(Unavailable):
            tokens.caller_of(_token(headers={"kid": "one"}))

    def test_an_outage_costs_a_fetch_now_and_then_and_no_more(self, provider: Provider) -> None:
        provider.status = 503
        tokens = provider.tokens()
        for _ in range(100):
            with pytest.raises(Unavailable):
                tokens.caller_of(_token(headers={"kid": "one"}))
            provider.now += 0.5
        assert len(provider.requests) == 5

        provider.publish(one=_PRIVATE)
        provider.now += 10
        assert tokens.caller_of(_token(headers={"kid": "one"}))

    def test_a_new_key_cannot_be_told_from_a_made_up_one_during_an_outage(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        tokens = provider.tokens()
        assert tokens.caller_of(_token(headers={"kid": "one"}))
        provider.status = 503
        provider.now += 10

        with pytest.raises(Unavailable):
            tokens.caller_of(_token(_OTHER, headers={"kid": "two"}))

    @pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"{}", b'{"keys": []}', b'{"keys": [7, {"kty": "RSA"}]}'])
    def test_an_answer_that_is_no_key_set_is_an_outage(self, provider: Provider, body: bytes) -> None:
        provider.body = body

        with pytest.raises(Unavailable):
            provider.tokens().caller_of(_token(headers={"kid": "one"}))

    def test_an_outage_is_503_and_not_the_clients_fault(self, app: Flask, provider: Provider) -> None:
        provider.status = 503
        app.extensions["hybrid_ocr"].identities._tokens = provider.tokens()
        response = _get(app, _token(headers={"kid": "one"}))

        assert (response.status_code, response.get_json()["code"]) == (503, "unavailable")
        assert "127.0.0.1" not in response.text

    def test_what_a_token_says_of_its_own_key_is_not_looked_at(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        with Provider() as evil:
            evil.publish(one=_OTHER)
            own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_OTHER.public_key()))
            headers = {"kid": "one", "jku": evil.url, "x5u": evil.url, "jwk": own}
            with pytest.raises(Unauthorized):
                provider.tokens().caller_of(_token(_OTHER, headers=headers))

            assert evil.requests == []

    def test_a_shared_secret_among_the_keys_is_none(self, provider: Provider) -> None:
        secret = b"0" * 32
        provider.publish(one=_PRIVATE)
        published = json.loads(provider.body)
        published["keys"].append({"kty": "oct", "kid": "two", "k": base64.urlsafe_b64encode(secret).decode()})
        provider.body = json.dumps(published).encode()

        with pytest.raises(Unauthorized):
            provider.tokens().caller_of(_token(secret, "HS256", headers={"kid": "two"}))

    def test_a_key_of_another_kind_verifies_nothing(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        published = json.loads(provider.body)
        curve = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
        published["keys"].append({**curve, "kid": "two"})
        provider.body = json.dumps(published).encode()

        with pytest.raises(Unauthorized):
            provider.tokens().caller_of(_token(headers={"kid": "two"}))

    def test_a_key_that_is_for_encryption_verifies_nothing(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE, two=_OTHER)
        published = json.loads(provider.body)
        published["keys"][1]["use"] = "enc"
        provider.body = json.dumps(published).encode()

        with pytest.raises(Unauthorized):
            provider.tokens().caller_of(_token(_OTHER, headers={"kid": "two"}))

    def test_nobody_waits_for_a_provider_that_hangs_who_has_a_key(self, provider: Provider) -> None:
        provider.publish(one=_PRIVATE)
        tokens = provider.tokens()
        assert tokens.caller_of(_token(headers={"kid": "one"}))
        provider.now += 300
        provider.gate.clear()
        first = threading.Thread(target=tokens.caller_of, args=(_token(headers={"kid": "one"}),))
        first.start()
        provider.arrived.wait(10)

        assert tokens.caller_of(_token(headers={"kid": "one"}))  # the other one is still waiting
        assert first.is_alive()
        provider.gate.set()
        first.join()
        assert len(provider.requests) == 2

    @pytest.mark.parametrize("known", [{}, {"one": _PRIVATE}], ids=["at the start", "a new key"])
    def test_no_good_token_is_refused_while_the_keys_are_fetched(
        self, provider: Provider, known: dict[str, rsa.RSAPrivateKey]
    ) -> None:
        token = _token(_OTHER, headers={"kid": "two"})
        tokens = provider.tokens()
        if known:
            provider.publish(**known)
            assert tokens.caller_of(_token(headers={"kid": "one"}))
            provider.now += 10
        provider.publish(two=_OTHER)
        provider.gate.clear()
        found: list[Caller | None] = []
        first = threading.Thread(target=lambda: found.append(tokens.caller_of(token)))
        first.start()
        assert provider.arrived.wait(10)

        with pytest.raises(Unavailable):
            tokens.caller_of(token)
        provider.gate.set()
        first.join()
        assert found == [tokens.caller_of(token)]


class Provider:
    """A JWKS endpoint on this machine, and a clock for those who ask it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.status = 200
        self.body = b""
        self.requests: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append(self.path)
                if not provider.gate.is_set():
                    provider.arrived.set()
                    provider.gate.wait(10)
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(provider.body)))
                self.end_headers()
                self.wfile.write(provider.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def publish(self, **keys: rsa.RSAPrivateKey) -> None:
        found = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": name, "alg": "RS256"}
            for name, key in keys.items()
        ]
        self.status, self.body = 200, json.dumps({"keys": found}).encode()

    def tokens(self) -> Tokens:
        settings = _settings(OCR_JWT_PUBLIC_KEY="", OCR_JWT_JWKS_URL=self.url)
        return Tokens(settings, Jwks(settings, timer=lambda: self.now))


class TestSettings:
    @pytest.mark.parametrize(
        ("key", "algorithm", "family"),
        [
            (_PRIVATE, "RS512", "RS256,RS512"),
            (_PRIVATE, "PS256", "PS256"),
            (ec.generate_private_key(ec.SECP256R1()), "ES256", "ES256, ES384"),
            (ed25519.Ed25519PrivateKey.generate(), "EdDSA", "EdDSA"),
        ],
    )
    def test_each_family_verifies_its_tokens(self, key: Any, algorithm: str, family: str) -> None:
        settings = _settings(OCR_JWT_PUBLIC_KEY=_pem(key), OCR_JWT_ALGORITHMS=family)
        assert settings.public_key is not None

        assert Tokens(settings, OneKey(settings.public_key)).caller_of(_token(key, algorithm))

    def test_the_public_key_may_be_a_file_or_one_line(self, tmp_path: Path) -> None:
        file = tmp_path / "key.pem"
        file.write_text(_PUBLIC)
        for text in (str(file), _PUBLIC.replace("\n", "\\n")):
            settings = _settings(OCR_JWT_PUBLIC_KEY=text)
            assert settings.public_key is not None
            assert Tokens(settings, OneKey(settings.public_key)).caller_of(_token())

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"OCR_JWT_ALGORITHMS": "RS256,ES256"}, "OCR_JWT_ALGORITHMS"),
            ({"OCR_JWT_ALGORITHMS": "RS256,PS256"}, "OCR_JWT_ALGORITHMS"),
            ({"OCR_JWT_ALGORITHMS": "RS256,HS256"}, "OCR_JWT_ALGORITHMS"),
            ({"OCR_JWT_ALGORITHMS": "HS256"}, "OCR_JWT_ALGORITHMS"),
            ({"OCR_JWT_ALGORITHMS": "none"}, "OCR_JWT_ALGORITHMS"),
            ({"OCR_JWT_ALGORITHMS": "RS256,"}, "OCR_JWT_ALGORITHMS"),
            ({"OCR_JWT_ALGORITHMS": "ES256"}, "another kind"),
            ({"OCR_JWT_ISSUER": ""}, "OCR_JWT_ISSUER"),
            ({"OCR_JWT_AUDIENCE": ""}, "OCR_JWT_AUDIENCE"),
            ({"OCR_JWT_PUBLIC_KEY": ""}, "OCR_JWT_JWKS_URL"),
            ({"OCR_JWT_PUBLIC_KEY": "/nowhere"}, "OCR_JWT_PUBLIC_KEY"),
            ({"OCR_JWT_PUBLIC_KEY": "-----BEGIN nothing"}, "no public key"),
            ({"OCR_JWT_JWKS_URL": "https://login.example/jwks"}, "not both"),
            ({"OCR_JWT_PUBLIC_KEY": "", "OCR_JWT_JWKS_URL": "http://login.example/jwks"}, "https"),
            ({"OCR_JWT_PUBLIC_KEY": "", "OCR_JWT_JWKS_URL": "file:///etc/passwd"}, "https"),
            ({"OCR_JWT_PUBLIC_KEY": "", "OCR_JWT_JWKS_URL": "https://"}, "https"),
        ],
    )
    def test_settings_by_which_anybody_might_get_in_end_the_start(self, changes: dict[str, str], named: str) -> None:
        with pytest.raises(SettingsError, match=named):
            _settings(**changes)

    def test_a_private_key_is_not_taken_for_a_public_one(self) -> None:
        private = _PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

        with pytest.raises(SettingsError, match="no public key"):
            _settings(OCR_JWT_PUBLIC_KEY=private)

    def test_without_any_of_them_there_are_no_tokens(self) -> None:
        assert TokenSettings.read(Reader({})) is None
