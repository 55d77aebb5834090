from __future__ import annotations

import pytest

from marketarchive.venues.polymarket import updown


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("btc-updown-5m-1784853900", ("BTC", "5m")),
        ("hype-updown-15m-1784853900", ("HYPE", "15m")),
        ("btc-up-or-down-15m-1761000300", ("BTC", "15m")),
        ("btc-updown-4h-1787457600", ("BTC", "4h")),
        ("bitcoin-up-or-down-january-7-3am-et", ("BTC", "1h")),
        ("solana-up-or-down-july-7-2026-12am-et", ("SOL", "1h")),
        ("bitcoin-up-or-down-on-february-17", ("BTC", "1d")),
        ("xrp-up-or-down-on-february-17-2026", ("XRP", "1d")),
        ("btc-updown-1h-1784853900", None),
        ("doubloon-updown-5m-1784853900", None),
        ("will-bitcoin-go-up-or-down", None),
        ("btc-updown-5m-1784853900-again", None),
    ],
)
def test_a_slug_names_its_asset_and_duration(slug: str, expected: tuple[str, str] | None) -> None:
    assert updown.of_slug(slug) == expected


def test_numbered_slugs_carry_their_start() -> None:
    assert updown.start_of_slug("btc-updown-5m-1784853900") == 1784853900
    assert updown.start_of_slug("bitcoin-up-or-down-on-february-17") is None
    assert updown.of_slug(updown.slug_of("ETH", "4h", 1787457600)) == ("ETH", "4h")
    with pytest.raises(ValueError, match="series"):
        updown.slug_of("BTC", "1d", 1787457600)


def test_every_series_slug_leads_back() -> None:
    assert updown.series_slugs("BTC", "5m") == ("btc-up-or-down-5m",)
    assert updown.series_slugs("SOL", "1h") == ("sol-up-or-down-hourly", "solana-up-or-down-hourly")
    for asset in updown.ASSETS:
        for duration in updown.DURATIONS:
            for slug in updown.series_slugs(asset, duration):
                assert updown.of_series(slug) == (asset, duration)
    assert updown.of_series("counter-strike") is None
