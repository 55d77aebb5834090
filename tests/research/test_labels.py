"""What a label says, for any prices in any order."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.labels.label import SPLIT, Label
from marketarchive.research.labels.label_files import (
    LabelStamp,
    market_master,
    read_labels,
    stamp_of,
    write,
)
from marketarchive.research.products.updown.labels.estimates import mean_of, nearest_of
from marketarchive.research.products.updown.labels.labels import MarketWindow, Tick, label, wanted
from marketarchive.research.products.updown.labels.market_facts import Fact, windows
from marketarchive.times import SECOND, from_iso

START = from_iso("2026-08-06T10:00:00Z")
END = START + 300 * SECOND
SPOT = "chainlink:btc-usd"
WINDOW = MarketWindow("btc-updown-5m-1786010400", "0x1", "BTC", "5m", START, END, resolved_outcome="Up")

amounts = st.integers(1, 10**24)
outcomes = st.sampled_from(["Up", "Down", SPLIT, None])


def ticks(value: int, at: int = 0, source: str = "rtds") -> list[Tick]:
    return [Tick(value, at, source)]


def made(window: MarketWindow, found: dict[tuple[str, int], list[Tick]]) -> Label:
    return label(window, lambda instrument, at: found.get((instrument, at), ()))


@given(amounts, outcomes)
def test_a_tie_is_up(value: int, outcome: str | None) -> None:
    window = dataclasses.replace(WINDOW, resolved_outcome=outcome)
    found = made(window, {(SPOT, START): ticks(value), (SPOT, END): ticks(value)})
    assert found.computed_outcome == "Up"
    if outcome is None:
        assert (found.verdict, found.outcome_match) == ("not_provable", None)
        assert "no official outcome" in found.reason
    else:
        assert found.outcome_match is (outcome == "Up")
        assert found.verdict == ("reproduced" if outcome == "Up" else "differs")


@given(amounts)
def test_one_unit_of_the_last_digit_decides(value: int) -> None:
    """No float could tell these apart."""
    assert made(WINDOW, {(SPOT, START): ticks(value + 1), (SPOT, END): ticks(value)}).verdict == "differs"
    found = made(WINDOW, {(SPOT, START): ticks(value), (SPOT, END): ticks(value + 1)})
    assert found.verdict == "reproduced"
    assert (found.strike_e18, found.settlement_e18) == (value, value + 1)
    assert found.strike is not None
    assert found.settlement is not None
    assert found.settlement - found.strike == Decimal("1E-18")


@given(st.data())
def test_order_and_repetition_of_ticks_do_not_matter(data: st.DataObject) -> None:
    tick = st.builds(Tick, st.integers(1, 3), st.integers(0, 5), st.sampled_from(["a", "b"]))
    listed = data.draw(st.tuples(st.lists(tick, max_size=4), st.lists(tick, max_size=4)))
    found = dict(zip([(SPOT, START), (SPOT, END)], listed, strict=True))
    shuffled = {
        key: data.draw(
            st.permutations(each + data.draw(st.lists(st.sampled_from(each)) if each else st.just([])))
        )
        for key, each in found.items()
    }
    assert made(WINDOW, found) == made(WINDOW, shuffled)


@given(
    st.dictionaries(st.tuples(st.sampled_from([SPOT, "chainlink:eth-usd"]), st.integers(-5, 305)), amounts),
    st.dictionaries(
        st.tuples(
            st.sampled_from([SPOT, "chainlink:btc-usd-twap-60s", "binance:btcusdt"]), st.integers(-5, 305)
        ),
        amounts,
    ),
)
def test_what_is_no_input_of_a_label_never_changes_it(
    first: dict[tuple[str, int], int], later: dict[tuple[str, int], int]
) -> None:
    """Ticks of other seconds and instruments, whenever they come, add nothing; missing inputs only prove."""
    before = {(name, START + at * SECOND): ticks(value) for (name, at), value in first.items()}
    after = {(name, START + at * SECOND): ticks(value, 1) for (name, at), value in later.items()} | before
    old, new = made(WINDOW, before), made(WINDOW, after)
    if wanted([WINDOW]) <= set(before) or not wanted([WINDOW]) & (set(after) - set(before)):
        assert new == old
    for name in (
        "strike_e18",
        "settlement_e18",
        "computed_outcome",
        "outcome_match",
        "strike_received_at_ns",
    ):
        assert getattr(old, name) in (None, getattr(new, name))
    assert old.verdict in ("not_provable", new.verdict)


@given(amounts, st.integers(1, 10**9))
def test_a_second_tick_that_would_turn_the_outcome_leaves_nothing_proven(value: int, less: int) -> None:
    later = [*ticks(value), Tick(value + less, 1, "rtds")]
    found = made(WINDOW, {(SPOT, START): later, (SPOT, END): ticks(value)})
    assert (found.verdict, found.outcome_match) == ("not_provable", None)
    assert "different ticks of the same second" in found.reason
    assert found.strike_e18 == value
    found = made(WINDOW, {(SPOT, START): later, (SPOT, END): ticks(value + less)})
    assert found.verdict == "reproduced"


def test_a_missing_price_is_named_and_the_venues_statement_proves_nothing() -> None:
    found = made(WINDOW, {(SPOT, START): ticks(7)})
    assert (found.verdict, found.computed_outcome) == ("not_provable", None)
    assert found.reason == f"no tick of {SPOT} at 2026-08-06T10:05:00Z (window end)"
    stated = dataclasses.replace(
        WINDOW, stated_settlement=Decimal("64977.74277136129"), settlement_stated_at_ns=END + 90 * SECOND
    )
    found = made(stated, {(SPOT, START): ticks(7)})
    assert (found.verdict, found.computed_outcome, found.outcome_match) == ("restated", "Up", None)
    assert found.settlement_e18 == 64977742771361290000000
    assert found.settlement_source == "polymarket eventMetadata.finalPrice"
    assert found.settlement_received_at_ns == END + 90 * SECOND
    assert "window end" in found.reason
    assert made(stated, {(SPOT, START): ticks(7), (SPOT, END): ticks(8)}).settlement_e18 == 8


def test_ticks_of_another_instrument_prove_nothing() -> None:
    twap = dataclasses.replace(WINDOW, rule="chainlink twap 60s")
    found = made(twap, {(SPOT, START): ticks(7), (SPOT, END): ticks(8)})
    assert (found.verdict, found.instrument) == ("not_provable", f"{SPOT}-twap-60s")
    hourly = dataclasses.replace(WINDOW, duration="1h")
    assert made(hourly, {(SPOT, START): ticks(7), (SPOT, END): ticks(8)}).reason == (
        "nothing archived here has the Binance candles of BTCUSDT"
    )


def test_a_window_that_the_archive_does_not_reach_says_so() -> None:
    found = label(WINDOW, lambda *_: (), newest_ns=END - 1)
    assert found.reason.endswith("the archive ends before the window does")


def test_an_estimate_is_a_verdict_of_its_own_with_its_error() -> None:
    around = [(START + at * SECOND, Tick(100 + at, START + at * SECOND, "rtds")) for at in range(-59, 1)]
    mean = mean_of(around, 60, SPOT)
    assert mean is not None
    assert (mean.value_e18, mean.error_e18) == (70, 59 * 3 // 60)
    assert mean_of(around[:40], 60, SPOT) is None
    close = nearest_of([around[57], around[58]], START)
    assert close is not None
    assert (close.value_e18, close.error_e18, close.source) == (
        99,
        1,
        "estimate: tick 1 s before the boundary",
    )
    assert nearest_of(around[:1], START) is None
    found = label(
        WINDOW,
        lambda _, at: ticks(50) if at == END else (),
        lambda _, at: mean,
    )
    assert (found.verdict, found.outcome_match, found.computed_outcome) == ("estimated", None, "Down")
    assert found.error == Decimal(2).scaleb(-18)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    found = [
        made(WINDOW, {(SPOT, START): ticks(10**24 + 1), (SPOT, END): ticks(10**24 + 2)}),
        made(dataclasses.replace(WINDOW, market_id="other"), {}),
    ]
    stamp = LabelStamp("key", START, None)
    write(tmp_path, found, stamp)
    assert read_labels(tmp_path) == found
    assert stamp_of(tmp_path) == stamp
    assert b'"strike_K":1000000.000000000000000001,' in market_master(found)
    assert stamp.covers("key", START, END)
    assert not stamp.covers("key", None, END)
    assert not stamp.covers("another", START, END)


@given(st.permutations(range(5)))
def test_the_newest_statement_counts_in_whatever_order_they_are_read(order: list[int]) -> None:
    base: dict[str, Any] = {"condition_id": "0x1", "asset": "BTC", "duration": "5m", "slug": WINDOW.market_id}
    told = [
        Fact(first=1, last=5, start=START, end=END, outcomes=("Up", "Down"), **base),
        Fact(first=6, last=6, strike="5", rule="chainlink spot", **base),
        Fact(first=7, last=9, strike="6", settlement="7", resolution="Up", **base),
        Fact("0x1", 8, 10, payouts=("0", "1"), resolution_source="data api"),
        Fact("0x2", 8, 10, payouts=("0", "1")),
    ]
    [window], without = windows(told[n] for n in order)
    assert without == 0
    assert (window.start_ns, window.end_ns, window.rule) == (START, END, "chainlink spot")
    assert (window.stated_strike, window.strike_stated_at_ns) == (Decimal(6), 7)
    assert (window.resolved_outcome, window.resolution_source) == ("Down", "data api")


def test_a_round_whose_window_nobody_told_is_counted() -> None:
    assert windows([Fact("0x1", 1, 1, asset="BTC", duration="1h", end=END)]) == ([], 1)
