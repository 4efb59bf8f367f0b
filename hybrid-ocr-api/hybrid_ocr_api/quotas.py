"""How much a tenant may have, and what it is told when it has that."""

from __future__ import annotations

import datetime as dt

from hybrid_ocr_api.rate_limit import RateLimit, Window
from hybrid_ocr_api.refusals import QuotaExceeded
from hybrid_ocr_api.settings import TenantLimits
from hybrid_ocr_core.errors import FileTooLarge
from hybrid_ocr_core.job import Clock, utc_now
from hybrid_ocr_core.usage import Usage

#: Nobody knows when a job ends; some do in this time.
_JOBS_RETRY_AFTER_SECONDS = 10
_DAY = dt.timedelta(days=1)


class Quotas:
    """Those of all tenants are the same. A limit of 0 is none, and costs no request to the table."""

    def __init__(self, limits: TenantLimits, usage: Usage, rate: RateLimit | None, clock: Clock = utc_now) -> None:
        self._limits = limits
        self._usage = usage
        self._rate = rate
        self._clock = clock

    def count_request(self, tenant: str) -> Window | None:
        """Count a request; None without a limit. Raises Unavailable."""
        return self._rate.count(tenant) if self._rate else None

    def check(self, tenant: str) -> None:
        """May this tenant submit anything now? Asked before the body is read.

        Raises:
            QuotaExceeded: it has all its jobs, or had all its pages.
            Unavailable: DynamoDB is away.
        """
        self.check_jobs(tenant, 1)
        most = self._limits.pages_a_day
        if most and self._usage.pages_today(tenant) >= most:
            now = self._clock().astimezone(dt.UTC)
            tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
            raise QuotaExceeded(
                f"the {most} pages of this day (UTC) are used up",
                retry_after=int((tomorrow - now).total_seconds()) + 1,
            )

    def check_jobs(self, tenant: str, jobs: int) -> None:
        """Is there room for so many more jobs? What is submitted at the very same time is not seen.

        Raises:
            FileTooLarge: there never will be.
            QuotaExceeded, Unavailable.
        """
        most = self._limits.jobs_in_flight
        if not most:
            return
        if jobs > most:
            raise FileTooLarge(f"{jobs} jobs are too many: of yours, {most} may be queued or processed at a time")
        left = max(0, most - self._usage.jobs_in_flight(tenant, most=most))
        if jobs > left:
            raise QuotaExceeded(
                f"there is room for {left} more jobs: of yours, {most} may be queued or processed at a time",
                retry_after=_JOBS_RETRY_AFTER_SECONDS,
            )
