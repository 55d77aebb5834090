"""Tables of sockets: what frames become, which of it is proven, and what is no row."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive.labels import label
from marketarchive.research.tables.normalize import Normalized, normalize
from tests.archive.writing import ledger_of
from tests.properties import examples
from tests.research.making import book, many
from tests.research.streaming import Frame, Line, Lost, Rest, Rotate, Socket, State, event, record, rows
from tests.venues.polymarket.tape import Tape, compact


def taped(tape: Tape, count: int, *connections: str) -> list[Line]:
    """A tape's frames, ten a second, on each of the connections."""
    names = connections or ("c1",)
    lines: list[Line] = [Socket(tokens=tape.tokens, connection=name) for name in names]
    for number, (_, payload) in enumerate(tape.frames(count), 1):
        lines += [Frame(payload, number / 10, name) for name in names]
    return lines


def changes(*elements: dict[str, Any], market: str = "0x1", timestamp: str = "1790000000000") -> bytes:
    return event("price_change", market=market, timestamp=timestamp, price_changes=elements)


def change(**values: Any) -> dict[str, Any]:
    known = {"asset_id": "1", "price": "0.5", "size": "7", "side": "BUY", "hash": "a" * 40}
    return known | {"best_bid": "0.5", "best_ask": "0.51"} | values


def trade(**values: Any) -> bytes:
    known = {"market": "0x1", "asset_id": "1", "price": "0.5", "size": "7", "side": "BUY"}
    known |= {"timestamp": "1790000000000", "transaction_hash": "0xaa", "fee_rate_bps": "0"}
    return event("last_trade_price", **known | values)


def unreadable(done: Normalized, table: str) -> Counter[str]:
    return next(one.unreadable for one in done.outputs if f"/{table}/" in one.path)


def events_of(lines: list[Line], kind: str) -> list[tuple[Frame, int, dict[str, Any]]]:
    """(frame, place of the event, event) as plain JSON."""
    found = []
    for line in lines:
        if isinstance(line, Frame):
            document = json.loads(line.payload)
            for place, each in enumerate(document if isinstance(document, list) else [document], 1):
                if each["event_type"] == kind:
                    found.append((line, place, each))
    return found


def dec(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def test_every_change_is_a_row_with_its_exact_values_and_its_verdict(tmp_path: Path) -> None:
    lines = taped(Tape(3, markets=2, silent=True), 400)
    run = record(tmp_path, lines)
    assert not normalize(tmp_path).failed
    due: list[tuple[Any, ...]] = [
        (
            each["market"],
            element["asset_id"],
            int(each["timestamp"]),
            frame.at,
            place,
            position,
            element["side"],
            Decimal(element["price"]),
            Decimal(element["size"]),
            element["hash"],
            dec(element["best_bid"]),
            dec(element["best_ask"]),
        )
        for frame, place, each in events_of(lines, "price_change")
        for position, element in enumerate(each["price_changes"], 1)
    ]
    found = rows(tmp_path, "book_changes")
    assert [
        (
            row["market"],
            row["token"],
            round(row["event_time"].timestamp() * 1000),
            pytest.approx(row["received_at"].timestamp() % 3600),
            row["index"],
            row["position"],
            row["side"],
            row["price"],
            row["size"],
            row["hash"],
            row["best_bid"],
            row["best_ask"],
        )
        for row in found
    ] == due
    assert {(row["run"], row["connection"]) for row in found} == {(run, "c1")}
    assert {row["verified"] for row in found if not row["is_stale"]} == {"ok"}
    assert sum(not row["is_stale"] for row in found) > 300


def test_whole_books_come_from_the_socket_from_rest_and_from_our_own_states(tmp_path: Path) -> None:
    tape = Tape(4)
    one, two = tape.tokens
    lines = taped(tape, 50)
    last = len(lines) - 1
    answer = json.dumps(tape.book(one), separators=(",", ":")).encode()
    state = json.dumps(tape.book(two), separators=(",", ":")).encode()
    record(
        tmp_path,
        [*lines, Rest(many(answer), 6), State(two, state, last, 7), Rest(answer, 8, "https://x/book")],
    )
    done = normalize(tmp_path)
    assert all(check.passed is not False for check in done.checks.values()), done.checks
    found = rows(tmp_path, "books")
    sent = events_of(lines, "book")
    ws = [row for row in found if row["route"] == "ws"]
    assert [(row["token"], row["index"], row["position"], row["hash"], row["connection"]) for row in ws] == [
        (each["asset_id"], place, 1, each["hash"], "c1") for _, place, each in sent
    ]
    for row, (_, _, each) in zip(ws, sent, strict=True):
        bids = [{name: Decimal(level[name]) for name in ("price", "size")} for level in each["bids"]]
        assert row["bids"] == bids[::-1]
    [rest] = [row for row in found if row["route"] == "books"]
    assert (rest["token"], rest["index"], rest["position"], rest["connection"]) == (one, 1, 1, None)
    [held] = [row for row in found if row["route"] == "state"]
    assert (held["token"], held["connection"]) == (two, "c1")
    assert held["seq"] == max(row["seq"] for row in rows(tmp_path, "book_changes") + ws)
    assert {row["verified"] for row in found} == {"ok"}


def test_a_lost_frame_fails_what_follows_until_the_next_whole_book(tmp_path: Path) -> None:
    tape = Tape(5, steps_ms=(20,))
    lines = [Socket(tokens=tape.tokens), Frame(tape.dump())]
    for _ in range(6):
        tape.now += 20
        lines.append(Frame(tape.change(tape.markets[0]), len(lines)))
    del lines[4]
    lines += [
        Rest(
            many(*(json.dumps(tape.book(token), separators=(",", ":")).encode() for token in tape.tokens)), 8
        )
    ]
    tape.now += 20
    lines.append(Frame(tape.change(tape.markets[0]), 9))
    record(tmp_path, lines)
    normalize(tmp_path)
    found: dict[int, set[str]] = {}
    for row in rows(tmp_path, "book_changes"):
        found.setdefault(row["seq"], set()).add(row["verified"])
    assert [found[seq] for seq in sorted(found)[:2]] == [{"ok"}, {"ok"}]
    assert found[5] == {"failed"}
    assert found[max(found)] == {"ok"}


def test_changes_that_came_before_a_first_book_from_elsewhere_are_in_it(tmp_path: Path) -> None:
    """No first book came on the socket, and the answer is older than changes that came before it."""
    tape = Tape(5)
    lines: list[Line] = [Socket(tokens=tape.tokens)]
    answer = b""
    for n in range(1, 8):
        tape.now += 20
        lines.append(Frame(tape.change(tape.markets[0]), n))
        if n == 2:
            answer = many(*(compact(tape.book(token)) for token in tape.tokens))
        if n == 5:
            lines.append(Rest(answer, 5.5))
    record(tmp_path, lines)
    normalize(tmp_path)
    found: dict[int, set[str]] = {}
    for row in rows(tmp_path, "book_changes"):
        found.setdefault(row["seq"], set()).add(row["verified"])
    assert [found[seq] for seq in sorted(found)] == [{"unchecked"}] * 5 + [{"ok"}] * 2


@pytest.mark.parametrize(("opened", "verdict"), [(0.998, "ok"), (1.0, "unchecked")])
def test_an_answer_is_a_first_book_where_it_was_asked_for_after_the_subscription(
    opened: float, verdict: str, tmp_path: Path
) -> None:
    """Its question left 1 ms before it came; what happened before the connection listened is not known."""
    tape = Tape(5)
    answer = many(*(compact(tape.book(token)) for token in tape.tokens))
    lines: list[Line] = [Socket(tokens=tape.tokens, at=opened), Rest(answer, 1.0005)]
    tape.now += 20
    lines.append(Frame(tape.change(tape.markets[0]), 2))
    record(tmp_path, lines)
    normalize(tmp_path)
    assert {row["verified"] for row in rows(tmp_path, "book_changes")} == {verdict}


def test_an_answer_whose_own_hash_does_not_come_out_begins_no_book(tmp_path: Path) -> None:
    """As in the live books: what is made of a spoiled base would be found wrong for as long as it is held."""
    tape = Tape(5)
    books = [tape.book(token) for token in tape.tokens]
    for one in books:
        one["bids"][0]["size"] = "123456.5"
    answer = many(*map(compact, books))
    lines: list[Line] = [Socket(tokens=tape.tokens, at=0.5), Rest(answer, 1.0)]
    tape.now += 20
    lines.append(Frame(tape.change(tape.markets[0]), 2))
    record(tmp_path, lines)
    normalize(tmp_path)
    assert {row["verified"] for row in rows(tmp_path, "books")} == {"failed"}
    assert {row["verified"] for row in rows(tmp_path, "book_changes")} == {"unchecked"}


def test_a_segment_alone_can_be_replayed_from_its_states(tmp_path: Path) -> None:
    tape = Tape(6, markets=2)
    lines = taped(tape, 100)
    states = [
        State(token, json.dumps(tape.book(token), separators=(",", ":")).encode(), len(lines) - 1, 20)
        for token in tape.tokens
    ]
    late = lines.pop()  # waits in its batch, and comes into the next segment behind the states
    later = [
        Frame(payload, 30 + n / 10) for n, payload in enumerate(p for _ in range(60) for p in tape.step())
    ]
    record(tmp_path, [*lines, late, Rotate(), *states, *later])
    first, second = sorted(ledger_of(tmp_path), key=lambda entry: entry["n"])
    assert second["counts"]["book_state"] == 4
    normalize(tmp_path)
    together = [row for row in rows(tmp_path, "book_changes") if row["seq"] >= second["seq_min"]]
    label(tmp_path, first["path"], "invalid", "a test")
    normalize(tmp_path)
    alone = rows(tmp_path, "book_changes")
    assert alone == together
    assert {row["verified"] for row in alone if not row["is_stale"]} == {"ok"}
    assert {row["verified"] for row in rows(tmp_path, "books")} == {"ok"}


def test_frames_that_a_state_holds_already_may_follow_it_in_the_segment(tmp_path: Path) -> None:
    tape = Tape(7, steps_ms=(20,))
    lines: list[Line] = [Socket(tokens=tape.tokens), Frame(tape.dump())]
    for _ in range(5):
        tape.now += 20
        lines.append(Frame(tape.change(tape.markets[0]), len(lines)))
    held = len(lines) - 1
    states: list[Line] = [
        State(token, json.dumps(tape.book(token), separators=(",", ":")).encode(), held + 1, 10)
        for token in tape.tokens
    ]
    tape.now += 20
    last = Frame(tape.change(tape.markets[0]), 11)
    run = record(tmp_path, [*lines[:4], Rotate(), *lines[4:], *states, last])
    first = min(ledger_of(tmp_path), key=lambda entry: entry["n"])
    label(tmp_path, first["path"], "invalid", "a test")
    normalize(tmp_path)
    found = rows(tmp_path, "book_changes")
    assert {row["run"] for row in found} == {run}
    assert [row["verified"] for row in found if row["seq"] > held + 1][-1:] == ["ok"]
    assert {row["verified"] for row in found if row["seq"] <= held + 1} == {"unchecked"}


def test_what_cannot_be_read_is_counted_with_its_reason_and_costs_nothing_else(tmp_path: Path) -> None:
    good = changes(change(size="1"), change(size="2", best_bid="", best_ask=""))
    lines = [
        Frame(good),
        Frame(json.dumps(json.loads(good), indent=1).encode()),  # several lines: no JSON line can hold it
        Frame(changes(change(size="3"), change(size=4))),
        Frame(changes(change(size="0.1234567"))),
        Frame(b"[%b,%b]" % (changes(change(price="12345678901")), good)),
        Frame(good[:-20]),
        Frame(b"\xff\xfe"),
        Frame(changes(change(side="HOLD"))),
        Frame(changes(change(), timestamp="99999999999999999")),
        Frame(b'{"event_type":"price_change","market":"0x1","timestamp":"1790000000000"}'),
        Frame(b'[5,null,{"event_type":"of_next_year","price_changes":3}]'),
        Frame(b"PONG"),
        Frame(b""),
        Frame(b"[]"),
        Frame(b"[" * 5000 + b"]" * 5000),
        Frame(good.replace(b"price_change", b"price\\u005fchange", 1)),
        Frame(changes(change(size="5.0000000"))),
    ]
    record(tmp_path, lines)
    done = normalize(tmp_path)
    assert not done.failed
    found = rows(tmp_path, "book_changes")
    assert [(row["seq"], row["index"], row["position"], str(row["size"].normalize())) for row in found] == [
        (1, 1, 1, "1"),
        (1, 1, 2, "2"),
        (2, 1, 1, "1"),
        (2, 1, 2, "2"),
        (5, 2, 1, "1"),
        (5, 2, 2, "2"),
        (16, 1, 1, "1"),
        (16, 1, 2, "2"),
        (17, 1, 1, "5"),
    ]
    assert (found[1]["best_bid"], found[1]["best_ask"]) == (None, None)
    assert unreadable(done, "book_changes") == {
        "size": 2,
        "price": 1,
        "not an event of the market channel": 5,
        "side": 1,
        "timestamp": 1,
        "price_changes": 1,
    }


def test_one_trade_is_one_row_however_often_it_is_told(tmp_path: Path) -> None:
    two = b"[%b,%b]" % (trade(transaction_hash="0xbb"), trade(transaction_hash="0xbb"))
    lines = [
        Frame(trade(), 1, "c1"),
        Frame(trade(), 1.5, "c2"),
        Frame(trade(size="8"), 2),
        Frame(two, 3),
        Frame(trade(transaction_hash=""), 4),
        Frame(trade(transaction_hash=""), 5),
        Frame(trade(price=0.5), 6),
    ]
    record(tmp_path, lines)
    done = normalize(tmp_path)
    found = rows(tmp_path, "trades")
    assert [(row["seq"], row["transaction_hash"], row["number"], row["size"]) for row in found] == [
        (1, "0xaa", 1, 7),
        (3, "0xaa", 1, 8),
        (4, "0xbb", 1, 7),
        (4, "0xbb", 2, 7),
        (5, None, 1, 7),
        (6, None, 1, 7),
    ]
    assert (found[0]["source"], found[0]["side"], found[0]["wallet"]) == ("market_channel", "BUY", None)
    assert unreadable(done, "trades") == {"price": 1}


def v2(**values: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"token_id": "1", "condition_id": "0x1", "transaction_hash": "0xaa"}
    known |= {"proxy_wallet": "0xw", "side": "BUY", "size": 92.59, "price": 0.2972581967}
    return known | {"timestamp": 1790000000} | values


def test_trades_of_the_data_api_are_exact_and_told_once(tmp_path: Path) -> None:
    def page(*found: dict[str, Any]) -> bytes:
        return json.dumps({"data": found, "pagination": {"has_more": False}}).encode()

    url = "https://data-api.polymarket.com/v2/trades"
    old: dict[str, Any] = {"asset": "2", "conditionId": "0x1", "transactionHash": "0xcc"}
    old |= {"proxyWallet": "0xw", "side": "SELL", "size": 32862.45, "price": 0.001, "outcome": "No"}
    old["timestamp"] = 1790000005
    lines = [
        Rest(page(v2(), v2(), v2(token_id="2")), 1, url),
        Rest(page(v2(transaction_hash="0xbb"), v2(), v2(), v2(size="bad")), 2, url),
        Rest(json.dumps([old]).encode(), 3, "http://127.0.0.1:8900/data-api.polymarket.com/trades"),
        Rest(b'{"error":"busy"}', 4, url),
        Rest(page(v2(transaction_hash="0xdd")), 5, url, 429),
    ]
    record(tmp_path, lines, feed="trades", tracked={"a": {"tokens": {"Up": "1", "Down": "3"}}})
    done = normalize(tmp_path)
    found = rows(tmp_path, "trades", "trades")
    assert [(row["seq"], row["position"], row["token"], row["number"], row["source"]) for row in found] == [
        (1, 1, "1", 1, "v2/trades"),
        (1, 2, "1", 2, "v2/trades"),
        (1, 3, "2", 1, "v2/trades"),
        (2, 1, "1", 1, "v2/trades"),
        (3, 1, "2", 1, "trades"),
    ]
    first, last = found[0], found[-1]
    assert (first["price"], first["size"], first["wallet"]) == (
        Decimal("0.2972581967"),
        Decimal("92.59"),
        "0xw",
    )
    assert (first["slug"], first["outcome"], last["slug"], last["outcome"]) == ("a", "Up", None, "No")
    assert last["event_time"].timestamp() == 1790000005
    assert unreadable(done, "trades") == {
        "size": 1,
        "the answer is not what /trades or /v2/trades promise": 1,
    }


def test_a_quote_is_a_row_when_it_changed_on_its_connection(tmp_path: Path) -> None:
    def best(bid: str, ask: str, at: int) -> bytes:
        values = {"market": "0x1", "asset_id": "1", "best_bid": bid, "best_ask": ask, "spread": "0.01"}
        return event("best_bid_ask", timestamp=str(1790000000000 + at), **values)

    first = json.loads(book("1"))  # 0.49 and 0.51
    lines = [
        Frame(json.dumps({**first, "event_type": "book"}).encode(), 0),
        Frame(changes(change(best_bid="0.49"), change(asset_id="2", best_bid="0.4")), 1),
        Frame(changes(change(best_bid="0.50")), 2),
        Frame(best("0.5", "0.51", 3), 3),
        Frame(best("", "0.51", 4), 4),
        Frame(changes(change(best_bid="", best_ask="0.510")), 5),
        Frame(changes(change(best_bid="0.50")), 5, "c2"),
        Frame(best("0.3", "1.x", 6), 6),
    ]
    record(tmp_path, lines)
    done = normalize(tmp_path)
    assert [
        (row["seq"], row["token"], row["source"], row["best_bid"], row["best_ask"], row["connection"])
        for row in rows(tmp_path, "quotes")
    ] == [
        (1, "1", "book", Decimal("0.49"), Decimal("0.51"), "c1"),
        (2, "2", "price_change", Decimal("0.4"), Decimal("0.51"), "c1"),
        (3, "1", "price_change", Decimal("0.5"), Decimal("0.51"), "c1"),
        (5, "1", "best_bid_ask", None, Decimal("0.51"), "c1"),
        (7, "1", "price_change", Decimal("0.5"), Decimal("0.51"), "c2"),
    ]
    assert unreadable(done, "quotes") == {"best_ask": 1}


def test_points_of_rtds_keep_all_their_digits(tmp_path: Path) -> None:
    update = (
        b'{"connection_id":"x","payload":{"full_accuracy_value":"79696948174287960000123","symbol":"btc/usd",'
        b'"timestamp":1788600388000,"value":79696.94817428796},"timestamp":1788600389451,'
        b'"topic":"crypto_prices_chainlink","type":"update"}'
    )
    backfill = (
        b'{"payload":{"data":[{"timestamp":1788600269000,"value":79697.730},{"timestamp":1788600270000,'
        b'"value":79697.1234567890123456789}],"symbol":"btcusdt"},"timestamp":1788600388752,'
        b'"topic":"crypto_prices","type":"subscribe"}'
    )
    refused = b'{"body":{"message":"topic not found"},"statusCode":401}'
    lines = [Frame(update, 1), Frame(backfill, 2), Frame(b"", 3), Frame(refused, 4), Frame(b"{", 5)]
    record(tmp_path, lines, feed="reference")
    done = normalize(tmp_path)
    one, two = rows(tmp_path, "reference_prices", "reference")
    assert one["value"] == Decimal("79696.948174287960000123")
    assert (one["topic"], one["symbol"], one["asset"]) == ("crypto_prices_chainlink", "btc/usd", "BTC")
    assert one["event_time"].timestamp() == 1788600388
    assert round(one["published_at"].timestamp() * 1000) == 1788600389451
    assert (one["is_backfill"], one["connection"], one["index"]) == (False, "c1", 1)
    assert (two["value"], two["is_backfill"], two["index"]) == (Decimal("79697.73"), True, 1)
    assert unreadable(done, "reference_prices") == {"value": 1, "not a frame of RTDS": 1}


def test_gaps_say_which_connection_topics_and_symbol_they_concern(tmp_path: Path) -> None:
    scope = {"connection": "c3", "topics": ["crypto_prices"], "symbol": "btcusdt"}
    record(tmp_path, [Lost(1, 2, scope)], feed="reference")
    normalize(tmp_path)
    [gap] = rows(tmp_path, "gaps", "reference")
    assert (gap["connection"], gap["topics"], gap["symbol"]) == ("c3", ["crypto_prices"], "btcusdt")
    assert (gap["markets"], gap["token"]) == (None, None)


def test_hashes_can_be_left_for_later_but_are_not_forgotten(tmp_path: Path) -> None:
    record(tmp_path, taped(Tape(8), 30))
    normalize(tmp_path, verify=False)
    before = rows(tmp_path, "book_changes")
    assert {(row["verified"], row["is_stale"]) for row in before} == {("unchecked", None)}
    again = normalize(tmp_path)
    made = {one.path.split("/")[1] for one in again.outputs}
    assert made == {"books", "book_changes", "quotes", "coverage"}
    assert "ok" in {row["verified"] for row in rows(tmp_path, "book_changes")}


def test_a_table_brings_what_it_is_made_from(tmp_path: Path) -> None:
    record(tmp_path, taped(Tape(9), 30))
    done = normalize(tmp_path, tables=("coverage",))
    made = {one.path.split("/")[1] for one in done.outputs}
    assert made == {"gaps", "books", "book_changes", "coverage"}
    assert not normalize(tmp_path, tables=("coverage",)).outputs
    done = normalize(tmp_path, tables=("quotes",))
    assert {one.path.split("/")[1] for one in done.outputs} == {"quotes"}


def test_a_run_over_midnight_replays_across_it(tmp_path: Path) -> None:
    tape = Tape(10)
    midnight = 12 * 3600.0
    lines: list[Line] = [Socket(tokens=tape.tokens), Frame(tape.dump(), midnight - 3)]
    for n in range(60):
        lines += [Frame(payload, midnight - 2 + n / 10) for payload in tape.step()]
    record(tmp_path, lines)
    normalize(tmp_path)
    today, tomorrow = (rows(tmp_path, "book_changes", day=f"2026-11-2{n}") for n in (1, 2))
    assert max(row["seq"] for row in today) < min(row["seq"] for row in tomorrow)
    assert {row["verified"] for row in today + tomorrow if not row["is_stale"]} == {"ok"}


prices = st.decimals("0", "1", places=9).map(lambda found: f"{found:f}")
sizes = st.decimals("0", "999999999999", places=6).map(lambda found: f"{found:f}")
some = st.lists(
    st.fixed_dictionaries(
        {
            "price": prices,
            "size": sizes,
            "side": st.sampled_from(["BUY", "SELL"]),
            "best_bid": st.one_of(st.just(""), prices),
            "best_ask": st.one_of(st.just(""), prices),
            "hash": st.text("0123456789abcdef", min_size=40, max_size=40),
        }
    ),
    max_size=4,
)


@examples(15)
@given(st.lists(st.lists(some, min_size=1, max_size=3), min_size=1, max_size=5), st.booleans())
def test_any_change_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, sent: list[list[list[dict[str, str]]]], verify: bool
) -> None:
    root = tmp_path_factory.mktemp("changes")
    frames = [
        b"[%b]" % b",".join(changes(*(change(**each) for each in elements)) for elements in events)
        for events in sent
    ]
    record(root, [Frame(payload, n) for n, payload in enumerate(frames)])
    assert not normalize(root, verify=verify).failed
    due = [
        (
            seq,
            index,
            position,
            each["side"],
            Decimal(each["price"]),
            Decimal(each["size"]),
            dec(each["best_bid"]),
            dec(each["best_ask"]),
            each["hash"],
        )
        for seq, events in enumerate(sent, 1)
        for index, elements in enumerate(events, 1)
        for position, each in enumerate(elements, 1)
    ]
    keys = ("seq", "index", "position", "side", "price", "size", "best_bid", "best_ask", "hash")
    assert [tuple(row[key] for key in keys) for row in rows(root, "book_changes")] == due
