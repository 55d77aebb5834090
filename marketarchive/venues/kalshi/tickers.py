"""Parser of the tickers of Kalshi's crypto markets.

    KXBTC15M-26AUG170100-00     closes on 2026-08-17 at 01:00 US Eastern time, "-00" repeats the minute
    KXBTCD-26AUG1717-T72749.99  closes on 2026-08-17 at 17:00; KXBTC-... are ranges

The venue advises against reading tickers (terms, 2026-08-22): the fields of a market's row take precedence.
How tickers name the hour that the end of daylight saving time repeats is unknown: times in it are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from marketarchive.times import SECOND, from_datetime, utc
from marketarchive.venues.symbols import symbols
from marketarchive.venues.venue import MarketFacts

EASTERN = ZoneInfo("America/New_York")
ROUND_S = 900
ROUND_NS = ROUND_S * SECOND

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_TICKER = re.compile(
    r"KX([A-Z]+?)(15M|D|)-(\d{2})(" + "|".join(_MONTHS) + r")(\d{2})(\d{2})(\d{2})?(?:-([A-Z]?[0-9.]+))?"
)


@dataclass(frozen=True, slots=True)
class Round:
    """A 15-minute market as its ticker and the clock define it."""

    ticker: str
    series: str
    asset: str
    start_ns: int
    end_ns: int


@cache
def rounds_series() -> dict[str, str]:
    """Return series -> asset for the series of 15-minute rounds."""
    return {row["series"]: asset for asset, row in symbols("kalshi").items() if row["series"]}


def series_of(ticker: str) -> str:
    """Return the series of a market or event: the part of its ticker before the date."""
    return ticker.partition("-")[0]


def market_facts(ticker: str) -> MarketFacts:
    """Return the facts of a crypto market that its ticker implies: asset, opening and close if readable."""
    found = _TICKER.fullmatch(ticker)
    if found is None or found[1] not in symbols("kalshi"):
        return MarketFacts()
    asset, kind, minute, suffix = found[1], found[2], found[7], found[8]
    if (kind == "15M") != (minute is not None) or (kind == "15M" and suffix not in (None, minute)):
        return MarketFacts(asset)
    end_ns = _close(found[3], found[4], found[5], found[6], minute or "00")
    if end_ns is None:
        return MarketFacts(asset)
    return MarketFacts(asset, end_ns - ROUND_NS if kind == "15M" else None, end_ns)


@lru_cache(maxsize=4096)
def asset_of(ticker: str) -> str | None:
    """Return the asset of a crypto market; None for other markets."""
    return market_facts(ticker).asset


@cache
def assets_of_indices() -> dict[str, str]:
    """Return index -> asset for the indices that rounds settle on."""
    return {row["index"]: asset for asset, row in symbols("kalshi").items() if row["index"]}


def round_at(series: str, now_ns: int) -> Round | None:
    """Return the 15-minute round of a series that is open at a wall time (ns).

    None for a round whose close falls into the hour that the end of daylight saving time repeats.
    """
    asset = rounds_series()[series]
    start_ns = now_ns // ROUND_NS * ROUND_NS
    end_ns = start_ns + ROUND_NS
    at = utc(end_ns).astimezone(EASTERN)
    if at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset():
        return None
    return Round(ticker_of(series, end_ns), series, asset, start_ns, end_ns)


def event_of(series: str, end_ns: int) -> str:
    """Return the ticker of the event of a series' round that closes at a wall time (ns)."""
    at = utc(end_ns).astimezone(EASTERN)
    return f"{series}-{at:%y}{_MONTHS[at.month - 1]}{at:%d%H%M}"


def ticker_of(series: str, end_ns: int) -> str:
    """Return the ticker of a series' round that closes at a wall time (ns)."""
    return f"{event_of(series, end_ns)}-{utc(end_ns).astimezone(EASTERN):%M}"


def _close(year: str, month: str, day: str, hour: str, minute: str) -> int | None:
    """Return a close as ns since the Unix epoch, from its parts in US Eastern time.

    None for an invalid time, and for one that occurs twice when daylight saving time ends.
    """
    number = _MONTHS.index(month) + 1
    try:
        at = datetime(2000 + int(year), number, int(day), int(hour), int(minute), tzinfo=EASTERN)
    except ValueError:
        return None
    if at.utcoffset() != at.replace(fold=1).utcoffset():
        return None
    return from_datetime(at.astimezone(UTC))
