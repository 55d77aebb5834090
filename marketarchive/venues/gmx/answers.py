"""Failures among the answers of GMX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.answers import Answered, Failure, judge_status
from marketarchive.venues.gmx.endpoints import SQUID

_OURS = ("Cannot query field", "Unknown argument", "Unknown type", "Syntax Error", "Variable ")
"""Beginnings of error messages that no retry changes, because the schema does not match the query."""


class SentComplaint(msgspec.Struct):
    message: str = ""


class Complaints(msgspec.Struct):
    """The JSON body of an error, of GraphQL or of the API."""

    errors: list[SentComplaint] = []
    message: Any = ""
    error: Any = ""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    GraphQL states a failure with status 200 and `errors`. The API sometimes answers a correct request with
    500, so that is retried.
    """
    failure = judge_status(answered)
    if failure is None and not (answered.query.url == SQUID and answered.status == 200):
        return None
    said = _said(answered.payload)
    if failure is not None:
        return replace(failure, detail=f"{failure.detail}: {said}"[:300]) if said else failure
    if not _has_errors(answered.payload):
        return None
    is_ours = said.startswith(_OURS)
    return Failure(
        "disconnect", "ours" if is_ours else "venue", f"GraphQL: {said}"[:300], retryable=not is_ours
    )


def _has_errors(payload: bytes) -> bool:
    complaints = _complaints(payload)
    return complaints is not None and bool(complaints.errors)


def _said(payload: bytes) -> str:
    complaints = _complaints(payload)
    if complaints is None:
        return ""
    texts = [each.message for each in complaints.errors]
    return next((str(text) for text in (*texts, complaints.message, complaints.error) if text), "")


def _complaints(payload: bytes) -> Complaints | None:
    try:
        return msgspec.json.decode(payload, type=Complaints)
    except NOT_JSON:
        return None
