from __future__ import annotations

import re

import pytest

from marketarchive.venues.assets import ASSETS, BY_NAME, DATED_SLUGS, DURATIONS, SECONDS, TAG_IDS
from marketarchive.venues.polymarket import updown

# as the venue wrote them
SLUGS = {
    ("BTC", "5m"): "btc-updown-5m-1784853900",
    ("BTC", "15m"): "btc-up-or-down-15m-1761000300",
    ("ETH", "15m"): "eth-updown-15m-1784853900",
    ("BTC", "4h"): "btc-updown-4h-1787457600",
    ("BTC", "1h"): "bitcoin-up-or-down-july-7-2026-12am-et",
    ("SOL", "1h"): "solana-up-or-down-january-7-3am-et",
    ("BTC", "1d"): "bitcoin-up-or-down-on-february-17",
    ("ZEC", "5m"): "zec-updown-5m-1787457600",
}


@pytest.mark.parametrize(("key", "slug"), SLUGS.items())
def test_known_slugs_begin_as_their_asset_says(key: tuple[str, str], slug: str) -> None:
    asset, duration = key
    assert slug.startswith(ASSETS[asset].slug_prefixes)
    assert updown.of_slug(slug) == (asset, duration)
    assert not any(slug.startswith(other.slug_prefixes) for name, other in ASSETS.items() if name != asset)
    assert (updown.start_of_slug(slug) is None) == (duration in DATED_SLUGS)


@pytest.mark.parametrize("symbol", ASSETS)
def test_an_asset_is_one_in_every_table(symbol: str) -> None:
    asset = ASSETS[symbol]
    assert asset.symbol == symbol == BY_NAME[asset.short] == BY_NAME[asset.name]
    assert asset.feed_id is None or re.fullmatch("0x0003[0-9a-f]{60}", asset.feed_id)
    assert asset.spot_page == f"{symbol.lower()}-usd-cexprice-streams"
    assert asset.twap_page(60) == f"{symbol.lower()}-usd-twap-60s-streams"
    for duration in DURATIONS:
        for slug in asset.series(duration):
            assert updown.of_series(slug) == (symbol, duration)
    assert all(re.fullmatch(r"KX[A-Z]+15M", series) for series in asset.kalshi.values())
    assert asset.spot["coinbase"] == f"{symbol}-USD"
    assert asset.spot["kraken"] == f"{symbol}/USD"
    assert asset.spot["gemini"] == asset.spot["bitstamp"] == f"{symbol.lower()}usd"
    assert asset.perps["okx"] == f"{symbol}-USDT-SWAP"


def test_no_two_assets_share_a_name() -> None:
    feeds = [asset.feed_id for asset in ASSETS.values() if asset.feed_id]
    assert len(set(feeds)) == len(feeds) == len(ASSETS) - 1
    assert {"BTC", "ETH", "SOL", "XRP"} <= set(ASSETS)
    series = [slug for asset in ASSETS.values() for duration in DURATIONS for slug in asset.series(duration)]
    assert len(set(series)) == len(series)
    assert set(SECONDS) == set(TAG_IDS) == set(DURATIONS)
