from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket.clob import parse_book, verify_book
from marketarchive.venues.polymarket.live_books import KEPT_CHANGES, AppliedEvent, ChannelBooks
from marketarchive.venues.polymarket.market_channel import TOKENS_PER_CONNECTION
from tests.venues.polymarket.tape import Tape, compact

TAPES = st.builds(
    Tape,
    st.integers(0, 10**6),
    st.integers(1, 3),
    orders=st.integers(0, 12),
    after_last=st.booleans(),
    silent=st.booleans(),
    neg_risk=st.booleans(),
)
# a millisecond at least between two events: what lies in the base's own millisecond is another test
APART = st.builds(Tape, st.integers(0, 10**6), steps_ms=st.just((1, 2, 30)))


def taken(books: ChannelBooks, payloads: Iterable[bytes], **options: Any) -> list[AppliedEvent]:
    return [each for payload in payloads for each in books.apply(payload, **options)]


def payloads(tape: Tape, count: int) -> list[bytes]:
    return [payload for _, payload in tape.frames(count)]


def right(tape: Tape, token: str) -> dict[str, Any]:
    """What the payload of a right book says, or nearly: a tick size told last is in no hash yet."""
    return {name: value for name, value in tape.book(token).items() if name not in ("hash", "tick_size")}


def mine(books: ChannelBooks, token: str) -> dict[str, Any]:
    book = json.loads(books.books[token].payload())
    return {name: value for name, value in book.items() if name not in ("hash", "tick_size")}


def verdicts(found: Iterable[AppliedEvent]) -> set[str]:
    """Of everything that carries a hash and was applied."""
    return {each.verdict for each in found if each.verdict != "not_available" and not each.is_stale}


# --- a complete stream -----------------------------------------------------------------------------------


@given(TAPES, st.integers(1, 60))
def test_every_hash_of_a_complete_stream_comes_out(tape: Tape, count: int) -> None:
    books = ChannelBooks()
    assert verdicts(taken(books, payloads(tape, count))) == {"ok"}
    for token in tape.tokens:
        assert mine(books, token) == right(tape, token)


@given(TAPES, st.integers(1, 60))
def test_a_payload_is_a_book_as_rest_sends_it(tape: Tape, count: int) -> None:
    books = ChannelBooks()
    taken(books, payloads(tape, count))
    for token in tape.tokens:
        live = books.books[token]
        book = parse_book(live.payload())
        assert verify_book(book) == ("ok", "2025-12")
        assert (book.hash, book.timestamp_ms) == (live.hash, live.timestamp_ms)
        assert (book.best_bid, book.best_ask) == (live.best_bid, live.best_ask)
        assert book.last_trade_price == live.last_trade_price
        assert live.tick_size == tape.book(token)["tick_size"]


@given(TAPES, st.integers(1, 60))
def test_without_hashes_the_books_are_the_same(tape: Tape, count: int) -> None:
    books = ChannelBooks()
    assert verdicts(taken(books, payloads(tape, count), verify=False)) <= {"unchecked", "ok"}
    for token in tape.tokens:
        found, expected = mine(books, token), right(tape, token)
        assert (found["bids"], found["asks"]) == (expected["bids"], expected["asks"])


@given(TAPES, st.integers(1, 40), st.integers(0, 40))
def test_it_goes_on_from_a_whole_book_at_any_point(tape: Tape, before: int, after: int) -> None:
    payloads(tape, before)
    books = ChannelBooks()
    for token in tape.tokens:
        assert books.load_snapshot(parse_book(tape.book(token))) == "ok"
    rest = payloads(tape, after)[1:]
    assert verdicts(taken(books, rest)) <= {"ok"}
    for token in tape.tokens:
        assert mine(books, token) == right(tape, token)


# --- an incomplete one -----------------------------------------------------------------------------------


class Plain:
    """Both sides of each token by price, from frames: what a reader without hashes believes."""

    def __init__(self) -> None:
        self.sides: dict[tuple[str, str], dict[str, str]] = {}

    def apply(self, payload: bytes, without: Collection[str | None] = ()) -> None:
        frame = json.loads(payload)
        for event in frame if isinstance(frame, list) else [frame]:
            if event["event_type"] == "book":
                for side, name in (("BUY", "bids"), ("SELL", "asks")):
                    self.sides[event["asset_id"], side] = {
                        level["price"]: level["size"] for level in event[name]
                    }
            for change in event.get("price_changes", ()):
                if change["asset_id"] in without:
                    continue
                sizes = self.sides.setdefault((change["asset_id"], change["side"]), {})
                sizes.pop(change["price"], None)
                if change["size"] != "0":
                    sizes[change["price"]] = change["size"]

    def of(self, token: str) -> tuple[dict[str, str], dict[str, str]]:
        return dict(self.sides.get((token, "BUY"), {})), dict(self.sides.get((token, "SELL"), {}))


def tokens_of(payload: bytes) -> list[str]:
    frame = json.loads(payload)
    return (
        [change["asset_id"] for change in frame.get("price_changes", ())] if isinstance(frame, dict) else []
    )


def check(sent: Sequence[bytes], received: Sequence[int]) -> None:
    """Play frames in the order `received`; each last verdict of a frame must be that of the contents.

    ok where the book is then what it was at the venue after the same frame, failed where it is not.
    """
    truth: list[dict[str, Any]] = []
    plain = Plain()
    for payload in sent:
        plain.apply(payload)
        truth.append({token: plain.of(token) for token, _ in plain.sides})
    books, mine, failures = ChannelBooks(), Plain(), Counter[str | None]()
    for place in received:
        found = books.apply(sent[place])
        mine.apply(sent[place], without={each.token for each in found if each.is_stale})
        for token in dict.fromkeys(tokens_of(sent[place])):
            is_right = mine.of(token) == truth[place][token]
            of_token = [each for each in found if each.token == token]
            verdict = of_token[-1].verdict
            if of_token[-1].is_stale:  # a trade's change after the book that holds it already
                assert verdict == "unchecked"
            elif verdict == "ok":
                assert is_right
            else:  # after four failures what was not sent is not searched each time
                assert verdict == "failed"
                assert not is_right or failures[token] >= 4
        for each in found:
            if each.verdict != "not_available":
                failures[each.token] = failures[each.token] + 1 if each.verdict == "failed" else 0


@given(APART, st.integers(2, 60), st.data())
def test_a_lost_frame_is_found_at_the_next_change_unless_that_repairs_it(
    tape: Tape, count: int, data: st.DataObject
) -> None:
    """Exactly: each later verdict is `failed` as long as the book is not the venue's, and `ok` again then."""
    sent = payloads(tape, count)
    lost = data.draw(st.integers(1, len(sent) - 1))
    check(sent, [place for place in range(len(sent)) if place != lost])


@given(APART, st.integers(3, 60), st.data())
def test_swapped_changes_are_found(tape: Tape, count: int, data: st.DataObject) -> None:
    sent = payloads(tape, count)
    changes = [
        place for place in range(1, len(sent) - 1) if tokens_of(sent[place]) and tokens_of(sent[place + 1])
    ]
    if not changes:
        return
    place = data.draw(st.sampled_from(changes))
    order = list(range(len(sent)))
    order[place : place + 2] = [place + 1, place]
    check(sent, order)


@given(APART, st.integers(2, 60), st.data())
def test_a_frame_sent_again_changes_nothing(tape: Tape, count: int, data: st.DataObject) -> None:
    """At once or later, within the changes that are kept."""
    sent = payloads(tape, count)
    first = data.draw(st.integers(1, len(sent) - 1))
    again = data.draw(st.integers(first + 1, len(sent)))
    books = ChannelBooks()
    received = [*sent[:again], sent[first], *sent[again:]]
    assert verdicts(taken(books, received)) == {"ok"}
    for token in tape.tokens:
        assert mine(books, token) == right(tape, token)


@given(APART, st.integers(1, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_failed_book_is_mended_by_a_rest_answer_though_changes_came_after_it(
    tape: Tape, lost: int, before: int, after: int
) -> None:
    books = ChannelBooks()
    taken(books, payloads(tape, 3))
    for _ in range(lost):
        tape.step()
    taken(books, payloads(tape, before)[1:])
    answers = [parse_book(tape.book(token)) for token in tape.tokens]
    taken(books, payloads(tape, after)[1:])
    for book in answers:
        held = books.books[book.token]
        was_failed = held.verdict == "failed"
        assert books.load_snapshot(book) in (("ok",) if was_failed else ("ok", "not_available"))
        if was_failed:
            assert mine(books, book.token) == right(tape, book.token)
    assert verdicts(taken(books, payloads(tape, 5)[1:])) == {"ok"}


@given(TAPES, st.integers(0, 20), st.integers(1, 20), st.integers(0, 20))
def test_a_first_book_may_be_older_than_changes_that_came_before_it(
    tape: Tape, before: int, after: int, later: int
) -> None:
    """The one of the socket is missing; that of a REST answer was made before changes that came first."""
    books = ChannelBooks()
    taken(books, payloads(tape, before)[1:])
    answers = [parse_book(tape.book(token)) for token in tape.tokens]
    taken(books, payloads(tape, after)[1:])
    for book in answers:
        had_none = book.token not in books.books  # a trade brings whole books
        assert books.load_snapshot(book) in (("ok",) if had_none else ("ok", "not_available"))
        assert mine(books, book.token) == right(tape, book.token)
    assert verdicts(taken(books, payloads(tape, later)[1:])) <= {"ok"}
    for token in tape.tokens:
        assert mine(books, token) == right(tape, token)


@given(APART, st.integers(1, 20), st.integers(0, 20))
def test_changes_may_come_before_the_socket_s_own_first_book(tape: Tape, before: int, later: int) -> None:
    books, first = ChannelBooks(), tape.dump()
    taken(books, payloads(tape, before)[1:])
    assert verdicts(books.apply(first)) <= {"ok"}
    assert verdicts(taken(books, payloads(tape, later)[1:])) <= {"ok"}
    for token in tape.tokens:
        assert mine(books, token) == right(tape, token)


@given(TAPES, st.integers(0, 20), st.integers(0, 20))
def test_a_rest_answer_proves_what_was_not_checked(tape: Tape, before: int, after: int) -> None:
    books = ChannelBooks()
    taken(books, payloads(tape, before), verify=False)
    answers = [parse_book(tape.book(token)) for token in tape.tokens]
    taken(books, payloads(tape, after)[1:], verify=False)
    for book in answers:
        assert books.load_snapshot(book) in ("ok", "not_available")
        assert mine(books, book.token)["bids"] == tape.book(book.token)["bids"]


# --- one by one ------------------------------------------------------------------------------------------

T0 = 1_790_000_000_000


def held(tape: Tape) -> ChannelBooks:
    books = ChannelBooks()
    books.apply(tape.dump())
    return books


def told(tape: Tape, at: int, *elements: dict[str, str]) -> bytes:
    market = tape.markets[0].id
    event = {"market": market, "price_changes": elements, "timestamp": str(at), "event_type": "price_change"}
    return compact(event)


def element(tape: Tape, **changes: str) -> dict[str, str]:
    return {
        "asset_id": tape.tokens[0],
        "price": "0.01",
        "size": "7",
        "side": "BUY",
        "hash": "0" * 40,
    } | changes


def changed(tape: Tape) -> bytes:
    """The next change of both books of the first market."""
    tape.now += 5
    return tape.change(tape.markets[0])


def test_without_a_base_nothing_is_checked_or_applied() -> None:
    tape, books = Tape(1), ChannelBooks()
    first, second = books.apply(tape.change(tape.markets[0]))[:2]
    assert (first.verdict, first.is_stale, first.position) == ("unchecked", False, 1)
    assert (second.token, second.position) == (tape.tokens[1], 2)
    assert books.books == {}


def test_a_change_lost_before_there_was_a_book_is_found_with_the_book() -> None:
    tape, books = Tape(1, steps_ms=(5,)), ChannelBooks()
    answer = parse_book(tape.book(tape.tokens[0]))
    sent = [changed(tape) for _ in range(3)]
    taken(books, [sent[0], sent[2]])
    assert books.load_snapshot(answer) == "failed"
    assert books.load_snapshot(parse_book(tape.book(tape.tokens[0]))) == "ok"


def test_a_book_of_the_socket_holds_what_came_before_it_in_its_millisecond() -> None:
    tape, books = Tape(1, orders=0), ChannelBooks()
    market = tape.markets[0]
    tape.set(market, 500, "7", is_bid=True)
    books.apply(told(tape, T0, *tape.elements(market, 500, "7", is_bid=True)))
    tape.set(market, 500, "0", is_bid=True)
    for token in market.tokens:
        assert verdicts(books.apply(tape.refresh(market, token))) == {"ok"}
        assert mine(books, token)["bids"] == mine(books, token)["asks"] == []


def test_a_first_book_too_old_for_the_changes_that_are_kept_is_not_taken() -> None:
    tape, books = Tape(1, steps_ms=(5,)), ChannelBooks()
    answers = []
    for _ in range(KEPT_CHANGES + 20):
        answers.append(parse_book(tape.book(tape.tokens[0])))
        books.apply(changed(tape))
    assert books.load_snapshot(answers[0]) == "not_available"
    assert books.books == {}
    assert books.load_snapshot(answers[-20]) == "ok"
    assert mine(books, tape.tokens[0]) == right(tape, tape.tokens[0])


def test_changes_wait_for_a_book_of_no_more_tokens_than_a_connection_may_have() -> None:
    books = ChannelBooks()
    tapes = [Tape(seed, orders=1) for seed in range(TOKENS_PER_CONNECTION // 2 + 1)]
    answers = [parse_book(tape.book(tape.tokens[0])) for tape in tapes]
    for tape in tapes:
        books.apply(changed(tape))
    assert books.load_snapshot(answers[-1]) == "ok"
    assert mine(books, tapes[-1].tokens[0]) == right(tapes[-1], tapes[-1].tokens[0])
    assert books.load_snapshot(answers[0]) == "ok"  # of its changes nothing is known any more
    assert mine(books, tapes[0].tokens[0])["timestamp"] == str(T0)


def test_best_prices_that_differ_show_a_loss_without_hashes() -> None:
    tape = Tape(1)
    right = {"best_bid": tape.book(tape.tokens[0])["bids"][-1]["price"], "best_ask": "0.999"}
    wrong_ask = told(tape, T0 + 1, element(tape, **right))
    assert [each.verdict for each in held(tape).apply(wrong_ask, verify=False)] == ["failed"]
    right["best_ask"] = tape.book(tape.tokens[0])["asks"][-1]["price"]
    assert [
        each.verdict for each in held(tape).apply(told(tape, T0 + 1, element(tape, **right)), verify=False)
    ] == ["unchecked"]


def test_an_empty_side_is_told_by_an_empty_text() -> None:
    tape = Tape(1, orders=0)
    books = held(tape)
    ask = {"side": "SELL", "price": "0.7", "best_bid": "", "best_ask": "0.7"}
    (only,) = books.apply(told(tape, T0 + 1, element(tape, **ask)), verify=False)
    assert only.verdict == "unchecked"
    assert (books.books[tape.tokens[0]].best_bid, books.books[tape.tokens[0]].best_ask) == (
        None,
        Decimal("0.7"),
    )
    gone = {**ask, "size": "0", "best_ask": "0.7"}
    (only,) = books.apply(told(tape, T0 + 2, element(tape, **gone)), verify=False)
    assert only.verdict == "failed"


def test_what_is_older_than_the_base_is_stale() -> None:
    tape = Tape(1)
    books = held(tape)
    before = books.books[tape.tokens[0]].payload()
    (only,) = books.apply(told(tape, T0 - 1, element(tape)))
    assert (only.verdict, only.is_stale) == ("unchecked", True)
    (only,) = books.apply(told(tape, T0, element(tape)))  # in its millisecond: no proof that it came after
    assert only.is_stale
    assert books.books[tape.tokens[0]].payload() == before


def test_a_change_in_the_base_s_millisecond_is_applied_when_its_hash_says_so() -> None:
    tape = Tape(1)
    books = held(tape)
    market = tape.markets[0]
    payload = tape.change(market)
    assert {(each.verdict, each.is_stale) for each in books.apply(payload)} == {("ok", False)}
    assert mine(books, market.tokens[0]) == right(tape, market.tokens[0])


def test_a_change_of_the_base_s_millisecond_does_not_take_back_later_ones() -> None:
    """Sent again, it would set the level to what it was, and the hash of then would agree."""
    tape = Tape(1)
    books, market = held(tape), tape.markets[0]
    at = market.best_bid
    sent = []
    for size in ("7", "9"):
        tape.now += 5
        tape.set(market, at, size, is_bid=True)
        sent.append(told(tape, tape.now, *tape.elements(market, at, size, is_bid=True)))
        books.apply(sent[-1])
        if size == "7":
            taken(books, [tape.refresh(market, token) for token in market.tokens])
    assert all(each.is_stale for each in books.apply(sent[0]))
    assert mine(books, market.tokens[0]) == right(tape, market.tokens[0])


def test_an_older_whole_book_is_ignored_while_the_held_one_is_right() -> None:
    tape = Tape(1, steps_ms=(5,))
    books = held(tape)
    answer = parse_book(tape.book(tape.tokens[0]))
    taken(books, payloads(tape, 5)[1:])
    before = books.books[tape.tokens[0]].payload()
    assert books.load_snapshot(answer) == "not_available"
    assert books.books[tape.tokens[0]].payload() == before


def test_what_a_rest_book_says_of_the_market_is_kept() -> None:
    tape = Tape(1)
    books = held(tape)
    book = {**tape.book(tape.tokens[0]), "timestamp": str(T0 + 1), "min_order_size": "15", "hash": ""}
    book["hash"] = hashlib.sha1(compact(book)).hexdigest()
    assert books.load_snapshot(parse_book(book)) == "ok"
    assert json.loads(books.books[tape.tokens[0]].payload()) == book


def test_a_book_that_was_changed_on_its_way_fails_and_is_taken_all_the_same() -> None:
    tape, books = Tape(1), ChannelBooks()
    frame = tape.dump().replace(b'"size":"', b'"size":"1', 1)
    first, second = books.apply(frame)
    assert (first.verdict, second.verdict) == ("failed", "ok")
    assert verify_book(parse_book(books.books[tape.tokens[0]].payload())) == ("failed", "")


def test_dropped_books_are_forgotten() -> None:
    tape = Tape(1, markets=2)
    books = held(tape)
    books.drop([*tape.markets[0].tokens, "unknown"])
    assert list(books.books) == list(tape.markets[1].tokens)
    assert verdicts(books.apply(tape.change(tape.markets[0]))) == {"unchecked"}
    books.drop(tape.markets[1].tokens)
    assert books.books == {}


def test_a_frame_that_is_refused_changes_nothing() -> None:
    tape = Tape(1)
    books = held(tape)
    before = {token: book.payload() for token, book in books.books.items()}
    with pytest.raises(ParseError):
        books.apply(told(tape, T0 + 1, element(tape), element(tape, price="2")))
    assert {token: book.payload() for token, book in books.books.items()} == before


def test_a_crossed_book_says_so() -> None:
    tape = Tape(1)
    books = held(tape)
    assert not books.books[tape.tokens[0]].is_crossed
    books.apply(told(tape, T0 + 1, element(tape, price="0.99")))
    assert books.books[tape.tokens[0]].is_crossed
    with pytest.raises(ParseError, match="crossed"):
        parse_book(books.books[tape.tokens[0]].payload())
