"""What is true of each venue: URLs, wire models, parse functions, identity and integrity of messages."""

from __future__ import annotations

from typing import Protocol

from marketarchive.venues import chainlink, polymarket
from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket.messages import Parsed, Received


class Venue(Protocol):
    """What every venue package offers."""

    def parse(self, received: Received) -> Parsed:
        """What an answer with status 200 says; raises ParseError."""

    def next_page(self, query: Query, parsed: Parsed) -> Query | None:
        """The query for the page after an answer; None after the last."""


VENUES: dict[str, Venue] = {"chainlink": chainlink, "polymarket": polymarket}
