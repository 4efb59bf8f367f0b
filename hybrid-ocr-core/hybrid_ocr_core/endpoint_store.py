"""DynamoDB: what a tenant's webhooks are signed with, and what their receivers asked us for.

    T#<tenant>#W#<SHA-256 of the URL>   ENDPOINT   ``gone`` (it said 410), ``paused_until`` (it said: not so fast)
    T#<tenant>#W                        SECRET     ``secret``, and ``old_secret`` while a rotation is under way

Neither is needed for a webhook to arrive: an endpoint without an item is as good as any, and a tenant without secrets
of its own has those of ``OCR_WEBHOOK_SECRET``.

IAM: dynamodb:GetItem, UpdateItem, DeleteItem.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.job_item import Item, milliseconds
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: A receiver that was gone may come back under the same URL.
_GONE_KEPT = dt.timedelta(days=30)
_SECRET_BYTES = 32
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A receiver, as far as it has said anything about itself."""

    is_gone: bool
    paused_until: dt.datetime | None


class EndpointStore:
    """Those of all tenants. Raises ``Unavailable`` from every method when DynamoDB is away."""

    def __init__(
        self, client: DynamoDBClient, table: str, *, default_secrets: tuple[str, ...], clock: Clock = utc_now
    ) -> None:
        self._table = Table(client, table)
        self._default_secrets = default_secrets
        self._clock = clock

    def get(self, tenant: str, url: str) -> Endpoint:
        """What a receiver asked for, as far as it still holds."""
        item = self._table.get(_key(tenant, url))
        now = self._clock()
        # The TTL deletes late.
        gone_until, paused_until = int(item.get("gone_until", 0)), int(item.get("paused_until", 0))
        return Endpoint(
            is_gone=gone_until > milliseconds(now),
            paused_until=dt.datetime.fromtimestamp(paused_until / 1000, dt.UTC)
            if paused_until > milliseconds(now)
            else None,
        )

    def disable(self, tenant: str, url: str) -> None:
        """It said 410: send it nothing more, for a month or until somebody asks for a redelivery."""
        self._set(tenant, url, "gone_until", self._clock() + _GONE_KEPT)

    def pause(self, tenant: str, url: str, until: dt.datetime) -> None:
        """Send it nothing until then."""
        self._set(tenant, url, "paused_until", until)

    def welcome(self, tenant: str, url: str) -> None:
        """Forget what it asked for."""
        self._table.delete(_key(tenant, url))

    def secrets(self, tenant: str) -> tuple[str, ...]:
        """What to sign with: with each of them, the newest first. None: webhooks are not set up."""
        item = self._table.get(_secret_key(tenant))
        own = tuple(item[name] for name in ("secret", "old_secret") if item.get(name))
        return own or self._default_secrets

    def rotate(self, tenant: str) -> str:
        """Give the tenant a new secret; the one before it still signs, until the next call or ``retire``."""
        secret = _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        _, item = self._table.update(
            Write(
                key=_secret_key(tenant),
                # A response that was lost shows ours, which is not to become the old one.
                condition="attribute_not_exists(secret) OR secret <> :secret",
                update="SET old_secret = if_not_exists(secret, :none), secret = :secret",
                values={":secret": secret, ":none": ""},
            )
        )
        return str(item["secret"])

    def retire(self, tenant: str) -> None:
        """Sign with the newest secret only."""
        self._table.update(Write(key=_secret_key(tenant), condition="attribute_exists(pk)", update="REMOVE old_secret"))

    def _set(self, tenant: str, url: str, name: str, until: dt.datetime) -> None:
        self._table.update(
            Write(
                key=_key(tenant, url),
                update=f"SET {name} = :until, expires_at = :expires",
                values={
                    ":until": milliseconds(until),
                    ":expires": int((self._clock() + _GONE_KEPT).timestamp()),
                },
            )
        )


def _key(tenant: str, url: str) -> Item:
    return {"pk": f"T#{tenant}#W#{hashlib.sha256(url.encode()).hexdigest()}", "sk": "ENDPOINT"}


def _secret_key(tenant: str) -> Item:
    return {"pk": f"T#{tenant}#W", "sk": "SECRET"}
