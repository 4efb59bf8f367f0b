"""So many requests of a tenant a minute, however many processes answer them.

DynamoDB counts, in an item for each tenant and minute, ``pk = T#<tenant>#R``, ``sk = <minute>``: one conditional write
a request. A minute that is full stays full, so what comes after that is refused without a look at the table. The
windows are fixed: a tenant may have two minutes' worth in a few seconds, around their border, and not more.

IAM: dynamodb:UpdateItem on the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.table import Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SECONDS = 60
#: A window that is over is of no use, but a clock may be behind.
_KEPT_SECONDS = 3600

CONDITIONS = {
    "count": "attribute_not_exists(requests) OR requests < :most",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Where a tenant stands in this minute. ``seconds``: until the next one, at least 1."""

    most: int
    left: int
    seconds: int
    is_full: bool = False


class RateLimit:
    """That of all tenants. Shared by the threads of a process."""

    def __init__(self, client: DynamoDBClient, table: str, *, most: int, clock: Clock = utc_now) -> None:
        self._table = Table(client, table)
        self._most = most
        self._clock = clock
        #: The last minute of each tenant that was seen to be full.
        self._full: dict[str, int] = {}

    def count(self, tenant: str) -> Window:
        """Count a request, unless the window is full.

        A request that botocore had to send again may be counted twice.

        Raises:
            Unavailable: DynamoDB is away.
        """
        minute, second = divmod(int(self._clock().timestamp()), SECONDS)
        seconds = SECONDS - second
        if self._full.get(tenant) != minute:
            written, item = self._table.update(
                Write(
                    key={"pk": f"T#{tenant}#R", "sk": str(minute)},
                    condition=CONDITIONS["count"],
                    update="SET expires_at = :expires ADD requests :one",
                    values={":most": self._most, ":one": 1, ":expires": (minute + 1) * SECONDS + _KEPT_SECONDS},
                )
            )
            if written:
                return Window(most=self._most, left=self._most - int(item["requests"]), seconds=seconds)
            self._full[tenant] = minute
        return Window(most=self._most, left=0, seconds=seconds, is_full=True)
