"""Failures among the answers of dYdX's indexer."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.answers import Answered, Failure, judge_status, retry_after

UNLISTED = (b"must be a valid ticker", b"not found in markets of type perpetual")


class SentComplaint(msgspec.Struct):
    msg: str = ""


class SentRefusal(msgspec.Struct):
    """The JSON body of an error.

    Error pages of the network in front of the indexer (403, 503) do not have this form.
    """

    errors: list[SentComplaint]


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    Retry-After of a 429 is in milliseconds (comlink's rate-limit.ts, 2026-03). An unlisted contract is
    answered with 400, or with 404 when only the indexer does not know it.
    """
    failure = judge_status(answered)
    if failure is None:
        return None
    if answered.status == 429:
        wait_ms = retry_after(answered.headers.get("retry-after"), answered.received_at)
        failure = replace(failure, wait_s=None if wait_ms is None else wait_ms / 1000)
    try:
        refusal = msgspec.json.decode(answered.payload, type=SentRefusal)
    except NOT_JSON:
        return failure
    said = "; ".join(each.msg for each in refusal.errors)
    failure = replace(failure, detail=f"{failure.detail}: {said}"[:300])
    is_unlisted = answered.status in (400, 404) and any(each in answered.payload for each in UNLISTED)
    return replace(failure, reason="not_served", cause="venue") if is_unlisted else failure
