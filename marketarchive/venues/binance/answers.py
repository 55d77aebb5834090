"""Failures among the answers of Binance."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_ms, to_seconds
from marketarchive.venues.answers import Answered, Failure, judge_status, retry_after
from marketarchive.venues.binance import endpoints
from marketarchive.venues.perp_files import has_digest

BANNED = 418
"""Status for an address that kept sending after 429s: it is banned for 2 min to 3 days, and requests
meanwhile prolong the ban."""
BAN_S = 120.0
_UNTIL = re.compile(rb"banned until (\d{13})")
INVALID_PARAMETER = -1130
INVALID_SYMBOL = -1121


class SentRefusal(msgspec.Struct):
    """The JSON body of an error."""

    code: int
    msg: str = ""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    For a file that is not in the archive the file server answers with XML; a file whose checksum differs may
    have been republished, or damaged in transit.

    429 and 418 both carry Retry-After, seconds; the body of a 418 may state when the ban ends (`IP banned
    until 1787546698129`, seen 2026-08-23). 451 means that our place is not served, 403 is a firewall.
    """
    if answered.status == BANNED:
        wait_s = retry_after(answered.headers.get("retry-after"), answered.received_at)
        if (until := _UNTIL.search(answered.payload)) is not None:
            wait_s = max(0.0, to_seconds(from_ms(int(until[1])) - answered.received_at))
        failure: Failure | None = Failure(
            "rate_limited", "venue", "status 418", retryable=True, wait_s=BAN_S if wait_s is None else wait_s
        )
    else:
        failure = judge_status(answered)
    if failure is None:
        return _judge_file(answered)
    if answered.status == 404 and answered.query.url.startswith(endpoints.ARCHIVE):
        return replace(failure, reason="not_served", cause="venue", retryable=False)
    said = refusal(answered.payload)
    if said is None:
        return failure
    failure = replace(failure, detail=f"{failure.detail}: {said.code} {said.msg}"[:300])
    is_too_old = said.code == INVALID_PARAMETER and "startTime" in said.msg
    if is_too_old or said.code == INVALID_SYMBOL:
        return replace(failure, reason="not_served", cause="venue")
    return failure


def _judge_file(answered: Answered) -> Failure | None:
    digest = answered.query.path.get("sha256")
    if digest is None or has_digest(answered.payload, digest):
        return None
    return Failure("checksum", "venue", "the SHA-256 is not the one published", retryable=True)


def refusal(payload: bytes) -> SentRefusal | None:
    """Decode the JSON body of an error; None when the body is not of the venue's form."""
    try:
        return msgspec.json.decode(payload, type=SentRefusal)
    except NOT_JSON:
        return None
