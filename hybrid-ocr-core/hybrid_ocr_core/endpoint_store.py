"""DynamoDB: what a tenant's webhooks are signed with, and what their receivers asked us for.

    T#<tenant>#W#<SHA-256 of the URL>   ENDPOINT   ``gone_until`` (it said 410); ``paused_until``, ``pauses`` in a row
    T#<tenant>#W                        SECRET     ``secret``, and ``old_secret`` while a rotation is under way: ""
                                                   is for those of the deployment

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
    #: In a row, and none of them helped.
    pauses: int = 0


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
            pauses=int(item.get("pauses", 0)),
        )

    def disable(self, tenant: str, url: str) -> None:
        """It said 410: send it nothing more, for a month or until somebody asks for a redelivery."""
        update = "SET gone_until = :until, expires_at = :expires"
        self._table.update(Write(key=_key(tenant, url), update=update, values=self._until(self._clock() + _GONE_KEPT)))

    def pause(self, tenant: str, url: str, until: dt.datetime, *, pauses: int = 1) -> None:
        """Send it nothing until then, unless its pause is longer already. It is one of so many in a row."""
        self._table.update(
            Write(
                key=_key(tenant, url),
                condition="attribute_not_exists(paused_until) OR paused_until < :until",
                update="SET paused_until = :until, pauses = :pauses, expires_at = :expires",
                values={**self._until(until), ":pauses": pauses},
            )
        )

    def recovered(self, tenant: str, url: str) -> None:
        """It took an event: its next pause is the first one again."""
        self._table.update(Write(key=_key(tenant, url), condition="attribute_exists(pauses)", update="REMOVE pauses"))

    def welcome(self, tenant: str, url: str) -> None:
        """Forget what it asked for."""
        self._table.delete(_key(tenant, url))

    def secrets(self, tenant: str) -> tuple[str, ...]:
        """What to sign with: with each of them, the newest first. None: webhooks are not set up."""
        item = self._table.get(_secret_key(tenant))
        if "secret" not in item:
            return self._default_secrets
        if "old_secret" not in item:
            return (item["secret"],)
        # Before its first own secret the tenant had the deployment's.
        return (item["secret"], *([item["old_secret"]] if item["old_secret"] else self._default_secrets))

    def rotate(self, tenant: str) -> str:
        """Give the tenant a new secret; what signed before still does, until the next call or ``retire``."""
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

    def _until(self, until: dt.datetime) -> dict[str, int]:
        return {":until": milliseconds(until), ":expires": int((self._clock() + _GONE_KEPT).timestamp())}


def _key(tenant: str, url: str) -> Item:
    return {"pk": f"T#{tenant}#W#{hashlib.sha256(url.encode()).hexdigest()}", "sk": "ENDPOINT"}


def _secret_key(tenant: str) -> Item:
    return {"pk": f"T#{tenant}#W", "sk": "SECRET"}
