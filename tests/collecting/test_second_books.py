"""Rows of best prices: the newest trade up to each second, in whatever order trades arrive."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.collecting.exchange_stream import SpotRows
from marketarchive.collecting.streams.track import KeyState
from marketarchive.times import MILLISECOND, SECOND
from marketarchive.venues.exchange_session import BookTop
from marketarchive.venues.market_messages import TradeMessage
from tests.archive.writing import NOON, HandClock
from tests.properties import examples

MARKET = "A-USD"


class _Spider:
    """A spider whose books are always known."""

    venue, feed, kind = "acme", "spot", "spot"

    def __init__(self) -> None:
        clock = HandClock()
        self.told: list[str] = []
        self.run = SimpleNamespace(
            clock=clock,
            stats=SimpleNamespace(inc_value=lambda name: None),
            log_now_and_then=lambda about, message, *values: self.told.append(about),
        )
        self.now = clock.now_ns
        top = BookTop(NOON, 1, Decimal(1), Decimal(2), "ok")
        completeness = SimpleNamespace(row=lambda market, tick: KeyState(top, tick, is_strong=True))
        self.pool = SimpleNamespace(completeness=completeness)

    def pool_of(self, market: str) -> Any:
        return self.pool


def _rows(*others: str) -> SpotRows:
    spider: Any = _Spider()
    return SpotRows(spider, {MARKET: "A", **dict.fromkeys(others, "B")})


def _trade(number: int, at: int) -> TradeMessage:
    return TradeMessage(MARKET, at, "BUY", f"{number}", "1", f"{number}", number)


@given(st.lists(st.integers(1, 20_000), max_size=30, unique=True))
@examples(60)
def test_last_is_the_newest_trade_up_to_the_second(arrived: list[int]) -> None:
    """A connection that is opened later sends trades again that another has brought. arrived: ms."""
    rows = _rows()
    numbers = {at: number for number, at in enumerate(sorted(arrived), 1)}
    for at in arrived:
        rows.trade(_trade(numbers[at], NOON + at * MILLISECOND))
    for second, row in enumerate(rows.due(NOON + 21 * SECOND)):
        number = max((numbers[at] for at in arrived if at <= second * 1000), default=None)
        assert row.last == number


def test_an_old_trade_that_comes_again_changes_nothing() -> None:
    rows = _rows()
    rows.trade(_trade(2, NOON + SECOND // 2))
    assert [row.last for row in rows.due(NOON + 2 * SECOND)] == [None, 2]
    rows.trade(_trade(1, NOON + SECOND // 4))
    rows.trade(_trade(2, NOON + SECOND // 2))
    rows.trade(TradeMessage("B-USD", NOON, "BUY", "9", "1", "9"))
    assert [row.last for row in rows.due(NOON + 4 * SECOND)] == [2, 2]


def test_a_row_that_cannot_be_made_costs_no_other() -> None:
    rows = _rows("B-USD")
    rows.trade(TradeMessage(MARKET, NOON + SECOND // 2, "BUY", "1e9999", "1", "1", 1))
    made = [(row.asset, row.timestamp.second) for row in rows.due(NOON + 3 * SECOND)]
    assert made == [("A", 0), ("B", 0), ("B", 1), ("B", 2)]
    assert rows.reached == NOON + 3 * SECOND
