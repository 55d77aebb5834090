"""Reads the simulated market channel as a reader must: books from frames, each change proved by its hash."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.venues.polymarket.clob import ClobBook, parse_book, verify_book
from tests.simulator.requesting import SECONDS, venue


def live_round(duration: str = "5m", asset: str = "BTC") -> SimMarket:
    """The round of an asset whose window is open at SECONDS."""
    return next(
        market
        for market in venue().world.listed(SECONDS)
        if (market.asset, market.duration) == (asset, duration)
        and market.start is not None
        and market.start <= SECONDS < market.end
    )


Levels = dict[str, str]


class Reader:
    """Books as far as frames tell of them, and the verdicts of all their hashes."""

    def __init__(self) -> None:
        self.books: dict[str, ClobBook] = {}
        self.kinds: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self._sides: dict[str, dict[str, Levels]] = {}  # token -> "BUY" or "SELL" -> price -> size
        self._ticks: dict[str, str] = {}
        self._lasts: dict[str, str] = {}  # by market

    def read(self, payload: bytes) -> list[dict[str, Any]]:
        """The events of a frame, applied."""
        document = json.loads(payload)
        events: list[dict[str, Any]] = document if isinstance(document, list) else [document]
        for event in events:
            self.kinds[event["event_type"]] += 1
            match event["event_type"]:
                case "book":
                    self._whole(event)
                case "price_change":
                    for change in event["price_changes"]:
                        self._change(event, change)
                case "tick_size_change":
                    self._ticks[event["asset_id"]] = event["new_tick_size"]
                case "last_trade_price":
                    self._traded(event)
        return events

    def _whole(self, event: dict[str, Any]) -> None:
        """A refresh leaves out what does not change often: it is carried along."""
        token = event["asset_id"]
        for name, carried, key in (
            ("tick_size", self._ticks, token),
            ("last_trade_price", self._lasts, event["market"]),
        ):
            if name in event:
                carried[key] = event[name]
        sides = {"BUY": event["bids"], "SELL": event["asks"]}
        self._sides[token] = {
            side: {level["price"]: level["size"] for level in levels} for side, levels in sides.items()
        }
        self._check(event, token, event["hash"])

    def _change(self, event: dict[str, Any], change: dict[str, Any]) -> None:
        levels = self._sides[change["asset_id"]][change["side"]]
        if change["size"] == "0":
            del levels[change["price"]]
        else:
            levels[change["price"]] = change["size"]
        book = self._check(event, change["asset_id"], change["hash"])
        for best, told in ((book.best_bid, "best_bid"), (book.best_ask, "best_ask")):
            assert change[told] == ("" if best is None else f"{best.normalize():f}")

    def _traded(self, event: dict[str, Any]) -> None:
        """Both books call it by the price of the first token."""
        market = _market_of(event["asset_id"])
        price = float(event["price"])
        self._lasts[event["market"]] = f"{price if event['asset_id'] == market.tokens[0] else 1 - price:.3f}"

    def _check(self, event: dict[str, Any], token: str, book_hash: str) -> ClobBook:
        sides = {
            side: sorted(({"price": price, "size": size} for price, size in levels.items()), key=_price)
            for side, levels in self._sides[token].items()
        }
        book = parse_book(
            {
                "market": event["market"],
                "asset_id": token,
                "timestamp": event["timestamp"],
                "hash": book_hash,
                "bids": sides["BUY"],
                "asks": sides["SELL"][::-1],
                "min_order_size": "5",
                "tick_size": self._ticks[token],
                "neg_risk": _market_of(token).neg_risk,
                "last_trade_price": self._lasts[event["market"]],
            }
        )
        self.books[token] = book
        self.verdicts[verify_book(book)[0]] += 1
        return book


def _price(level: Levels) -> float:
    return float(level["price"])


def _market_of(token: str) -> SimMarket:
    found = venue().world.by_token(token)
    assert found is not None
    return found[0]
