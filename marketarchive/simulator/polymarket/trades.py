"""Public trades as the Data API lists them, newest first; a trade is listed from the next whole second on."""

from __future__ import annotations

import base64
import binascii
import heapq
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from marketarchive.simulator.noise import digest
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.tape import EVERY_S, Tape, TapeTrade
from marketarchive.simulator.polymarket.world import World

LIMIT, LIMIT_MAX = 100, 1000
V1_LIMIT_MAX = OFFSET_MAX = 10_000
_V1_NAMES = {
    "proxy_wallet": "proxyWallet",
    "token_id": "asset",
    "condition_id": "conditionId",
    "event_slug": "eventSlug",
    "outcome_index": "outcomeIndex",
    "profile_image": "profileImage",
    "profile_image_optimized": "profileImageOptimized",
    "transaction_hash": "transactionHash",
}


class Trades:
    """Source of the Data API's rows of a simulated world's trades."""

    def __init__(self, world: World, tape: Tape) -> None:
        self._world = world
        self._tape = tape

    def page(
        self, markets: Iterable[SimMarket], side: str, second: int, skip: int, limit: int
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the rows of a page as of a Unix second, and whether more follow.

        side: BUY, SELL, or "" for both; skip: rows to leave out; limit: most rows.
        """
        each = [self._of(market, side, second) for market in markets]
        merged = heapq.merge(*each, key=lambda row: (-row["timestamp"], row["transaction_hash"]))
        rows = list(islice(merged, skip, skip + limit + 1))
        return rows[:limit], len(rows) > limit

    def _of(self, market: SimMarket, side: str, second: int) -> Iterator[dict[str, Any]]:
        newest = self._tape.slot(market, second - 1)
        for at in range(newest, self._tape.first_second(market), -EVERY_S):
            trade = self._tape.at(market, at)
            if trade is not None and side in ("", trade.side):
                yield self._row(market, trade)

    def _row(self, market: SimMarket, trade: TapeTrade) -> dict[str, Any]:
        wallet = digest(20, self._world.seed, "wallet", trade.wallet).hex()
        return {
            "proxy_wallet": f"0x{wallet}",
            "side": trade.side,
            "token_id": market.tokens[trade.token],
            "condition_id": market.condition_id,
            "size": trade.hundredths / 100,
            "price": trade.price,
            "timestamp": trade.second,
            "title": market.question,
            "slug": market.slug,
            "icon": "",
            "event_slug": market.group.slug,
            "outcome": market.outcomes[trade.token] if market.outcomes else "",
            "outcome_index": trade.token if market.outcomes else 999,
            "name": f"trader-{wallet[:6]}",
            "pseudonym": f"Quiet-{wallet[6:10]}",
            "bio": "",
            "profile_image": "",
            "profile_image_optimized": "",
            "transaction_hash": trade.transaction_hash,
        }


def first_version(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the field names of the Data API's first version."""
    return {_V1_NAMES.get(name, name): value for name, value in row.items()}


def write_cursor(second: int, skip: int) -> str:
    """Return a cursor, opaque to clients, that contains the time of the first page and the rows to skip.

    Because of the time, new trades do not shift the pages.
    """
    return base64.urlsafe_b64encode(f"{second}:{skip}".encode()).decode()


def read_cursor(text: str) -> tuple[int, int] | None:
    try:
        match = re.fullmatch(r"(\d{1,12}):(\d{1,9})", base64.urlsafe_b64decode(text).decode())
    except (binascii.Error, ValueError):
        return None
    return (int(match[1]), int(match[2])) if match else None
