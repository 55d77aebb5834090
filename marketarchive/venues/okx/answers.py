"""Failures among the answers of OKX: an answer with status 200 may carry a `code` other than "0"."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.answers import Answered, Failure, judge_status
from marketarchive.venues.okx.endpoints import FUNDING_FILE

WAIT_S = 2.0
"""Seconds to wait after a refusal; all limits are for windows of two seconds."""

_RATE_LIMITED = {"50011", "50061"}
_PASSING = {"50001", "50004", "50013", "50026"}  # unavailable, time-out, busy, system error
_BLOCKED = {"50051", "50121"}  # a place, or an address, that is not served
_UNKNOWN = {"51001", "50047"}  # no such contract (a delisted one neither); one that has settled


class OkxEnvelope(msgspec.Struct):
    """The fields that every answer has: code and message of its success or failure."""

    code: str
    msg: str = ""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    A file that is not in the archive is answered with 404.
    """
    failure = judge_status(answered)
    if failure is not None and answered.status == 404 and answered.query.endpoint is FUNDING_FILE:
        return replace(failure, reason="not_served", cause="venue", retryable=False)
    envelope = envelope_of(answered.payload)
    if envelope is None or envelope.code == "0":
        return failure
    detail = f"code {envelope.code}: {envelope.msg}"[:300]
    if envelope.code in _RATE_LIMITED:
        wait_s = WAIT_S if failure is None or failure.wait_s is None else failure.wait_s
        return Failure("rate_limited", "venue", detail, retryable=True, wait_s=wait_s)
    if envelope.code in _BLOCKED:
        return Failure("blocked", "venue", detail, retryable=False)
    if envelope.code in _UNKNOWN:
        return Failure("not_served", "venue", detail, retryable=False)
    if envelope.code in _PASSING:
        return Failure("disconnect", "venue", detail, retryable=True)
    if failure is not None:
        return replace(failure, detail=f"{failure.detail}, {detail}")
    return Failure("disconnect", "ours", detail, retryable=False)


def envelope_of(payload: bytes) -> OkxEnvelope | None:
    """Decode code and message of an answer; None when the body is not of the venue's form."""
    try:
        return msgspec.json.decode(payload, type=OkxEnvelope)
    except NOT_JSON:
        return None
