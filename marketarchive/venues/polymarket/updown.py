"""Slugs of the crypto up/down series, and the assets and durations that they stand for.

Slugs as the venue wrote them from November 2025 to October 2026 (recorded rows of Gamma). Windows of 4h, 1h
and 1d follow a US Eastern grid: request them from the venue by series, never compute them from UTC.
"""

from __future__ import annotations

import re
from functools import cache

from marketarchive.venues.symbols import symbols

DURATIONS = ("5m", "15m", "1h", "4h", "1d")
SECONDS = {"5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
"""Duration -> usual length of a round in seconds.

Windows of 4h, 1h and 1d follow a US Eastern grid, on which a change to or from daylight saving time makes
one longer or shorter: request them from the venue, never compute them.
"""
DATED_SLUGS = frozenset({"1h", "1d"})
"""Durations whose slugs carry a date in US Eastern time; all others carry the start in Unix seconds."""
TAG_IDS = {"5m": "102892", "15m": "102467", "1h": "102175", "4h": "102531", "1d": "102281"}
"""Duration -> id of its tag in Gamma."""

NAMES: dict[str, str] = {asset: row["name"] for asset, row in symbols("polymarket").items()}
"""Asset -> its name in hourly and daily slugs, such as bitcoin. The venue has had rounds of all of them."""
ASSETS = tuple(NAMES)
BY_NAME: dict[str, str] = {name: asset for asset, full in NAMES.items() for name in (full, asset.lower())}
"""Name of an asset in slugs -> asset."""

_SERIES_ENDINGS = {"5m": "5m", "15m": "15m", "1h": "hourly", "4h": "4h", "1d": "daily"}
_MONTH = "january|february|march|april|may|june|july|august|september|october|november|december"
_NUMBERED = re.compile(r"([a-z]+)-updown-(5m|15m|4h)-(\d{9,10})")
_NUMBERED_OLD = re.compile(r"([a-z]+)-up-or-down-(15m)-(\d{9,10})")  # until about November 2025
_HOURLY = re.compile(rf"([a-z]+)-up-or-down-(?:{_MONTH})-\d{{1,2}}(?:-\d{{4}})?-\d{{1,2}}[ap]m-et")
_DAILY = re.compile(rf"([a-z]+)-up-or-down-on-(?:{_MONTH})-\d{{1,2}}(?:-\d{{4}})?")


def of_slug(slug: str) -> tuple[str, str] | None:
    """Return (asset, duration) of a round's slug: ("BTC", "5m") for `btc-updown-5m-1784853900`.

    None for a slug that is not of an up/down round.
    """
    if numbered := _NUMBERED.fullmatch(slug) or _NUMBERED_OLD.fullmatch(slug):
        name, duration = numbered[1], numbered[2]
    elif hourly := _HOURLY.fullmatch(slug):
        name, duration = hourly[1], "1h"
    elif daily := _DAILY.fullmatch(slug):
        name, duration = daily[1], "1d"
    else:
        return None
    asset = BY_NAME.get(name)
    return None if asset is None else (asset, duration)


def start_of_slug(slug: str) -> int | None:
    """Return the start of a round's window in Unix seconds; None when its slug does not contain it."""
    numbered = _NUMBERED.fullmatch(slug) or _NUMBERED_OLD.fullmatch(slug)
    return int(numbered[3]) if numbered and numbered[1] in BY_NAME else None


def span_of_slug(slug: str) -> tuple[int, int] | None:
    """Return start and end of a round's window in Unix seconds; None when its slug does not contain them."""
    start, known = start_of_slug(slug), of_slug(slug)
    return None if start is None or known is None else (start, start + SECONDS[known[1]])


def slug_of(asset: str, duration: str, start: int) -> str:
    """Return the slug of the round that starts at `start` (Unix seconds).

    Possible for 5m, 15m and 4h only, whose slugs contain the start.
    """
    if duration in DATED_SLUGS:
        raise ValueError(f"slugs of {duration} rounds carry a date, not a number: ask the venue by series")
    return f"{asset.lower()}-updown-{duration}-{start}"


def series_slugs(asset: str, duration: str) -> tuple[str, ...]:
    """Return possible slugs of an up/down series, the most likely first.

    Hourly Solana has been seen under two.
    """
    ending, short = _SERIES_ENDINGS[duration], asset.lower()
    names = dict.fromkeys((short, NAMES[asset])) if duration in DATED_SLUGS else (short,)
    return tuple(f"{name}-up-or-down-{ending}" for name in names)


@cache
def _series() -> dict[str, tuple[str, str]]:
    return {
        slug: (asset, duration)
        for asset in ASSETS
        for duration in DURATIONS
        for slug in series_slugs(asset, duration)
    }


def of_series(slug: str) -> tuple[str, str] | None:
    """Return (asset, duration) of a series' slug: ("BTC", "5m") for `btc-up-or-down-5m`.

    None for other series.
    """
    return _series().get(slug)
