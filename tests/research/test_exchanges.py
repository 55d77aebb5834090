"""Tables of exchanges' sockets, against the simulated market that sent them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.research.tables.normalize import normalize
from marketarchive.simulator.bitstamp import Bitstamp, BitstampSession
from marketarchive.simulator.kraken import Kraken, KrakenSession
from marketarchive.times import SECOND, from_datetime, utc
from marketarchive.venues.bitstamp.socket import WIRE as BITSTAMP
from marketarchive.venues.exchange_session import ExchangeSession
from marketarchive.venues.kraken.socket import WIRE
from tests.archive.writing import NOON
from tests.e2e.harness import command
from tests.research.exchange_day import ExchangeDay
from tests.research.made_up import rows

MARKETS = ("BTC/USD", "XRP/USD")
WORLD = Kraken(1).world


def day() -> ExchangeDay:
    return ExchangeDay("kraken", WIRE, lambda now: KrakenSession(WORLD, now))


def table(root: Path, name: str) -> list[dict[str, Any]]:
    done = normalize(root)
    assert not done.failed
    return rows(root, name, "spot", "kraken")


def test_each_quote_is_the_best_of_the_book_at_its_time(tmp_path: Path) -> None:
    one = day()
    one.open("c1", MARKETS, 0)
    one.send("c1", 0, 20)
    one.write(tmp_path)
    quotes = table(tmp_path, "quotes")
    assert {row["market"] for row in quotes} == set(MARKETS)
    assert {row["verified"] for row in quotes if row["source"] == "book"} == {"ok"}
    for row in quotes:
        bids, asks = WORLD.book(row["market"], from_datetime(row["event_time"]))
        assert (row["best_bid"], row["best_ask"]) == (Decimal(bids[0][0]), Decimal(asks[0][0]))
    assert len([row for row in quotes if row["source"] == "book"]) > 20


def test_changes_replayed_are_the_book_that_was(tmp_path: Path) -> None:
    """Also of levels that left the subscribed depth, of which the venue says nothing."""
    one = day()
    one.open("c1", MARKETS, 0)
    one.send("c1", 0, 20)
    one.write(tmp_path)
    books, changes = table(tmp_path, "books"), rows(tmp_path, "book_changes", "spot", "kraken")
    assert {row["verified"] for row in (*books, *changes)} == {"ok"}
    for market in MARKETS:
        [first] = [row for row in books if row["market"] == market]
        sides = {
            side: {level["price"]: level["size"] for level in first[name]}
            for side, name in (("BUY", "bids"), ("SELL", "asks"))
        }
        for row in changes:
            if row["market"] == market:
                if row["size"]:
                    sides[row["side"]][row["price"]] = row["size"]
                else:
                    sides[row["side"]].pop(row["price"], None)
        bids, asks = WORLD.book(market, NOON + 20 * SECOND)
        for side, levels, is_bid in (("BUY", bids, True), ("SELL", asks, False)):
            held = sorted(sides[side].items(), reverse=is_bid)
            assert held == [(Decimal(price), Decimal(size)) for price, size in levels[:100]]
        book = Archive(tmp_path).book_at(market, utc(NOON + 21 * SECOND), exact=True)
        assert book is not None
        assert (list(book.bids), list(book.asks)) == tuple(
            [(Decimal(price), Decimal(size)) for price, size in levels[:100]] for levels in (bids, asks)
        )


def test_trades_are_told_once_and_numbered(tmp_path: Path) -> None:
    """Two connections overlap, and a subscription repeats what was before it."""
    one = day()
    one.open("c1", MARKETS, 0)
    one.send("c1", 0, 20)
    one.open("c2", MARKETS, 20)
    one.send("c1", 20, 25)
    one.send("c2", 20, 25)
    one.write(tmp_path)
    trades = table(tmp_path, "trades")
    for market in MARKETS:
        ids = sorted(int(row["trade_id"]) for row in trades if row["market"] == market)
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert len(ids) >= 50 + 14
    assert {row["verified"] for row in trades if row["source"] == "trade"} == {"ok"}


def test_a_lost_delta_fails_the_checksum_until_a_snapshot(tmp_path: Path) -> None:
    one = day()
    one.open("c1", ("BTC/USD",), 0)
    one.send("c1", 0, 10, lost=5)
    one.write(tmp_path)
    changes = table(tmp_path, "book_changes")
    verdicts = [row["verified"] for row in changes]
    assert verdicts[0] == "ok"
    assert "failed" in verdicts


def test_a_kept_book_and_the_deltas_after_it_are_read_alone(tmp_path: Path) -> None:
    """As of a segment that follows another: no snapshot, but the book of the rotation."""
    whole = day()
    whole.open("c1", ("BTC/USD",), 0)
    session = whole.sessions["c1"]
    reader = ExchangeSession(WIRE)
    reader.subscribe(["BTC/USD"], is_first=True)
    for item in whole.items[1:]:
        for at, seq, payload in item.frames:
            reader.apply(at, seq, payload, latest=at + SECOND, verify=True)
    for frame in session.due(NOON, NOON + 5 * SECOND):
        reader.apply(frame.ns, 1, frame.payload, latest=frame.ns + SECOND, verify=True)
    [(market, payload)] = reader.states()
    alone = day()
    alone.sessions["c1"] = session
    alone.state("c1", market, payload, 5)
    alone.send("c1", 5, 10)
    alone.write(tmp_path)
    changes = table(tmp_path, "book_changes")
    assert changes
    assert {row["verified"] for row in changes} == {"ok"}
    [state] = rows(tmp_path, "books", "spot", "kraken")
    assert state["route"] == "state"


@pytest.mark.parametrize("silent", [(), (40, 80)])
def test_coverage_of_a_market(tmp_path: Path, silent: tuple[int, ...]) -> None:
    one = day()
    one.open("c1", MARKETS, 0)
    first, last = silent or (60, 60)
    one.send("c1", 0, first)
    one.send("c1", last, 100)
    one.gap(90, 95, ["XRP/USD"])
    one.close("c1", 100)
    one.write(tmp_path)
    found = {row["market"]: row for row in table(tmp_path, "coverage")}
    assert set(found) == set(MARKETS)
    for market, row in found.items():
        gapped = 5 if market == "XRP/USD" else 0
        unknown = 30 - gapped if silent else 0  # 30 s after a frame, and a book that lacks deltas
        assert row["asset"] == market[:3]
        assert row["tracked_s"] in (100, 101)
        assert row["gapped_s"] in (gapped, gapped + 1)
        assert abs(row["unknown_s"] - unknown) <= 3  # a frame comes within a second or two
        assert row["observed_s"] == row["tracked_s"] - row["gapped_s"] - row["unknown_s"]


def test_books_of_very_many_levels_are_whole(tmp_path: Path) -> None:
    one, deep = day(), 30_000  # several of them are converted and written apart
    one.open("c1", MARKETS[:1], 0)
    for second in range(1, 6):
        bids = [[f"{40_000 - place}.0", f"{second}.0"] for place in range(deep)]
        asks = [[f"{40_001 + place}.0", f"{second}.0"] for place in range(deep)]
        document = {"at": NOON + second * SECOND, "last": None, "bids": bids, "asks": asks}
        one.state("c1", MARKETS[0], json.dumps(document).encode(), second)
    one.close("c1", 10)
    one.write(tmp_path)
    states = [row for row in table(tmp_path, "books") if row["route"] == "state"]
    assert [len(row["bids"]) + len(row["asks"]) for row in states] == [2 * deep] * 5
    assert sorted(row["bids"][-1]["size"] for row in states) == [Decimal(second) for second in range(1, 6)]


def test_a_book_that_is_not_sound_is_not_observed(tmp_path: Path) -> None:
    one = day()
    one.open("c1", MARKETS[:1], 0)
    one.send("c1", 0, 40, lost=10)  # of some 20 frames; no gap names it
    one.close("c1", 40)
    one.write(tmp_path)
    states = [*table(tmp_path, "book_changes"), *rows(tmp_path, "books", "spot", "kraken")]
    verdicts = sorted((state["received_at"], state["verified"]) for state in states)
    [row] = rows(tmp_path, "coverage", "spot", "kraken")
    kinds = set()
    for span in row["spans"]:
        for second in range(1, span["seconds"] + 1):
            end = span["start"] + timedelta(seconds=second)
            *_, (_, newest) = [each for each in verdicts if each[0] < end]
            kinds.add((span["state"], newest))
    assert kinds == {("observed", "ok"), ("unknown", "failed")}


def test_a_crossed_book_is_not_observed(tmp_path: Path) -> None:
    one = ExchangeDay("bitstamp", BITSTAMP, lambda now: BitstampSession(Bitstamp(1).world, now))
    one.open("c1", ["btcusd"], 0)
    for second in range(1, 41):
        at = NOON + second * SECOND
        bid = "80002" if second > 20 else "80000"
        data = {"timestamp": "1", "microtimestamp": str(at // 1000), "bids": [[bid, "1.0"]]}
        event = {
            "event": "data",
            "channel": "order_book_btcusd",
            "data": {**data, "asks": [["80001", "1.0"]]},
        }
        one.frame("c1", json.dumps(event).encode(), at)
    one.close("c1", 40.5)
    one.write(tmp_path)
    done = normalize(tmp_path)
    assert not done.failed
    [row] = rows(tmp_path, "coverage", "spot", "bitstamp")
    assert 19 <= row["observed_s"] <= 21
    assert row["unknown_s"] >= 19


def test_notebooks_and_verify_know_it(tmp_path: Path) -> None:
    one = day()
    one.open("c1", MARKETS, 0)
    one.send("c1", 0, 20)
    one.gap(5, 6, ["XRP/USD"])
    one.close("c1", 20)
    one.write(tmp_path)
    archive = Archive(tmp_path)
    quotes = archive.quotes(venue="kraken", asset="XRP")
    assert 1 <= quotes["gap_before"].sum() < 10  # those in it, and the first after it
    assert not archive.quotes(venue="kraken", asset="BTC")["gap_before"].any()
    trades = archive.trades(venue="kraken", asset="BTC")
    assert len(trades) > 10
    assert trades["trade_id"].is_unique
    assert archive.coverage(venue="kraken")["asset"].tolist() == ["BTC", "XRP"]
    told = command("verify", tmp_path, "--books")
    assert told.returncode == 0, told.stdout
    assert " ok" in told.stdout.split("books ", 1)[1].splitlines()[0]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_verify_names_a_failed_book_that_no_gap_explains(tmp_path: Path, is_recorded: bool) -> None:
    one = day()
    one.open("c1", ("BTC/USD",), 0)
    one.send("c1", 0, 10, lost=5)
    if is_recorded:
        one.gap(0, 10, ["BTC/USD"])
    one.write(tmp_path)
    told = command("verify", tmp_path, "--books")
    assert (told.returncode == 0) is is_recorded
    assert ("the book of BTC/USD does not have the hash it states" in told.stdout) is not is_recorded
    assert " failed\n" in told.stdout
