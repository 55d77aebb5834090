"""How much of a day was seen: each tracked second is observed, quiet, gapped or unknown, and nothing else."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.research.tables.normalize import normalize
from marketarchive.research.tables.seconds import SECONDS, US, Day
from marketarchive.times import from_iso
from marketarchive.venues.polymarket.market_channel import unsubscribe
from tests.research.making import book, many
from tests.research.streaming import Frame, Line, Lost, Rest, Rotate, Socket, State, event, record, rows
from tests.venues.polymarket.rows import CONDITION

SLUG = "btc-updown-5m-1784853900"
TRACKED = {SLUG: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MIDNIGHT = 12 * 3600.0


def dump(*tokens: str) -> bytes:
    events = [json.loads(book(token)) | {"event_type": "book"} for token in tokens]
    return json.dumps(events).encode()


def change(at_ms: int, token: str = "1") -> bytes:
    element = {"asset_id": token, "price": "0.4", "size": str(at_ms), "side": "BUY", "hash": ""}
    element |= {"best_bid": "0.49", "best_ask": "0.51"}
    values: dict[str, Any] = {"market": CONDITION, "timestamp": str(1785734468581 + at_ms)}
    return event("price_change", price_changes=[element], **values)


def seconds(root: Path, lines: list[Line], feed: str = "stream", **known: Any) -> dict[str, int]:
    """The counts of the one market in `lines`."""
    record(root, lines, feed=feed, tracked=TRACKED if known.get("named", True) else None)
    assert not normalize(root).failed
    [row] = rows(root, "coverage", feed, known.get("day", "2026-11-21"))
    counts = {name: row[f"{name}_s"] for name in ("tracked", "observed", "quiet", "gapped", "unknown")}
    assert counts["tracked"] == sum(counts.values()) - counts["tracked"]
    return {name: count for name, count in counts.items() if count}


def opened(at: float = 0.0, connection: str = "c1") -> Socket:
    return Socket("opened", at, ("1", "2"), connection)


def test_a_frame_counts_for_thirty_seconds(tmp_path: Path) -> None:
    lines = [opened(0.5), Frame(dump("1", "2"), 1.2), Frame(change(1), 20), Socket("closed", 80.5)]
    # seconds end at 1 ... 80; books came at 1.2; the frame of second 20 counts up to second 49
    assert seconds(tmp_path, lines) == {"tracked": 80, "observed": 49, "unknown": 31}
    [row] = rows(tmp_path, "coverage")
    assert (row["market"], row["slug"]) == (CONDITION, SLUG)
    assert (row["last_tracked"] - row["first_tracked"]).total_seconds() == 80


def test_five_minutes_are_told_apart(tmp_path: Path) -> None:
    lines = [opened(290), Frame(dump("1", "2"), 290.5), Frame(change(1), 340), Socket("closed", 610)]
    assert seconds(tmp_path, lines) == {"tracked": 320, "observed": 60, "unknown": 260}
    [row] = rows(tmp_path, "coverage")
    names = ("observed_s", "quiet_s", "gapped_s", "unknown_s")
    counted = {f"{one['start']:%H:%M}": tuple(one[name] for name in names) for one in row["slices"]}
    # the book of second 290 counts up to 319, the change of second 340 up to 369
    assert counted == {"12:00": (10, 0, 0, 0), "12:05": (50, 0, 0, 250), "12:10": (0, 0, 0, 10)}


def test_only_a_connection_with_the_books_of_both_tokens_observes(tmp_path: Path) -> None:
    lines = [opened(), Frame(dump("1"), 1), Frame(change(1), 2), Frame(dump("2"), 4.5), Socket("closed", 10)]
    assert seconds(tmp_path, lines) == {"tracked": 10, "observed": 6, "unknown": 4}


def test_a_book_asked_for_makes_up_for_one_that_never_came(tmp_path: Path) -> None:
    lines = [opened(), Frame(dump("1"), 1), Rest(many(book("2")), 5), Socket("closed", 10)]
    assert seconds(tmp_path, lines) == {"tracked": 10, "observed": 5, "unknown": 5}


def test_a_look_up_that_shows_the_same_book_proves_that_it_was_quiet(tmp_path: Path) -> None:
    both = many(book("1"), book("2"))
    other = many(book("1"), book("2", timestamp="1785734468999"))
    lines = [opened(), Frame(dump("1", "2"), 1), Rest(both, 60), Rest(both, 90), Rest(other, 120)]
    lines += [Socket("closed", 130)]
    assert seconds(tmp_path, lines) == {"tracked": 130, "observed": 30, "quiet": 59, "unknown": 41}


def test_a_look_up_of_one_token_proves_nothing_of_the_other(tmp_path: Path) -> None:
    lines = [opened(), Frame(dump("1", "2"), 1), Rest(many(book("1")), 60), Socket("closed", 70)]
    assert seconds(tmp_path, lines) == {"tracked": 70, "observed": 30, "unknown": 40}


def test_a_gap_outweighs_what_the_same_recording_saw(tmp_path: Path) -> None:
    lines = [
        opened(),
        Frame(dump("1", "2"), 0.5),
        Lost(3.2, 4.1, {"connection": "c1", "markets": [SLUG], "token": "1"}),
        Lost(6, 7, {"connection": "c1", "markets": ["another"]}),
        Lost(6, 7, {"connection": "c1", "markets": [SLUG], "token": "9"}),
        Lost(6, 7, {"endpoint": "clob_books", "asked_for": ["1"]}),
        Lost(8, 9, {"venue": "polymarket", "feed": "stream"}),
        Socket("closed", 10),
    ]
    assert seconds(tmp_path, lines) == {"tracked": 10, "observed": 7, "gapped": 3}


def test_a_loss_noticed_and_then_ended_is_one_gap(tmp_path: Path) -> None:
    scope = {"connection": "c1", "markets": [SLUG]}
    lines = [
        opened(),
        Frame(dump("1", "2"), 0.5),
        Lost(3, 3, scope, is_open=True),
        Lost(3, 5, scope),
        Socket("closed", 10),
    ]
    assert seconds(tmp_path, lines) == {"tracked": 10, "observed": 8, "gapped": 2}
    [gap] = rows(tmp_path, "gaps")
    assert (gap["to"] - gap["from"]).total_seconds() == 2


def test_a_loss_that_never_ended_lasts(tmp_path: Path) -> None:
    scope = {"connection": "c1", "markets": [SLUG]}
    lines = [opened(), Frame(dump("1", "2"), 0.5), Lost(3, 3, scope, is_open=True), Frame(change(1), 10)]
    assert seconds(tmp_path, lines) == {"tracked": 10, "observed": 3, "gapped": 7}


def test_between_two_connections_it_is_tracked_and_not_observed(tmp_path: Path) -> None:
    lines = [
        opened(),
        Frame(dump("1", "2"), 0.5),
        Socket("closed", 5),
        Lost(5, 8.5, {"connection": "c1", "markets": [SLUG]}),
        opened(8, "c2"),
        Frame(dump("1", "2"), 8.5, "c2"),
        Socket("closed", 12, connection="c2"),
    ]
    assert seconds(tmp_path, lines) == {"tracked": 12, "observed": 8, "gapped": 4}


def test_an_outage_to_the_end_of_the_run_is_tracked_as_far_as_its_gap_says(tmp_path: Path) -> None:
    lines = [
        opened(),
        Frame(dump("1", "2"), 0.5),
        Socket("closed", 5),
        Lost(5, 20, {"connection": "c1", "markets": [SLUG]}),
    ]
    assert seconds(tmp_path, lines) == {"tracked": 20, "observed": 5, "gapped": 15}


@pytest.mark.parametrize("way", ["unsubscribed", "resolved"])
def test_what_is_over_is_not_tracked_any_more(way: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"market": CONDITION, "timestamp": "1785734468999", "assets_ids": ["1", "2"]}
    over: Line = Frame(event("market_resolved", **values), 5)
    if way == "unsubscribed":
        over = Socket("unsubscribed", 5, text=unsubscribe(["1", "2"]))
    lines = [opened(), Frame(dump("1", "2"), 0.5), over, Frame(b"PONG", 50), Socket("closed", 60)]
    assert seconds(tmp_path, lines) == {"tracked": 5, "observed": 5}


def test_overlapping_connections_hand_over_without_a_hole(tmp_path: Path) -> None:
    lines = [
        opened(),
        Frame(dump("1", "2"), 0.5),
        Frame(change(1), 39.5),
        opened(40, "c2"),
        Frame(dump("1", "2"), 40.5, "c2"),
        Socket("closed", 41),
        Socket("closed", 60, connection="c2"),
    ]
    assert seconds(tmp_path, lines) == {"tracked": 60, "observed": 51, "unknown": 9}


def test_a_day_ends_at_midnight_and_the_next_begins_with_its_states(tmp_path: Path) -> None:
    lines: list[Line] = [
        opened(MIDNIGHT - 10),
        Frame(dump("1", "2"), MIDNIGHT - 9.5),
        Rotate(),
        State("1", book("1"), 1, MIDNIGHT + 0.25),
        State("2", book("2"), 1, MIDNIGHT + 0.25),
        Frame(change(1), MIDNIGHT + 3),
        Socket("closed", MIDNIGHT + 20),
    ]
    assert seconds(tmp_path, lines) == {"tracked": 10, "observed": 10}
    [row] = rows(tmp_path, "coverage", day="2026-11-22")
    assert (row["tracked_s"], row["observed_s"], row["unknown_s"]) == (20, 20, 0)


def test_a_segment_before_midnight_that_was_damaged_costs_the_coverage_after_it(tmp_path: Path) -> None:
    lines: list[Line] = [
        opened(MIDNIGHT - 10),
        Frame(dump("1", "2"), MIDNIGHT - 9.5),
        Rotate(),
        State("1", book("1"), 1, MIDNIGHT + 0.25),
        Socket("closed", MIDNIGHT + 20),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    before = min(tmp_path.glob("raw/**/feed=stream/date=2026-11-21/**/*.gz"))
    before.write_bytes(gzip.compress(gzip.decompress(before.read_bytes()), 1))  # sound, and another file
    failed = normalize(tmp_path, since=from_iso("2026-11-22T00:00:00Z")).failed
    assert list(failed) == ["tables/coverage/venue=polymarket/feed=stream/date=2026-11-22/coverage.parquet"]
    assert "is not the file that the ledger describes" in next(iter(failed.values()))


def test_no_second_of_a_quiet_market_is_lost_at_midnight(tmp_path: Path) -> None:
    """Its run is silent for longer than a minute before it, and for 25 s after it."""
    lines: list[Line] = [
        opened(MIDNIGHT - 100),
        Frame(dump("1", "2"), MIDNIGHT - 99.5),
        Lost(MIDNIGHT - 5, MIDNIGHT + 4, {"connection": "c1", "markets": [SLUG]}),
        Rotate(),
        State("1", book("1"), 1, MIDNIGHT + 25),
        State("2", book("2"), 1, MIDNIGHT + 25),
        Frame(dump("1", "2"), MIDNIGHT + 25),
        Socket("closed", MIDNIGHT + 40),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    assert not normalize(tmp_path).failed
    [before] = rows(tmp_path, "coverage")
    assert (before["tracked_s"], before["observed_s"], before["gapped_s"]) == (100, 30, 5)
    [after] = rows(tmp_path, "coverage", day="2026-11-22")
    assert (after["tracked_s"], after["observed_s"], after["gapped_s"]) == (40, 15, 4)
    archive = Archive(tmp_path)
    for second, is_gap in ((-50, False), (-1, True), (0, True), (3, True), (10, True), (26, False)):
        found = archive.book_at("1", NOON + timedelta(seconds=MIDNIGHT + second))
        assert found is not None
        assert (second, found.gap, found.is_tracked) == (second, is_gap, True)


def test_polled_books_are_tracked_over_midnight(tmp_path: Path) -> None:
    times = [MIDNIGHT + second for second in (-20, -10, 10, 20)]
    lines: list[Line] = [Rest(many(book("1"), book("2")), at) for at in times]
    record(tmp_path, [*lines[:2], Rotate(), *lines[2:]], feed="orderbook", tracked=TRACKED)
    assert not normalize(tmp_path).failed
    days = [rows(tmp_path, "coverage", "orderbook", day) for day in ("2026-11-21", "2026-11-22")]
    assert [[(row["tracked_s"], row["observed_s"], row["quiet_s"]) for row in day] for day in days] == [
        [(20, 2, 18)],
        [(20, 1, 19)],
    ]
    found = Archive(tmp_path).book_at("1", NOON + timedelta(seconds=MIDNIGHT + 1))
    assert found is not None
    assert not found.gap


def test_two_recordings_close_each_others_gaps(tmp_path: Path) -> None:
    scope = {"connection": "c1", "markets": [SLUG]}
    record(tmp_path, [opened(), Frame(dump("1", "2"), 0.5), Lost(3, 6, scope), Socket("closed", 10)])
    lines = [opened(4), Frame(dump("1", "2"), 4.5), Socket("closed", 12)]
    assert seconds(tmp_path, lines) == {"tracked": 12, "observed": 11, "gapped": 1}


@pytest.mark.parametrize(
    ("scope", "more"),
    [
        ({"venue": "polymarket", "feed": "stream"}, {"gapped": 3}),
        ({"records": True}, {}),  # says nothing of what was sent
    ],
)
def test_between_two_runs_it_is_tracked_where_a_gap_of_the_whole_feed_says_why(
    scope: dict[str, Any], more: dict[str, int], tmp_path: Path
) -> None:
    record(tmp_path, [opened(), Frame(dump("1", "2"), 0.5), Socket("closed", 5)], tracked=TRACKED)
    again = [Lost(5, 8, scope), opened(8.2), Frame(dump("1", "2"), 8.4), Socket("closed", 12)]
    assert seconds(tmp_path, again) == {"tracked": 9 + sum(more.values()), "observed": 9, **more}


ROUND = "btc-updown-5m-1795262400"
"""Noon to five past."""


@pytest.mark.parametrize("is_before", [True, False])
def test_a_round_that_ended_or_began_while_nothing_listened_was_to_be_seen_then(
    is_before: bool, tmp_path: Path
) -> None:
    tracked = {ROUND: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}}}
    pause = {"venue": "polymarket", "feed": "stream"}
    if is_before:
        record(tmp_path, [opened(200), Frame(dump("1", "2"), 200.5), Socket("closed", 210)], tracked=tracked)
        record(tmp_path, [Lost(210, 400, pause), Socket("opened", 400, ("8", "9"))])
        expected = (100, 10, 90)
    else:
        record(tmp_path, [Socket("opened", -20, ("8", "9")), Socket("closed", -10)])
        lines = [Lost(-10, 60, pause), opened(60), Frame(dump("1", "2"), 60.5), Socket("closed", 90)]
        record(tmp_path, lines, tracked=tracked)
        expected = (90, 30, 60)
    assert not normalize(tmp_path).failed
    [row] = [each for each in rows(tmp_path, "coverage") if each["slug"] == ROUND]
    assert (row["tracked_s"], row["observed_s"], row["gapped_s"]) == expected
    assert (row["last_tracked"] - row["first_tracked"]).total_seconds() == expected[0]


def test_a_market_that_nobody_knows_by_name_is_covered_too(tmp_path: Path) -> None:
    lines = [
        opened(),
        Frame(dump("1", "2"), 0.5),
        Lost(3, 5, {"connection": "c1", "markets": ["a-slug"]}),
        Socket("closed", 10),
    ]
    assert seconds(tmp_path, lines, named=False) == {"tracked": 10, "observed": 8, "gapped": 2}


def test_polled_books_are_observed_in_the_second_in_which_both_came(tmp_path: Path) -> None:
    def both(at: float, stamp: int) -> Rest:
        return Rest(many(book("1", timestamp=str(stamp)), book("2", timestamp=str(stamp))), at)

    lines = [
        both(0.1, 1785734468581),
        both(1.1, 1785734468582),
        Rest(many(book("1", timestamp="1785734468583")), 2.1),
        Lost(3, 4, {"markets": [SLUG]}),
        both(5.1, 1785734468584),
        both(9.1, 1785734468584),
        both(12.1, 1785734468585),
    ]
    counts = {"tracked": 13, "observed": 5, "quiet": 3, "gapped": 1, "unknown": 4}
    assert seconds(tmp_path, lines, "orderbook") == counts


def test_reference_prices_are_covered_by_topic_and_symbol(tmp_path: Path) -> None:
    def point(at: float, symbol: str = "btc/usd") -> Frame:
        payload = {"symbol": symbol, "timestamp": 1788600388000 + int(at * 1000), "value": 7.5}
        payload["full_accuracy_value"] = "7500000000000000000"
        document = {"topic": "crypto_prices_chainlink", "type": "update", "timestamp": 1788600389451}
        return Frame(json.dumps(document | {"payload": payload}).encode(), at)

    text = '{"action":"subscribe","subscriptions":[{"topic":"crypto_prices_chainlink","type":"update"}]}'
    lines: list[Line] = [Socket("opened", 0, text=text)]
    lines += [point(at) for at in (0.5, 1.5, 2.5, 20.5)]
    lines += [point(at, "eth/usd") for at in (0.5, 10.5)]
    scope = {"connection": "c1", "topics": ["crypto_prices_chainlink"]}
    lines += [Lost(10, 15, scope), Lost(15, 16, {**scope, "symbol": "eth/usd"}), Socket("closed", 25)]
    record(tmp_path, lines, feed="reference")
    assert not normalize(tmp_path).failed
    assert {
        row["market"]: (row["tracked_s"], row["observed_s"], row["gapped_s"], row["unknown_s"])
        for row in rows(tmp_path, "coverage", "reference")
    } == {
        "crypto_prices_chainlink:btc/usd": (25, 12, 5, 8),
        "crypto_prices_chainlink:eth/usd": (25, 5, 6, 14),
    }


def test_trades_alone_have_no_coverage(tmp_path: Path) -> None:
    record(tmp_path, [Rest(b'{"data":[]}', 1, "https://data-api.polymarket.com/v2/trades")], feed="trades")
    normalize(tmp_path)
    assert not list(tmp_path.glob("tables/coverage"))


moments = st.integers(-3 * US, (SECONDS + 3) * US)


@given(moments, moments)
def test_stretches_mark_the_seconds_that_they_should(one: int, two: int) -> None:
    start, end = min(one, two), max(one, two)
    day = Day(7 * SECONDS * US)
    held, touched = day.none(), day.none()
    day.hold(held, day.first + start, day.first + end)
    day.touch(touched, day.first + start, day.first + end)
    ends = np.arange(1, SECONDS + 1) * US
    assert (held == ((ends > start) & (ends <= end))).all()
    within = (ends > start) & (ends - US < end) if end > start else (ends > start) & (ends - US <= start)
    assert (touched == within).all()


@given(st.sets(st.integers(0, 400), max_size=8), st.integers(1, 60))
def test_what_arrived_counts_for_so_many_seconds(arrived: set[int], fresh: int) -> None:
    day = Day(0)
    found = set(np.flatnonzero(day.since(day.at(arrived), fresh)).tolist())
    assert found == {second for at in arrived for second in range(at, at + fresh)}
