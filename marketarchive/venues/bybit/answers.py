"""Failures among the answers of Bybit; most have status 200 and are stated in the body."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.answers import Answered, Failure, judge_status

TOO_OFTEN = b"access too frequent"
"""Body text of a 403 for an address over the rate limit; any other 403 means that our place is not served."""
REFUSED_S = 600.0
"""Seconds for which an address over the rate limit is refused at least; it must send nothing meanwhile."""

_RATE_LIMITED = {10006, 10429}
_PASSING = {10000, 10016}  # server timeout, server error
_BLOCKED = {10009, 10024}  # a region, or rules, that are not served
_INVALID = {10001, 10029}  # a parameter; a symbol


class BybitEnvelope(msgspec.Struct, rename="camel"):
    """The fields that every answer has: code and message of its success or failure."""

    ret_code: int
    ret_msg: str = ""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    Codes: docs/v5/error.mdx, 2026-07-24. A 403 is either a rate limit or a refusal of our place, sent as HTML
    by the network in front of the venue.
    """
    if answered.status == 403 and TOO_OFTEN in answered.payload.lower():
        detail = "status 403: access too frequent"
        return Failure("rate_limited", "venue", detail, retryable=True, wait_s=REFUSED_S)
    failure = judge_status(answered)
    envelope = envelope_of(answered.payload)
    if envelope is None or envelope.ret_code == 0:
        return failure
    detail = f"retCode {envelope.ret_code}: {envelope.ret_msg}"[:300]
    if failure is not None:
        return replace(failure, detail=f"{failure.detail}, {detail}")
    if envelope.ret_code in _RATE_LIMITED:
        return Failure("rate_limited", "venue", detail, retryable=True)
    if envelope.ret_code in _BLOCKED:
        return Failure("blocked", "venue", detail, retryable=False)
    if envelope.ret_code in _INVALID and "symbol" in envelope.ret_msg.lower():
        return Failure("not_served", "venue", detail, retryable=False)
    is_passing = envelope.ret_code in _PASSING
    return Failure("disconnect", "venue" if is_passing else "ours", detail, retryable=is_passing)


def envelope_of(payload: bytes) -> BybitEnvelope | None:
    """Decode code and message of an answer; None when the body is not of the venue's form."""
    try:
        return msgspec.json.decode(payload, type=BybitEnvelope)
    except NOT_JSON:
        return None
