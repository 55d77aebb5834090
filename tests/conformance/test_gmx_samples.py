"""Recorded answers of GMX, and what they come to by hand."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from marketarchive.times import from_iso
from marketarchive.venues.endpoint import Query
from marketarchive.venues.gmx import endpoints
from marketarchive.venues.gmx.rows import prices
from marketarchive.venues.messages import Received
from marketarchive.venues.symbols import symbols
from tests.conformance.perp_samples import NOW, needs_samples, parsed, row, sample

pytestmark = needs_samples


def test_pools() -> None:
    found = parsed("gmx", endpoints.MARKETS, sample("gmx", "gmxinfra_markets"))
    assert len(found.statements) == 15
    by_market = {each.market: each for each in found.statements}
    known = symbols("gmx")
    assert set(known) == {"BTC", "ETH", "AAVE", "UNI", "CRV", "OP", "ARB", "DOGE"}
    for asset, columns in known.items():
        pool = by_market[columns["symbol"]]
        assert row(pool, "asset", "listed_at") == (asset, from_iso(columns["listed_from"]))
    assert len(found.items) == len(known)  # one pool an asset
    assert by_market["0x0Cf1fb4d1FF67A3D8Ca92c9d6643F8F9be8e03E5"].asset is None  # a second one of ETH


def test_decimals_of_the_tokens() -> None:
    listed = msgspec.json.decode(sample("gmx", "gmxinfra_tokens"))["tokens"]
    decimals = {each["symbol"]: each["decimals"] for each in listed}
    for columns in symbols("gmx").values():
        assert int(columns["decimals"]) == decimals[columns["token"]]


def test_tickers() -> None:
    query = Query(endpoints.TICKERS)
    payload = sample("gmx", "gmxinfra_prices_tickers")
    found = prices(Received.answer("gmx", "perps", query, 200, payload, NOW, 1))
    assert found == {
        "ETH": Decimal("1739.495434083952"),  # 18 decimals: / 10**12
        "BTC": Decimal("61536.387027772485"),  # 8 decimals: / 10**22
        "DOGE": Decimal("0.074790404700920445"),  # the middle of two prices
        "UNI": Decimal("3.10600127"),
        "ARB": Decimal("0.0768595298185"),
        "AAVE": Decimal("91.456958048511"),
        "OP": Decimal("0.104457495435"),
        "CRV": Decimal("0.2034467811455"),
    }
