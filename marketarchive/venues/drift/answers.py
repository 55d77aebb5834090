"""Failures among the answers of the archive of Drift."""

from __future__ import annotations

from dataclasses import replace

from marketarchive.venues.answers import Answered, Failure
from marketarchive.venues.drift import endpoints
from marketarchive.venues.velocity.answers import judge as judge_server

_NO_SUCH_FILE = b"<Code>NoSuchKey</Code>"


def judge(answered: Answered) -> Failure | None:
    """Return the failure that an answer states; None when it can be parsed.

    Errors of the data server have the form of Velocity's; the file bucket answers in XML. A day that neither
    has is answered with 404.
    """
    failure = judge_server(answered)
    is_file = answered.query.endpoint is endpoints.FUNDING_FILE
    if failure is not None and is_file and _NO_SUCH_FILE in answered.payload:
        return replace(failure, reason="not_served", cause="venue", retryable=False)
    return failure
