"""The simulated rounds: one world of prices, results that follow from it, and oddities that do not."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest

from marketarchive.items import Market
from marketarchive.simulator.kalshi.rounds import LIVE_S, ODDITIES, SERIES, SimRound, is_paused
from marketarchive.simulator.prices import prices_of
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.tickers import market_facts
from tests.simulator.kalshi.requesting import AT, MAINTENANCE, read, venue


@pytest.fixture(scope="module")
def days() -> list[SimRound]:
    """The rounds of three days: made for these tests, not by each worker that collects them."""
    return list(venue().rounds.between(AT - 3 * 86_400, AT))


def market_at(ticker: str, second: int) -> Market:
    (market,) = (item for item in read(queries.market(ticker), second).items if isinstance(item, Market))
    return market


@pytest.mark.process
def test_a_final_value_is_the_next_rounds_strike_and_a_mean_of_the_worlds_prices(
    days: list[SimRound],
) -> None:
    for series, asset in SERIES.items():
        rounds = [each for each in days if each.series == series]
        for first, second in pairwise(rounds):
            assert first.final == second.true_strike
            mean = sum(prices_of(1).spot(asset, at) for at in range(first.end - 59, first.end + 1)) / 60
            assert abs(first.final - Decimal(mean) / 10**18) < Decimal("0.01")
        assert len({each.ticker for each in rounds}) == len(rounds)


def test_results_follow_from_the_values_but_of_odd_rounds(days: list[SimRound]) -> None:
    odd = Counter(each.oddity for each in days)
    assert set(odd) == {None, *ODDITIES}
    assert odd[None] > 0.85 * len(days)
    for each in days:
        expected = "yes" if each.final >= each.true_strike else "no"
        match each.oddity:
            case "scalar":
                assert (each.result, each.value) == ("scalar", Decimal("0.5"))
            case "differs":
                assert each.result not in (expected, "scalar")
            case "no_strike":
                assert (each.result, each.strike) == ("no", None)
            case "never_settled":
                assert each.finalized is None
            case _:
                assert each.result == expected
        assert (each.strike == each.true_strike) == (each.oddity not in ("no_strike", "implausible_strike"))


def test_the_life_of_a_round() -> None:
    each = next(found for found in venue().rounds.between(AT, AT + 3600) if found.oddity is None)
    early = market_at(each.ticker, each.start - 1)
    assert (early.status, early.strike, early.strike_type) == ("unopened", None, None)
    assert market_at(each.ticker, each.start).strike is None
    opened = market_at(each.ticker, each.start + 1)
    assert (opened.status, opened.strike, opened.strike_type) == ("active", each.strike, "greater_or_equal")
    assert opened.subtitle == f"Target Price: ${each.strike:,}"
    assert market_at(each.ticker, each.end).status == "closed"
    proposed = market_at(each.ticker, each.end + 2)
    assert (proposed.status, proposed.resolution_state) == ("resolved", "proposed")
    final = market_at(each.ticker, each.end + 30)
    assert (final.resolution, final.resolution_state) == (each.result, "final")
    assert final.settlement == each.final
    facts = market_facts(each.ticker)
    assert (facts.asset, facts.start_ns, facts.end_ns) == (each.asset, each.start * 10**9, each.end * 10**9)


def test_odd_rounds_as_they_are_shown(days: list[SimRound]) -> None:
    recent = [each for each in days if each.end > AT - LIVE_S + 60]
    shown = {each.oddity: market_at(each.ticker, AT) for each in recent if each.end < AT - 60 and each.oddity}
    assert len(shown) >= 4
    for oddity, market in shown.items():
        assert (market.strike is None) == (oddity == "no_strike")
        assert (market.status == "closed") == (oddity == "never_settled")
        assert (market.result_kind == "scalar") == (oddity == "scalar")
    late = next(each for each in days if each.oddity == "late_strike")
    assert late.strike_from is not None
    assert late.strike_from >= late.start + 15
    assert market_at(late.ticker, late.strike_from - 1).strike is None
    assert market_at(late.ticker, late.strike_from).strike == late.true_strike


def test_trading_rests_on_thursdays() -> None:
    assert is_paused(MAINTENANCE)
    assert not is_paused(MAINTENANCE - 600)
    assert not is_paused(MAINTENANCE + 7200)
    (status,) = read(queries.status(), MAINTENANCE).statements
    assert (status.exchange_active, status.trading_active) == (True, False)
    found = read(queries.markets(status="paused"), MAINTENANCE).items
    assert {item.series for item in found if isinstance(item, Market)} == set(SERIES)
    assert read(queries.markets(status="open"), MAINTENANCE).keys == []


def test_the_truth_tells_what_odd_rounds_are(days: list[SimRound]) -> None:
    told = {each["market_id"]: each for each in venue().truth((AT - 7200) * 10**9, AT * 10**9)}
    for each in days:
        if each.end > AT - 7200:
            true = told[each.ticker]
            assert (true["oddity"], true["settlement"]) == (each.oddity, str(each.final))
            assert (true["result"] is None) == (each.finalized is None)
    assert all(each["strike"] is None for each in told.values() if each["end_at"] > "2026-11-21T10:01:40")
