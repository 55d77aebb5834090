"""Failures among the answers of Hyperliquid."""

from __future__ import annotations

from dataclasses import replace

from marketarchive.venues.answers import Answered, Failure, judge_status

WAIT_S = 10.0
"""After a 429, which says neither in a header nor in its body how long (seen 2026-09)."""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    422 is a body that the venue cannot parse. 500 with the body `null` answers a request for an unknown coin
    (issue 32 of the official SDK), but failures of the server may look so too: it is retried.
    """
    failure = judge_status(answered)
    if failure is None:
        return None
    if failure.reason == "rate_limited" and failure.wait_s is None:
        failure = replace(failure, wait_s=WAIT_S)
    said = " ".join(answered.payload[:200].decode("utf-8", "replace").split())
    return replace(failure, detail=f"{failure.detail}: {said}") if said else failure
