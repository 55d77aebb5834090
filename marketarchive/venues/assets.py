"""What each asset is called by every venue, in one place.

A symbol that stands here is how the venue would write it, not proof that it lists it today: perpetuals above
all are to be looked up in the venue's own list of instruments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asset:
    """One asset against the dollar; None where no source names it."""

    symbol: str  # BTC
    name: str  # as hourly and daily slugs write it: bitcoin
    feed_id: str | None  # of the Chainlink data stream of the spot price
    kalshi: Mapping[str, str] = field(default_factory=dict)  # duration -> series ticker
    spot: Mapping[str, str] = field(default_factory=dict)  # venue -> symbol
    perps: Mapping[str, str] = field(default_factory=dict)  # venue -> symbol

    @property
    def short(self) -> str:
        """As numbered slugs, pages and topics write it: btc."""
        return self.symbol.lower()

    @property
    def spot_page(self) -> str:
        """Slug of the page with the spot price; `btc-usd` is another name of the same page."""
        return f"{self.short}-usd-cexprice-streams"

    def twap_page(self, window_s: int) -> str:
        """Slug of the page with the mean of the last `window_s` seconds."""
        return f"{self.short}-usd-twap-{window_s}s-streams"

    @property
    def slug_prefixes(self) -> tuple[str, ...]:
        """What slugs of Polymarket's rounds begin with, numbered ones first."""
        return (f"{self.short}-updown-", f"{self.short}-up-or-down-", f"{self.name}-up-or-down-")

    def series(self, duration: str) -> tuple[str, ...]:
        """Candidates for the slug of Polymarket's series, the likelier first."""
        ending = _SERIES_ENDINGS[duration]
        if duration in DATED_SLUGS:  # hourly Solana was seen under both
            return tuple(f"{name}-up-or-down-{ending}" for name in dict.fromkeys((self.short, self.name)))
        return (f"{self.short}-up-or-down-{ending}",)


DURATIONS = ("5m", "15m", "1h", "4h", "1d")
SECONDS = {"5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
"""How long a round usually is. Windows of 4h, 1h and 1d lie on a US Eastern grid, where a change of clocks
makes one longer or shorter: ask the venue for them, never compute them."""
DATED_SLUGS = frozenset({"1h", "1d"})
"""Durations whose slugs carry a date in US Eastern time; all others carry the start in Unix seconds."""
TAG_IDS = {"5m": "102892", "15m": "102467", "1h": "102175", "4h": "102531", "1d": "102281"}
"""Gamma's tag ids of the durations."""

_SERIES_ENDINGS = {"5m": "5m", "15m": "15m", "1h": "hourly", "4h": "4h", "1d": "daily"}
_ON_VELOCITY = frozenset({"BTC", "ETH", "SOL", "HYPE"})


def _asset(symbol: str, name: str, feed_id: str | None, *, is_on_kalshi: bool = True) -> Asset:
    spot = {
        "coinbase": f"{symbol}-USD",
        "kraken": f"{symbol}/USD",
        "bitstamp": f"{symbol.lower()}usd",
        "gemini": f"{symbol.lower()}usd",
        "binance": f"{symbol}USDT",
    }
    perps = {
        "binance": f"{symbol}USDT",
        "bybit": f"{symbol}USDT",
        "okx": f"{symbol}-USDT-SWAP",
        "dydx": f"{symbol}-USD",
        "hyperliquid": symbol,
        "gmx": symbol,
        "velocity": f"{symbol}-PERP",
    }
    if symbol not in _ON_VELOCITY:
        del perps["velocity"]
    return Asset(
        symbol=symbol,
        name=name,
        feed_id=feed_id,
        kalshi={"15m": f"KX{symbol}15M"} if is_on_kalshi else {},
        spot=spot,
        perps=perps,
    )


# feed ids: BTC and ETH from the pages' own metadata, the others from several public readers of them
ASSETS: dict[str, Asset] = {
    asset.symbol: asset
    for asset in (
        _asset("BTC", "bitcoin", "0x00039d9e45394f473ab1f050a1b963e6b05351e52d71e507509ada0c95ed75b8"),
        _asset("ETH", "ethereum", "0x000362205e10b3a147d02792eccee483dca6c7b44ecce7012cb8c6e0b68b3ae9"),
        _asset("SOL", "solana", "0x0003b778d3f6b2ac4991302b89cb313f99a42467d6c9c5f96f57c29c0d2bc24f"),
        _asset("XRP", "xrp", "0x0003c16c6aed42294f5cb4741f6e59ba2d728f0eae2eb9e6d3f555808c59fc45"),
        _asset("DOGE", "dogecoin", "0x000356ca64d3b32135e17dc0dc721a645bf50d0303be8ceb2cdca0a50bab8fdc"),
        _asset("BNB", "bnb", "0x000335fd3f3ffa06cfd9297b97367f77145d7a5f132e84c736cc471dd98621fe"),
        _asset("HYPE", "hyperliquid", "0x0003d34539af562867c3cb309b59efccf40e74b404fb415eeb7699d61322aed9"),
        _asset("ZEC", "zcash", None, is_on_kalshi=False),
    )
}
"""By symbol. Polymarket has had rounds of all of them: ZEC since August 2026."""

BY_NAME: dict[str, str] = {
    name: asset.symbol for asset in ASSETS.values() for name in (asset.name, asset.short)
}
"""What slugs call an asset -> its symbol."""
