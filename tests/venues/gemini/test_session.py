"""What a connection to Gemini makes of frames: the neutral session with this venue's wire format."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from marketarchive.times import SECOND
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_session import BookTop, ExchangeSession
from marketarchive.venues.gemini.socket import WIRE

NOW = 1_790_000_000 * SECOND
Levels = Sequence[tuple[str, str]]
BOOK: Levels = [("100.00", "1"), ("99.00", "2")]


def frame(first: int, last: int, bids: Levels = (), *, asks: Levels = (), symbol: str = "btcusd") -> bytes:
    """last: also the seconds after NOW of its date."""
    at = NOW + last * SECOND
    document = {"e": "depthUpdate", "E": at, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return msgspec.json.encode(document)


def session() -> ExchangeSession:
    made = ExchangeSession(WIRE)
    made.subscribe(["btcusd", "ethusd"], is_first=True)
    return made


def applied(to: ExchangeSession, payload: bytes) -> Update:
    (update,) = to.apply(NOW, 1, payload, latest=NOW + 3600 * SECOND, verify=True)
    return update


def best_bid(update: Update) -> Decimal | None:
    assert isinstance(update.value, BookTop)
    return update.value.best_bid


def test_deltas_follow_on_the_book() -> None:
    one = session()
    first = applied(one, frame(10, 10, BOOK, asks=[("101.00", "1")]))
    assert (first.kind, first.integrity, first.group) == ("snapshot", "ok", "btcusd")
    second = applied(one, frame(10, 14, [("100.00", "0.000")]))
    assert (second.kind, second.integrity, best_bid(second)) == ("delta", "ok", Decimal("99.00"))
    third = applied(one, frame(14, 20, [("100.50", "3")]))
    assert (third.integrity, best_bid(third)) == ("ok", Decimal("100.50"))


def test_a_frame_that_begins_before_the_book_ends_is_applied_and_an_older_one_is_not() -> None:
    one = session()
    applied(one, frame(10, 10, BOOK))
    assert best_bid(applied(one, frame(7, 12, [("100.50", "3")]))) == Decimal("100.50")
    assert applied(one, frame(9, 12, [("100.70", "3")])).is_known
    assert best_bid(applied(one, frame(12, 13, [("98.00", "1")]))) == Decimal("100.50")


def test_after_a_gap_nothing_but_a_new_book_is_one() -> None:
    """What is still under way from the old subscription is never taken for it."""
    one = session()
    applied(one, frame(10, 10, BOOK))
    lost = applied(one, frame(11, 14, [("100.50", "3")]))
    assert (lost.integrity, lost.value) == ("failed", None)
    assert "11 to 11 are missing" in lost.detail
    assert len(one.resync(["btcusd"])) == 2
    late = applied(one, frame(14, 16, [("100.60", "3")]))
    assert (late.kind, late.integrity, late.value) == ("delta", "unchecked", None)
    again = applied(one, frame(16, 16, [("100.60", "3")]))
    assert (again.kind, again.integrity, best_bid(again)) == ("snapshot", "ok", Decimal("100.60"))
    assert applied(one, frame(16, 18)).integrity == "ok"


def test_a_delta_without_a_book_begins_none() -> None:
    update = applied(session(), frame(10, 14, BOOK))
    assert (update.kind, update.integrity, update.value) == ("delta", "unchecked", None)


def test_markets_have_their_own_chains() -> None:
    one = session()
    applied(one, frame(10, 10, BOOK))
    applied(one, frame(12, 12, BOOK, symbol="ethusd"))
    assert applied(one, frame(11, 14)).integrity == "failed"
    assert applied(one, frame(12, 15, symbol="ethusd")).integrity == "ok"


def test_a_refusal_concerns_the_market_of_its_text() -> None:
    refusal = b'{"id":"ethusd-subscribe","status":400,"error":{"code":-1013,"msg":"Invalid stream name"}}'
    assert session().concerned(refusal) == ["ethusd"]


def test_a_book_requested_anew_tells_whether_updates_never_came() -> None:
    """As when the venue stops to send a market's changes."""
    one = session()
    applied(one, frame(10, 10, BOOK))
    one.resync(["btcusd"])
    assert applied(one, frame(10, 12, [("100.60", "3")])).integrity == "unchecked"  # was under way
    same = applied(one, frame(12, 12, BOOK))
    assert (same.kind, same.integrity) == ("snapshot", "ok")
    one.resync(["btcusd"])
    payload = frame(15, 15, BOOK)
    failed, again = one.apply(NOW, 1, payload, latest=NOW + 3600 * SECOND, verify=True)
    assert (failed.kind, failed.integrity, failed.group) == ("delta", "failed", "btcusd")
    assert failed.detail == "updates 13 to 15 never came"
    assert (again.kind, again.integrity, best_bid(again)) == ("snapshot", "ok", Decimal("100.00"))


def test_one_that_was_dropped_has_nothing_to_compare() -> None:
    one = session()
    applied(one, frame(10, 10, BOOK))
    one.drop(["btcusd"])
    one.resync(["btcusd"])
    assert applied(one, frame(15, 15, BOOK)).integrity == "ok"
