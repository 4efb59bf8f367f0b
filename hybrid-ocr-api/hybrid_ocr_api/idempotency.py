"""The header ``Idempotency-Key``: a client that got no answer sends its request again, and gets the same job.

As in draft-ietf-httpapi-idempotency-key-header, but the key may also come without quotation marks, as most clients send
it. What tells requests apart is the fields as they were sent, and the contents: not the body, for a multipart body has
another boundary each time it is sent; and not what the fields mean here, for a default may be another one by then.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from hybrid_ocr_api.forms import SubmissionHeaders
from hybrid_ocr_api.refusals import QuotaExceeded
from hybrid_ocr_api.services import Services
from hybrid_ocr_core.batch import Refusal
from hybrid_ocr_core.idempotency import KeyedRequest

#: Headers of an answer that tells what an earlier request made.
REPLAYED = {"Idempotent-Replayed": "true"}


def read_key(headers: SubmissionHeaders) -> str | None:
    """The key of a request, if it has one."""
    return headers.idempotency_key.strip('"') or None


def keyed(
    key: str,
    fields: Mapping[str, object],
    contents: Iterable[str | Refusal],
    *,
    tenant: str,
    operation: str,
    at: dt.datetime,
) -> KeyedRequest:
    """A request under a key. It is told from others by its fields, and by the contents in their order: the SHA-256 of
    each document, whose name may change, or why it is none; or the job that is run again.
    """
    sent = [content if isinstance(content, str) else [content.filename, content.code] for content in contents]
    fingerprint = hashlib.sha256(json.dumps([fields, sent], sort_keys=True).encode()).hexdigest()
    return KeyedRequest(tenant=tenant, operation=operation, key=key, fingerprint=fingerprint, at=at)


@contextlib.contextmanager
def passing_replays(parts: Services, *, tenant: str, operation: str, key: str | None) -> Iterator[None]:
    """Within it, a quota that is used up is no reason to refuse what was accepted before: its client has to learn that,
    and it makes no new job.
    """
    try:
        yield
    except QuotaExceeded:
        if key is None or not parts.keys.is_used(tenant, operation, key, parts.clock()):
            raise
