"""Rows of a tick of perpetuals: of what its answers said, also where some of them failed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.collecting.perp_ticks import PerpTick
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.times import SECOND, from_iso, iso, utc
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.perp_record import PerpRecord
from marketarchive.venues.perps import Series
from marketarchive.venues.table_rows import FundingsRow, OpenInterestRow, ReferencePricesRow

TICK = from_iso("2026-11-20T10:00:00Z")
CONTRACTS = [Series(asset, {"symbol": f"{asset}-X"}, "funding") for asset in ("BTC", "ETH")]
QUERIES = [
    Query(Endpoint(name, f"https://example.org/{name}", Limit("x", 1)), {"symbol": asset})
    for asset in ("BTC", "ETH")
    for name in ("rates", "interest")
]


def answer(seq: int, *statements: Any, is_there: bool = True) -> Answer:
    parsed = Parsed(statements=list(statements)) if is_there else None
    request = PendingRequest(QUERIES[0], lambda _: (), "perps")
    return Answer(request, 200, parsed, TICK + seq * SECOND, seq)


def expected(market: str, **more: Any) -> FundingsRow:
    return FundingsRow(market=market, event_time=TICK, kind="predicted", rate=Decimal("0.0001"), **more)


def interest(market: str) -> OpenInterestRow:
    return OpenInterestRow(market=market, event_time=TICK, amount=Decimal("12.50"), rule="as it is")


def after(answers: Iterable[Answer]) -> list[PerpRecord]:
    tick = PerpTick("acme", TICK, CONTRACTS, QUERIES)
    return [row for each in answers for row in tick.add(each)]


def test_rows_come_with_the_last_answer() -> None:
    answers = [answer(1, expected("BTC-X")), answer(2, interest("BTC-X")), answer(3, is_there=False)]
    assert after(answers) == []
    first, second = after([*answers, answer(4, interest("ETH-X"), interest("DOGE-X"))])
    assert (first.series, first.asset, first.market_id) == ("perps_acme_btc", "BTC", "BTC-X")
    assert (first.funding_rate, first.open_interest) == (Decimal("0.0001"), Decimal("12.50"))
    assert (first.seq, first.received_at) == (2, TICK + 2 * SECOND)  # the newest that said something of it
    assert first.source == "/rates, /interest"
    assert (second.is_observed, second.funding_rate, second.open_interest) == (1, None, Decimal("12.50"))
    assert first.problem() is second.problem() is None


def test_a_contract_of_which_nothing_came_has_a_row_without_values() -> None:
    first, second = after(answer(seq, is_there=False) for seq in (1, 2, 3, 4))
    for row in (first, second):
        assert (row.is_observed, row.seq, row.problem()) == (0, 0, None)
        kept = row.columns()
        assert {name for name, value in kept.items() if value is not None} == {
            *("timestamp", "asset", "market_id", "is_observed", "source", "run"),
        }
        assert kept["timestamp"] == iso(TICK)


def test_prices_that_stand_alone_and_rates_of_two_sides() -> None:
    mark, index = (
        ReferencePricesRow(topic=topic, symbol="B", asset="BTC", event_time=TICK, value=Decimal(value))
        for topic, value in (("mark", 70_001), ("index", 70_000))
    )
    rate = FundingsRow(
        market="ETH-X", event_time=TICK, kind="continuous", rate="0.2", rate_short="0.1", interval_s=3600
    )
    settled = FundingsRow(market="ETH-X", event_time=TICK, kind="settled", rate="0.9")
    first, second = after([answer(1, mark), answer(2, index), answer(3, rate, settled), answer(4)])
    assert (first.mark, first.index, first.funding_rate) == (Decimal(70_001), Decimal(70_000), None)
    assert (second.funding_kind, second.funding_rate, second.funding_rate_short) == (
        "continuous", Decimal("0.2"), Decimal("0.1"),
    )  # fmt: skip
    assert second.funding_interval_s == 3600


@pytest.mark.parametrize("price", ["0", "-1", "NaN"])
def test_a_price_that_is_none_spoils_its_row(price: str) -> None:
    row = PerpRecord(
        venue="acme", feed="perps", received_at=TICK, seq=1, timestamp=utc(TICK),
        asset="BTC", market_id="BTC-X", mark=Decimal(price) if price != "NaN" else None,
        open_interest=Decimal(-1), is_observed=1, source="x",
    )  # fmt: skip
    problem = row.problem()
    assert problem is not None
    assert problem[0] == ("open_interest" if price == "NaN" else "mark")
    assert row.unobserved().problem() is None
    assert row.unobserved().columns()["open_interest"] is None
