"""Parser of Polymarket's answers by route, used by live spiders, `rebuild-master` and notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import clob, data_api, gamma, price_history, trades
from marketarchive.venues.polymarket.clob import parse_book
from marketarchive.venues.polymarket.endpoints import CLOB, DATA, GAMMA


def _book(received: Received) -> Parsed:
    parsed = Parsed()
    _add_book(parsed, received.payload)
    return parsed


def _books(received: Received) -> Parsed:
    parsed = Parsed()
    for raw in clob.split_books(received.payload):
        _add_book(parsed, raw)
    return parsed


def _add_book(parsed: Parsed, payload: Any) -> None:
    try:
        book = parse_book(payload)
    except ParseError as error:
        parsed.errors.append(error)
    else:
        parsed.books.append(book)
        parsed.keys.append(book.token)


_ROUTES: list[tuple[str, re.Pattern[str], Callable[[Received], Parsed]]] = [
    (GAMMA, re.compile(r"/markets/keyset"), gamma.parse_markets_page),
    (GAMMA, re.compile(r"/events/keyset"), gamma.parse_events_page),
    (GAMMA, re.compile(r"/markets/(slug/[^/]+|\d+)"), gamma.parse_one_market),
    (GAMMA, re.compile(r"/events/(slug/[^/]+|\d+)"), gamma.parse_one_event),
    (GAMMA, re.compile(r"/markets"), gamma.parse_markets),
    (GAMMA, re.compile(r"/events"), gamma.parse_events),
    (GAMMA, re.compile(r"/series"), gamma.parse_series),
    (CLOB, re.compile(r"/book"), _book),
    (CLOB, re.compile(r"/books"), _books),
    (CLOB, re.compile(r"/prices-history"), price_history.parse_history),
    (CLOB, re.compile(r"/batch-prices-history"), price_history.parse_histories),
    (DATA, re.compile(r"/v2/resolutions"), data_api.parse_resolutions),
    (DATA, re.compile(r"/v2/trades"), trades.parse_trades),
    (DATA, re.compile(r"/trades"), trades.parse_trades_v1),
]


def parse(received: Received) -> Parsed:
    """Parse an answer with status 200.

    A row that cannot be read becomes an entry of `errors`. Raises ParseError for a payload that is no JSON or
    not the document of its route, and for a route that has no parser.
    """
    parts = urlsplit(received.canonical_url)
    for base, path, read in _ROUTES:
        if f"{parts.scheme}://{parts.netloc}" == base and path.fullmatch(parts.path):
            return read(received)
    raise ParseError("message", f"nothing reads {received.canonical_url}")
