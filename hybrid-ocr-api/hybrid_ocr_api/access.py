"""Who may do what: the scope that each route demands, and nothing else knows it.

A route that stands in neither list cannot be served: ``check`` ends the start of the API, and a test walks the routes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from flask import Flask


class Scope(StrEnum):
    """What a caller may do."""

    SUBMIT = "submit"
    READ = "read"
    REVIEW = "review"
    #: Everything, the others included.
    ADMIN = "admin"


#: Endpoints that need no caller at all.
OPEN_ENDPOINTS = frozenset({"health.health", "health.ready", "reference.document", "reference.page"})

#: What each of the others demands.
SCOPES = {
    "jobs.create": Scope.SUBMIT,
    "jobs.index": Scope.READ,
    "jobs.rerun": Scope.SUBMIT,
    "jobs.show": Scope.READ,
    "jobs.result": Scope.READ,
    "jobs.page": Scope.READ,
    # Who may send a document may take it back.
    "jobs.erase": Scope.SUBMIT,
    "jobs.webhook": Scope.READ,
    "jobs.redeliver": Scope.SUBMIT,
    "uploads.create": Scope.SUBMIT,
    "batches.create": Scope.SUBMIT,
    "batches.show": Scope.READ,
    # They tell of all tenants.
    "metrics.show": Scope.ADMIN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose behalf a request runs, and what it may do."""

    tenant: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Is this allowed?"""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def known_scopes(words: Iterable[object]) -> frozenset[Scope]:
    """Those of the words that are scopes of this service; a token may carry others."""
    return frozenset(scope for scope in Scope if scope.value in words)


def is_open(endpoint: str | None, *, metrics_open: bool) -> bool:
    """May anybody ask this? The metrics are for admins, unless the operator opens them."""
    return endpoint in OPEN_ENDPOINTS or (metrics_open and endpoint == "metrics.show")


def check(app: Flask) -> None:
    """Raises RuntimeError unless each route is open or demands a scope."""
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    if endpoints != OPEN_ENDPOINTS | SCOPES.keys():
        wrong = ", ".join(sorted(endpoints ^ (OPEN_ENDPOINTS | SCOPES.keys())))
        raise RuntimeError(f"access.py and the routes differ in: {wrong}")
