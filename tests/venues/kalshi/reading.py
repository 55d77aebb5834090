"""Kalshi's answers through its parse function, and rows of them in few words."""

from __future__ import annotations

import json
from typing import Any

from marketarchive.items import Market
from marketarchive.venues.kalshi.endpoints import BASE
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.messages import Parsed, Received

AT = 1_787_000_000_000_000_000


def received(path: str, document: Any, feed: str = "markets") -> Received:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Received("kalshi", feed, f"{BASE}{path}", {}, None, 200, payload, AT, 7)


def read(path: str, document: Any) -> Parsed:
    return parse(received(path, document))


def row(**said: Any) -> dict[str, Any]:
    """A 15-minute round as /markets has it."""
    return {
        "ticker": "KXBTC15M-26AUG170100-00",
        "event_ticker": "KXBTC15M-26AUG170100",
        "market_type": "binary",
        "status": "active",
        "open_time": "2026-08-17T04:45:00Z",
        "close_time": "2026-08-17T05:00:00Z",
        "expected_expiration_time": "2026-08-17T05:05:00Z",
        "title": "BTC price up in next 15 mins?",
        "result": "",
        "expiration_value": "",
        **said,
    }


def market_of(**said: Any) -> Market:
    """The market that a row makes; nothing is wrong with it."""
    parsed = read("/markets/X", {"market": row(**said)})
    assert parsed.errors == []
    (market,) = (item for item in parsed.items if isinstance(item, Market))
    return market
