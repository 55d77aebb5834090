"""What a market order would have got: the walk, and what of the archive it may use."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.research.book_at import BookAt
from marketarchive.research.fills import Side, fill
from tests.research.making import spoil_pages
from tests.research.streaming import Frame, Lost, Socket, record
from tests.research.test_stream_api import NOON, SLUG, TRACKED, at, change, dump
from tests.venues.polymarket.rows import CONDITION

Levels = list[tuple[Decimal, Decimal]]

_PRICE = st.decimals("0.01", "0.99", places=2) | st.decimals("0.1", 1, places=18)
_SIZE = st.decimals("0.01", 500, places=2) | st.decimals(1, 500, places=18)
_LONG = Decimal("0.123456789012345678")
_SIDE = st.dictionaries(_PRICE, _SIZE, max_size=6).map(lambda levels: list(levels.items()))
_WAY = st.sampled_from(("buy", "sell"))


def book_of(levels: Levels, way: Side, *, is_tracked: bool = True) -> BookAt:
    best_first = tuple(sorted(levels, reverse=way == "sell"))
    other = ((Decimal("0.5"), Decimal(10**12)),)  # of the wrong side: would fill anything
    return BookAt(
        token="1",
        venue="polymarket",
        market=SLUG,
        market_id=CONDITION,
        outcome="Up",
        bids=best_first if way == "sell" else other,
        asks=best_first if way == "buy" else other,
        event_time=NOON,
        received_at=NOON,
        verified="ok",
        is_tracked=is_tracked,
        gaps=(),
        run="r",
        connection="c1",
    )


@given(_SIDE, _WAY, _SIZE)
@example([(_LONG, 10**9 + _LONG)], "buy", 10**9 + _LONG / 2)  # more digits than a Decimal context has
def test_a_fill_is_what_brute_force_over_the_levels_gives(levels: Levels, way: Side, size: Decimal) -> None:
    found = fill("1", way, size, book_of(levels, way), timedelta(0))
    left, value = Fraction(size), Fraction(0)
    used: list[Decimal] = []
    while left and len(used) < len(levels):
        rest = [level for level in levels if level[0] not in used]
        price, offered = (min if way == "buy" else max)(rest)
        taken = min(left, Fraction(offered))
        left, value = left - taken, value + Fraction(price) * taken
        used.append(price)
    assert Fraction(found.filled) == Fraction(size) - left
    assert found.is_partial == bool(left)
    assert (found.levels, found.worst) == (len(used), used[-1] if used else None)
    assert (found.value is None) == (found.average is None) == (not used)
    if found.value is not None and found.average is not None:
        assert Fraction(found.value) == value
        exact = value / Fraction(found.filled)
        assert abs(Fraction(found.average) - exact) <= exact / 10**37
        best = used[0]
        assert found.average >= best if way == "buy" else found.average <= best


@given(_SIDE, _WAY, _SIZE, _SIZE)
def test_more_shares_fill_no_less_and_get_no_better_price(
    levels: Levels, way: Side, one: Decimal, other: Decimal
) -> None:
    book = book_of(levels, way)
    less, more = (fill("1", way, size, book, timedelta(0)) for size in sorted((one, other)))
    assert less.filled <= more.filled
    assert less.levels <= more.levels
    if less.average is not None and more.average is not None:
        assert less.average <= more.average if way == "buy" else less.average >= more.average


def test_nothing_received_after_the_latency_is_used(tmp_path: Path) -> None:
    cheap = change("0.50", "100", side="SELL", best_ask="0.50")
    record(
        tmp_path,
        [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1), Frame(cheap, 2), Socket("closed", 10)],
        tracked=TRACKED,
    )
    archive = Archive(tmp_path)
    before = archive.fill("1", "buy", 20, at(1.5), latency=0.499999)
    assert (before.value, before.worst, before.levels) == (Decimal("10.25"), Decimal("0.52"), 2)
    assert before.average == Decimal("0.5125")
    assert (before.age, before.is_verified, before.gap) == (timedelta(seconds=0.999999), True, False)
    after = archive.fill("1", "buy", "20", at(1.5), latency=timedelta(seconds=0.5))
    assert (after.average, after.levels, after.age) == (Decimal("0.5"), 1, timedelta(0))
    sold = archive.fill("1", "SELL", 60.5, at(1.5))
    assert (sold.filled, sold.worst, sold.is_partial) == (Decimal("50.5"), Decimal("0.48"), True)


def test_no_price_in_a_gap_after_the_recording_or_before_the_first_book(tmp_path: Path) -> None:
    lost = Lost(3, 4, {"connection": "c1", "markets": [SLUG]})
    record(
        tmp_path,
        [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1), lost, Socket("closed", 10)],
        tracked=TRACKED,
    )
    archive = Archive(tmp_path)
    for moment in (3.5, 0.5, 11):
        found = archive.fill("1", "buy", 1, at(moment))
        assert found.gap, moment
        assert (found.filled, found.value, found.average, found.worst) == (Decimal(0), None, None, None)
        assert not found.is_partial
    assert archive.fill("1", "buy", 1, at(2.9), latency=0.05).average == Decimal("0.51")
    assert archive.fill("1", "buy", 1, at(2.9), latency=0.15).gap


def test_many_orders_are_filled_as_each_alone(tmp_path: Path) -> None:
    lost = Lost(3, 4, {"connection": "c1", "markets": [SLUG]})
    cheap = change("0.50", "100", side="SELL", best_ask="0.50")
    lines = [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1), Frame(cheap, 2), lost, Socket("closed", 10)]
    record(tmp_path, lines, tracked=TRACKED)
    archive = Archive(tmp_path)
    times = [at(second) for second in (2.5, 0.5, 1.5, 3.5, 1.9, 11)]
    sizes: list[Decimal | float | str] = [20, 1, "20.5", 1, 10**6, 2]
    sides = ["buy", "buy", "sell", "buy", "sell", "buy"]
    frame = archive.fills("1", sides, sizes, times, latency=0.25)
    assert frame["time"].tolist() == [moment + timedelta(seconds=0.25) for moment in times]
    for row, side, size, moment in zip(frame.to_dict("records"), sides, sizes, times, strict=True):
        one = archive.fill("1", side, size, moment, latency=0.25)
        assert (row["filled"], row["levels"], row["gap"]) == (float(one.filled), one.levels, one.gap)
        assert (row["is_partial"], row["side"]) == (one.is_partial, one.side)
        for name in ("value", "average", "worst"):
            amount = getattr(one, name)
            assert pd.isna(row[name]) if amount is None else row[name] == float(amount)
        assert pd.isna(row["age_s"]) if one.age is None else row["age_s"] == one.age.total_seconds()
    assert len(archive.fills(SLUG, "buy", 1, times, outcome="Down")) == len(times)
    with pytest.raises(ArgumentError, match="2, 6 values"):
        archive.fills("1", "buy", [1, 2], times)
    with pytest.raises(ArgumentError, match="is no name: where a row has no token, give its market"):
        archive.fills(pd.Series(["1", None]), "buy", 1, times[:2])
    for table in tmp_path.glob("tables/book*/**/*.parquet"):
        spoil_pages(table)
    with pytest.raises(ArchiveError, match="Delete what is damaged in tables/"):
        archive.fills("1", "buy", 1, times)


@pytest.mark.parametrize(
    ("side", "size", "moment", "latency", "says"),
    [
        ("hold", 1, NOON, 0, "hold"),
        ("buy", 0, NOON, 0, "more than 0"),
        ("buy", "many", NOON, 0, "many"),
        ("buy", float("nan"), NOON, 0, "nan"),
        ("buy", 1, None, 0, "time"),
        ("buy", 1, NOON, -1, "negative"),
    ],
)
def test_an_order_that_is_none_is_refused(
    tmp_path: Path, side: str, size: float | str, moment: None, latency: float, says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        Archive(tmp_path).fill("1", side, size, moment, latency=latency)
