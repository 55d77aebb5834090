"""Settlement rule of an up/down round: which price, at which seconds, compared how.

A market states it itself: `cryptoMarketConfig` before `resolutionSource`. What neither says is filled in by
the date of its start, from the venue's announcements.

K is the price stamped exactly at the window's start, settlement the one at its exact end, of the same
instrument. Up if settlement >= K: a tie is Up. Prices are compared as integers of 10**-18 dollars.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from marketarchive.times import from_iso

SPOT = "chainlink spot"
TWAP_30 = "chainlink twap 30s"
TWAP_60 = "chainlink twap 60s"
BINANCE = "binance"

Outcome = Literal["Up", "Down"]

_TWAP = re.compile(r"chainlink twap (\d+)s")
_STREAM = re.compile(
    r"data\.chain\.link/streams/([a-z0-9]+)-usd(?:-cexprice-streams|(-twap-)(\d+)s-streams)?/?$"
)


@dataclass(frozen=True)
class Dated:
    """The rule of rounds that start at or after `since`, until a later one of the same duration."""

    since: str
    durations: frozenset[str]
    rule: str


DATED = (
    Dated("2020-01-01T00:00:00Z", frozenset({"5m", "15m", "4h"}), SPOT),
    Dated("2020-01-01T00:00:00Z", frozenset({"1h", "1d"}), BINANCE),
    Dated("2026-08-07T00:00:00Z", frozenset({"5m"}), TWAP_30),
    Dated("2026-08-07T00:00:00Z", frozenset({"15m", "4h"}), TWAP_60),
    Dated("2026-08-14T00:00:00Z", frozenset({"5m"}), TWAP_60),
)
"""By date, the later winning."""


@dataclass(frozen=True)
class Rule:
    """Settlement rule of one market."""

    text: str  # as the market master has it: "chainlink twap 60s"
    stated_by: Literal["market", "date"]
    instrument: str | None  # both boundary prices are of it; None: no feed here carries what decides
    missing: str = ""  # where there is no instrument: what is missing

    def __str__(self) -> str:
        return f"{self.text} (by {self.stated_by})"


def stated(row: Mapping[str, Any], source: str, asset: str | None = None) -> str | None:
    """Return the settlement that a market's row states; None: nothing known.

    source: its resolutionSource; asset: of a round. The page of another asset's stream is nothing known.
    """
    config = row.get("cryptoMarketConfig")
    config = config if isinstance(config, dict) else {}
    if config.get("twapEnabled") is True and config.get("twapLookbackSeconds"):
        return f"chainlink twap {config['twapLookbackSeconds']}s"
    if page := _STREAM.search(source):
        if asset is not None and page[1] != asset.lower():
            return None
        return f"chainlink twap {page[3]}s" if page[3] else SPOT
    if not source and config.get("twapEnabled") is False and config.get("duration") in ("5m", "15m", "4h"):
        return SPOT
    return BINANCE if "binance.com" in source else None


def by_date(duration: str, start_ns: int) -> str | None:
    """Return the rule by the dates for a round that starts then (ns)."""
    found = [each for each in DATED if duration in each.durations and from_iso(each.since) <= start_ns]
    return max(found, key=lambda each: each.since).rule if found else None


def rule_of(asset: str, duration: str, start_ns: int, said: str | None) -> Rule:
    """Return the rule of a round.

    said: the market's own statement (`Market.rule`), which wins over the dates.
    """
    text = said or by_date(duration, start_ns) or "none"
    by: Literal["market", "date"] = "market" if said else "date"
    if text == SPOT:
        return Rule(text, by, spot(asset))
    if window := _TWAP.fullmatch(text):
        return Rule(text, by, twap(asset, int(window[1])))
    if text == BINANCE:
        return Rule(text, by, None, f"the Binance candles of {asset}USDT")
    return Rule(text, by, None, f"a rule that is known here: the market settles on {text!r}")


def spot(asset: str) -> str:
    """Return the spot instrument of an asset: `chainlink:btc-usd`."""
    return f"chainlink:{asset.lower()}-usd"


def twap(asset: str, window_s: int) -> str:
    """Return the TWAP instrument of an asset: `chainlink:btc-usd-twap-60s`."""
    return f"{spot(asset)}-twap-{window_s}s"


def instrument_of(topic: str, symbol: str, asset: str, window_s: int | None) -> str | None:
    """Return the instrument of a topic of RTDS; None for one that is not known."""
    if topic == "crypto_prices":
        return f"binance:{symbol.lower()}"
    if topic == "crypto_prices_chainlink":
        return spot(asset)
    return twap(asset, window_s) if topic.startswith("crypto_prices_twap_") and window_s else None


def winner(strike_e18: int, settlement_e18: int) -> Outcome:
    """Return the winning outcome; a tie is Up."""
    return "Up" if settlement_e18 >= strike_e18 else "Down"
