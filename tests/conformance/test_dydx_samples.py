"""Recorded answers of dYdX's indexer, and what they come to by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketarchive.times import from_iso
from marketarchive.venues.dydx import queries
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import CandlesRow, FundingsRow, InstrumentsRow, OpenInterestRow
from tests.conformance.perp_samples import NOW, answered, needs_samples, row, sample

pytestmark = needs_samples

BITCOIN = Series("BTC", symbols("dydx")["BTC"], "funding")
DAY = Range(1_765_152_000_000, 1_765_238_400_000)
MINUTES = queries.candles(BITCOIN._replace(kind="trade", step_s=60), DAY)


def test_funding() -> None:
    payload = sample("dydx", "v4_historicalFunding_BTC-USD")
    found = answered("dydx", queries.funding_rates(BITCOIN, DAY), payload)
    assert [row(each, "rate", "index_price", "interval_s") for each in found.statements] == [
        (Decimal("0.000002375"), Decimal("89993.8"), 3600),
        (Decimal("0.000000375"), Decimal("90860.48604"), 3600),
        (Decimal("0.000000625"), Decimal("91459.59191"), 3600),
    ]  # newest first
    assert row(found.statements[0], "asset", "kind", "mark_price", "event_time") == (
        "BTC", "settled", None, from_iso("2025-12-08T16:00:00.219Z"),
    )  # fmt: skip
    assert found.keys[-1] == "1765202400112"
    [one] = answered(
        "dydx", queries.funding_rates(BITCOIN, DAY), sample("dydx", "ccxt_historicalFunding")
    ).statements
    assert row(one, "rate", "event_time") == (Decimal("0.000176"), from_iso("2025-07-29T05:00:01.053Z"))


def test_a_candle_says_volume_the_middle_of_the_book_and_open_interest() -> None:
    found = answered("dydx", MINUTES, sample("dydx", "v4_candles_perpetualMarkets_BTC-USD_1MIN")).statements
    trade, mark = found[:2]
    interest = next(each for each in found if isinstance(each, OpenInterestRow))
    assert isinstance(trade, CandlesRow)
    assert row(trade, "source", "open", "high", "low", "close", "volume", "volume_quote") == (
        "trade", Decimal(89934), Decimal(89970), Decimal(89911), Decimal(89941), Decimal("3.2767"),
        Decimal("294697.4391"),
    )  # fmt: skip
    assert row(mark, "source", "open", "high", "low", "close", "volume") == (
        "mark", Decimal("89969.75"), None, None, Decimal("89969.75"), None,
    )  # fmt: skip
    assert row(interest, "amount", "event_time") == (Decimal("381.7348"), from_iso("2025-12-08T16:11:00Z"))
    assert len(found) == 9


def test_an_empty_candle_keeps_its_price() -> None:
    trade, mark, interest = answered("dydx", MINUTES, sample("dydx", "ccxt_candles")).statements
    assert row(trade, "open", "close", "volume") == (Decimal(118810), Decimal(118810), Decimal(0))
    assert (mark.open, interest.amount) == (Decimal("118930.25"), Decimal("59.0763"))


def test_the_present() -> None:
    found = answered("dydx", queries.markets(), sample("dydx", "v4_perpetualMarkets"))
    of_bitcoin = [each for each in found.statements if each.asset == "BTC"]
    listed, expected, interest = of_bitcoin
    assert isinstance(listed, InstrumentsRow)
    assert row(listed, "market", "status", "quote", "funding_interval_s") == (
        "BTC-USD",
        "ACTIVE",
        "USD",
        3600,
    )
    assert isinstance(expected, FundingsRow)
    # 0.00000254545454545455: what tables hold of it
    assert row(expected, "kind", "rate", "index_price", "event_time") == (
        "predicted", Decimal("0.000002545454545454"), Decimal("89919.2"), NOW,
    )  # fmt: skip
    assert interest.amount == Decimal("381.7348")  # not baseOpenInterest, 782.0931
    assert len(found.items) == 2


def test_a_contract_that_ended_is_listed_and_has_nothing_else() -> None:
    found = answered("dydx", queries.markets(), sample("dydx", "v4_perpetualMarkets_2026-09_trimmed"))
    ended = [each for each in found.statements if each.market == "MATIC-USD"]
    assert [each.status for each in ended if isinstance(each, InstrumentsRow)] == ["FINAL_SETTLEMENT"]
    assert len(ended) == 1
    rates = {each.market: each.rate for each in found.statements if isinstance(each, FundingsRow)}
    assert rates["ETH-USD"] == Decimal("-0.000000227678571428")


@pytest.mark.parametrize("name", ["ccxt_candles", "ccxt_historicalFunding"])
def test_keys_are_the_times_of_rows(name: str) -> None:
    query = MINUTES if "candles" in name else queries.funding_rates(BITCOIN, DAY)
    found = answered("dydx", query, sample("dydx", name))
    assert found.keys == ["1753767960000" if "candles" in name else "1753765201053"]
