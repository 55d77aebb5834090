"""Classification of HTTP responses by status, for venues whose statuses have their usual meaning."""

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
"""Statuses with which a venue refuses us. They are never retried and never worked around."""
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


@dataclass(frozen=True, slots=True)
class Answered:
    """The complete HTTP response to a query, before it is parsed."""

    query: Query
    status: int
    headers: Mapping[str, str]  # only the headers that are archived; names in lower case
    payload: bytes
    received_at: int  # wall clock, ns since the Unix epoch


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why one attempt at a request brought no usable response, and whether to retry it."""

    reason: GapReason
    cause: Cause
    detail: str
    retryable: bool
    # seconds to wait before the next attempt, as the venue demands; None: it demands none
    wait_s: float | None = None


def judge_status(answered: Answered) -> Failure | None:
    """Return the failure that the HTTP status of a response shows; None when the response can be parsed.

    A venue declares a `Venue.judge` of its own when it states failures in the body of a 200, or by statuses
    with another meaning.
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
    """Return the seconds to wait that a Retry-After header states; None when it is absent or unreadable.

    Both forms of RFC 9110 section 10.2.3 are read: a number of seconds, and a date, which is compared with
    `now_ns` (wall clock, ns).
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
