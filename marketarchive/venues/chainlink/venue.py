"""Declaration of Chainlink's stream pages as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from marketarchive.exceptions import ParseError
from marketarchive.venues.chainlink.endpoints import API, STREAMS
from marketarchive.venues.chainlink.price_rows import PageRows
from marketarchive.venues.chainlink.probe import PROBE
from marketarchive.venues.chainlink.reports import parse_answer
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.venue import Feed, Venue


def parse(received: Received) -> Parsed:
    """Check that a response contains readable reports; nothing in it is for the market master.

    Raises ParseError when it does not.
    """
    if received.canonical_url.startswith(f"{STREAMS}/"):
        return Parsed()
    if not received.canonical_url.startswith(f"{API}/"):
        raise ParseError("message", f"nothing reads {received.canonical_url}")
    answer = parse_answer(received.canonical_url, received.payload)
    return Parsed(errors=list(answer.errors), keys=[str(report.observed_ns) for report in answer.reports])


VENUE = Venue(
    name="chainlink",
    feeds={
        "pages": Feed(tables=("reference_prices",), rows=PageRows),
        "probe": Feed(is_polled=True),
    },
    parse=parse,
    probe=PROBE,
)
