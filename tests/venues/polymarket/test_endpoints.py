from __future__ import annotations

import pytest

from marketarchive.venues.polymarket import endpoints


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (endpoints.MARKETS_KEYSET, "gamma_markets"),
        (endpoints.market_by_slug("x"), "gamma_markets"),
        (endpoints.event_by_slug("x"), "gamma_events"),
        (endpoints.SERIES, "gamma"),
        (endpoints.BOOK, "clob_book"),
        (endpoints.BOOKS, "clob_books"),
        ("https://clob.polymarket.com/markets/0x1", "clob"),
        ("https://clob.polymarket.com", "clob"),
        (endpoints.RESOLUTIONS, "data"),
        (endpoints.TRADES, "data_trades"),
        (endpoints.TRADES_V1, "data_trades"),
    ],
)
def test_each_url_counts_against_one_limit(url: str, expected: str) -> None:
    assert endpoints.endpoint_class(url) == expected
    assert endpoints.LIMITS[expected] > 0


def test_other_hosts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"example\.com"):
        endpoints.endpoint_class("https://example.com/book")
