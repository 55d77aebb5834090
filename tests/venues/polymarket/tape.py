"""Consistent frames of the market channel, made without any code of the project: dicts, json and hashlib.

A tape is a small exchange: both tokens of a market share one set of orders, the hashes are those that the
venue would send, and the last trade price in them is one that the socket tells later, or never.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from random import Random
from typing import Any

START_MS = 1_790_000_000_000


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


class TapeMarket:
    """The orders of one market, in thousandths of its first token's price."""

    def __init__(self, random: Random, *, neg_risk: bool, orders: int) -> None:
        self.id = f"0x{random.getrandbits(256):064x}"
        self.tokens = (str(random.getrandbits(255)), str(random.getrandbits(255)))
        self.neg_risk = neg_risk
        self.tick = 10
        self.last_trade = ""
        self.stamp = START_MS  # of each token's last change; both change together
        middle = random.randrange(30, 70)
        self.bids = {10 * (middle - n): size_text(random) for n in range(1, min(orders, middle - 1) + 1)}
        self.asks = {10 * (middle + n): size_text(random) for n in range(1, min(orders, 99 - middle) + 1)}

    @property
    def best_bid(self) -> int:
        return max(self.bids, default=0)

    @property
    def best_ask(self) -> int:
        return min(self.asks, default=1000)

    def book(self, token: str, stamp: int | None = None) -> dict[str, Any]:
        """The answer of /book at this moment."""
        bids, asks = (self.bids, self.asks) if token == self.tokens[0] else (self.asks, self.bids)
        mirror = token != self.tokens[0]
        found = {
            "market": self.id,
            "asset_id": token,
            "timestamp": str(self.stamp if stamp is None else stamp),
            "hash": "",
            "bids": levels(bids, mirror=mirror, best=max),
            "asks": levels(asks, mirror=mirror, best=min),
            "min_order_size": "5",
            "tick_size": {100: "0.1", 10: "0.01", 1: "0.001"}[self.tick],
            "neg_risk": self.neg_risk,
            "last_trade_price": self.last_trade,
        }
        found["hash"] = hashlib.sha1(compact(found)).hexdigest()
        return found


class Tape:
    """`for ns, payload in Tape(1).frames(500)`: the first books, then changes, trades and tick changes.

    `after_last`: several changes in one event carry the hash (and best prices) of the book after the last of
    them, else each its own. `silent`: tick changes and trades are not told, only hashed.
    """

    def __init__(
        self,
        seed: int,
        markets: int = 1,
        *,
        orders: int = 8,
        after_last: bool = False,
        silent: bool = False,
        neg_risk: bool = False,
        steps_ms: tuple[int, ...] = (0, 1, 3, 20, 150),
    ) -> None:
        self.random = Random(seed)
        self.now = START_MS
        self.markets = [TapeMarket(self.random, neg_risk=neg_risk, orders=orders) for _ in range(markets)]
        self.after_last = after_last
        self.silent = silent
        self.steps_ms = steps_ms

    @property
    def tokens(self) -> list[str]:
        return [token for market in self.markets for token in market.tokens]

    def book(self, token: str) -> dict[str, Any]:
        """What /book would answer now."""
        return next(market for market in self.markets if token in market.tokens).book(token)

    def frames(self, count: int) -> Iterator[tuple[int, bytes]]:
        """(received at, ns; payload): the first books, then `count` more, and what belongs to the last."""
        yield self._at(self.dump())
        while count > 0:
            for payload in self.step():
                count -= 1
                yield self._at(payload)

    def _at(self, payload: bytes) -> tuple[int, bytes]:
        return self.now * 1_000_000 + self.random.randrange(20_000_000, 90_000_000), payload

    # ---- the frames ------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """The first frame after a subscription: an array, without what the socket leaves out."""
        events = []
        for token in self.tokens:
            book = self.book(token)
            del book["min_order_size"], book["neg_risk"]
            events.append({**book, "event_type": "book"})
        return compact(events)

    def refresh(self, market: TapeMarket, token: str) -> bytes:
        """The book after a trade: without tick size and last trade price as well."""
        book = market.book(token)
        for name in ("min_order_size", "neg_risk", "tick_size", "last_trade_price"):
            del book[name]
        return compact({**book, "event_type": "book"})

    def step(self) -> list[bytes]:
        """What the next thing that happens is told with."""
        self.now += self.random.choice(self.steps_ms)
        market = self.random.choice(self.markets)
        draw = self.random.random()
        if draw < 0.02 and market.tick == 10:
            return self.change_tick(market)
        if draw < 0.12 and market.bids and market.asks:
            return self.trade(market)
        return [self.change(market)]

    def change(self, market: TapeMarket) -> bytes:
        """Between one and three levels, each on both tokens."""
        done: list[tuple[int, str, bool]] = []
        pairs: list[list[dict[str, str]]] = []
        for _ in range(self.random.choice((1, 1, 1, 1, 2, 3))):
            is_bid = self.random.random() < 0.5
            low, high = (1, market.best_ask - 1) if is_bid else (market.best_bid + 1, 999)
            there = list(market.bids if is_bid else market.asks)
            free = [at for at in range(low, high + 1) if at % market.tick == 0]
            if not there and not free:
                continue
            at = self.random.choice(there if there and (not free or self.random.random() < 0.7) else free)
            gone = self.random.random() < 0.3 and at in there
            size = "0" if gone else size_text(self.random)
            self.set(market, at, size, is_bid=is_bid)
            done.append((at, size, is_bid))
            pairs.append(self.elements(market, at, size, is_bid=is_bid))
        if self.after_last:
            pairs = [self.elements(market, at, size, is_bid=is_bid) for at, size, is_bid in done]
        changes = [element for pair in pairs for element in pair]
        return compact(
            {
                "market": market.id,
                "price_changes": changes,
                "timestamp": str(self.now),
                "event_type": "price_change",
            }
        )

    def trade(self, market: TapeMarket) -> list[bytes]:
        """A taker on either token takes (part of) the best level."""
        buys = self.random.random() < 0.5
        side, at = (market.asks, market.best_ask) if buys else (market.bids, market.best_bid)
        left = float(side[at]) - self.random.choice((1.0, 2.5, float(side[at])))
        size = f"{left:.2f}".rstrip("0").rstrip(".") if left > 0 else "0"
        self.set(market, at, size, is_bid=not buys)
        market.last_trade = f"{at / 1000:.3f}"
        is_second = self.random.random() < 0.5
        told = compact(
            {
                "market": market.id,
                "asset_id": market.tokens[is_second],
                "price": price_text(1000 - at if is_second else at),
                "size": "5",
                "fee_rate_bps": "0",
                "side": "BUY" if buys != is_second else "SELL",
                "timestamp": str(self.now),
                "event_type": "last_trade_price",
                "transaction_hash": f"0x{self.random.getrandbits(256):064x}",
            }
        )
        changed = compact(
            {
                "market": market.id,
                "price_changes": self.elements(market, at, size, is_bid=not buys),
                "timestamp": str(self.now),
                "event_type": "price_change",
            }
        )
        books = [self.refresh(market, token) for token in market.tokens]
        ways = [[changed], books, [*books, changed], [changed, *books]]  # as seen, and as may be
        frames = self.random.choice(ways)
        if self.silent:
            return frames
        return self.random.choice(([told, *frames], [*frames, told]))

    def change_tick(self, market: TapeMarket) -> list[bytes]:
        """The grid becomes finer; the levels stay."""
        market.tick = 1
        self.now += 1
        if self.silent:
            return [self.change(market)]
        return [
            compact(
                {
                    "event_type": "tick_size_change",
                    "asset_id": token,
                    "market": market.id,
                    "old_tick_size": "0.01",
                    "new_tick_size": "0.001",
                    "timestamp": str(self.now),
                }
            )
            for token in market.tokens
        ]

    # ---- the exchange ----------------------------------------------------------------------------------

    def set(self, market: TapeMarket, at: int, size: str, *, is_bid: bool) -> None:
        side = market.bids if is_bid else market.asks
        side.pop(at, None)
        if size != "0":
            side[at] = size
        market.stamp = self.now

    def elements(self, market: TapeMarket, at: int, size: str, *, is_bid: bool) -> list[dict[str, str]]:
        """A changed level as both tokens see it, with the book as it is now."""
        found = []
        for token in market.tokens:
            book = market.book(token, self.now)
            mirrored = token != market.tokens[0]
            found.append(
                {
                    "asset_id": token,
                    "price": price_text(1000 - at if mirrored else at),
                    "size": size,
                    "side": "BUY" if is_bid != mirrored else "SELL",
                    "hash": book["hash"],
                    "best_bid": book["bids"][-1]["price"] if book["bids"] else "",
                    "best_ask": book["asks"][-1]["price"] if book["asks"] else "",
                }
            )
        return found


def levels(side: dict[int, str], *, mirror: bool, best: Any) -> list[dict[str, str]]:
    """As the venue sends them: the best price last."""
    prices = {1000 - at if mirror else at: size for at, size in side.items()}
    ordered = sorted(prices, reverse=best is min)
    return [{"price": price_text(at), "size": prices[at]} for at in ordered]


def price_text(thousandths: int) -> str:
    return f"{thousandths / 1000:.3f}".rstrip("0")


def size_text(random: Random) -> str:
    return f"{random.randrange(500, 90_000) / 100:.2f}".rstrip("0").rstrip(".")
