"""Parser of Kalshi's answers by route, used by live spiders, `rebuild-master` and notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import ValidationError

from marketarchive.exceptions import ParseError
from marketarchive.venues.kalshi import books, candles, exchange, lifecycle, markets, socket, trades
from marketarchive.venues.kalshi.endpoints import BASE, DEMO_BASE
from marketarchive.venues.market_messages import MarketEvent
from marketarchive.venues.messages import Parsed, Received

_ROUTES: list[tuple[re.Pattern[str], Callable[[Received], Parsed]]] = [
    (re.compile(r"/exchange/status"), exchange.parse_status),
    (re.compile(r"/series"), exchange.parse_series_list),
    (re.compile(r"/series/[^/]+"), exchange.parse_series),
    (re.compile(r"/events"), markets.parse_events),
    (re.compile(r"/events/[^/]+"), markets.parse_event),
    (re.compile(r"/markets/orderbooks"), books.parse_books),
    (re.compile(r"/markets/candlesticks"), candles.parse_many_candles),
    (re.compile(r"/(?:series/[^/]+|historical)/markets/[^/]+/candlesticks"), candles.parse_candles),
    (re.compile(r"/markets/[^/]+/orderbook"), books.parse_book),
    (re.compile(r"/(?:markets|historical)/trades"), trades.parse_trades),
    (re.compile(r"(?:/historical)?/markets"), markets.parse_markets),
    (re.compile(r"(?:/historical)?/markets/[^/]+"), markets.parse_market),
    (re.compile(r"/historical/cutoff"), exchange.parse_cutoff),
]


def parse(received: Received) -> Parsed:
    """Parse an answer with status 200, or a frame of the lifecycle channel.

    A row that cannot be read becomes an entry of `errors`. Raises ParseError for a document that is not what
    its route promises, and for a route that has no parser.
    """
    if received.connection is not None:
        return parse_frame(received)
    path = received.canonical_url.removeprefix(BASE).removeprefix(DEMO_BASE)
    for pattern, read in _ROUTES:
        if path != received.canonical_url and pattern.fullmatch(path):
            return read(received)
    raise ParseError("message", f"nothing reads {received.canonical_url}")


def parse_frame(received: Received) -> Parsed:
    """Parse a frame into items for the market master; only frames of the lifecycle channel give any.

    Raises ParseError.
    """
    parsed = Parsed()
    for message in socket.decode(received.payload, received.received_at).messages:
        if isinstance(message, MarketEvent):
            try:
                item = lifecycle.item_of(message, received.origin())
            except ValidationError as error:
                raise markets.invalid(message.market, error) from error
            if item is not None:
                parsed.items.append(item)
    return parsed
