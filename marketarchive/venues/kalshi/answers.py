"""Failures among the answers of Kalshi, with the reasons that the venue states."""

from __future__ import annotations

from dataclasses import replace

from marketarchive.venues.answers import Answered, Failure, judge_status
from marketarchive.venues.kalshi.wire import error_text

NEEDS_KEY = 401


def is_needing_key(status: int) -> bool:
    """Return whether a status means that the route needs an API key."""
    return status == NEEDS_KEY


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    A 401 from a public route means that it has come to need a key, which this program does not have. It does
    not refuse our address, so other routes are still requested. A 429 never carries Retry-After (rate_limits,
    2026-08-22), so the usual backoff applies.
    """
    failure = judge_status(answered)
    if failure is None:
        return None
    said = error_text(answered.payload)
    detail = f"{failure.detail}: {said}" if said else failure.detail
    if is_needing_key(answered.status):
        return Failure("disconnect", "venue", f"{detail} (it needs a key)", retryable=False)
    return replace(failure, detail=detail)
