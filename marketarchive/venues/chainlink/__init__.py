"""Chainlink's data streams: pages, the JSON they fetch, the feeds they show. Pure functions."""

from __future__ import annotations

from marketarchive.exceptions import ParseError
from marketarchive.venues.chainlink.endpoints import API, STREAMS
from marketarchive.venues.chainlink.reports import parse_answer
from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket.messages import Parsed, Received

__all__ = ["next_page", "parse"]


def parse(received: Received) -> Parsed:
    """Nothing of it goes to the market master: only whether the answer is sound. Raises ParseError."""
    if received.canonical_url.startswith(f"{STREAMS}/"):
        return Parsed()
    if not received.canonical_url.startswith(f"{API}/"):
        raise ParseError("message", f"nothing reads {received.canonical_url}")
    answer = parse_answer(received.canonical_url, received.payload)
    return Parsed(errors=list(answer.errors), keys=[str(report.observed_ns) for report in answer.reports])


def next_page(query: Query, parsed: Parsed) -> Query | None:  # noqa: ARG001  (a venue's interface)
    """Answers are whole."""
    return None
