"""Markets, their prices and results."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.kalshi.titles import stated_title
from tests.venues.kalshi.reading import market_of, read, row


def snapshot_of(**said: Any) -> PriceSnapshot | None:
    items = read("/markets", {"markets": [row(**said)], "cursor": ""}).items
    return next((item for item in items if isinstance(item, PriceSnapshot)), None)


def test_a_round() -> None:
    market = market_of(
        floor_strike=63441.03,
        strike_type="greater_or_equal",
        yes_sub_title="Target Price: $63,441.03",
        volume_fp="1575916.05",
        price_ranges=[
            {"start": "0.0000", "end": "0.1000", "step": "0.0010"},
            {"start": "0.1000", "end": "0.9000", "step": "0.0100"},
        ],
        rules_primary="If the simple average of the sixty seconds of CF Benchmarks' BRTI before 1:00 AM",
    )
    assert (market.platform, market.market_id, market.slug) == ("kalshi", *["KXBTC15M-26AUG170100-00"] * 2)
    assert (market.asset, market.duration, market.series) == ("BTC", "15m", "KXBTC15M")
    assert (market.event_id, market.subtitle) == ("KXBTC15M-26AUG170100", "Target Price: $63,441.03")
    assert (market.strike, market.strike_type) == (Decimal("63441.03"), "greater_or_equal")
    assert (market.volume, market.tick_size) == (Decimal("1575916.05"), Decimal("0.001"))
    assert market.rule == "cf benchmarks brti mean 60s"
    assert market.expected_end_at is not None
    assert market.end_at is not None
    assert (market.expected_end_at - market.end_at).total_seconds() == 300
    assert market.outcomes == ("yes", "no")
    assert market.title == "BTC price up in next 15 mins? (Target Price: $63,441.03)"
    assert (market.group, market.neg_risk, market.volume_unit) == ("KXBTC15M-26AUG170100", None, "contracts")
    assert (market.liquidity, market.liquidity_unit) == (None, None)


@pytest.mark.parametrize(
    ("title", "sub_title", "expected"),
    [
        ("Bitcoin price?", "$72,750 or above", "Bitcoin price? ($72,750 or above)"),
        ("Tampa Bay at Dallas", "Dallas", "Tampa Bay at Dallas (Dallas)"),
        ("yes Houston,yes Over 217.5", "yes Houston,yes Over 217.5", "yes Houston,yes Over 217.5"),
        ("Who? (Dallas)", "Dallas", "Who? (Dallas) (Dallas)"),
        ("Who?", None, "Who?"),
        ("Who?", "", "Who?"),
        (None, "Dallas", None),
        ("", "Dallas", None),
    ],
)
def test_a_question_is_the_title_completed_by_what_yes_means(
    title: str | None, sub_title: str | None, expected: str | None
) -> None:
    market = market_of(title=title, yes_sub_title=sub_title)
    assert market.title == expected
    assert stated_title(market.title, market.subtitle) == (title or None)


@pytest.mark.parametrize(
    ("status", "close_time", "closed"),
    [
        ("active", "2026-08-17T05:00:00Z", False),
        ("closed", "2026-08-17T05:00:00Z", True),
        ("finalized", "2026-08-17T05:00:00Z", True),
        ("finalized", "2026-09-17T05:00:00Z", False),  # settled early: a scheduled close, still ahead
    ],
)
def test_a_market_closed_when_its_close_is_over(status: str, close_time: str, closed: bool) -> None:
    market = market_of(status=status, close_time=close_time, result="yes" * (status == "finalized"))
    assert market.closed_at == (market.end_at if closed else None)


def test_combinations_of_one_collection_are_a_group() -> None:
    market = market_of(mve_collection_ticker="KXMVECROSSCATEGORY", event_ticker="KXMVECROSSCATEGORY-S1")
    assert (market.event_id, market.group) == ("KXMVECROSSCATEGORY-S1", "KXMVECROSSCATEGORY")


@pytest.mark.parametrize(
    ("sent", "status", "state"),
    [
        ("initialized", "unopened", None),
        ("active", "active", None),
        ("inactive", "active", None),
        ("closed", "closed", None),
        ("determined", "resolved", "proposed"),
        ("amended", "resolved", "proposed"),
        ("disputed", "resolved", "disputed"),
        ("finalized", "resolved", "final"),
        ("settled", "resolved", "final"),
    ],
)
def test_statuses(sent: str, status: str, state: str | None) -> None:
    market = market_of(status=sent, result="yes")
    assert (market.status, market.resolution_state) == (status, state)
    assert market.resolution == ("yes" if state else None)


def test_a_status_that_nobody_knows_costs_its_row_alone() -> None:
    parsed = read("/markets", {"markets": [row(status="frozen"), row(ticker="KXA-1")], "cursor": "c"})
    assert [error.fields for error in parsed.errors] == [("status",)]
    assert [item.market_id for item in parsed.items if isinstance(item, Market)] == ["KXA-1"]
    assert (parsed.keys, parsed.next_cursor) == (["KXBTC15M-26AUG170100-00", "KXA-1"], "c")


@pytest.mark.parametrize("field", ["ticker", "event_ticker", "status", "close_time"])
def test_a_row_without_what_it_must_have_is_an_error(field: str) -> None:
    bad = row()
    del bad[field]
    (error,) = read("/markets", {"markets": [bad], "cursor": ""}).errors
    assert error.fields == (field,)


@pytest.mark.parametrize("value", [None, "1.0000"])
def test_yes(value: str | None) -> None:
    market = market_of(
        status="finalized",
        result="yes",
        settlement_value_dollars=value,
        expiration_value="63653.21",
        settlement_ts="2026-08-17T05:00:06.040932Z",
    )
    assert (market.result_kind, market.resolution, market.payouts) == ("winner", "yes", ("1", "0"))
    assert market.settlement == Decimal("63653.21")
    assert market.resolved_at is not None


@pytest.mark.parametrize(
    ("value", "payouts"),
    [("0.5000", ("0.5", "0.5")), ("0.0100", ("0.01", "0.99")), ("0.7200", ("0.72", "0.28"))],
)
def test_a_scalar_result_has_payouts_and_no_winner(value: str, payouts: tuple[str, str]) -> None:
    market = market_of(status="finalized", result="scalar", settlement_value_dollars=value)
    assert (market.result_kind, market.resolution, market.payouts) == ("scalar", None, payouts)
    assert market.status == "resolved"


def test_a_result_that_differs_from_its_value_is_kept_and_said() -> None:
    sent = row(status="finalized", result="yes", settlement_value_dollars="0.0000")
    parsed = read("/markets/X", {"market": sent})
    (market,) = (item for item in parsed.items if isinstance(item, Market))
    assert (market.resolution, market.payouts) == ("yes", ("0", "1"))
    assert [error.fields for error in parsed.errors] == [("result", "settlement_value_dollars")]


@pytest.mark.parametrize(
    "said",
    [
        {"result": "scalar"},
        {"result": "maybe"},
        {"result": "yes", "settlement_value_dollars": "1.5"},
        {"result": "yes", "settlement_value_dollars": "NaN"},
        {"floor_strike": "NaN"},
        {"volume_fp": "-1.00"},
        {"close_time": "tomorrow"},
    ],
)
def test_values_that_cannot_be_are_errors(said: dict[str, Any]) -> None:
    parsed = read("/markets", {"markets": [row(status="finalized", **said)], "cursor": ""})
    assert len(parsed.errors) == 1
    assert parsed.items == []


def test_a_market_alone_that_cannot_be_read_raises() -> None:
    with pytest.raises(ParseError, match="frozen"):
        read("/markets/X", {"market": row(status="frozen")})


def test_a_round_without_a_strike_has_none() -> None:
    market = market_of(status="finalized", result="no")
    assert (market.strike, market.strike_source, market.strike_type) == (None, None, None)


def test_the_year_one_is_no_time() -> None:
    assert market_of(expected_expiration_time="0001-01-01T00:00:00Z").expected_end_at is None


@pytest.mark.parametrize(
    ("said", "yes", "spread"),
    [
        ({"yes_bid_dollars": "0.9520", "yes_ask_dollars": "0.9530"}, "0.9525", "0.0010"),
        ({"yes_bid": 6, "yes_ask": 7}, "0.065", "0.01"),  # before 2026-03-12
        # one side is empty: its price is none
        (
            {
                "yes_bid_dollars": "0.9000",
                "yes_bid_size_fp": "8.00",
                "yes_ask_dollars": "0.9900",
                "yes_ask_size_fp": "0.00",
                "last_price_dollars": "0.8800",
            },
            "0.8800",
            None,
        ),
        ({"yes_bid_dollars": "0.0000", "yes_ask_dollars": "0.0000"}, None, None),  # never quoted
        ({"yes_bid_dollars": "0.0000", "yes_ask_dollars": "1.0000"}, None, None),  # empty now
    ],
)
def test_prices(said: dict[str, Any], yes: str | None, spread: str | None) -> None:
    found = snapshot_of(**said)
    assert (None if found is None else found.yes_price) == (None if yes is None else Decimal(yes))
    if found is not None and found.yes_price is not None:
        assert found.no_price == 1 - found.yes_price
        assert found.spread == (None if spread is None else Decimal(spread))


def test_only_markets_that_are_open_have_prices() -> None:
    assert snapshot_of(status="closed", yes_bid_dollars="0.5", yes_ask_dollars="0.6") is None


@pytest.mark.parametrize("nested", [True, False])
def test_an_event_says_series_and_category(nested: bool) -> None:
    event = {"event_ticker": "E", "series_ticker": "S", "category": "Crypto", "mutually_exclusive": True}
    inside, beside = ([row()], []) if nested else ([], [row()])
    parsed = read("/events/E", {"event": {**event, "markets": inside}, "markets": beside})
    (market,) = (item for item in parsed.items if isinstance(item, Market))
    assert (market.series, market.category, market.neg_risk) == ("S", "Crypto", True)
    assert parsed.keys == ["E"]


def test_a_page_of_events() -> None:
    event = {"event_ticker": "E", "series_ticker": "S", "markets": [row()]}
    parsed = read("/events", {"events": [event, {"event_ticker": "F"}], "cursor": None})
    assert (parsed.keys, parsed.next_cursor) == (["E", "F"], None)
    assert [error.fields for error in parsed.errors] == [("series_ticker",)]
    assert len(parsed.items) == 1
