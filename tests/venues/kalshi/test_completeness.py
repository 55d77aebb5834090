"""Kalshi's connections and the gaps that follow from them: refusals, endings, losses."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

from marketarchive.times import to_ms
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE
from marketarchive.venues.kalshi.session import KalshiSession
from marketarchive.venues.kalshi.socket import CHANNEL, INDEX
from tests.venues.followed import Followed

A, B = "KXBTC15M-26NOV210515-15", "KXXRP15M-26NOV210515-15"
BRTI = "cfbenchmarks_value:BRTI"
SIDS = {"orderbook_delta": 1, "ticker": 2, "trade": 3, INDEX: 4, LIFECYCLE: 5}


class Kalshi(Followed):
    """Its venue numbers the frames of each subscription, lost ones too; frames state when they were sent."""

    def __init__(self, *keys: str) -> None:
        super().__init__(CHANNEL, KalshiSession)
        self._numbers: dict[tuple[str, int], int] = {}
        self.subscribe(*keys)
        self.c = self.begin()

    def begin(self) -> str:
        """Open a connection that is wanted, and accept all its subscriptions."""
        self.c = self.connect()
        self.accept(*SIDS)
        return self.c

    def accept(self, *channels: str) -> None:
        for channel in channels:
            message = {"channel": channel, "sid": SIDS[channel]}
            self.told(self.c, {"type": "subscribed", "id": 1, "msg": message})

    def frame(self, sid: int, kind: str, message: dict[str, Any], *, lost: bool = False, **more: Any) -> Any:
        number = self._numbers[self.c, sid] = self._numbers.get((self.c, sid), 0) + 1
        dated = {"sending_ts_ms": to_ms(self.now)}
        document = {"type": kind, "sid": sid, "seq": number, "msg": message, **dated, **more}
        if not lost:
            self.told(self.c, document)
        return document

    def book(self, market: str = A, *, lost: bool = False) -> Any:
        said = {"market_ticker": market, "yes_dollars_fp": [["0.4700", "3.00"]]}
        return self.frame(1, "orderbook_snapshot", said, lost=lost)

    def delta(self, market: str = A, *, lost: bool = False) -> Any:
        change = {"price_dollars": "0.4600", "delta_fp": "1.00", "side": "yes", "ts_ms": to_ms(self.now)}
        return self.frame(1, "orderbook_delta", {"market_ticker": market, **change}, lost=lost)

    def trade(self, market: str = A, *, lost: bool = False) -> Any:
        prices = {"yes_price_dollars": "0.36", "count_fp": "1.00", "taker_outcome_side": "no"}
        said = {"trade_id": f"{self.t}", "market_ticker": market, **prices, "ts_ms": to_ms(self.now)}
        return self.frame(3, "trade", said, lost=lost)

    def index(self, *, lost: bool = False) -> Any:
        data = {"type": "value", "id": "BRTI", "time": to_ms(self.now), "value": "68000.12"}
        said = {"index_id": "BRTI", "received_at": to_ms(self.now), "data": json.dumps(data)}
        return self.frame(4, INDEX, said, lost=lost)

    def life(self, *, lost: bool = False) -> Any:
        return self.frame(5, LIFECYCLE, {"market_ticker": B, "event_type": "settled"}, lost=lost)

    def command_of(self, channel: str) -> int:
        """Return the id of the newest command that subscribes a channel."""
        commands = [json.loads(text) for _, _, text in self.sent]
        ids = [each["id"] for each in commands if channel in each.get("params", {}).get("channels", ())]
        return int(ids[-1])

    def error(self, code: int, **more: Any) -> None:
        self.told(self.c, {"type": "error", **more, "msg": {"code": code, "msg": "no"}})


def test_what_is_refused_for_now_stays_a_gap_until_it_is_subscribed() -> None:
    one = Kalshi(A, BRTI, LIFECYCLE)
    one.book()
    for t in range(1, 11):
        one.until(t)
        one.delta()
        one.index()
    one.cut(one.c)
    one.until(12)
    one.connect()
    one.c = "c2"
    for channel in (INDEX, LIFECYCLE):
        one.error(27, id=one.command_of(channel))  # too many requests
    one.accept("orderbook_delta", "ticker", "trade")
    one.book()
    while not one.wanted and one.t < 30:
        one.until(one.t + 1)
        one.delta()
    assert one.live.keys == [A, BRTI, LIFECYCLE]
    assert one.t < 30
    begun = one.t
    one.begin()
    one.book()
    one.index()
    one.until(begun + 1)
    for key in (BRTI, LIFECYCLE):
        [(start, end)] = one.gaps(key)
        assert start <= 10
        assert end is not None
        assert begun - 1 <= end <= begun


def test_without_its_trades_no_book_proves_a_market() -> None:
    one = Kalshi(A)
    one.book()
    one.trade()
    for t in range(1, 61):
        one.until(t)
        if t == 10:
            one.error(25, sid=SIDS["trade"])  # subscription buffer overflow
            one.book()
        elif t > 10:
            one.delta()
            one.refuse()
        else:
            one.delta()
    assert one.gaps(A) == [(9, None)]
    one.until(95)
    one.begin()
    one.book()
    one.until(96)
    assert one.gaps(A) == [(9, 95)]
    assert not [text for t, _, text in one.sent if t >= 10 and "get_snapshot" in text]


def test_markets_that_have_gone_leave_nothing_behind() -> None:
    one = Kalshi(LIFECYCLE)

    def come_and_go(first: int, count: int) -> int:
        for number in range(first, first + count):
            market = f"KXBTC15M-X{number:05d}-15"
            one.subscribe(market)
            one.book(market)
            one.trade(market)
            one.unsubscribe(market)
            one.sent.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = come_and_go(0, 200)
        assert come_and_go(200, 500) - before < 50_000
    finally:
        tracemalloc.stop()


# ---- life cycle ------------------------------------------------------------------------------------------


def lost_from(one: Kalshi, start: float, end: float) -> bool:
    """Return whether a gap of the life cycle has all of a time."""
    return any(
        begin <= start and (stop is None or end <= stop) for begin, stop in sorted(one.gaps(LIFECYCLE))
    )


def test_the_first_event_after_a_silence_does_not_prove_what_was_before_it() -> None:
    one = Kalshi(A, LIFECYCLE)
    one.book()
    for t in range(1, 40):
        one.until(t)
        is_lost = 2 <= t < 15
        if t in (6, 9):
            one.life(lost=True)
        if t == 15:
            one.book()
        elif t == 16:
            one.life()
        else:
            one.delta(lost=is_lost)
    assert lost_from(one, 6, 9)
    assert [end for _, end in one.gaps(LIFECYCLE)] == [16]


def test_a_repeat_of_an_event_proves_nothing() -> None:
    one = Kalshi(A, LIFECYCLE)
    one.book()
    event: Any = None
    for t in range(1, 41):
        one.until(t)
        if t == 5:
            event = one.life()
        if t == 11:
            one.life(lost=True)
        one.delta(lost=10 <= t < 13)
        if t == 13:
            one.book()
        if t == 14:
            one.told(one.c, event)
    one.cut(one.c)
    assert lost_from(one, 11, 11)


def test_a_loss_that_shows_later_withdraws_what_the_order_had_proven() -> None:
    one = Kalshi(A, BRTI, LIFECYCLE)
    one.book()
    for t in range(1, 10):
        one.until(t)
        one.index()
        one.life()
    for t in (10, 11, 12):
        one.until(t)
        one.index(lost=True)
        if t == 11:
            one.life(lost=True)
    one.until(12.95)
    one.delta()  # its number follows: no delta was lost
    one.until(13)
    one.index()  # and here the loss shows
    one.cut(one.c)
    assert lost_from(one, 11, 11)


def test_a_loss_of_others_alone_is_no_gap_once_the_next_event_is_there() -> None:
    one = Kalshi(A, LIFECYCLE)
    one.book()
    for t in range(1, 21):
        one.until(t)
        one.delta(lost=t == 10)
        if t in (5, 12):
            one.life()
        if t == 11:
            one.book()
    assert one.gaps(A) == [(9, 11)]
    assert one.gaps(LIFECYCLE) == []


def test_a_life_cycle_that_the_venue_ends_is_a_gap_until_it_is_subscribed_again() -> None:
    one = Kalshi(A, LIFECYCLE)
    one.book()
    one.life()
    for t in range(1, 60):
        one.until(t)
        one.delta()
        if t == 10:
            one.told(one.c, {"type": "unsubscribed", "sid": SIDS[LIFECYCLE], "seq": 2})
    assert one.wanted
    assert one.gaps(LIFECYCLE) == [(9, None)]
    assert one.gaps(A) == []
    one.begin()
    one.until(60)
    assert one.gaps(LIFECYCLE) == [(9, 59)]


def test_a_list_that_comes_late_proves_nothing_of_what_is_still_to_come() -> None:
    one = Kalshi(BRTI, LIFECYCLE)
    late: list[tuple[float, Any]] = []
    asked = 0
    for t in range(1, 28):
        one.until(t)
        lag = 0 if t < 10 else 8
        late.append((t + lag, one.index(lost=True)))
        if t in (21, 24, 26):
            one.life(lost=True)
        new = sum("list_subscriptions" in text for _, _, text in one.sent) - asked
        asked += new
        standing = [{"channel": channel, "sid": sid} for channel, sid in SIDS.items()]
        late += [(t + lag, {"id": 99, "type": "ok", "msg": standing})] * new
        for due, frame in late:
            if due == t:
                one.told(one.c, frame)
    assert asked > 0
    one.cut(one.c)
    assert lost_from(one, 21, 26)
