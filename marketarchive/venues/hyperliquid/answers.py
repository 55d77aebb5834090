"""Failures among the answers of Hyperliquid."""

from __future__ import annotations

from dataclasses import replace

from marketarchive.venues.answers import Answered, Failure, judge_status

WAIT_S = 10.0
"""Seconds to wait after a 429, which states no time, neither in a header nor in its body (seen 2026-09)."""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    422 means that the venue cannot parse the body. 500 with the body `null` answers a request for an unknown
    coin (issue 32 of the official SDK), but a failing server may look the same, so it is retried.
    """
    failure = judge_status(answered)
    if failure is None:
        return None
    if failure.reason == "rate_limited" and failure.wait_s is None:
        failure = replace(failure, wait_s=WAIT_S)
    said = " ".join(answered.payload[:200].decode("utf-8", "replace").split())
    return replace(failure, detail=f"{failure.detail}: {said}") if said else failure
