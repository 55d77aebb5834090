"""The notebook's frames of sockets, and the book at any moment."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from tests.properties import examples
from tests.research.making import book, many
from tests.research.streaming import Frame, Line, Lost, Rest, Rotate, Socket, State, event, record
from tests.venues.polymarket.rows import CONDITION
from tests.venues.polymarket.tape import Tape

SLUG = "btc-updown-5m-1784853900"
TRACKED = {SLUG: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def body(tape: Tape, token: str) -> bytes:
    return json.dumps(tape.book(token), separators=(",", ":")).encode()


def dump(*tokens: str) -> bytes:
    return json.dumps([json.loads(book(token)) | {"event_type": "book"} for token in tokens]).encode()


def change(price: str, size: str, ms: int = 1, token: str = "1", **values: Any) -> bytes:
    element = {"asset_id": token, "price": price, "size": size, "side": "BUY", "hash": "", **values}
    element = {"best_bid": "0.49", "best_ask": "0.51"} | element
    stamp = str(1785734468581 + ms)
    return event("price_change", market=CONDITION, timestamp=stamp, price_changes=[element])


def trade(size: str, token: str = "1") -> bytes:
    values = {"market": CONDITION, "asset_id": token, "price": "0.5", "size": size, "side": "BUY"}
    values |= {"timestamp": "1785734468582", "transaction_hash": "0xaa", "fee_rate_bps": "0"}
    return event("last_trade_price", **values)


def test_quotes_and_trades_by_market_asset_and_token(tmp_path: Path) -> None:
    lines = [
        Socket(tokens=("1", "2")),
        Frame(dump("1", "2"), 1),
        Frame(change("0.5", "9", best_bid="0.50"), 2),
        Lost(2.5, 3, {"connection": "c1", "markets": [SLUG]}),
        Frame(change("0.5", "0", 2), 4),
        Frame(trade("7"), 5),
        Frame(trade("8", "2"), 6),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    row: dict[str, Any] = {"proxy_wallet": "0xw", "token_id": "1", "condition_id": CONDITION}
    row |= {"transaction_hash": "0xaa", "side": "BUY", "size": 7, "price": 0.5, "timestamp": 1785734468}
    answer = Rest(json.dumps({"data": [row]}).encode(), 9, "https://data-api.polymarket.com/v2/trades")
    record(tmp_path, [answer], feed="trades")
    archive = Archive(tmp_path)
    quotes = archive.quotes(token="1")
    assert quotes["best_bid"].tolist() == [0.49, 0.5, 0.49]
    assert quotes["mid"].tolist() == pytest.approx([0.5, 0.505, 0.5])
    assert quotes["gap_before"].tolist() == [False, False, True]
    assert quotes["source"].tolist() == ["book", "price_change", "price_change"]
    assert [gap["markets"] for gap in quotes.attrs["gaps"]] == [[SLUG]]
    assert archive.quotes(market=SLUG, exact=True)["best_bid"].iloc[0] == Decimal("0.49")
    assert len(archive.quotes(asset="BTC", start=at(2), end=at(4))) == 1
    trades = archive.trades(market=CONDITION)
    assert trades["size"].tolist() == [7, 8, 7]
    assert trades["source"].tolist() == ["market_channel", "market_channel", "v2/trades"]
    assert set(trades["market"]) == {SLUG}
    assert len(archive.trades(asset="BTC", source="v2/trades")) == 1
    assert archive.books(feed="trades").empty
    assert set(archive.books(feed="stream")["route"]) == {"ws"}


def test_each_trade_is_there_once_over_midnight(tmp_path: Path) -> None:
    """Polls on both sides of it repeat what they find, and so does a second recording."""
    midnight = 12 * 3600.0

    def poll(seconds: float, *sizes: int) -> Rest:
        stamp = int(at(midnight).timestamp())
        rows = [
            {"proxy_wallet": "0xw", "token_id": "1", "condition_id": CONDITION, "side": "BUY", "price": 0.5}
            | {"transaction_hash": "0xaa", "size": size, "timestamp": stamp - 30 + size}
            for size in sizes
        ]
        body = json.dumps({"data": rows}).encode()
        return Rest(body, seconds, "https://data-api.polymarket.com/v2/trades")

    record(tmp_path, [poll(midnight - 10, 7, 7, 8), poll(midnight + 5, 7, 7, 8, 32)], feed="trades")
    record(tmp_path, [poll(midnight + 6, 8, 32, 33)], feed="trades")
    archive, border = Archive(tmp_path), at(midnight)
    assert archive.trades()["size"].tolist() == [7, 7, 8, 32, 33]
    assert archive.trades(start=border)["size"].tolist() == [32, 33]
    assert archive.trades(end=border)["size"].tolist() == [7, 7, 8]
    assert archive.trades(start=at(midnight + 5.5))["size"].tolist() == [33]


def test_names_are_one_or_many_and_an_unknown_one_is_an_error(
    tmp_path: Path,
) -> None:
    other = "eth-updown-5m-1784853900"
    tracked = TRACKED | {other: {"condition_id": "0xother", "tokens": {"Up": "8", "Down": "9"}}}
    lines = [
        Socket(tokens=("1", "2", "8")),
        Frame(dump("1", "2", "8"), 1),
        Frame(change("0.5", "9", best_bid="0.50"), 2),
        Frame(trade("7"), 2),
        Socket("closed", 10),
    ]
    record(tmp_path, lines, tracked=tracked)
    archive = Archive(tmp_path)
    assert set(archive.books(asset=["BTC", "ETH"])["token"]) == {"1", "2", "8"}
    assert set(archive.books(market=[other])["token"]) == {"8"}
    assert set(archive.quotes(asset="BTC", venue=["polymarket"])["token"]) == {"1", "2"}
    assert len(archive.coverage(asset=["BTC", "ETH"], feed=["stream"])) == 2
    assert archive.trades(asset="ETH").empty  # it is known, and had none
    assert archive.books(market=SLUG, end=at(0)).empty
    requested: list[tuple[Callable[[], object], str]] = [
        (lambda: archive.books(asset="btc"), "asset='btc'; there is BTC, ETH"),
        (lambda: archive.books(asset=["BTC", "DOGE"]), "asset='DOGE'; there is BTC, ETH"),
        (lambda: archive.quotes(market=SLUG[:-1]), f"there is {SLUG}"),
        (lambda: archive.trades(token="7"), "token='7'"),
        (lambda: archive.trades(source="rest"), "there is market_channel"),
        (lambda: archive.trades(venue="kalshi"), "there is polymarket"),
        (lambda: archive.books(feed="orderbook"), "there is stream"),
        (lambda: archive.gaps(feed="streams"), "there is stream"),
        (lambda: archive.coverage(market="nothing"), "market='nothing'"),
        (lambda: archive.reference(symbol="btc/usd"), "there is none yet"),
        (lambda: archive.labels(asset="BTC"), "there is none yet"),
        (lambda: archive.markets(venue="kalshi"), "there is none yet"),
        (lambda: archive.canonical(market=SLUG), "there is none yet"),
        (lambda: archive.books(asset=[]), "names nothing"),
        (lambda: archive.books(token=1), "token=1 is not a name"),  # type: ignore[arg-type]  # what is refused
        (lambda: archive.books(start=at(2), end=at(1)), "is after end"),
        (lambda: archive.labels(start=at(2), end=at(1)), "is after end"),
        (lambda: archive.gaps(start=at(2), end=at(1)), "is after end"),
    ]
    for ask, says in requested:
        with pytest.raises(ArgumentError, match=re.escape(says)):
            ask()


def test_the_gaps_of_a_frame_are_those_of_what_was_asked_and_cost_nothing(tmp_path: Path) -> None:
    other = "eth-updown-5m-1784853900"
    tracked = TRACKED | {other: {"condition_id": "0xother", "tokens": {"Up": "8", "Down": "9"}}}
    lines = [
        Socket(tokens=("1", "2", "8")),
        Frame(dump("1", "2", "8"), 1),
        Lost(2, 3, {"connection": "c1", "markets": [SLUG]}),
        Lost(3, 4, {"connection": "c1", "tokens": ["8"]}),
        Lost(4, 5, {"connection": "c2"}),
        Lost(5, 6, {"venue": "polymarket", "feed": "stream"}),
        Frame(dump("1", "2", "8"), 9),
    ]
    record(tmp_path, lines, tracked=tracked)
    archive = Archive(tmp_path)

    def begins(**requested: Any) -> list[str]:
        return [gap["from"][17:19] for gap in archive.books(**requested).attrs["gaps"]]

    assert begins() == ["02", "03", "04", "05"]
    assert begins(market=SLUG, end=at(0.5)) == []
    assert begins(asset="BTC") == begins(asset="BTC", end=at(9)) == begins(token="2") == ["02", "05"]
    assert begins(asset="ETH") == begins(market=other, start=at(2), end=at(8)) == ["03", "05"]
    books = archive.books(token="8")
    [gap, _] = books.attrs["gaps"]
    assert (gap["from"], gap["to"]) == ("2026-11-21T12:00:03.000000Z", "2026-11-21T12:00:04.000000Z")
    assert gap["markets"] == [other]
    assert json.loads(json.dumps(books.attrs)) == {"gaps": [*books.attrs["gaps"]]}
    books.to_parquet(tmp_path / "books.parquet")
    read = pd.read_parquet(tmp_path / "books.parquet")
    assert read["time"].tolist() == [at(1), at(9)]
    assert copy.deepcopy(books.attrs)["gaps"] is books.attrs["gaps"], "not copied by each operation"


def test_a_book_of_a_market_is_that_of_its_first_outcome(tmp_path: Path) -> None:
    lines = [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1), Socket("closed", 10)]
    record(tmp_path, lines, tracked=TRACKED)
    archive = Archive(tmp_path)
    for name in (SLUG, CONDITION):
        up, down = archive.book_at(name, at(2)), archive.book_at(name, at(2), outcome="Down")
        assert up is not None
        assert down is not None
        assert (up.token, down.token) == ("1", "2")
    assert archive.book_at(SLUG, at(0)) is None
    assert archive.fill(SLUG, "buy", 1, at(2), outcome="Down").token == "2"
    with pytest.raises(ArgumentError, match="there is Down, Up"):
        archive.book_at(SLUG, at(2), outcome="down")


@pytest.mark.parametrize("given", [1795262400, 1795262400.5, np.int64(1795262400), pd.NaT, "noon"])
def test_what_is_no_time_is_an_error(given: Any, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for ask in (archive.books, archive.gaps, archive.labels, archive.markets, archive.coverage):
        with pytest.raises(ArgumentError, match="2026-11-21T10:15:00Z"):
            ask(start=given)
    with pytest.raises(ArgumentError, match="2026-11-21T10:15:00Z"):
        archive.book_at("1", given)


def test_the_first_row_of_a_run_comes_after_the_gap_before_it(tmp_path: Path) -> None:
    """Unless another recording went on meanwhile, whose same book is then the same message."""
    pause = {"venue": "polymarket", "feed": "stream"}
    record(tmp_path, [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1)], tracked=TRACKED)
    for since, until in ((2, 4), (5, 8)):
        lines = [Lost(since, until, pause), Socket("opened", until, ("1", "2")), Frame(dump("1", "2"), until)]
        lines += [Frame(change("0.5", "9", until, best_bid="0.50"), 6)] if until < 6 else []
        record(tmp_path, lines, begin=since)
    assert Archive(tmp_path).quotes(token="1")["gap_before"].tolist() == [False, True, False]


def test_reference_prices_by_symbol_asset_and_topic(tmp_path: Path) -> None:
    def point(seconds: float, symbol: str, text: str, connection: str = "c1") -> Frame:
        payload = {"symbol": symbol, "timestamp": 1788600388000 + int(seconds) * 1000}
        payload |= {"full_accuracy_value": text}
        document = {"topic": "crypto_prices_chainlink", "type": "update", "timestamp": 1788600389451}
        return Frame(json.dumps(document | {"payload": payload}).encode(), seconds, connection)

    lines = [
        point(1, "btc/usd", "79696948174287960000001"),
        point(1, "btc/usd", "79696948174287960000001", "c2"),
        point(2, "eth/usd", "3000000000000000000000"),
        Lost(3, 4, {"connection": "c1", "topics": ["crypto_prices_chainlink"], "symbol": "eth/usd"}),
        point(5, "btc/usd", "79696948174287960000002"),
        point(6, "eth/usd", "3000000000000000000001"),
    ]
    record(tmp_path, lines, feed="reference")
    archive = Archive(tmp_path)
    exact = archive.reference(asset="BTC", exact=True, distinct=True)
    assert exact["value"].tolist() == [
        Decimal("79696.948174287960000001"),
        Decimal("79696.948174287960000002"),
    ]
    assert len(archive.reference(symbol="btc/usd")) == 3
    frame = archive.reference(topic="crypto_prices_chainlink", distinct=True)
    assert frame["gap_before"].tolist() == [False, False, False, True]
    assert len(archive.reference(start=at(5))) == 2


def test_coverage_by_market_and_feed(tmp_path: Path) -> None:
    lines = [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 0.5), Socket("closed", 10)]
    record(tmp_path, lines, tracked=TRACKED)
    archive = Archive(tmp_path)
    [row] = archive.coverage().to_dict("records")
    assert (row["time"], row["feed"], row["market"]) == (pd.Timestamp("2026-11-21", tz="UTC"), "stream", SLUG)
    assert (row["market_id"], row["observed_s"]) == (CONDITION, 10)
    assert len(archive.coverage(market=CONDITION)) == 1
    assert archive.coverage(start="2026-11-22").empty


def test_the_frames_of_nothing_have_the_columns_of_something(tmp_path: Path) -> None:
    lines = [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1), Frame(trade("7"), 2)]
    record(tmp_path, lines)
    payload = {"symbol": "btcusdt", "timestamp": 1788600388000, "value": 7.5}
    document = {"topic": "crypto_prices", "type": "update", "timestamp": 1788600389451, "payload": payload}
    record(tmp_path, [Frame(json.dumps(document).encode())], feed="reference")
    archive, never = Archive(tmp_path), "2026-11-20"
    for full, empty in (
        (archive.quotes(), archive.quotes(end=never)),
        (archive.trades(), archive.trades(end=never)),
        (archive.reference(), archive.reference(end=never)),
        (archive.coverage(), archive.coverage(end=never)),
    ):
        assert len(full) > len(empty) == 0
        assert full.columns.tolist() == empty.columns.tolist()
    assert archive.books(end=never).dtypes.astype(str).equals(archive.books().dtypes.astype(str))


# --- the book at a moment --------------------------------------------------------------------------------


def truth(tape: Tape, token: str) -> tuple[list[tuple[Decimal, Decimal]], ...]:
    found = tape.book(token)
    sides = (found["bids"], found["asks"])
    return tuple(
        [(Decimal(level["price"]), Decimal(level["size"])) for level in side][::-1] for side in sides
    )


@pytest.mark.process
@pytest.mark.no_cover
@example(1006, False, False)  # a look-up, then no more of the connection that had all but its last delta
@example(474354, False, False)  # a look-up that equals a book of the socket
@examples(12)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_book_at_any_moment_is_what_the_venue_had(
    tmp_path_factory: pytest.TempPathFactory, seed: int, after_last: bool, silent: bool
) -> None:
    """Breaks, overlapping connections, rotations and look-ups in any order; asked after each whole step."""
    root, random = tmp_path_factory.mktemp("at"), Random(seed)
    tape = Tape(seed, markets=2, after_last=after_last, silent=silent)
    lines: list[Line] = []
    moments: list[tuple[float, dict[str, Any]]] = []
    clock, count, names = 1.0, 0, []

    def connect() -> None:
        nonlocal count
        count += 1
        names.append(f"c{count}")
        lines.extend([Socket("opened", clock, tape.tokens, names[-1]), Frame(tape.dump(), clock, names[-1])])

    connect()
    for _ in range(40):
        clock += random.choice((0.01, 0.2, 1.5))
        draw = random.random()
        if draw < 0.05:
            token = random.choice(tape.tokens)
            lines.append(Rest(many(body(tape, token)), clock))
        elif draw < 0.1 and len(names) == 1:
            connect()
        elif draw < 0.15 and len(names) == 2:
            lines.append(Socket("closed", clock, (), names.pop(0)))
        elif draw < 0.2:
            places = {
                name: max(n for n, line in enumerate(lines) if _is_frame_of(line, name)) for name in names
            }
            lines.append(Rotate())
            for name in names:
                lines += [State(token, body(tape, token), places[name], clock, name) for token in tape.tokens]
        else:
            for payload in tape.step():
                clock += 0.001
                lines += [Frame(payload, clock, name) for name in names]
        moments.append((clock, {token: truth(tape, token) for token in tape.tokens}))
    lines.append(Socket("closed", clock + 10, (), names[0]))
    record(root, lines)
    archive = Archive(root)
    for moment, books in random.sample(moments, 6):
        token = random.choice(tape.tokens)
        found = archive.book_at(token, at(moment + 0.0005), exact=True)
        assert found is not None
        assert ([*found.bids], [*found.asks]) == books[token]
        assert (found.token, found.gap, found.gaps) == (token, False, ())
        assert found.verified in ("ok", "unchecked")
        assert found.received_at <= at(moment + 0.0005)
    times = [at(moment + 0.0005) for moment, _ in moments]
    frame = archive.books_at(tape.tokens, times, levels=100)
    assert frame["time"].is_monotonic_increasing
    for row, (moment, books) in zip(frame.to_dict("records"), _each_token(moments, tape.tokens), strict=True):
        sides = [[(one["price"], one["size"]) for one in row[side]] for side in ("bids", "asks")]
        expected = books[row["token"]]
        assert sides == [[(float(price), float(size)) for price, size in side] for side in expected]
        assert (row["time"], row["gap"]) == (at(moment + 0.0005), False)
    for row in random.sample(frame.to_dict("records"), 4):
        one = archive.book_at(row["token"], row["time"])
        assert one is not None
        assert [one.received_at, one.event_time] == [row["received_at"], row["event_time"]]
        assert (one.verified, one.run, one.connection) == (row["verified"], row["run"], row["connection"])


def _each_token(moments: list[Any], tokens: list[str]) -> Iterator[Any]:
    return (moment for moment in moments for _ in tokens)


def _is_frame_of(line: Line, connection: str) -> bool:
    return isinstance(line, Frame) and line.connection == connection


def test_a_book_has_floats_unless_asked_for_exactly(tmp_path: Path) -> None:
    record(tmp_path, [Socket(tokens=("1",)), Frame(dump("1"), 1), Frame(b"PONG", 60)], tracked=TRACKED)
    found = Archive(tmp_path).book_at("1", at(5))
    assert found is not None
    assert found.bids == ((0.49, 20.5), (0.48, 30.0))
    assert found.asks == ((0.51, 15.0), (0.52, 25.0))
    assert (found.market, found.outcome, found.market_id) == (SLUG, "Up", CONDITION)
    assert (found.received_at, found.verified, found.connection) == (at(1), "ok", "c1")
    assert not found.gap


def test_there_is_no_book_before_the_first(tmp_path: Path) -> None:
    record(tmp_path, [Socket(tokens=("1",)), Frame(change("0.3", "1"), 1), Frame(dump("1"), 2)])
    archive = Archive(tmp_path)
    assert archive.book_at("1", at(1.5)) is None
    assert archive.book_at("1", at(2)) is not None
    with pytest.raises(ArgumentError, match="'another'"):
        archive.book_at("another", at(2))
    with pytest.raises(ArgumentError):
        archive.book_at("1", None)


def test_a_gap_between_the_newest_data_and_the_moment_is_told(tmp_path: Path) -> None:
    scope = {"connection": "c1", "markets": [SLUG]}
    lines = [
        Socket(tokens=("1", "2")),
        Frame(dump("1", "2"), 1),
        Lost(3, 4, scope),
        Lost(5, 6, {**scope, "token": "2"}),
        Lost(5, 6, {"asked_for": ["1"], "endpoint": "clob_books"}),
        Frame(change("0.4", "1"), 8),
        Socket("closed", 10),
        Frame(b"", 90),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    archive = Archive(tmp_path)

    def gaps(token: str, seconds: float) -> list[float]:
        found = archive.book_at(token, at(seconds))
        assert found is not None
        assert found.is_tracked
        assert found.gap == bool(found.gaps)
        return [(gap["from"] - NOON).total_seconds() for gap in found.gaps]

    assert gaps("1", 2.9) == []
    assert gaps("1", 3.5) == [3]
    assert gaps("1", 7) == [3]
    assert gaps("2", 7) == [3, 5]
    assert gaps("1", 8) == []


def test_many_books_say_what_one_says(tmp_path: Path) -> None:
    """Before the first, in a gap, of a market by slug, after the end, and of a recording that polls."""
    lines: list[Line] = [
        Socket(tokens=("1", "2")),
        Frame(dump("1", "2"), 1),
        Frame(change("0.50", "100", side="SELL", best_ask="0.50"), 2),
        Lost(3, 4, {"connection": "c1", "markets": [SLUG]}),
        Rest(many(book("1")), 6),
        Socket("closed", 10),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    record(tmp_path, [Rest(many(book("1"), book("2")), second) for second in (20, 30)], feed="orderbook")
    archive = Archive(tmp_path)
    times = [at(second) for second in (31, 0.5, 1, 2, 3.5, 7, 11, 25)]
    frame = archive.books_at([SLUG, "2"], times, levels=1)
    assert frame["time"].tolist() == sorted(times * 2)
    assert frame["token"].tolist() == ["1", "2"] * len(times)
    for row in frame.to_dict("records"):
        one = archive.book_at(row["token"], row["time"])
        if one is None:
            assert row["gap"]
            assert pd.isna([row["best_bid"], row["received_at"], row["verified"]]).all()
            continue
        assert (row["best_bid"], row["best_bid_size"]) == one.bids[0]
        assert row["asks"].tolist() == [dict(zip(("price", "size"), one.asks[0], strict=True))]
        names = (one.venue, one.market, one.market_id)
        assert (row["venue"], row["market"], row["market_id"]) == names
        assert (row["gap"], row["is_tracked"], row["received_at"]) == (
            one.gap,
            one.is_tracked,
            one.received_at,
        )
        assert (row["verified"], row["run"]) == (one.verified, one.run)
    with pytest.raises(ArgumentError, match="needs a token"):
        archive.books_at(["1"], [])
    with pytest.raises(ArgumentError, match="'another'"):
        archive.books_at("another", at(1))


def test_changes_of_books_by_market(tmp_path: Path) -> None:
    lines = [
        Socket(tokens=("1", "2")),
        Frame(dump("1", "2"), 1),
        Frame(change("0.5", "9", best_bid="0.50"), 2),
        Lost(2.5, 3, {"connection": "c1", "markets": [SLUG]}),
        Frame(change("0.5", "0", 2), 4),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    found = Archive(tmp_path).book_changes(SLUG)
    assert found.columns[0] == "time"
    assert found[["side", "price", "size", "gap_before"]].values.tolist() == [
        ["BUY", 0.5, 9, False],
        ["BUY", 0.5, 0, True],
    ]
    assert len(Archive(tmp_path).book_changes(asset="BTC", start=at(3))) == 1


def test_after_the_recording_a_book_is_not_carried_silently(tmp_path: Path) -> None:
    lines = [Socket(tokens=("1", "2")), Frame(dump("1", "2"), 1), Socket("closed", 10)]
    record(tmp_path, lines, tracked=TRACKED)
    archive = Archive(tmp_path)
    before, after = archive.book_at("1", at(9)), archive.book_at("1", at(11))
    assert before is not None
    assert after is not None
    assert (before.gap, after.gap, after.is_tracked, after.gaps) == (False, True, False, ())
    assert after.bids == before.bids


def test_a_look_up_that_shows_the_same_book_is_newer_data(tmp_path: Path) -> None:
    lines = [
        Socket(tokens=("1",)),
        Frame(dump("1"), 1),
        Lost(3, 4, {"markets": [SLUG]}),
        Rest(many(book("1")), 6),
        Socket("closed", 10),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    found = Archive(tmp_path).book_at("1", at(7))
    assert found is not None
    assert (found.received_at, found.gap, found.connection) == (at(6), False, "c1")


def test_polled_books_answer_too(tmp_path: Path) -> None:
    record(tmp_path, [Rest(many(book("1"), book("2")), second) for second in (1, 2)], feed="orderbook")
    found = Archive(tmp_path).book_at("1", at(1.5))
    assert found is not None
    assert (found.received_at, found.connection, found.gap) == (at(1), None, False)


def test_a_loss_that_ends_on_the_next_day_is_told_once(tmp_path: Path) -> None:
    midnight = 12 * 3600.0
    scope = {"connection": "c1", "markets": [SLUG]}
    lines = [
        Lost(midnight - 5, midnight - 5, scope, is_open=True),
        Lost(midnight - 5, midnight + 5, scope),
        Lost(midnight + 7, midnight + 7, scope, is_open=True),
    ]
    record(tmp_path, lines)
    found = Archive(tmp_path).gaps()
    assert [pd.isna(end) for end in found["to"]] == [False, True]
    assert (found["to"] - found["from"]).iloc[0] == timedelta(seconds=10)
