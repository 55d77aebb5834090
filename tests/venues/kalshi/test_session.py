"""One connection to Kalshi: subscriptions by sid, books of signed changes, what refusals mean."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import MILLISECOND, SECOND
from marketarchive.venues.channel import Update
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE
from marketarchive.venues.kalshi.session import KalshiSession, KalshiTop
from marketarchive.venues.market_messages import IndexMessage, QuoteMessage

A, B = "KXBTC15M-26NOV210515-15", "KXXRP15M-26NOV210515-15"
BRTI = "cfbenchmarks_value:BRTI"
NOW = 1_795_255_300_000 * MILLISECOND
LATEST = 2 * NOW


class Connection:
    """A session that is told frames."""

    def __init__(self, *keys: str) -> None:
        self.session = KalshiSession()
        self._seq = 0
        self.texts = self.session.subscribe(keys or (A, B), is_first=True)
        for sid, channel in enumerate(("orderbook_delta", "ticker", "trade", "cfbenchmarks_value"), 1):
            self.told({"type": "subscribed", "id": 1, "msg": {"channel": channel, "sid": sid}})

    def told(self, document: Any, later_s: float = 0) -> list[Update]:
        self._seq += 1
        payload, now = json.dumps(document).encode(), NOW + int(later_s * SECOND)
        return self.session.apply(NOW, self._seq, payload, latest=LATEST, verify=True, now=now)

    def book(self, seq: int, market: str, yes: Any = None, no: Any = None) -> list[Update]:
        sides = {"yes_dollars_fp": yes, "no_dollars_fp": no}
        said = {"market_ticker": market, **{name: side for name, side in sides.items() if side is not None}}
        return self.told({"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": said})

    def delta(self, seq: int, market: str, side: str, price: str, change: str, **more: Any) -> list[Update]:
        said = {"market_ticker": market, "price_dollars": price, "delta_fp": change, "side": side, **more}
        return self.told({"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": said})

    def trade(self, seq: int, market: str = A, later_s: float = 0) -> list[Update]:
        said = {
            "trade_id": f"t{seq}",
            "market_ticker": market,
            "yes_price_dollars": "0.3600",
            "count_fp": "136.00",
            "taker_outcome_side": "no",
            "ts_ms": NOW // MILLISECOND + seq,
        }
        return self.told({"type": "trade", "sid": 3, "seq": seq, "msg": said}, later_s)

    def error(self, code: int, command: int | None = None) -> list[Update]:
        document: dict[str, Any] = {"type": "error", "msg": {"code": code, "msg": "no"}}
        return self.told({**document, "id": command} if command else document)


def top_of(update: Update) -> tuple[Decimal | None, ...]:
    top = update.value
    assert isinstance(top, KalshiTop)
    return top.best_bid, top.bid_size, top.best_ask, top.ask_size


def decimals(*texts: str | None) -> tuple[Decimal | None, ...]:
    return tuple(None if text is None else Decimal(text) for text in texts)


def test_what_is_subscribed() -> None:
    markets, index = map(json.loads, Connection(A, BRTI, B).texts)
    assert markets == {
        "id": 1,
        "cmd": "subscribe",
        "params": {
            "channels": ["orderbook_delta", "ticker", "trade"],
            "market_tickers": [A, B],
            "use_yes_price": True,
            "send_initial_snapshot": True,
        },
    }
    assert index == {
        "id": 2,
        "cmd": "subscribe",
        "params": {"channels": ["cfbenchmarks_value"], "index_ids": ["BRTI"]},
    }


def test_commands_name_the_subscription() -> None:
    one = Connection(A, B, BRTI)
    [resync] = map(json.loads, one.session.resync([A, BRTI]))
    assert resync["params"] == {"sids": [1], "action": "get_snapshot", "market_tickers": [A]}
    assert one.session.resync([BRTI]) == []
    gone = [json.loads(text) for text in one.session.unsubscribe([A, BRTI])]
    assert [each["params"]["sids"] for each in gone] == [[1], [2], [3], [4]]
    assert [each["params"]["action"] for each in gone] == [*["delete_markets"] * 3, "unsubscribe_indices"]
    assert len({each["id"] for each in (resync, *gone)}) == 5
    assert KalshiSession().resync([A]) == []  # nothing is subscribed yet


def test_a_book_of_signed_changes() -> None:
    one = Connection()
    [first] = one.book(1, A, [["0.4600", "1.00"], ["0.4700", "3.00"]], [["0.5200", "1.00"]])
    assert (first.kind, first.integrity, first.group) == ("snapshot", "ok", "1")
    assert top_of(first) == decimals("0.47", "3", "0.52", "1")
    [more] = one.delta(2, A, "yes", "0.4700", "2.50")
    assert top_of(more) == decimals("0.47", "5.5", "0.52", "1")
    [gone] = one.delta(3, A, "yes", "0.4700", "-5.50")
    assert top_of(gone) == decimals("0.46", "1", "0.52", "1")
    [one_sided] = one.delta(4, A, "no", "0.5200", "-1.00")
    assert top_of(one_sided) == decimals("0.46", "1", None, None)
    [empty] = one.delta(5, A, "yes", "0.4600", "-1.00")
    assert top_of(empty) == decimals(None, None, None, None)
    assert {update.integrity for update in (more, gone, one_sided, empty)} == {"ok"}
    [back] = one.delta(6, A, "no", "0.5000", "4.00")
    assert top_of(back) == decimals(None, None, "0.5", "4")


def test_an_empty_book_is_a_state() -> None:
    [first] = Connection().book(1, A)
    assert first.integrity == "ok"
    assert top_of(first) == decimals(None, None, None, None)


def test_a_level_under_zero_is_a_failure() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    [failed] = one.delta(2, A, "yes", "0.4700", "-3.01")
    assert (failed.integrity, failed.detail) == ("failed", "the level at 0.4700 would hold -0.01")
    [lost] = one.delta(3, A, "yes", "0.4600", "1.00")
    assert lost.integrity == "unchecked"  # its book is gone
    [whole] = one.book(4, A, [["0.4600", "1.00"]])
    assert whole.integrity == "ok"


def test_a_hole_breaks_all_books_of_the_subscription_and_no_others() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    one.book(2, B, [["0.1000", "3.00"]])
    broken, delta = one.delta(4, A, "yes", "0.4700", "1.00")
    assert (broken.key, broken.kind, broken.integrity, broken.group) == ("", "mark", "failed", "1")
    assert broken.detail == "frames 3 to 3 of 1 are missing"
    assert delta.integrity == "unchecked"
    assert dict(one.session.states()) == {}
    [again] = one.delta(4, A, "yes", "0.4700", "1.00")
    assert again.is_known


def test_a_missing_trade_is_one_of_any_market() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    [first] = one.trade(7)
    assert (first.kind, first.integrity, first.value.side) == ("trade", "unchecked", "SELL")
    *broken, trade = one.trade(9, B)
    assert [(each.key, each.kind, each.integrity) for each in broken] == [
        (A, "trade", "failed"),
        (B, "trade", "failed"),
    ]
    assert {each.base for each in broken} == {NOW}  # receipt of the frame before
    assert trade.value.market == B
    assert [key for key, _ in one.session.states()] == [A]  # books are right all the same


def test_a_snapshot_of_the_book_that_is_held_proves_it_and_changes_nothing() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    [same] = one.book(2, A, [["0.4700", "3.00"]])
    assert (same.kind, same.integrity, same.value) == ("mark", "ok", None)
    [other] = one.book(3, A, [["0.4700", "4.00"]])
    assert (other.kind, other.integrity) == ("snapshot", "ok")


def test_answers_are_counted_too() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    [ok] = one.told({"type": "ok", "id": 5, "sid": 1, "seq": 2, "msg": {"market_tickers": [A, B]}})
    assert (ok.kind, ok.integrity, ok.group) == ("mark", "ok", "1")
    [delta] = one.delta(3, A, "yes", "0.4700", "1.00")
    assert delta.integrity == "ok"


def test_refusals_are_counted_too() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    refusal = {"type": "error", "id": 9, "sid": 1, "msg": {"code": 11, "msg": "invalid parameter"}}
    mark, damage = one.told({**refusal, "seq": 2})
    assert (mark.kind, mark.integrity, mark.group, damage.kind) == ("mark", "ok", "1", "damage")
    [delta] = one.delta(3, A, "yes", "0.4700", "1.00")
    assert delta.integrity == "ok"
    lost, *_ = one.told({**refusal, "seq": 5})
    assert (lost.integrity, lost.detail) == ("failed", "frames 4 to 4 of 1 are missing")


def test_a_change_dated_ahead_is_not_applied() -> None:
    one = Connection()
    one.book(1, A, [["0.4700", "3.00"]])
    ahead = LATEST // MILLISECOND + 1
    [failed] = one.delta(2, A, "yes", "0.4700", "1.00", ts_ms=ahead)
    assert (failed.integrity, failed.detail) == ("failed", "dated ahead")


def test_a_ticker_brings_volume_and_open_interest() -> None:
    said = {
        "market_ticker": A,
        "price_dollars": "0.9990",
        "yes_bid_dollars": "0.0000",
        "yes_ask_dollars": "0.0100",
        "yes_bid_size_fp": "0.00",
        "yes_ask_size_fp": "78.00",
        "volume_fp": "2233487.48",
        "open_interest_fp": "618700.14",
        "ts_ms": NOW // MILLISECOND,
    }
    [mark] = Connection().told({"type": "ticker", "sid": 2, "msg": said})
    assert (mark.kind, mark.integrity) == ("mark", "not_available")
    assert mark.value == QuoteMessage(A, NOW, None, "0.0100", "0.9990", "2233487.48", "618700.14")
    del said["volume_fp"]
    with pytest.raises(ParseError, match="a ticker without volume_fp"):
        Connection().told({"type": "ticker", "sid": 2, "msg": said})


def index(seq: int) -> dict[str, Any]:
    data = {"type": "value", "id": "BRTI", "time": NOW // MILLISECOND + 1000 * seq, "value": "68000.12"}
    said = {"index_id": "BRTI", "received_at": NOW // MILLISECOND, "data": json.dumps(data)}
    return {"type": "cfbenchmarks_value", "sid": 4, "seq": seq, "msg": said}


def test_an_index_is_a_key_with_numbers_of_its_own() -> None:
    one = Connection(A, BRTI)
    one.book(1, A, [["0.4700", "3.00"]])
    [first] = one.told(index(1))
    assert (first.key, first.kind, first.integrity, first.group) == (BRTI, "snapshot", "ok", "4")
    assert isinstance(first.value, IndexMessage)
    assert first.value.value == "68000.12"
    broken, after = one.told(index(3))
    assert (broken.key, broken.integrity, broken.group) == ("", "failed", "4")
    assert after.integrity == "ok"
    assert [key for key, _ in one.session.states()] == [A]


def test_what_is_refused() -> None:
    one = Connection(A, BRTI)
    payload = json.dumps({"type": "error", "id": 1, "msg": {"code": 26, "msg": "limit"}}).encode()
    dropped, damage = one.error(26, command=1)
    assert (dropped.key, dropped.kind) == (A, "dropped")
    assert (damage.kind, str(damage.value)) == ("damage", "the venue says error 26: no")
    assert one.session.concerned(payload) == [A]
    assert one.session.concerned(payload.replace(b'"id": 1', b'"id": 77')) == []
    [ended] = one.error(9, command=2)  # the index needs a right that the key does not have
    assert (ended.key, ended.kind) == (BRTI, "end")
    dropped, damage = one.error(27, command=2)  # too many requests now
    assert (dropped.key, dropped.kind, dropped.detail) == (
        BRTI,
        "dropped",
        "seq 7: the venue says error 27: no",
    )
    assert (damage.kind, str(damage.value)) == ("damage", "the venue says error 27: no")
    for code in (10, 25):
        renew, *all_keys, damage = one.error(code)
        assert (renew.kind, damage.kind) == ("renew", "damage")
        assert [(each.key, each.kind) for each in all_keys] == [(A, "dropped"), (BRTI, "dropped")]


@pytest.mark.parametrize(
    ("sid", "keys"), [(1, [A, B]), (3, [A, B]), (4, [BRTI]), (5, [LIFECYCLE]), (6, [A, B, BRTI, LIFECYCLE])]
)
def test_an_ended_subscription_concerns_the_keys_of_its_channel(sid: int, keys: list[str]) -> None:
    one = Connection(A, B, BRTI, LIFECYCLE)
    one.told({"type": "subscribed", "id": 3, "msg": {"channel": LIFECYCLE, "sid": 5}})
    error = {"type": "error", "sid": sid, "msg": {"code": 25, "msg": "subscription buffer overflow"}}
    updates = one.told(error)
    assert [each.key for each in updates if each.kind == "dropped"] == keys
    assert one.session.concerned(json.dumps(error).encode()) == keys


def test_concerned_are_the_markets_that_a_damaged_frame_names() -> None:
    one = Connection()
    assert one.session.concerned(b'{"type":"orderbook_delta","msg":{"market_ticker":"%b"' % B.encode()) == [B]
    assert one.session.concerned(b'{"type":"orderbook_delta"') is None


@pytest.mark.parametrize(
    "document",
    [
        {"type": "orderbook_delta", "sid": 1, "seq": 1, "msg": {"market_ticker": A}},
        {"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": {"yes_dollars_fp": []}},
        {"type": "trade", "sid": 1, "seq": 1, "msg": {"market_ticker": A, "trade_id": "1"}},
        {"type": "orderbook_snapshot", "sid": "1", "seq": 1, "msg": {"market_ticker": A}},
        [],
    ],
)
def test_frames_that_are_none(document: Any) -> None:
    with pytest.raises(ParseError, match="not a frame of Kalshi"):
        Connection().told(document)


def test_frames_that_say_nothing_of_a_market_are_left_alone() -> None:
    one = Connection()
    assert one.told({"type": "unsubscribed", "id": 1}) == []
    assert one.told({"type": "something_new", "msg": {"a": 1}}) == []


# ---- life cycle ------------------------------------------------------------------------------------------


class Living(Connection):
    """A connection with the channel of life cycles as its fifth subscription."""

    def __init__(self) -> None:
        super().__init__(A, LIFECYCLE)
        [self.first] = self.told(
            {"type": "subscribed", "id": 2, "msg": {"channel": LIFECYCLE, "sid": 5}, "sending_ts_ms": 1}
        )

    def event(self, seq: int, event: str = "settled", market: str = B, later_s: float = 0) -> list[Update]:
        said = {"market_ticker": market, "event_type": event}
        frame = {"type": LIFECYCLE, "sid": 5, "seq": seq, "sending_ts_ms": NOW // MILLISECOND + seq}
        return self.told({**frame, "msg": said}, later_s)


def test_the_life_cycle_is_a_key_without_a_filter() -> None:
    one = Living()
    markets, life = map(json.loads, one.texts)
    assert markets["params"]["market_tickers"] == [A]
    assert life == {"id": 2, "cmd": "subscribe", "params": {"channels": [LIFECYCLE]}}
    assert (one.first.key, one.first.kind, one.first.integrity) == (LIFECYCLE, "snapshot", "ok")
    [gone] = map(json.loads, one.session.unsubscribe([LIFECYCLE]))
    assert (gone["cmd"], gone["params"]) == ("unsubscribe", {"sids": [5]})
    assert one.session.unsubscribe([LIFECYCLE]) == []


def test_events_are_of_the_life_cycle_whatever_their_market() -> None:
    one = Living()
    one.book(1, A, [["0.4700", "3.00"]])
    for seq in (7, 8):  # the venue's first number is none of ours
        [update] = one.event(seq)
        assert (update.key, update.kind, update.integrity, update.group) == (LIFECYCLE, "trade", "ok", "5")
    assert (update.value.market, update.value.event) == (B, "settled")
    assert dict(one.session.states()).keys() == {A}


def test_a_lost_event_is_a_gap_of_the_life_cycle_alone() -> None:
    one = Living()
    one.book(1, A, [["0.4700", "3.00"]])
    one.event(7)
    lost, update = one.event(9)
    assert (lost.key, lost.kind, lost.integrity, lost.group) == (LIFECYCLE, "trade", "failed", "5")
    assert (lost.base, lost.at) == (NOW + 7 * MILLISECOND, NOW + 9 * MILLISECOND)
    assert lost.detail == "frames 8 to 8 of 5 are missing"
    assert update.integrity == "ok"
    [delta] = one.delta(2, A, "yes", "0.4700", "1.00")
    assert delta.integrity == "ok"
    [again] = one.event(9)
    assert again.is_known


def test_after_a_lost_trade_the_number_of_the_next_event_proves_the_life_cycle() -> None:
    one = Living()
    one.event(7)
    one.trade(1)
    of_trades, _, doubt = one.trade(3, later_s=1)
    assert (of_trades.key, of_trades.integrity) == (A, "failed")
    assert (doubt.key, doubt.kind, doubt.integrity) == (LIFECYCLE, "trade", "failed")
    assert doubt.base == NOW + 7 * MILLISECOND
    [event] = one.event(8)
    assert (event.integrity, event.base) == ("ok", NOW + 7 * MILLISECOND)


def test_good_frames_of_others_prove_the_life_cycle_by_their_order() -> None:
    one = Living()
    first, mark = one.book(1, A, [["0.4700", "3.00"]])
    assert first.key == A
    assert (mark.key, mark.kind, mark.integrity, mark.group, mark.at) == ("", "mark", "ok", "5", NOW)
    soon, later = (NOW // MILLISECOND + ms for ms in (900, 1000))
    assert len(one.delta(2, A, "yes", "0.4700", "1.00", ts_ms=soon)) == 1  # once a second
    assert len(one.delta(3, A, "yes", "0.4700", "1.00", ts_ms=later)) == 2
    assert len(Connection(A).book(1, A)) == 1


def test_a_list_of_what_stands_proves_a_silent_life_cycle() -> None:
    one = Living()
    [text] = map(json.loads, one.session.resync([LIFECYCLE]))
    assert text["cmd"] == "list_subscriptions"
    [stands] = one.told({**LISTED, "id": text["id"], "sending_ts_ms": NOW // MILLISECOND})
    assert (stands.key, stands.kind, stands.integrity, stands.group) == (LIFECYCLE, "snapshot", "ok", "5")
    assert stands.at == NOW - SECOND
    one.event(1000)
    [stands] = one.told(LISTED)  # it does not say when it was sent
    assert stands.at == NOW
    assert one.told({"id": 9, "type": "ok", "sid": 1, "msg": {"market_tickers": [A]}}) == []


@pytest.mark.parametrize("is_list", [False, True], ids=["an answer", "a list without it"])
@pytest.mark.parametrize(("sid", "key"), [(5, LIFECYCLE), (3, A)])
def test_a_subscription_that_has_ended_unasked_is_dropped(sid: int, key: str, is_list: bool) -> None:
    one = Living()
    without = {**LISTED, "msg": [each for each in STANDING if each["sid"] != sid]}
    renew, dropped = one.told(without if is_list else {"type": "unsubscribed", "sid": sid, "seq": 1})
    assert (renew.kind, dropped.kind, dropped.key) == ("renew", "dropped", key)
    proven = [update.group for update in one.book(1, A)]
    assert proven == (["1"] if sid == 5 else ["1", "5"])


def test_an_end_that_was_asked_for_is_none() -> None:
    one = Living()
    one.session.unsubscribe([LIFECYCLE])
    assert one.told({"type": "unsubscribed", "id": 3, "sid": 5, "seq": 1}) == []


CHANNELS = ("orderbook_delta", "ticker", "trade", "cfbenchmarks_value", LIFECYCLE)
STANDING = [{"channel": channel, "sid": sid} for sid, channel in enumerate(CHANNELS, 1)]
LISTED = {"id": 9, "type": "ok", "msg": STANDING}


@pytest.mark.parametrize("has_lost_some", [True, False], ids=["frames are missing", "a silence"])
def test_after_a_loss_or_a_silence_the_order_proves_no_life_cycle_until_its_next_event(
    has_lost_some: bool,
) -> None:
    one = Living()
    one.event(7)
    one.trade(1)
    after = one.trade(3) if has_lost_some else one.trade(2, later_s=11)
    assert not [update for update in after if update.group == "5" and update.integrity == "ok"]
    assert one.told(LISTED, later_s=12) == []
    [event] = one.event(8, later_s=12)
    assert event.integrity == "ok"
    [stands] = one.told(LISTED, later_s=12)
    assert (stands.key, stands.integrity) == (LIFECYCLE, "ok")


def test_answers_to_lists_are_no_silence() -> None:
    one = Living()
    assert [len(one.told(LISTED, later_s=at)) for at in (5, 10, 15)] == [1, 1, 1]


def test_a_damaged_event_concerns_the_life_cycle_alone() -> None:
    cut = f'{{"type":"{LIFECYCLE}","msg":{{"market_ticker":"{A}'.encode()
    assert Living().session.concerned(cut) == [LIFECYCLE]


def test_a_life_cycle_that_is_refused_is_let_go() -> None:
    [update] = Living().error(8, command=2)
    assert (update.key, update.kind) == (LIFECYCLE, "end")
