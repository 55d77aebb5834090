"""Means, their rounding and the winner."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.kalshi import Kalshi
from marketarchive.venues.exact import e18
from marketarchive.venues.kalshi.settlement import (
    RoundTerms,
    digits_of,
    index_named,
    index_of,
    roundings,
    rule_of_index,
    winner,
)
from tests.venues.kalshi.reading import market_of, read, row

PRICES = st.decimals("0.0001", "200000", allow_nan=False, allow_infinity=False, places=8)


@given(st.lists(PRICES, min_size=1, max_size=60), st.integers(0, 18))
def test_a_mean_is_rounded_once_and_to_the_nearest(values: list[Decimal], digits: int) -> None:
    exact = sum(map(Fraction, values), Fraction(0)) / len(values)
    half = Fraction(1, 2 * 10**digits)
    found = roundings(values, digits)
    assert all(each == round(each, digits) for each in found)
    assert all(abs(Fraction(each) - exact) <= half for each in found)
    is_tie = abs(Fraction(found[0]) - exact) == half
    assert len(found) == (2 if is_tie else 1)
    if is_tie:
        assert found[0] - found[1] == Decimal(1).scaleb(-digits)  # half up comes first


@pytest.mark.parametrize(
    ("values", "digits", "rounded"),
    [
        (["63650.03"] * 60, 2, ["63650.03"]),
        (["1", "2"], 0, ["2", "1"]),
        (["0.1"] * 59 + ["0.7"], 2, ["0.11"]),
        (["84000.00"] * 59 + ["84000.29"], 2, ["84000.00"]),  # 0.29 / 60 = 0.00483
        (["84000.00"] * 59 + ["84000.31"], 2, ["84000.01"]),  # 0.31 / 60 = 0.00517
        (["84000.00"] * 59 + ["84000.30"], 2, ["84000.01", "84000.00"]),  # 0.005
        (["2.05431", "2.05432"], 4, ["2.0543"]),
    ],
)
def test_means_worked_by_hand(values: list[str], digits: int, rounded: list[str]) -> None:
    assert roundings(list(map(Decimal, values)), digits) == tuple(map(Decimal, rounded))


@given(PRICES, PRICES)
def test_yes_is_at_least(strike: Decimal, settlement: Decimal) -> None:
    assert winner(e18(strike), e18(settlement)) == ("yes" if settlement >= strike else "no")
    assert winner(e18(strike), e18(strike)) == "yes"


@given(st.integers(0, 1000), st.sampled_from(["BTC", "ETH", "SOL", "XRP"]))
def test_the_final_value_of_a_round_is_the_strike_of_the_next(n: int, asset: str) -> None:
    """The same 60 seconds, rounded the same way, whoever looks."""
    close = 1_795_262_400 + n * 900
    venue = Kalshi(1)
    before, after = (venue.rounds.make(f"KX{asset}15M", end) for end in (close, close + 900))
    assert before.final == after.true_strike


@pytest.mark.parametrize(
    ("custom_strike", "digits"),
    [
        ({"round_digits": "2"}, 2), ({"round_digits": 4}, 4), ({"round_digits": "0"}, 0),
        (None, None), ({}, None), ({"round_digits": ""}, None), ({"round_digits": "-1"}, None),
        ({"round_digits": "19"}, None), ({"round_digits": "²"}, None), ({"round_digits": True}, None),
        ({"round_digits": 2.5}, None), ("2", None), ([2], None),
    ],
)  # fmt: skip
def test_the_decimals_are_those_that_are_stated(custom_strike: Any, digits: int | None) -> None:
    assert digits_of(custom_strike) == digits


def test_a_rule_names_its_index() -> None:
    assert (index_of("BTC"), index_of("XRP"), index_of("PEPE")) == ("BRTI", "XRPUSD_RTI", None)
    assert index_named(rule_of_index("ETHUSD_RTI")) == "ETHUSD_RTI"
    for other in ("", "chainlink twap 60s", "cf benchmarks brti mean 30s", "cf benchmarks brti 60s"):
        assert index_named(other) is None


def terms_in(path: str, document: Any) -> list[RoundTerms]:
    return [each for each in read(path, document).statements if isinstance(each, RoundTerms)]


def test_terms_are_what_a_row_says() -> None:
    said = row(
        floor_strike=63650.03, expiration_value="63653.21", status="finalized", result="yes",
        settlement_value_dollars="1.0000", custom_strike={"round_digits": "2"},
    )  # fmt: skip
    [terms] = terms_in("/markets/X", {"market": said})
    assert terms == RoundTerms(
        "KXBTC15M-26AUG170100-00", "finalized", 1_786_942_800 * 10**9, 1_786_941_900 * 10**9, 2,
        strike="63650.03", settlement="63653.21", result="yes", payout="1",
    )  # fmt: skip
    unknown = {"markets": [said | {"result": "all_no"}]}
    assert [each.result for each in terms_in("/markets", unknown)] == ["all_no"]  # though it makes no market
    assert read("/markets", unknown).errors
    assert terms_in("/markets/X", {"market": row(ticker="KXBTCD-26AUG1717-T72749.99")}) == []
    assert market_of(custom_strike={"uuid": "x"}).strike is None  # of other markets anything may stand there
