"""The probe of a venue of perpetuals, made from the requests that the venue declares."""

from __future__ import annotations

from collections.abc import Sequence

from marketarchive.venues.endpoint import Query
from marketarchive.venues.probing import Check, Probe


def perp_probe(
    instruments: Sequence[Query],
    live: Sequence[Query],
    once: Sequence[Query],
    limits_source: str,
    past: Sequence[Query] = (),
) -> Probe:
    """Return a probe that checks of each request that its answer has rows and no errors.

    instruments: lists of contracts; live: present values; once: rates of borrowing; past: lists of the past;
    limits_source: URL of the documented limits.
    """
    topics = {"instruments": instruments, "now": live, "once": once, "past": past}
    checks = [
        Check(query.endpoint.name, topic, query) for topic, queries in topics.items() for query in queries
    ]
    return Probe(
        checks=checks,
        limits_source=limits_source,
        topics={
            "instruments": "Which contracts are listed?",
            "now": "Are prices, expected funding and open interest listed?",
            "once": "What does it cost to borrow?",
            "past": "Is the past listed?",
        },
    )
