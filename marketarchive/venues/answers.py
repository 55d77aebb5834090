"""Classification of responses by HTTP status, as most venues mean it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from marketarchive.items import Cause, GapReason
from marketarchive.times import to_seconds
from marketarchive.venues.endpoint import Query

REFUSED_STATUSES = frozenset({401, 403, 451})
"""The venue does not want us: left alone, never evaded."""
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, before it is parsed."""

    query: Query
    status: int
    headers: Mapping[str, str]  # those that are kept, names in lower case
    payload: bytes
    received_at: int  # wall ns


@dataclass(frozen=True, slots=True)
class Failure:
    """Failure of an attempt: it brought no usable response."""

    reason: GapReason
    cause: Cause
    detail: str
    retryable: bool
    wait_s: float | None = None  # that the venue asked for


def judge_status(answered: Answered) -> Failure | None:
    """Return the failure of an answer by its HTTP status, None when it can be parsed.

    A venue has a `Venue.judge` of its own where it states failures otherwise: in the body of a 200, or by a
    status with another meaning.
    """
    status = answered.status
    if status == 200 or status in answered.query.endpoint.final:
        return None
    if status in REFUSED_STATUSES:
        return Failure("blocked", "venue", f"status {status}", retryable=False)
    if status == 429:
        wait_s = retry_after(answered.headers.get("retry-after"), answered.received_at)
        return Failure("rate_limited", "venue", "status 429", retryable=True, wait_s=wait_s)
    retryable = status in RETRYABLE_STATUSES
    cause: Cause = "venue" if status >= 500 or retryable else "ours"
    return Failure("disconnect", cause, f"status {status}", retryable=retryable)


def retry_after(value: str | None, now_ns: int) -> float | None:
    """Return the seconds that a Retry-After asks to wait, None when it is absent or makes no sense.

    Both forms of RFC 9110 section 10.2.3: seconds, and a date.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - to_seconds(now_ns)
    return max(0.0, seconds) if math.isfinite(seconds) else None
