"""Recorded answers of Velocity, and what they come to by hand."""

from __future__ import annotations

from decimal import Decimal

from marketarchive.times import from_iso
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Received
from marketarchive.venues.table_rows import FundingsRow, InstrumentsRow, OpenInterestRow
from marketarchive.venues.velocity import endpoints
from marketarchive.venues.velocity.rows import parse
from tests.conformance.perp_samples import NOW, needs_samples, parsed, row, sample

pytestmark = needs_samples


def test_settlements() -> None:
    query = Query(endpoints.FUNDINGS, {"limit": "3"}, {"symbol": "BTC-PERP"})
    payload = sample("drift", "market_BTC-PERP_fundingRates")
    found = parse(Received.answer("velocity", "perps", query, 200, payload, NOW, 1))
    assert found.errors == []
    newest, _, oldest = found.statements
    assert row(newest, "asset", "kind", "interval_s", "event_time") == (
        "BTC", "settled", 3600, from_iso("2026-09-13T22:01:00Z"),
    )  # fmt: skip
    assert newest.rate == Decimal("0.000082748344045838")  # 6.399237833 / 77333.726817
    assert newest.rate_short == newest.rate
    assert row(oldest, "mark_price", "index_price") == (Decimal("77426.786640"), Decimal("77262.392462"))


def test_the_present() -> None:
    found = parsed("velocity", endpoints.MARKETS, sample("drift", "stats_markets")).statements
    by_kind = {(type(each), each.market): each for each in found}
    assert {market for _, market in by_kind} == {"SOL-PERP", "BTC-PERP", "ETH-PERP"}  # spot is left out
    bitcoin = by_kind[FundingsRow, "BTC-PERP"]
    assert row(bitcoin, "kind", "rate", "rate_short") == (
        "predicted", Decimal("0.00008181"), Decimal("0.00008181"),
    )  # "-0.008181": longs pay 0.008181 % an hour  # fmt: skip
    solana = by_kind[OpenInterestRow, "SOL-PERP"]
    assert row(solana, "amount", "amount_long", "amount_short") == (
        Decimal("257.74"), Decimal("257.74"), Decimal("38.22"),
    )  # fmt: skip
    assert row(by_kind[InstrumentsRow, "SOL-PERP"], "taker_bps", "maker_bps", "status") == (
        Decimal(2), Decimal("-0.25"), "active",
    )  # fmt: skip
