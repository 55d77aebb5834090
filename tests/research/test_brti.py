"""The BRTI proxy of an archive, against the index of the simulated exchanges' books of the same moments."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from marketarchive.exceptions import ArgumentError
from marketarchive.research.products.brti.seconds import FIELDS, IndexSecond, brti, index_seconds
from marketarchive.simulator.bitstamp import Bitstamp, BitstampSession
from marketarchive.simulator.coinbase import Coinbase
from marketarchive.simulator.coinbase.advanced import AdvancedSession
from marketarchive.simulator.gemini import Gemini, GeminiSession
from marketarchive.simulator.kraken import Kraken, KrakenSession
from marketarchive.simulator.spot_world import SpotWorld
from marketarchive.times import SECOND
from marketarchive.venues.bitstamp import socket as bitstamp
from marketarchive.venues.brti import (
    CONSTITUENTS,
    PARAMETERS,
    ConstituentBook,
    Levels,
    RealTimeIndex,
    mean_before,
    units,
)
from marketarchive.venues.coinbase import socket as coinbase
from marketarchive.venues.exchange_session import ExchangeSession
from marketarchive.venues.gemini import socket as gemini
from marketarchive.venues.kraken import socket as kraken
from tests.archive.writing import NOON
from tests.research.exchange_day import DELAY, ExchangeDay

START = NOON // SECOND
KRAKEN, COINBASE = Kraken(1).world, Coinbase(1).world
BITSTAMP, GEMINI = Bitstamp(1).world, Gemini(1).world
ALL = {"bitstamp": BITSTAMP, "coinbase": COINBASE, "gemini": GEMINI, "kraken": KRAKEN}
WORLDS = ("coinbase", "kraken")
"""Two are enough for most."""
SENT = {"bitstamp": 100, "kraken": 100}
"""Levels a side, where not all of them are."""
ASSETS = ("BTC", "ETH", "SOL", "XRP")


def kraken_day() -> ExchangeDay:
    return ExchangeDay("kraken", kraken.WIRE, lambda now: KrakenSession(KRAKEN, now))


def coinbase_day() -> ExchangeDay:
    return ExchangeDay("coinbase", coinbase.WIRE, lambda now: AdvancedSession(COINBASE, now))


def bitstamp_day() -> ExchangeDay:
    return ExchangeDay("bitstamp", bitstamp.WIRE, lambda now: BitstampSession(BITSTAMP, now))


def gemini_day() -> ExchangeDay:
    return ExchangeDay("gemini", gemini.WIRE, lambda now: GeminiSession(GEMINI, now, -1))


DAYS = {"bitstamp": bitstamp_day, "coinbase": coinbase_day, "gemini": gemini_day, "kraken": kraken_day}


def symbols(world: SpotWorld, assets: Iterable[str]) -> list[str]:
    return [symbol for symbol, asset in world.assets.items() if asset in assets]


def recorded(
    root: Path, end: float, venues: Iterable[str] = WORLDS, assets: Iterable[str] = ("BTC",)
) -> None:
    for venue in venues:
        one = DAYS[venue]()
        one.open("c1", symbols(ALL[venue], assets), 0)
        one.send("c1", 0, end)
        one.write(root)


def true_books(asset: str, second: int, venues: Iterable[str] = WORLDS) -> dict[str, ConstituentBook]:
    """What had come of each venue, as deep as it is sent."""
    at = (START + second) * SECOND
    found = {}
    for venue in venues:
        [symbol] = symbols(ALL[venue], [asset])
        bids, asks = ALL[venue].book(symbol, at - DELAY)
        depth = SENT.get(venue)
        found[venue] = ConstituentBook(levels(bids[:depth]), levels(asks[:depth]), at)
    return found


def levels(side: Iterable[tuple[str, str]]) -> Levels:
    return [(units(price), units(size)) for price, size in side]


def seconds(root: Path, first: int, last: int, asset: str = "BTC", needed: int = 2) -> dict[int, IndexSecond]:
    found = index_seconds(root, asset, START + first, START + last, needed=needed)
    return {each.second - START: each for each in found}


@pytest.mark.parametrize("asset", ASSETS)
def test_each_second_is_the_index_of_the_books_of_that_second(tmp_path: Path, asset: str) -> None:
    """Of all four exchanges; Gemini is no constituent of XRP's."""
    recorded(tmp_path, 20, ALL, ASSETS)
    found = seconds(tmp_path, -3, 20, asset)
    assert list(found) == list(range(-3, 20))
    for second in range(-3, 1):
        assert found[second].index.unrounded is None
    venues = tuple(venue for venue in ALL if venue in CONSTITUENTS[asset])
    truth = RealTimeIndex(PARAMETERS[asset])
    for second in range(1, 20):
        books = true_books(asset, second, venues)
        assert found[second].index == truth.at((START + second) * SECOND, books), second
        assert found[second].index.venues == venues
    assert len({found[second].index.unrounded for second in range(1, 20)}) > 15


def test_live_books_have_the_same_index_as_archived_frames(tmp_path: Path) -> None:
    live: dict[str, tuple[ExchangeSession, list[tuple[int, bytes]]]] = {}
    for venue, wire in (("coinbase", coinbase.WIRE), ("kraken", kraken.WIRE)):
        one = DAYS[venue]()
        one.open("c1", symbols(ALL[venue], ["BTC"]), 0)
        one.send("c1", 0, 20)
        one.write(tmp_path)
        frames = [(at, payload) for item in one.items[1:] for at, _, payload in item.frames]
        live[venue] = ExchangeSession(wire), frames
    calculated = RealTimeIndex(PARAMETERS["BTC"])
    received: dict[str, int] = {}
    for second, each in seconds(tmp_path, 1, 20).items():
        now = (START + second) * SECOND
        books = {}
        for venue, (session, frames) in live.items():
            while frames and frames[0][0] <= now:
                at, payload = frames.pop(0)
                updates = session.apply(at, 1, payload, latest=at + SECOND, verify=True)
                if any(update.key for update in updates):
                    received[venue] = at
            [book] = session.books.books.values()
            books[venue] = ConstituentBook.of(book.bids, book.asks, received[venue])
        assert calculated.at(now, books) == each.index


def test_one_exchange_is_too_few_unless_it_is_said_to_be_enough(tmp_path: Path) -> None:
    recorded(tmp_path, 10, ["kraken"])
    for second, each in seconds(tmp_path, 1, 10).items():
        assert (each.index.value, each.index.venues) == (None, ("kraken",)), second
    truth = RealTimeIndex(PARAMETERS["BTC"], needed=1)
    for second, each in seconds(tmp_path, 1, 10, needed=1).items():
        at = (START + second) * SECOND
        assert each.index == truth.at(at, true_books("BTC", second, ["kraken"]))


def test_an_exchange_that_falls_silent_counts_for_ten_seconds_more(tmp_path: Path) -> None:
    """And the last value is never repeated."""
    recorded(tmp_path, 60, ["coinbase"])
    one = kraken_day()
    one.open("c1", ["BTC/USD"], 0)
    one.send("c1", 0, 20)
    one.write(tmp_path)
    found = seconds(tmp_path, 15, 60)
    assert found[29].index.value is not None
    for second in range(31, 60):
        assert found[second].index.value is None
        assert found[second].index.dropped == {"kraken": "delayed"}


def test_a_closed_connection_has_no_book(tmp_path: Path) -> None:
    recorded(tmp_path, 30, ["coinbase"])
    one = kraken_day()
    one.open("c1", ["BTC/USD"], 0)
    one.send("c1", 0, 10)
    one.close("c1", 12)
    one.open("c2", ["BTC/USD"], 15)
    one.send("c2", 15, 30)
    one.write(tmp_path)
    found = seconds(tmp_path, 5, 30)
    for second, each in found.items():
        is_there = second < 12 or second > 15
        assert ("kraken" in each.index.venues) is is_there, second
        assert each.index.dropped == {}
        assert (each.index.value is not None) is is_there


def test_a_book_that_fails_its_proof_does_not_count(tmp_path: Path) -> None:
    recorded(tmp_path, 30, ["coinbase"])
    one = kraken_day()
    one.open("c1", ["BTC/USD"], 0)
    one.send("c1", 0, 30, lost=5)
    one.write(tmp_path)
    truth = RealTimeIndex(PARAMETERS["BTC"])
    failed = 0
    for second, each in seconds(tmp_path, 1, 30).items():
        if each.unproven:
            failed += 1
            assert each.unproven == {"kraken": "failed"}
            assert (each.index.value, each.index.venues) == (None, ("coinbase",))
        else:
            assert each.index == truth.at((START + second) * SECOND, true_books("BTC", second))
    assert 0 < failed < 29


def test_a_book_in_a_recorded_gap_does_not_count(tmp_path: Path) -> None:
    recorded(tmp_path, 30, ["coinbase"], assets=("BTC", "XRP"))
    one = kraken_day()
    one.open("c1", ["BTC/USD", "XRP/USD"], 0)
    one.send("c1", 0, 30)
    one.gap(10, 14, ["BTC/USD"])
    one.write(tmp_path)
    for second, each in seconds(tmp_path, 1, 30).items():
        assert each.unproven == ({"kraken": "gap"} if 10 <= second < 14 else {})
        assert (each.index.value is None) is bool(each.unproven)
    assert not any(each.unproven for each in seconds(tmp_path, 1, 30, "XRP").values())


def test_of_two_connections_the_newest_book_that_is_right_counts(tmp_path: Path) -> None:
    one = kraken_day()
    one.open("c1", ["BTC/USD"], 0)
    one.send("c1", 0, 5)
    one.open("c2", ["BTC/USD"], 5)
    one.send("c1", 5, 10, lost=3)
    one.send("c2", 5, 10)
    one.write(tmp_path)
    truth = RealTimeIndex(PARAMETERS["BTC"], needed=1)
    found = seconds(tmp_path, 11, 15, needed=1)
    for second, each in found.items():
        at = (START + second) * SECOND
        assert each.index.value == truth.at(at, true_books("BTC", 10, ["kraken"])).value


def test_a_segment_that_begins_in_the_middle_is_replayed_from_its_kept_book(tmp_path: Path) -> None:
    """The book of a rotation: deltas on it are right, though no snapshot stands before them."""
    whole = kraken_day()
    whole.open("c1", ["BTC/USD"], 0)
    reader = ExchangeSession(kraken.WIRE)
    reader.subscribe(["BTC/USD"], is_first=True)
    for item in whole.items[1:]:
        for at, seq, payload in item.frames:
            reader.apply(at, seq, payload, latest=at + SECOND, verify=True)
    for frame in whole.sessions["c1"].due(NOON, NOON + 5 * SECOND):
        reader.apply(frame.ns, 1, frame.payload, latest=frame.ns + SECOND, verify=True)
    [(market, payload)] = reader.states()
    alone = kraken_day()
    alone.sessions["c1"] = whole.sessions["c1"]
    alone.state("c1", market, payload, 5)
    alone.send("c1", 5, 12)
    alone.write(tmp_path)
    truth = RealTimeIndex(PARAMETERS["BTC"], needed=1)
    found = seconds(tmp_path, 4, 12, needed=1)
    assert found[4].index.value is None
    for second in range(6, 12):
        books = true_books("BTC", second, ["kraken"])
        assert found[second].index == truth.at((START + second) * SECOND, books), second


def test_the_value_of_a_second_does_not_depend_on_where_reading_begins(tmp_path: Path) -> None:
    recorded(tmp_path, 40)
    whole = seconds(tmp_path, 0, 40)
    for first in (7, 23):
        assert seconds(tmp_path, first, 40) == {second: whole[second] for second in range(first, 40)}


def test_what_comes_later_changes_no_second_before_it(tmp_path: Path) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    recorded(short, 20)
    recorded(long, 40)
    known = seconds(long, 0, 20)
    assert seconds(short, 0, 20) == known


def test_notebooks_have_a_row_a_second(tmp_path: Path) -> None:
    recorded(tmp_path, 90)
    frame = brti(tmp_path, "BTC", "2026-11-21T11:59:58.5Z", "2026-11-21T12:01:30Z")
    assert len(frame) == 91
    assert list(frame) == list(FIELDS)
    assert str(frame["second"].dt.tz) == "UTC"
    assert frame["second"].iloc[0].isoformat() == "2026-11-21T11:59:59+00:00"
    assert frame["value"].isna().sum() == 2
    known = frame.dropna(subset="value")
    assert {tuple(venues) for venues in known["venues"]} == {("coinbase", "kraken")}
    for value, unrounded in zip(known["value"], known["unrounded"], strict=True):
        assert value == round(Decimal(unrounded), 2)
    assert (known["utilized_depth"] >= 1).all()
    assert (known["size_cap"] > 0).all()
    values = {each.second: each.index.value for each in index_seconds(tmp_path, "BTC", START, START + 90)}
    mean = mean_before(values, START + 80, with_close=True)
    assert mean is not None
    assert float(mean) == pytest.approx(known.set_index("second")["value"].astype(float).iloc[20:80].mean())
    assert mean_before(values, START + 60, with_close=False) is None  # nothing had come at second 0


def test_an_archive_without_exchanges_has_only_nulls(tmp_path: Path) -> None:
    found = seconds(tmp_path, 0, 5)
    assert [each.index.value for each in found.values()] == [None] * 5


def test_unknown_assets_and_open_ends_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="DOGE"):
        list(index_seconds(tmp_path, "DOGE", 0, 1))
    with pytest.raises(ArgumentError, match="both: start= and end="):
        brti(tmp_path, "BTC")
