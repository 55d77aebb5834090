"""What venues call assets, and the slugs and pages that follow from it."""

from __future__ import annotations

import re

import pytest

from marketarchive.venues import venues
from marketarchive.venues.chainlink.endpoints import SPOT_FEED_IDS, StreamPage
from marketarchive.venues.polymarket import updown
from marketarchive.venues.polymarket.updown import (
    ASSETS,
    BY_NAME,
    DATED_SLUGS,
    DURATIONS,
    NAMES,
    SECONDS,
    TAG_IDS,
    series_slugs,
)
from marketarchive.venues.symbols import known_assets, symbols

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
def test_known_slugs_are_of_their_asset_and_duration(key: tuple[str, str], slug: str) -> None:
    assert updown.of_slug(slug) == key
    assert (updown.start_of_slug(slug) is None) == (key[1] in DATED_SLUGS)


@pytest.mark.parametrize("asset", ASSETS)
def test_an_asset_is_one_in_every_table(asset: str) -> None:
    assert asset == BY_NAME[asset.lower()] == BY_NAME[NAMES[asset]]
    assert StreamPage(asset, "spot").slug == f"{asset.lower()}-usd-cexprice-streams"
    assert StreamPage(asset, "twap60").slug == f"{asset.lower()}-usd-twap-60s-streams"
    for duration in DURATIONS:
        for slug in series_slugs(asset, duration):
            assert updown.of_series(slug) == (asset, duration)


def test_no_two_assets_share_a_name() -> None:
    assert len(set(SPOT_FEED_IDS.values())) == len(SPOT_FEED_IDS) == len(ASSETS) - 1
    assert all(re.fullmatch("0x0003[0-9a-f]{60}", feed_id) for feed_id in SPOT_FEED_IDS.values())
    assert {"BTC", "ETH", "SOL", "XRP"} <= set(ASSETS)
    series = [slug for asset in ASSETS for duration in DURATIONS for slug in series_slugs(asset, duration)]
    assert len(set(series)) == len(series)
    assert set(SECONDS) == set(TAG_IDS) == set(DURATIONS)


def test_every_venue_has_its_symbols_in_a_file_of_one_form() -> None:
    assert set(known_assets()) >= set(ASSETS)
    assert symbols("none") == {}
    for venue in venues():
        for asset, columns in symbols(venue).items():
            assert re.fullmatch("[A-Z0-9]{2,10}", asset)
            assert all(value == value.strip() for value in columns.values())
