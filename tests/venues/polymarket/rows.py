"""Rows as Gamma, the book and the Data API send them, small, for tests to bend."""

from __future__ import annotations

import json
from typing import Any

from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.parse import parse

CONDITION = "0x" + "6a" * 32
TOKENS = ("61875132045", "10470803696")


def received(url: str, payload: bytes) -> Received:
    return Received("polymarket", "feed", url, {}, None, 200, payload, 1_795_255_200_000_000_000, 7)


def parsed(url: str, document: Any) -> Parsed:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse(received(url, payload))


def market_row(**changes: Any) -> dict[str, Any]:
    """An open 5m round as a row of /markets; a change to None removes the key."""
    row: dict[str, Any] = {
        "id": "3048456",
        "conditionId": CONDITION,
        "slug": "btc-updown-5m-1784853900",
        "question": "Bitcoin Up or Down - July 23, 8:45PM-8:50PM ET",
        "startDate": "2026-07-23T03:08:25.723255Z",
        "eventStartTime": "2026-07-24T00:45:00Z",
        "endDate": "2026-07-24T00:50:00Z",
        "outcomes": '["Up", "Down"]',
        "outcomePrices": '["0.505", "0.495"]',
        "clobTokenIds": json.dumps(TOKENS),
        "active": True,
        "closed": False,
        "volume": "35024.42854499998",
        "liquidity": "20328.3747",
        "spread": 0.01,
        "orderPriceMinTickSize": 0.01,
        "resolutionSource": "https://data.chain.link/streams/btc-usd",
    } | changes
    return {key: value for key, value in row.items() if value is not None}


def event_row(*markets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "260654", "slug": "btc-updown-5m-1784853900", "markets": list(markets)} | changes


def book_row(**changes: Any) -> dict[str, Any]:
    """A book with its right hash, as far as the changes leave it right."""
    row: dict[str, Any] = {
        "market": CONDITION,
        "asset_id": TOKENS[0],
        "timestamp": "1785734468581",
        "hash": "",
        "bids": [{"price": "0.48", "size": "30"}, {"price": "0.49", "size": "20.5"}],
        "asks": [{"price": "0.52", "size": "25"}, {"price": "0.51", "size": "15"}],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "0.490",
    }
    row["hash"] = clob.book_hash(clob.parse_book(row))
    return row | changes


def resolution_row(**changes: Any) -> dict[str, Any]:
    return {
        "condition_id": CONDITION,
        "status": "resolved",
        "payouts": [1_000_000, 0],
        "reporter": "CHAINLINK",
        "resolved_at": "2026-07-24T00:50:52Z",
        "resolution_source": "reported",
    } | changes
