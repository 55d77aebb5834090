"""Failures among the answers of GMX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from marketarchive.venues.answers import Answered, Failure, judge_status
from marketarchive.venues.gmx.endpoints import SQUID

_OURS = ("Cannot query field", "Unknown argument", "Unknown type", "Syntax Error", "Variable ")
"""How complaints begin that no second attempt changes: the schema is another than the query's."""


class SentComplaint(msgspec.Struct):
    message: str = ""


class Complaints(msgspec.Struct):
    """The body of an answer that says what is wrong, GraphQL's or the API's."""

    errors: list[SentComplaint] = []
    message: Any = ""
    error: Any = ""


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states, with the venue's message; None when it can be parsed.

    GraphQL says with status 200 and `errors` that it failed. The API fails now and then with 500 at a
    request that is right, so it is retried.
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
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
