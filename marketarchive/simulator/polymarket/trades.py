"""Public trades: one per market and seven seconds, at the price that its book then calls the last trade."""

from __future__ import annotations

import base64
import binascii
import heapq
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from marketarchive.simulator.noise import bits, digest
from marketarchive.simulator.polymarket.books import Books
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.world import World

EVERY_S = 7
LIMIT, LIMIT_MAX = 100, 1000
_BEFORE_S = 7200  # a round trades so long before its window


class Trades:
    """All trades of a world, newest first."""

    def __init__(self, world: World, books: Books) -> None:
        self._world = world
        self._books = books

    def page(
        self, markets: Iterable[SimMarket], side: str, second: int, skip: int, limit: int
    ) -> tuple[list[dict[str, Any]], bool]:
        """(rows, whether there are more) as of `second`; `side` is BUY, SELL or "" for both."""
        each = [self._of(market, side, second) for market in markets]
        merged = heapq.merge(*each, key=lambda row: (-row["timestamp"], row["transaction_hash"]))
        rows = list(islice(merged, skip, skip + limit + 1))
        return rows[:limit], len(rows) > limit

    def _of(self, market: SimMarket, side: str, second: int) -> Iterator[dict[str, Any]]:
        last = min(second, market.end, market.closed_at or second)
        first = market.listed_at if market.start is None else market.start - _BEFORE_S
        for at in range(last - last % EVERY_S, first, -EVERY_S):
            row = self._row(market, at)
            if side in ("", row["side"]):
                yield row

    def _row(self, market: SimMarket, at: int) -> dict[str, Any]:
        world, number = self._world, market.number
        draw = bits(world.seed, "trade", number, at)
        index = draw % 2
        up = self._books.last_trade(market, at) or "0.500"
        price = round(float(up) if index == 0 else 1 - float(up), 3)
        wallet = digest(20, world.seed, "wallet", draw % 500).hex()
        return {
            "proxy_wallet": f"0x{wallet}",
            "side": "BUY" if draw & 2 else "SELL",
            "token_id": market.tokens[index],
            "condition_id": market.condition_id,
            "size": 5 + draw % 10_000 / 100,
            "price": price,
            "timestamp": at,
            "title": market.question,
            "slug": market.slug,
            "icon": "",
            "event_slug": market.group.slug,
            "outcome": market.outcomes[index] if market.outcomes else "",
            "outcome_index": index if market.outcomes else 999,
            "name": f"trader-{wallet[:6]}",
            "pseudonym": f"Quiet-{wallet[6:10]}",
            "bio": "",
            "profile_image": "",
            "profile_image_optimized": "",
            "transaction_hash": f"0x{digest(32, world.seed, 'trade', number, at).hex()}",
        }


def write_cursor(second: int, skip: int) -> str:
    """Opaque to clients: the moment of the first page, so that new trades shift nothing, and the place."""
    return base64.urlsafe_b64encode(f"{second}:{skip}".encode()).decode()


def read_cursor(text: str) -> tuple[int, int] | None:
    try:
        match = re.fullmatch(r"(\d{1,12}):(\d{1,9})", base64.urlsafe_b64decode(text).decode())
    except (binascii.Error, ValueError):
        return None
    return (int(match[1]), int(match[2])) if match else None
