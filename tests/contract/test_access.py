"""Who may do what, for every route there is: all of it is read from the route table."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from hybrid_ocr_api import access, create_app
from hybrid_ocr_api.access import OPEN_ENDPOINTS, SCOPES, Caller, Scope
from hybrid_ocr_api.key_office import KeyOffice
from hybrid_ocr_api.key_store import KeyStore
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_core.aws import AwsClients
from hybrid_ocr_core.document_store import DocumentStore
from hybrid_ocr_core.job import JobId, JobStatus
from hybrid_ocr_core.job_store import JobStore
from tests.builders import FakeClock, a_document, a_page, a_result

#: Flask answers that from the route table: no route hears of it.
_METHODS_ASKED_FOR = "OPTIONS"
_PDF = b"%PDF-1.7 of acme alone"
_NOBODYS = "0" * 32
#: What stands in a path, but for ids: those of things that are there.
_PLACES = {"int:number": "1", "output": "json"}


def _rules() -> list[Rule]:
    """Known before there is a table, to make a test of each. Nothing connects."""
    variables = {"AWS_REGION": "r", "OCR_S3_BUCKET": "b", "OCR_DDB_TABLE": "t", "OCR_SQS_URL": "q"}
    return list(create_app(ApiSettings.from_env(variables)).url_map.iter_rules())


def _calls(rules: Iterable[Rule]) -> list[Any]:
    return [
        pytest.param(method, rule.rule, rule.endpoint, id=f"{method} {rule.rule}")
        for rule in rules
        for method in sorted((rule.methods or set()) - {_METHODS_ASKED_FOR})
    ]


_DEMANDING = [rule for rule in _rules() if rule.endpoint not in OPEN_ENDPOINTS]
_OF_SOMETHING = [rule for rule in _DEMANDING if "<" in rule.rule]


@pytest.fixture
def office(clients: AwsClients, clock: FakeClock) -> KeyOffice:
    return KeyOffice(store=KeyStore(clients.dynamodb, "hybrid-ocr", clock), clock=clock)


class Tenant:
    """A client with a key of the table."""

    def __init__(self, app: Flask, office: KeyOffice, name: str, *scopes: Scope) -> None:
        self._key, _ = office.create(tenant=name, scopes=frozenset(scopes), label="")
        self._client = app.test_client()

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        return self._client.open(path, method=method, headers={"x-api-key": self._key}, **options)

    def submit(self, path: str = "/jobs", **fields: str) -> dict[str, Any]:
        response = self.call("POST", path, data=fields | {"file": (io.BytesIO(_PDF), "secret-name.pdf")})
        assert response.status_code == 202
        found: dict[str, Any] = response.get_json()
        return found


def _path(rule: str, ids: dict[str, str]) -> str:
    """A path of this rule, with these ids in it."""
    return re.sub(r"<([^>]+)>", lambda found: {**_PLACES, **ids}[found[1]], rule)


def test_every_route_is_open_or_demands_a_scope() -> None:
    endpoints = {rule.endpoint for rule in _rules()}

    assert endpoints == OPEN_ENDPOINTS | SCOPES.keys()
    assert not OPEN_ENDPOINTS & SCOPES.keys()
    assert {"health.health", "health.ready", "reference.document", "reference.page"} == OPEN_ENDPOINTS
    assert _DEMANDING


def test_who_may_only_read_changes_nothing() -> None:
    for rule in _DEMANDING:
        is_reading = (rule.methods or set()) <= {"GET", "HEAD", "OPTIONS"}
        assert is_reading or SCOPES[rule.endpoint] is not Scope.READ, rule


def test_a_route_that_demands_nothing_ends_the_start(app: Flask) -> None:
    forgetful = Flask("forgetful")
    forgetful.add_url_rule("/secrets", "secrets", lambda: "all of them")

    with pytest.raises(RuntimeError, match="secrets"):
        access.check(forgetful)
    access.check(app)


@pytest.mark.parametrize(("method", "rule", "endpoint"), _calls(_DEMANDING))
def test_a_route_is_closed_to_strangers_and_to_other_scopes(
    app: Flask, office: KeyOffice, method: str, rule: str, endpoint: str
) -> None:
    path = _path(rule, {"job_id": _NOBODYS, "batch_id": _NOBODYS})
    needed = SCOPES[endpoint]
    others = [scope for scope in Scope if scope not in {needed, Scope.ADMIN}]

    stranger = app.test_client().open(path, method=method)
    narrow = Tenant(app, office, "acme", *others).call(method, path)
    assert stranger.status_code == 401
    assert stranger.headers["WWW-Authenticate"] == 'ApiKey realm="hybrid-ocr"'
    assert (narrow.status_code, narrow.content_type) == (403, "application/problem+json")
    for scope in (needed, Scope.ADMIN):
        assert Tenant(app, office, "acme", scope).call(method, path).status_code in {200, 400, 404}


def test_a_wrong_method_on_an_open_path_needs_no_key_either(app: Flask) -> None:
    for rule in _rules():
        if rule.endpoint in OPEN_ENDPOINTS:
            response = app.test_client().open(rule.rule, method="TRACE")
            assert (response.status_code, "GET" in response.headers["Allow"]) == (405, True)


def test_not_even_the_methods_of_a_path_are_told_to_strangers(app: Flask) -> None:
    for rule in _DEMANDING:
        path = _path(rule.rule, {"job_id": _NOBODYS, "batch_id": _NOBODYS})
        assert app.test_client().options(path).status_code == 401


@pytest.mark.parametrize(("method", "rule", "endpoint"), _calls(_OF_SOMETHING))
def test_another_tenant_gets_404_and_learns_nothing(
    app: Flask,
    office: KeyOffice,
    store: JobStore,
    documents: DocumentStore,
    tmp_path: Path,
    method: str,
    rule: str,
    endpoint: str,
) -> None:
    owner, other = (Tenant(app, office, name, *Scope) for name in ("acme", "globex"))
    job_id = owner.submit(webhook_url="https://example.com/hook")["job_id"]
    batch = owner.submit("/batches")
    ids = {"job_id": job_id, "batch_id": batch["batch_id"]}
    job = JobId(tenant="acme", job_id=job_id)
    _finish(store, documents, job, tmp_path)
    path = _path(rule, ids)
    nobodys = _path(rule, dict.fromkeys(ids, _NOBODYS))

    stored = {found.key for found in documents.objects()}
    found, missing = other.call(method, path), other.call(method, nobodys)

    assert found.status_code == missing.status_code == 404
    assert _less(found, path) == _less(missing, nobodys)
    assert store.get(job).status is JobStatus.DONE  # nothing was done to it either
    assert {found.key for found in documents.objects()} == stored
    assert owner.call(method, path).status_code in {200, 202, 204, 303}


def _finish(store: JobStore, documents: DocumentStore, job: JobId, directory: Path) -> None:
    file = directory / "result"
    page = json.dumps(a_page(text="secret"), separators=(",", ":"))
    file.write_text(f'{{"pages":[\n{page}\n]}}\n')
    _, lease = store.claim(job)
    for output in ("json", "txt"):
        documents.put_result(job, attempt=1, revision=0, output=output, path=file, still_wanted=lambda: None)
    store.complete(lease, a_document(_PDF, pages=1), a_result(pages=1))


def _less(response: TestResponse, path: str) -> tuple[Any, ...]:
    """What a response says, less what names the request."""
    body = response.get_json(silent=True)
    if body is not None:
        assert body.pop("instance") == path
        body.pop("request_id")
    headers = {name: value for name, value in response.headers.items() if name != "X-Request-Id"}
    lengths = int(headers.pop("Content-Length", 0))
    return body, headers, lengths


def test_what_another_tenant_sent_before_is_not_told_by_sending_it_too(app: Flask, office: KeyOffice) -> None:
    owner, other = (Tenant(app, office, name, *Scope) for name in ("acme", "globex"))
    first, second = owner.submit(), other.submit()

    assert {name: type(value) for name, value in first.items()} == {name: type(v) for name, v in second.items()}
    assert other.call("GET", f"/jobs/{first['job_id']}").status_code == 404
    assert owner.call("GET", f"/jobs/{second['job_id']}").status_code == 404


def test_admin_may_do_everything_and_nobody_else_may() -> None:
    for scope in Scope:
        caller = Caller(tenant="acme", scopes=frozenset({scope}))
        assert {other for other in Scope if caller.may(other)} == (set(Scope) if scope is Scope.ADMIN else {scope})
    assert not any(Caller(tenant="acme", scopes=frozenset()).may(scope) for scope in Scope)
