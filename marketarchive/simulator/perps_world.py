"""Perpetuals of a simulated exchange, whose past and present are a function of seed and time.

Prices, volumes and open interest are integers of small units, so that every venue can write them without
losing a digit. Candles are made of five-minute bars, those of whole hours of hourly bars, which have extremes
and volumes of their own, so that a week of candles is made quickly. No candle is shorter than five minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from marketarchive.simulator.noise import bits, wave
from marketarchive.times import SECOND, from_iso

BAR_S = 300
HOUR_S = 3600
DAY_S = 86_400
_BLOCK_S = 3 * DAY_S
"""Seconds for which a contract keeps its funding interval; that of BTC and ETH never changes."""
_UNIT = Decimal("1E-12")
_OCTAVES = range(8, 22)  # periods from 4 min to 24 days
_VOLATILITY = 8.0e-5  # volatility per square root of a second

# dollars; base units traded in a bar
_ASSETS: dict[str, tuple[float, int]] = {
    "BTC": (84_000.0, 40), "ETH": (2_750.0, 900), "AAVE": (180.0, 700), "UNI": (6.4, 9_000),
    "COMP": (41.0, 800), "CRV": (0.52, 90_000), "OP": (0.71, 60_000), "ARB": (0.34, 90_000),
    "GALA": (0.0151, 3_000_000), "IMX": (0.55, 40_000), "DOGE": (0.182, 900_000),
    "PEPE": (0.0000072, 4_000_000_000), "A2Z": (0.0024, 5_000_000),
}  # fmt: skip
_COARSE = {"PEPE": 1000}
"""Smallest amounts that are traded, in base units."""
DELISTED = {"A2Z": from_iso("2026-03-24T08:00:00Z") // SECOND}


@dataclass(frozen=True, slots=True)
class Candle:
    """A candle that opens at `opened` (Unix s). Prices are dollars per base unit, volumes base units."""

    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    volume_quote: Decimal
    trades: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A funding settlement: what longs pay shorts for the interval before it.

    `rate` is a fraction of the notional.
    """

    at: int  # Unix seconds
    rate: Decimal
    interval_s: int
    mark: Decimal


class PerpsWorld:
    """The perpetuals of one simulated exchange.

    hourly_since: Unix second from which funding is settled every hour; before it every 8 hours. None: funding
    intervals differ between contracts and change.
    """

    def __init__(self, seed: int, venue: str, hourly_since: int | None = None) -> None:
        self._seed = seed
        self._hourly_since = hourly_since
        self._venue = venue
        self._price = lru_cache(maxsize=1 << 18)(self._price_at)
        self._bar = lru_cache(maxsize=1 << 18)(self._bar_of)

    def has(self, asset: str) -> bool:
        """Return whether the exchange has, or had, a contract of an asset."""
        return asset in _ASSETS

    def listed(self, asset: str) -> int:
        """Return when the contract of an asset was listed, Unix seconds."""
        return from_iso("2021-01-04T08:00:00Z") // SECOND + bits(self._seed, self._venue, asset) % 400 * DAY_S

    def delisted(self, asset: str) -> int | None:
        """Return when the contract of an asset ended, Unix seconds; None while it is listed."""
        return DELISTED.get(asset)

    def is_open(self, asset: str, second: int) -> bool:
        """Return whether the contract of an asset is traded at `second` (Unix s)."""
        ended = self.delisted(asset)
        return self.listed(asset) <= second and (ended is None or second < ended)

    def price(self, asset: str, kind: str, second: int) -> Decimal:
        """Return the price at `second` (Unix s) in dollars per base unit. kind: trade, mark or index."""
        return self._price(asset, kind, second) * _UNIT

    def candle(self, asset: str, kind: str, opened: int, length_s: int, now: int) -> Candle:
        """Return the candle that opens at `opened`; one that is still open consists of its bars up to `now`.

        kind: trade, mark or index; opened, now: Unix seconds; length_s: length of the candle.
        """
        bar_s = HOUR_S if length_s % HOUR_S == 0 else BAR_S
        count = max(1, min(length_s, now - opened) // bar_s)
        bars = [self._bar(asset, kind, opened + number * bar_s, bar_s) for number in range(count)]
        volume = sum(bar[4] for bar in bars)
        return Candle(
            opened=opened,
            open=bars[0][0] * _UNIT,
            high=max(bar[1] for bar in bars) * _UNIT,
            low=min(bar[2] for bar in bars) * _UNIT,
            close=bars[-1][3] * _UNIT,
            volume=Decimal(volume) / 1000,
            volume_quote=sum((bar[5] for bar in bars), Decimal(0)),
            trades=sum(bar[4] % 89 + 1 for bar in bars),
        )

    def candles(
        self, asset: str, kind: str, length_s: int, first: int, last: int, now: int
    ) -> Iterator[Candle]:
        """Yield the candles that open in first <= opened <= last, while the contract was traded.

        kind: trade, mark or index; length_s: their length; first, last, now: Unix seconds.
        """
        for opened in range(-(-first // length_s) * length_s, min(last, now) + 1, length_s):
            if self.is_open(asset, opened):
                yield self.candle(asset, kind, opened, length_s, now)

    def interval(self, asset: str, second: int) -> int:
        """Return the funding interval (s) that ends with the settlement at or after `second` (Unix s)."""
        if self._hourly_since is not None:
            return HOUR_S if second > self._hourly_since else 8 * HOUR_S
        if asset in ("BTC", "ETH"):
            return 8 * HOUR_S
        chosen = bits(self._seed, self._venue, asset, (second - 1) // _BLOCK_S, "interval") % 4
        return (8, 8, 4, 1)[chosen] * HOUR_S

    def settlements(self, asset: str, first: int, last: int) -> list[Settlement]:
        """Return the settlements in first <= at <= last (Unix s)."""
        found = []
        for at in range(-(-first // HOUR_S) * HOUR_S, last + 1, HOUR_S):
            interval = self.interval(asset, at)
            if at % interval == 0 and self.is_open(asset, at - 1):
                found.append(Settlement(at, self.rate(asset, at), interval, self.price(asset, "mark", at)))
        return found

    def next_settlement(self, asset: str, second: int) -> int:
        """Return the time of the first funding settlement after `second`, Unix seconds."""
        at = second // HOUR_S * HOUR_S + HOUR_S
        while at % self.interval(asset, at):
            at += HOUR_S
        return at

    def rate(self, asset: str, at: int) -> Decimal:
        """Return the funding rate settled at `at` (Unix s), a fraction.

        It is also the rate that was expected before.
        """
        share = self.interval(asset, at) / (8 * HOUR_S)
        moved = 1 + 4 * wave(self._seed, f"{self._venue}{asset}funding", 17, at)
        return Decimal(round(1e4 * share * moved)) * Decimal("1E-8")

    def open_interest(self, asset: str, second: int) -> Decimal:
        """Return open interest in base units, a long and its short counted once. second: Unix seconds."""
        bars = 400 * (2 + wave(self._seed, f"{self._venue}{asset}interest", 15, second))
        coarse = _COARSE.get(asset, 1)
        return Decimal(round(_ASSETS[asset][1] * bars * 1000 / coarse) * coarse) / 1000

    def open_interest_value(self, asset: str, second: int) -> Decimal:
        """Return open interest in dollars at the mark price. second: Unix seconds."""
        exact = self.open_interest(asset, second) * self.price(asset, "mark", second)
        return exact.quantize(Decimal("1E-8"))

    def borrow_per_day(self, asset: str, second: int) -> Decimal:
        """Return the interest rate of a loan of the asset, as a fraction per day. second: Unix seconds."""
        return Decimal(1000 + bits(self._seed, asset, second // DAY_S, "loan") % 9000) * Decimal("1E-8") * 24

    def _price_at(self, asset: str, kind: str, second: int) -> int:
        """Return a price in units of 1e-12 dollars.

        Eight decimals are used, more for assets with small prices.

        kind: trade, mark or index; second: Unix seconds.
        """
        if kind == "index":
            base = _ASSETS[asset][0]
            moved = sum(2 ** (octave / 2) * wave(self._seed, asset, octave, second) for octave in _OCTAVES)
            exact = base * math.exp(_VOLATILITY * moved)
        else:
            basis = 4e-4 * wave(self._seed, f"{self._venue}{asset}basis", 13, second)
            near = 1e-4 * wave(self._seed, f"{self._venue}{asset}{kind}", 8, second)
            exact = self._price(asset, "index", second) / 1e12 * (1 + basis + near)
        digits = 10**8 * _COARSE.get(asset, 1)
        return round(exact * digits) * (10**12 // digits)

    def _bar_of(
        self, asset: str, kind: str, opened: int, length_s: int
    ) -> tuple[int, int, int, int, int, Decimal]:
        """Return a bar: (open, high, low, close, volume in thousandths of base units, volume in dollars).

        Prices are in units of 1e-12 dollars. opened: Unix seconds; length_s: length of the bar.
        """
        first, last = self._price(asset, kind, opened), self._price(asset, kind, opened + length_s)
        digits = 10**12 // (10**8 * _COARSE.get(asset, 1))
        chance = bits(self._seed, self._venue, asset, kind, opened, length_s)
        above, below = (first * (chance >> shift & 1023) // 2_000_000 // digits * digits for shift in (0, 10))
        coarse = _COARSE.get(asset, 1)
        traded = _ASSETS[asset][1] * (length_s // BAR_S)
        volume = traded * (200 + (chance >> 20) % 1800) // coarse * coarse
        dollars = (Decimal(volume) / 1000 * (first + last) * _UNIT / 2).quantize(Decimal("1E-8"))
        return first, max(first, last) + above, min(first, last) - below, last, volume, dollars


def written(number: Decimal) -> str:
    """Return a number as text without exponent or trailing zeros, as venues write it."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
