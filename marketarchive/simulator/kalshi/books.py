"""Books and trades of simulated rounds, pure functions of the second.

A book has bids of both outcomes in steps of 0.001 near 0 and 1, of 0.01 between. It is empty before the open,
for two seconds after it, and after the close; in the last two minutes one second in seven has one side only.
While trading is paused the book does not change.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from marketarchive.simulator.kalshi.rounds import SimRound, is_paused, paused_since
from marketarchive.simulator.noise import bits, digest
from marketarchive.simulator.prices import ASSETS, E18, Prices

Level = tuple[str, str]
"""A level as (price in dollars, size in contracts)."""
Side = tuple[Level, ...]

QUIET_S = 2  # after the open
LAST_S = 120
ONE_SIDED_PERCENT = 15
DEPTH = 12
TRADE_S = 4
"""Each period of so many seconds of a round has one trade."""


@dataclass(frozen=True)
class SimBook:
    """Bids for YES and for NO, each with prices rising to the best."""

    yes: Side = ()
    no: Side = ()

    @property
    def yes_bid(self) -> Level | None:
        return self.yes[-1] if self.yes else None

    @property
    def yes_ask(self) -> Level | None:
        """Return the best ask of YES as (price, size); None without bids for NO.

        Its price is 1 minus the best bid for NO.
        """
        if not self.no:
            return None
        price, size = self.no[-1]
        return dollars(1000 - round(Decimal(price) * 1000)), size


EMPTY = SimBook()


@dataclass(frozen=True)
class SimTrade:
    """One trade; `at_us` is Unix microseconds."""

    id: str
    ticker: str
    at_us: int
    price: int  # price of YES in thousandths of a dollar
    size: str
    taker: Literal["yes", "no"]


class Books:
    """Source of the books and trades of a seed's rounds."""

    def __init__(self, seed: int, prices: Prices) -> None:
        self._seed = seed
        self._prices = prices
        self.at = lru_cache(maxsize=1 << 12)(self._at)
        self.trades = lru_cache(maxsize=1 << 10)(self._trades)

    def _at(self, market: SimRound, second: int) -> SimBook:
        """Return the book of a round at a Unix second."""
        if is_paused(second):
            second = paused_since(second) - 1
        if not market.start + QUIET_S <= second < market.end:
            return EMPTY
        middle = round(self.chance(market, second) * 1000)
        bid, ask = below(middle), above(middle)
        draw = bits(self._seed, "kalshi book", market.ticker, second)
        yes = self._side(market, second, "yes", bid)
        no = self._side(market, second, "no", 1000 - ask)
        if second >= market.end - LAST_S and draw % 100 < ONE_SIDED_PERCENT:
            return SimBook(yes) if draw >> 8 & 1 else SimBook(no=no)
        return SimBook(yes, no)

    def _side(self, market: SimRound, second: int, side: str, best: int) -> Side:
        levels: list[Level] = []
        price = best
        while price > 0 and len(levels) < DEPTH:
            draw = bits(self._seed, "kalshi size", market.ticker, side, price, second // 3 + price % 3)
            levels.append((dollars(price), f"{draw % 90_000 / 100 + 1:.2f}"))
            price = below(price)
        return tuple(reversed(levels))

    def chance(self, market: SimRound, second: int) -> float:
        """Return the probability of YES that the price shows at a Unix second, within [0.004, 0.996]."""
        now = self._prices.spot(market.asset, second) / E18
        volatility = ASSETS[market.asset][1]
        left = volatility * math.sqrt(market.end - second + 1)
        distance = math.log(now / float(market.true_strike)) / left
        return min(max(0.5 * math.erfc(-distance / math.sqrt(2)), 0.004), 0.996)

    def _trades(self, market: SimRound) -> tuple[SimTrade, ...]:
        """Return all trades of a round in order of time."""
        found = []
        for second in range(market.start + QUIET_S, market.end, TRADE_S):
            if is_paused(second):
                continue
            draw = bits(self._seed, "kalshi trade", market.ticker, second)
            at_us = second * 1_000_000 + draw % (TRADE_S * 1_000_000)
            if at_us >= market.end * 1_000_000:
                continue
            middle = round(self.chance(market, second) * 1000)
            buys = bool(draw >> 24 & 1)
            found.append(
                SimTrade(
                    _uuid(self._seed, market.ticker, second),
                    market.ticker,
                    at_us,
                    above(middle) if buys else below(middle),
                    f"{(draw >> 32) % 50_000 / 100 + 0.01:.2f}",
                    "yes" if buys else "no",
                )
            )
        return tuple(found)

    def trades_until(self, market: SimRound, at_us: int) -> tuple[SimTrade, ...]:
        """Return the trades of a round up to `at_us` (Unix microseconds), in order of time."""
        found = self.trades(market)
        return found[: bisect_right(found, at_us, key=lambda trade: trade.at_us)]

    def volume(self, market: SimRound, second: int) -> str:
        """Return the contracts traded in a round by a Unix second, as text."""
        if second < market.start:
            return "0.00"
        sizes = (Decimal(trade.size) for trade in self.trades_until(market, second * 1_000_000))
        return f"{sum(sizes, Decimal()):.2f}"


def below(price: int) -> int:
    """Return the next lower price, in thousandths of a dollar; 0 when there is none."""
    if price > 900:
        return price - 1
    if price > 100:
        return (price - 1) // 10 * 10
    return max(price - 1, 0)


def above(price: int) -> int:
    """Return the next higher price, in thousandths of a dollar; 1000 when there is none."""
    return 1000 - below(1000 - price)


def dollars(thousandths: int) -> str:
    """Return a price (thousandths of a dollar) in the venue's format: 0.4700."""
    return f"{thousandths / 1000:.4f}"


def _uuid(*key: object) -> str:
    text = digest(16, "kalshi trade id", *key).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
