"""Reads the simulated market channel as a reader must: books from frames, each change proved by its hash."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.venues.polymarket import Book, parse_book, verify_book
from marketarchive.venues.polymarket.clob import apply_change
from tests.simulator.asking import SECONDS, venue


def live_round(duration: str = "5m", asset: str = "BTC") -> SimMarket:
    """The round of an asset whose window is open at SECONDS."""
    return next(
        market
        for market in venue().world.listed(SECONDS)
        if (market.asset, market.duration) == (asset, duration)
        and market.start is not None
        and market.start <= SECONDS < market.end
    )


class Reader:
    """Books as far as frames tell of them, and the verdicts of all their hashes."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.ticks: dict[str, str] = {}
        self.kinds: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()

    def read(self, payload: bytes) -> list[dict[str, Any]]:
        """The events of a frame, applied."""
        document = json.loads(payload)
        events: list[dict[str, Any]] = document if isinstance(document, list) else [document]
        for event in events:
            self.kinds[event["event_type"]] += 1
            if event["event_type"] == "book":
                self._book(event)
            elif event["event_type"] == "price_change":
                for change in event["price_changes"]:
                    self._change(event, change)
            elif event["event_type"] == "tick_size_change":
                self.ticks[event["asset_id"]] = event["new_tick_size"]
        return events

    def _book(self, event: dict[str, Any]) -> None:
        """A refresh leaves out what does not change often: it is carried along."""
        token = event["asset_id"]
        if "tick_size" in event:
            self.ticks[token] = event["tick_size"]
        known = venue().world.by_token(token)
        assert known is not None
        book = parse_book({"tick_size": self.ticks[token], "neg_risk": known[0].neg_risk, **event})
        self.books[token] = book
        self.verdicts[verify_book(book)[0]] += 1

    def _change(self, event: dict[str, Any], change: dict[str, Any]) -> None:
        book, verdict = apply_change(
            self.books[change["asset_id"]],
            side=change["side"],
            price=change["price"],
            size=change["size"],
            timestamp_ms=int(event["timestamp"]),
            book_hash=change["hash"],
        )
        self.books[book.token] = book
        self.verdicts[verdict] += 1
        for best, told in ((book.best_bid, "best_bid"), (book.best_ask, "best_ask")):
            assert change[told] == ("" if best is None else f"{best.normalize():f}")
