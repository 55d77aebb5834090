"""Failures among the answers of Velocity's data server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.answers import Answered, Failure, judge_status


class SentStatus(msgspec.Struct):
    """The fields by which a body states success or failure.

    The text is in `message` for a 404, else in `error`.
    """

    success: bool | None = None
    error: Any = ""
    message: Any = ""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    A day or market that the server does not have is answered with 404; `success` may be false with any
    status.
    """
    failure = judge_status(answered)
    said = _said(answered.payload)
    if failure is None:
        if answered.status != 200 or said is None or said.success is not False:
            return None
        failure = Failure("disconnect", "venue", "success is false", retryable=True)
    elif answered.status == 404:
        failure = replace(failure, reason="not_served", cause="venue")
    words = str(said.message or said.error) if said is not None else ""
    return replace(failure, detail=f"{failure.detail}: {words}"[:300]) if words else failure


def _said(payload: bytes) -> SentStatus | None:
    try:
        return msgspec.json.decode(payload, type=SentStatus)
    except NOT_JSON:
        return None
