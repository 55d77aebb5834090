"""Recorded answers of Hyperliquid's perpetuals, and what they come to by hand."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise

from marketarchive.items import Market
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.hyperliquid import queries
from marketarchive.venues.messages import Parsed
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import FundingsRow, OpenInterestRow
from tests.conformance.perp_samples import NOW, answered, needs_samples, row, sample

pytestmark = needs_samples

KNOWN = symbols("hyperliquid")
BITCOIN = Series("BTC", KNOWN["BTC"], "funding")
YEAR = Range(1_683_849_600_000, 1_690_000_000_000)


def fundings(name: str) -> Parsed:
    return answered("hyperliquid", queries.funding_rates(BITCOIN, YEAR), sample("hyperliquid", name))


def test_funding_became_hourly() -> None:
    found = fundings("fundingHistory_BTC_2023").statements
    assert len(found) == 1038
    assert row(found[0], "asset", "kind", "rate", "interval_s", "event_time") == (
        "BTC", "settled", Decimal("-0.00061334"), 28_800, from_iso("2023-05-12T00:00:00.048Z"),
    )  # fmt: skip
    assert Counter(each.interval_s for each in found) == {28_800: 82, 3_600: 956}
    apart = {
        (now.interval_s, round((now.event_time - old.event_time) / SECOND / 3600))
        for old, now in pairwise(found)
    }
    assert apart == {(28_800, 8), (3600, 1), (3600, 2)}  # an hour is missing: 2023-07-02T18:00Z


def test_the_last_rate_of_eight_hours() -> None:
    found = {each.event_time: each for each in fundings("fundingHistory_BTC_2023").statements}
    last = found[1_686_182_400_254 * 10**6]
    after = min(at for at in found if at > last.event_time)
    assert (last.interval_s, found[after].interval_s) == (28_800, 3600)
    assert round((after - last.event_time) / SECOND) == 3600


def test_funding_up_to_an_end() -> None:
    found = fundings("fundingHistory_BTC_2023_end").statements
    assert len(found) == 34
    assert found[-1].event_time <= 1_684_811_870_000 * 10**6
    # -0.00061334 - 0.00074503 - 0.00081798
    assert sum(each.rate for each in found[:3]) == Decimal("-0.00217635")


def test_candles_of_a_thousand() -> None:
    requested = queries.candles(Series("PEPE", KNOWN["PEPE"], "trade", 3600), YEAR)
    first, *others = answered(
        "hyperliquid", requested, sample("hyperliquid", "candleSnapshot_kPEPE_1h")
    ).statements
    assert row(first, "market", "asset", "source", "interval_s", "is_closed") == (
        "kPEPE", "PEPE", "trade", 3600, True,
    )  # fmt: skip
    assert row(first, "open", "high", "low", "close") == tuple(
        map(Decimal, ("0.000001601", "0.000001616", "0.000001601", "0.000001604"))
    )
    assert row(first, "volume", "volume_quote") == (Decimal(520_665_683_000), None)
    assert first.event_time == from_iso("2023-05-21T20:00:00Z")
    steps = {now.event_time - old.event_time for old, now in pairwise([first, *others])}
    assert steps == {3600 * SECOND}


def test_the_present_joins_by_place() -> None:
    payload = sample("hyperliquid", "metaAndAssetCtxs_2026-09_trimmed")
    found = answered("hyperliquid", queries.present(), payload)
    expected = [each for each in found.statements if isinstance(each, FundingsRow)]
    assert [row(each, "market", "kind", "rate", "mark_price", "index_price") for each in expected] == [
        ("BTC", "predicted", Decimal("0.0000083651"), Decimal("77748.0"), Decimal("77783.3")),
        ("ETH", "predicted", Decimal("0.0000125"), Decimal("2573.22"), Decimal("2574.42")),
    ]  # the one that ended has none
    interest = [each for each in found.statements if isinstance(each, OpenInterestRow)]
    assert [row(each, "asset", "amount", "event_time") for each in interest] == [
        ("BTC", Decimal("35818.6831799999"), NOW),
        ("ETH", Decimal("1025206.9310000007"), NOW),
    ]


def test_a_context_of_the_socket_is_the_same() -> None:
    sent = json.loads(sample("hyperliquid", "ws_activeAssetCtx"))["data"]
    document = json.dumps([{"universe": [{"name": sent["coin"]}]}, [sent["ctx"]]]).encode()
    expected, interest = answered("hyperliquid", queries.present(), document).statements
    assert row(expected, "market", "rate", "mark_price", "index_price") == (
        "MOODENG", Decimal("0.00004863"), Decimal("0.19963"), Decimal("0.1995"),
    )  # fmt: skip
    assert interest.amount == Decimal(18_617_460)


def test_instruments() -> None:
    found = answered("hyperliquid", queries.instruments(), sample("hyperliquid", "meta_2023-07"))
    assert len(found.statements) == 28
    known = {each.asset: each for each in found.statements if each.asset is not None}
    assert known.keys() == {"BTC", "ETH", "OP", "ARB", "DOGE", "CRV", "PEPE"}
    assert row(known["PEPE"], "market", "multiplier", "status", "listed_at") == (
        "kPEPE", Decimal(1000), "listed", None,
    )  # fmt: skip
    listed = [item for item in found.items if isinstance(item, Market)]
    assert {item.market_id for item in listed} == {each.market for each in known.values()}
