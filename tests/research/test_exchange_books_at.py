"""Books at a moment, of exchanges' sockets: as the tables state them, message by message."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from marketarchive.simulator.kraken import Kraken, KrakenSession
from marketarchive.times import iso
from marketarchive.venues.bitstamp.socket import WIRE as BITSTAMP
from marketarchive.venues.coinbase.exchange_feed import WIRE as EXCHANGE
from marketarchive.venues.coinbase.socket import WIRE as COINBASE
from marketarchive.venues.gemini.socket import WIRE as GEMINI
from marketarchive.venues.kraken.socket import WIRE as KRAKEN
from marketarchive.venues.market_messages import WireFormat
from tests.archive.writing import NOON
from tests.research.exchange_day import ExchangeDay

SIZE = "1.00000000"
NONE = "0.00000000"
BTC = "BTC/USD"

Side = dict[str, str]


def ns(at: float) -> int:
    """Return the time `at` seconds after noon, in ns."""
    return NOON + round(at * 1e6) * 1000


def day(venue: str, wire: WireFormat, *markets: str, feed: str = "spot", at: float = 0) -> ExchangeDay:
    """Return a recording whose connection c1 has subscribed `markets`; its frames are written by hand."""
    world = Kraken(1).world
    made = ExchangeDay(venue, wire, lambda now: KrakenSession(world, now), feed=feed)
    made.line("c1", "opened", ns(at), markets)
    return made


class KrakenBook:
    """Kraken's side of one book, with the 100 best levels a side in view."""

    def __init__(self, day: ExchangeDay, shift: int = 0) -> None:
        self.bids: Side = {f"{price + shift:.1f}": SIZE for price in range(901, 1001)}
        self.asks: Side = {f"{price + shift:.1f}": SIZE for price in range(1001, 1101)}
        self._day = day

    def snapshot(self, at: float) -> None:
        self._send("snapshot", at, self.bids.items(), self.asks.items(), at)

    def update(
        self,
        at: float,
        bids: Iterable[tuple[str, str]] = (),
        asks: Iterable[tuple[str, str]] = (),
        dated: float | None = None,
    ) -> None:
        """Set levels; what then lies beyond the 100 best leaves the view without a word."""
        changed = [list(bids), list(asks)]
        for side, levels in zip((self.bids, self.asks), changed, strict=True):
            for price, size in levels:
                side.pop(price, None)
                if size != NONE:
                    side[price] = size
        for price in sorted(self.bids, key=float)[:-100]:
            del self.bids[price]
        for price in sorted(self.asks, key=float)[100:]:
            del self.asks[price]
        self._send("update", at, changed[0], changed[1], at if dated is None else dated)

    def _send(
        self,
        kind: str,
        at: float,
        bids: Iterable[tuple[str, str]],
        asks: Iterable[tuple[str, str]],
        dated: float,
    ) -> None:
        sides = [
            ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in levels) for levels in (bids, asks)
        ]
        self._day.frame(
            "c1",
            (
                f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{BTC}","bids":[{sides[0]}],'
                f'"asks":[{sides[1]}],"checksum":{self._checksum()},"timestamp":"{iso(ns(dated))}"}}]}}'
            ).encode(),
            ns(at),
        )

    def _checksum(self) -> int:
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:10]
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))[:10]
        digits = (text.replace(".", "").lstrip("0") for level in (*asks, *bids) for text in level)
        return zlib.crc32("".join(digits).encode())


def test_a_level_that_left_the_depth_is_no_best_price_later(tmp_path: Path) -> None:
    """1100.0 leaves the view, is cancelled there, and then the market rises above it."""
    made = day("kraken", KRAKEN, BTC)
    book = KrakenBook(made)
    book.snapshot(1)
    book.update(2, asks=[("1000.5", SIZE)])
    assert "1100.0" not in book.asks
    gone, new = list(book.asks), [f"{price:.1f}" for price in range(1201, 1301)]
    for place in range(0, 100, 5):
        taken = [(price, NONE) for price in sorted(gone, key=float)[place : place + 5]]
        book.update(3 + place / 25, asks=taken + [(price, SIZE) for price in new[place : place + 5]])
    for place in range(150):
        book.update(8 + place / 50, bids=[(f"{1001 + place:.1f}", SIZE)])
    made.close("c1", 16)
    made.write(tmp_path)
    archive = Archive(tmp_path)
    found = archive.book_at(BTC, iso(ns(14)))
    assert found is not None
    assert (found.bids[0], found.asks[0]) == ((1150.0, 1.0), (1201.0, 1.0))
    assert (len(found.bids), len(found.asks), found.verified, found.gap) == (100, 100, "ok", False)
    assert float(archive.fill(BTC, "buy", 1, iso(ns(14))).average or 0) == 1201


def l2_frame(number: int, dated: float, kind: str, *levels: tuple[str, str, str]) -> bytes:
    """Return a frame of Coinbase's Advanced Trade; levels: (side, price, size)."""
    updates = [
        {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}
        for side, price, size in levels
    ]
    return json.dumps(
        {
            "channel": "l2_data",
            "client_id": "",
            "timestamp": iso(ns(dated)),
            "sequence_num": number,
            "events": [{"type": kind, "product_id": "BTC-USD", "updates": updates}],
        }
    ).encode()


def test_a_delta_dated_before_the_snapshot_that_it_follows_counts(tmp_path: Path) -> None:
    """Consecutive numbers order the two, whatever their dates."""
    made = day("coinbase", COINBASE, "BTC-USD")
    made.frame(
        "c1",
        l2_frame(0, 1, "snapshot", ("bid", "100", "1"), ("offer", "101", "1"), ("offer", "102", "1")),
        ns(1),
    )
    made.frame("c1", l2_frame(1, 0.9995, "update", ("offer", "101", "0")), ns(1.1))
    made.frame("c1", l2_frame(2, 5, "update", ("bid", "98", "1")), ns(5))
    made.close("c1", 10)
    made.write(tmp_path)
    found = Archive(tmp_path).book_at("BTC-USD", iso(ns(6)))
    assert found is not None
    assert (found.bids, found.asks) == (((100.0, 1.0), (98.0, 1.0)), ((102.0, 1.0),))
    assert (found.verified, found.gap) == ("ok", False)


def test_a_delta_made_before_the_receipt_of_an_undated_snapshot_counts(tmp_path: Path) -> None:
    """Receipt is 20 ms after the venue's time, and the delta was made 10 ms after the snapshot."""
    made = day("coinbase", EXCHANGE, "BTC-USD")
    book = {
        "type": "snapshot",
        "product_id": "BTC-USD",
        "bids": [["100", "1"]],
        "asks": [["101", "1"], ["102", "1"]],
    }
    made.frame("c1", json.dumps(book).encode(), ns(1))
    for at, change in ((1.010, ["sell", "101", "0"]), (5, ["buy", "98", "1"])):
        delta = {"type": "l2update", "product_id": "BTC-USD", "time": iso(ns(at)), "changes": [change]}
        made.frame("c1", json.dumps(delta).encode(), ns(at))
    made.close("c1", 10)
    made.write(tmp_path)
    archive = Archive(tmp_path)
    found = archive.book_at("BTC-USD", iso(ns(8)))
    assert found is not None
    assert (found.bids, found.asks) == (((100.0, 1.0), (98.0, 1.0)), ((102.0, 1.0),))
    assert archive.books(venue="coinbase")["event_time"].isna().tolist() == [True]
    assert archive.quotes(venue="coinbase")["event_time"].isna().tolist() == [True, False]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bitstamp and Gemini have one name for different books; Gemini's recording is the shorter one."""
    root = tmp_path_factory.mktemp("shared")
    bitstamp = day("bitstamp", BITSTAMP, "btcusd")
    for at in range(1, 21):
        data: dict[str, Any] = {
            "timestamp": "1",
            "microtimestamp": str(ns(at) // 1000),
            "bids": [["80000", "1"]],
            "asks": [["80001", "1"]],
        }
        sent = {"event": "data", "channel": "order_book_btcusd", "data": data}
        bitstamp.frame("c1", json.dumps(sent).encode(), ns(at))
    bitstamp.close("c1", 30)
    bitstamp.write(root)
    gemini = day("gemini", GEMINI, "btcusd")
    for number in range(10):
        made = ns(0.5 + number)
        update: dict[str, Any] = {
            "e": "depthUpdate",
            "E": made,
            "s": "btcusd",
            "U": 100 + max(number - 1, 0),
            "u": 100 + number,
        }
        levels = {"b": [["90000", "5"]], "a": [["90001", "5"]]}
        gemini.frame("c1", json.dumps({**update, **levels}).encode(), made)
    gemini.close("c1", 11)
    gemini.write(root)
    return root


def test_a_name_of_two_venues_asks_for_one(shared: Path) -> None:
    archive, times = Archive(shared), [iso(ns(at)) for at in (2.3, 2.8, 3.3)]
    for ask in (
        lambda **more: archive.book_at("btcusd", times[0], **more),
        lambda **more: archive.books_at("btcusd", times, **more),
        lambda **more: archive.fill("btcusd", "buy", 1, times[0], **more),
        lambda **more: archive.fills("btcusd", "buy", 1, times, **more),
    ):
        with pytest.raises(ArgumentError, match="'btcusd' is a name at bitstamp and gemini"):
            ask()
        with pytest.raises(ArgumentError, match="nothing here has venue='kraken'"):
            ask(venue="kraken")
    for venue, ask_price in (("bitstamp", 80001), ("gemini", 90001)):
        book = archive.book_at("btcusd", times[0], venue=venue)
        assert book is not None
        assert (book.venue, book.asks[0][0], book.gap) == (venue, ask_price, False)
        assert archive.books_at("btcusd", times, venue=venue)["best_ask"].tolist() == [ask_price] * 3
        assert archive.fill("btcusd", "buy", 1, times[0], venue=venue).average == ask_price
        assert archive.fills("btcusd", "buy", 1, times, venue=venue)["average"].tolist() == [ask_price] * 3


def test_what_one_venue_tracked_another_did_not(shared: Path) -> None:
    archive = Archive(shared)
    found = {venue: archive.book_at("btcusd", iso(ns(15)), venue=venue) for venue in ("bitstamp", "gemini")}
    assert {venue: book and book.is_tracked for venue, book in found.items()} == {
        "bitstamp": True,
        "gemini": False,
    }


def test_a_book_between_two_runs_is_not_tracked(tmp_path: Path) -> None:
    for start, shift in ((0, 0), (3600, 500)):
        made = day("kraken", KRAKEN, BTC, at=start)
        book = KrakenBook(made, shift)
        book.snapshot(start + 1)
        for second in range(2, 20):
            book.update(start + second, bids=[(f"{950 + shift:.1f}", f"{second}.00000000")])
        made.close("c1", start + 20)
        made.write(tmp_path)
    archive = Archive(tmp_path)
    times = [iso(ns(at)) for at in (10, 19.9, 1800, 3610, 3619.9, 3700)]
    found = archive.books_at(BTC, times)
    assert found["is_tracked"].tolist() == [True, True, False, True, True, False]
    assert found["gap"].tolist() == [False, False, True, False, False, True]
    assert archive.fill(BTC, "buy", 1, times[2]).average is None


def test_a_message_dated_ahead_stops_nothing(tmp_path: Path) -> None:
    """The collector asks for a snapshot then; what follows is right, though dated long before it."""
    made = day("kraken", KRAKEN, BTC)
    book = KrakenBook(made)
    book.snapshot(1)
    book.update(2, bids=[("999.0", "3.00000000")], dated=602)
    book.snapshot(2.5)
    for second in range(3, 103):
        book.update(second, bids=[(f"{1000 + (second - 2) / 200:.3f}", SIZE)])
    made.close("c1", 110)
    made.write(tmp_path)
    archive = Archive(tmp_path)
    changes = archive.book_changes(venue="kraken")
    assert changes["verified"].iloc[0] == "failed"
    assert set(changes["verified"].iloc[1:]) == {"ok"}
    found = archive.books_at(BTC, [iso(ns(at)) for at in (1.5, 2.3, 50.5, 102.5)])
    assert found["best_bid"].tolist() == [1000, 1000, 1000.24, 1000.5]
    assert found["gap"].tolist() == [False, True, False, False]
    assert archive.quotes(venue="kraken")["best_bid"].iloc[-1] == 1000.5


def test_memory_does_not_grow_with_the_snapshots_before_a_moment(tmp_path: Path) -> None:
    """Bitstamp sends 200 levels each time: only those of the book at the moment are made into numbers."""
    made = day("bitstamp", BITSTAMP, "btcusd")
    levels = [[f"{80000 - place}.00", "1.00000000"] for place in range(100)]
    higher = [[f"{80001 + place}.00", "1.00000000"] for place in range(100)]
    for at in range(1, 301):
        best = [["80000.50", f"{at}.00000000"]]
        data: dict[str, Any] = {"timestamp": "1", "microtimestamp": str(ns(at) // 1000)}
        data |= {"bids": best + levels[:99], "asks": higher}
        sent = {"event": "data", "channel": "order_book_btcusd", "data": data}
        made.frame("c1", json.dumps(sent).encode(), ns(at))
    made.close("c1", 310)
    made.write(tmp_path)
    archive = Archive(tmp_path)
    assert archive.book_at("btcusd", iso(ns(2.5))) is not None  # tables are made, modules imported
    tracemalloc.start()
    try:
        found = archive.book_at("btcusd", iso(ns(300.5)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found is not None
    assert (found.bids[0], len(found.bids), len(found.asks)) == ((80000.5, 300.0), 100, 100)
    assert peak < 5_000_000


def test_best_prices_are_stated_again_by_the_sound_book_after_a_failed_one(tmp_path: Path) -> None:
    made = day("kraken", KRAKEN, BTC)
    book = KrakenBook(made)
    book.snapshot(1)
    book.bids["999.0"] = "7.00000000"  # was lost
    book.update(2, asks=[("1000.5", SIZE)])
    book.snapshot(3)
    made.close("c1", 4)
    made.write(tmp_path)
    quotes = Archive(tmp_path).quotes(venue="kraken", exact=True)
    assert quotes["verified"].tolist() == ["ok", "failed", "ok"]
    assert [float(price) for price in quotes["best_ask"]] == [1001.0, 1000.5, 1000.5]
