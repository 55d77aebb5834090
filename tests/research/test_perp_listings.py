"""What venues list otherwise than the shipped symbols say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marketarchive.research.products.perps.listings import differences
from marketarchive.venues.symbols import symbols


def contracts(venue: str) -> dict[str, dict[str, Any]]:
    """What a venue would list if it were as its file says."""
    found = {}
    for row in symbols(venue).values():
        days = {
            name: datetime.fromisoformat(row[column]).replace(hour=8, tzinfo=UTC) if row[column] else None
            for name, column in (("listed_at", "listed_from"), ("delisted_at", "listed_to"))
        }
        size = Decimal(row["contract_size"]) if row["contract_size"] else None
        status = {"okx": "live", "hyperliquid": "listed"}.get(venue, "TRADING")
        found[row["symbol"]] = {"status": status, "quote": row["quote"], "contract_size": size, **days}
    return found


def changed(venue: str, symbol: str, **to: Any) -> list[tuple[str, ...]]:
    listed = contracts(venue)
    listed[symbol] = {**listed[symbol], **to}
    return [tuple(each[1:]) for each in differences(venue, listed)]


def test_what_is_as_it_is_shipped_has_no_difference() -> None:
    for venue in ("binance", "okx"):
        assert list(differences(venue, contracts(venue))) == []


def test_what_the_file_leaves_open_is_no_difference() -> None:
    day = datetime(2021, 3, 4, tzinfo=UTC)
    assert changed("okx", "OP-USDT-SWAP", contract_size=Decimal("1.0"), listed_at=day) == []


def test_each_column_is_compared() -> None:
    name = "BTC-USDT-SWAP"
    assert changed("okx", name, contract_size=Decimal("0.0100")) == []
    assert changed("okx", name, contract_size=Decimal("0.1")) == [
        ("BTC", name, "contract_size", "0.01", "0.1")
    ]
    assert changed("okx", name, quote="USDC") == [("BTC", name, "quote", "USDT", "USDC")]
    assert changed("okx", name, status="suspend") == [("BTC", name, "status", "", "suspend")]
    ended = datetime(2026, 12, 1, tzinfo=UTC)
    assert changed("okx", name, delisted_at=ended) == [("BTC", name, "listed_to", "", "2026-12-01")]
    day = datetime(2019, 9, 9, tzinfo=UTC)
    assert changed("binance", "BTCUSDT", listed_at=day) == [
        ("BTC", "BTCUSDT", "listed_from", "2019-09-08", "2019-09-09")
    ]


def test_a_contract_that_ended_may_be_gone_another_not() -> None:
    listed = contracts("binance")
    del listed["A2ZUSDT"]
    assert list(differences("binance", listed)) == []
    del listed["ARBUSDT"]
    assert [tuple(each) for each in differences("binance", listed)] == [
        ("binance", "ARB", "ARBUSDT", "symbol", "ARBUSDT", "not listed")
    ]


def test_a_contract_that_ended_may_be_listed_again() -> None:
    assert changed("binance", "A2ZUSDT", delisted_at=None) == [
        ("A2Z", "A2ZUSDT", "listed_to", "2026-03-24", "TRADING")
    ]
    assert changed("binance", "A2ZUSDT", delisted_at=None, status="SETTLING") == []
