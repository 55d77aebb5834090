"""Settlement rule of an up/down round: which price, at which seconds, compared how.

The market's own statement decides: `cryptoMarketConfig`, else `resolutionSource`. When it makes none, the
rule follows from the date of its start, by the venue's announcements.

K is the price stamped exactly at the start of the window, the settlement that at its exact end, both of the
same instrument. Up if settlement >= K: a tie is Up. Prices are compared as integers of 1e-18 dollars.
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
    """The rule of rounds that start at or after `since`, until the next rule for the same duration."""

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
"""Rules by the date from which they hold; of several that apply the last one counts."""


@dataclass(frozen=True)
class Rule:
    """The settlement rule of one market."""

    text: str  # as in the market master: "chainlink twap 60s"
    stated_by: Literal["market", "date"]
    # instrument of both boundary prices; None: the prices that decide are in no feed of this project
    instrument: str | None
    missing: str = ""  # where there is no instrument: what is missing

    def __str__(self) -> str:
        return f"{self.text} (by {self.stated_by})"


def stated(row: Mapping[str, Any], source: str, asset: str | None = None) -> str | None:
    """Return the settlement source that a market's row states; None when it states none that is known.

    source: its resolutionSource; asset: of a round. The page of another asset's stream counts as not known.
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
    """Return the rule by date for a round that starts at `start_ns` (wall clock, ns); None without one."""
    found = [each for each in DATED if duration in each.durations and from_iso(each.since) <= start_ns]
    return max(found, key=lambda each: each.since).rule if found else None


def rule_of(asset: str, duration: str, start_ns: int, said: str | None) -> Rule:
    """Return the rule of a round.

    start_ns: start, wall clock, ns; said: settlement source that the market states (`Market.rule`), which
    takes precedence over the rule by date; None: it states none.
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
    """Return the name of an asset's spot instrument: `chainlink:btc-usd`."""
    return f"chainlink:{asset.lower()}-usd"


def twap(asset: str, window_s: int) -> str:
    """Return the name of an asset's TWAP instrument: `chainlink:btc-usd-twap-60s`. window_s: its seconds."""
    return f"{spot(asset)}-twap-{window_s}s"


def instrument_of(topic: str, symbol: str, asset: str, window_s: int | None) -> str | None:
    """Return the name of the instrument that a topic of RTDS publishes; None for an unknown topic.

    window_s: seconds over which its prices are averaged, None for spot.
    """
    if topic == "crypto_prices":
        return f"binance:{symbol.lower()}"
    if topic == "crypto_prices_chainlink":
        return spot(asset)
    return twap(asset, window_s) if topic.startswith("crypto_prices_twap_") and window_s else None


def winner(strike_e18: int, settlement_e18: int) -> Outcome:
    """Return the winning outcome of a round; equal prices give Up.

    strike_e18, settlement_e18: prices at its start and end, in units of 1e-18 dollars.
    """
    return "Up" if settlement_e18 >= strike_e18 else "Down"
