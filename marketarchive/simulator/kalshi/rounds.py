"""The 15-minute rounds of the simulated Kalshi: their times, strikes, results and oddities.

The strike is the mean of the 60 prices before the open, the final value that of the 60 before the close; so
the final value of one round is the strike of the next. A few rounds are odd in a way that was seen at the
venue or in public recordings of it (2026); `ODDITIES` lists the ways, and the truth of a round names its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from marketarchive.simulator.noise import bits
from marketarchive.simulator.prices import ASSETS, E18, Prices
from marketarchive.times import SECOND, utc
from marketarchive.venues.kalshi.tickers import EASTERN, event_of, series_of, ticker_of
from marketarchive.venues.symbols import symbols

ROUND_S = 900
MEAN_S = 60
LISTED_AHEAD_S = 17_000  # about 4 h 43 min before the open (one observation, 2026-08-17)
LIVE_S = 12 * 3600
"""Seconds after its close for which a round is in the live tier; older ones are in the historical tier
only."""
OVERLAP_S = 3600  # rounds stay in the live tier for so long (s) after the cutoff has passed them
HISTORICAL_S = 24 * 3600  # how far back (s) the historical tier reaches beyond the live one

SERIES = {row["series"]: asset for asset, row in symbols("kalshi").items() if asset in ASSETS}
INDICES = {asset: row["index"] for asset, row in symbols("kalshi").items()}
DIGITS = {"BTC": 2, "ETH": 2, "SOL": 4, "XRP": 4}
"""Asset -> decimals of a strike, as `custom_strike` states them."""

ODDITIES = ("late_strike", "no_strike", "implausible_strike", "never_settled", "scalar", "differs")
ODD_ONE_IN = 64
"""Each oddity occurs in one of so many rounds, by chance."""


@dataclass(frozen=True)
class SimRound:
    """One 15-minute market. Times are Unix seconds."""

    ticker: str
    event: str
    series: str
    asset: str
    start: int
    end: int
    created: int
    oddity: str | None
    true_strike: Decimal
    final: Decimal
    strike_from: int | None  # Unix second from which the strike is shown; None: never
    strike: Decimal | None  # as it is shown
    determined: int | None  # when the result is determined; None: never
    finalized: int | None
    result: str
    value: Decimal  # dollars paid for a contract of YES

    def status(self, second: int) -> str:
        """Return the round's status in the venue's words. second: Unix seconds."""
        if second < self.start:
            return "initialized"
        if second < self.end:
            return "inactive" if is_paused(second) else "active"
        if self.finalized is not None and second >= self.finalized:
            return "finalized"
        return "determined" if self.determined is not None and second >= self.determined else "closed"

    def is_listed(self, second: int) -> bool:
        """Return whether the round is in the live tier at a Unix second."""
        return self.created <= second and self.end > second - LIVE_S


def is_paused(second: int) -> bool:
    """Return whether trading is paused at a Unix second: Thursdays from 03:00 to 05:00 US Eastern time."""
    at = utc(second * SECOND).astimezone(EASTERN)
    return at.weekday() == 3 and 3 <= at.hour < 5


def paused_since(second: int) -> int:
    """Return the Unix second at which the pause that contains `second` began."""
    at = utc(second * SECOND).astimezone(EASTERN)
    begun = at.replace(hour=3, minute=0, second=0, microsecond=0)
    return second - int((at - begun) / timedelta(seconds=1))


def cutoff(second: int) -> int:
    """Return the cutoff (Unix s) that holds at `second`: older rounds are in the historical tier."""
    return (second - LIVE_S + OVERLAP_S) // 3600 * 3600


class Rounds:
    """All rounds of a simulated world; which exist is a pure function of (seed, second)."""

    def __init__(self, seed: int, prices: Prices) -> None:
        self._seed = seed
        self._prices = prices
        self.make = lru_cache(maxsize=1 << 13)(self._make)
        self.listed_series: Sequence[str] = tuple(SERIES)  # rounds of other series are in no list

    def between(self, low: int, high: int) -> Iterator[SimRound]:
        """Yield the rounds with low < end <= high (Unix s), in order of their end."""
        first = low // ROUND_S * ROUND_S + ROUND_S
        for end in range(first, high + 1, ROUND_S):
            for series in self.listed_series:
                yield self.make(series, end)

    def listed(self, second: int) -> list[SimRound]:
        """Return the rounds of the live tier at a Unix second, newest first."""
        found = self.between(second - LIVE_S, second + LISTED_AHEAD_S + 2 * ROUND_S)
        there = (each for each in found if each.is_listed(second))
        return sorted(there, key=lambda each: (each.created, each.ticker), reverse=True)

    def historical(self, second: int) -> list[SimRound]:
        """Return the rounds of the historical tier at a Unix second, newest first.

        They settled before the cutoff.
        """
        limit = cutoff(second)
        found = self.between(second - LIVE_S - HISTORICAL_S, limit)
        settled = (each for each in found if each.finalized is not None and each.finalized < limit)
        return sorted(settled, key=lambda each: (each.created, each.ticker), reverse=True)

    def mean(self, asset: str, second: int) -> Decimal:
        """Return the mean of the 60 prices up to a Unix second, rounded like a strike."""
        exact = Decimal(self._prices.twap(asset, second, MEAN_S)) / E18
        return exact.quantize(Decimal(1).scaleb(-DIGITS[asset]), ROUND_HALF_UP)

    def _make(self, series: str, end: int) -> SimRound:
        asset, start = SERIES[series], end - ROUND_S
        draw = bits(self._seed, "kalshi round", asset, end)
        place = draw % ODD_ONE_IN
        oddity = ODDITIES[place] if place < len(ODDITIES) else None
        strike, final = self.mean(asset, start), self.mean(asset, end)
        result, value = ("yes", Decimal(1)) if final >= strike else ("no", Decimal(0))
        if oddity == "scalar":
            result, value = "scalar", Decimal("0.5")
        elif oddity == "differs":
            result, value = ("no", Decimal(0)) if value else ("yes", Decimal(1))
        elif oddity == "no_strike":
            result, value = "no", Decimal(0)
        late = 15 + (draw >> 16) % 60 if oddity == "late_strike" else 1
        determined = None if oddity == "never_settled" else end + 2
        return SimRound(
            ticker=ticker_of(series, end * SECOND),
            event=event_of(series, end * SECOND),
            series=series,
            asset=asset,
            start=start,
            end=end,
            created=start - LISTED_AHEAD_S + (draw >> 32) % 60,
            oddity=oddity,
            true_strike=strike,
            final=final,
            strike_from=None if oddity == "no_strike" else start + late,
            strike=_shown(strike, oddity),
            determined=determined,
            finalized=None if determined is None else determined + 4 + (draw >> 40) % 8,
            result=result,
            value=value,
        )


def by_ticker(rounds: Rounds, ticker: str, end: int | None) -> SimRound | None:
    """Return the round with a ticker whose close is `end` (Unix s); None for a ticker of no round."""
    series = series_of(ticker)
    if series not in SERIES or end is None or end % ROUND_S:
        return None
    found = rounds.make(series, end)
    return found if found.ticker == ticker else None


def _shown(strike: Decimal, oddity: str | None) -> Decimal | None:
    if oddity == "no_strike":
        return None
    if oddity == "implausible_strike":  # a strike of 7 was seen, at a price of 72,000
        return (strike / 10_000).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return strike
