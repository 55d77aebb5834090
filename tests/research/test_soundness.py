"""States of books that cannot be true are passed over in every product, and marked in frames."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.collecting.polymarket.quotes import quote_of
from marketarchive.items import Market, Verdict
from marketarchive.research.labels import label_files
from marketarchive.research.tables.normalize import normalize
from marketarchive.venues.polymarket.clob import parse_book
from tests.archive.writing import NOON
from tests.research.making import book, many
from tests.research.streaming import Frame, Line, Rest, Socket, event, record, rows
from tests.research.test_validation import LABEL, SLUG
from tests.venues.polymarket.rows import CONDITION

TRACKED = {SLUG: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}}}
UP_BID, UP_ASK = 0.49, 0.51


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOON / 1e9, UTC) + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return str(NOON // 1_000_000 + round(seconds * 1000))


def dump(seconds: float, **changes: Any) -> bytes:
    """The books of both tokens, `changes` in that of Up."""
    given = ((token, changes if token == "1" else {}) for token in ("1", "2"))
    found = [json.loads(book(token, timestamp=stamp(seconds), **more)) for token, more in given]
    return json.dumps([each | {"event_type": "book"} for each in found]).encode()


def change(seconds: float, best_bid: str, best_ask: str, hash_: str = "") -> bytes:
    element = {"asset_id": "1", "price": "0.3", "size": "7", "side": "BUY", "hash": hash_}
    element |= {"best_bid": best_bid, "best_ask": best_ask}
    return event("price_change", market=CONDITION, timestamp=stamp(seconds), price_changes=[element])


UNSOUND = {
    "a change with a wrong hash": change(3, "0.45", "0.55", "f" * 40),
    "a crossed change": change(3, "0.60", "0.51"),
    "a book with a wrong hash": dump(3, hash="f" * 40, bids=[{"price": "0.45", "size": "1"}]),
    "a book dated ten minutes ahead": dump(603, bids=[{"price": "0.45", "size": "1"}]),
    "a change dated ten minutes ahead": change(603, "0.45", "0.55"),
}


def archive(root: Path, payload: bytes) -> Archive:
    """Up: sound from 1 on, not sound from 3 on, sound again at 6."""
    lines: list[Line] = [Socket(tokens=("1", "2")), Frame(dump(1), 1), Frame(payload, 3)]
    lines += [Frame(dump(6), 6), Socket("closed", 20)]
    record(root, lines, tracked=TRACKED)
    (root / "research").mkdir()
    label_files.write(
        root, [dataclasses.replace(LABEL, condition_id=CONDITION)], label_files.LabelStamp("hand")
    )
    return Archive(root, master_url="")


@pytest.mark.parametrize("payload", UNSOUND.values(), ids=UNSOUND)
def test_no_product_has_a_state_that_is_not_sound(tmp_path: Path, payload: bytes) -> None:
    found = archive(tmp_path, payload)
    made = found.canonical().set_index("t")
    assert made["pm_up_bid"].loc[1:8].tolist() == [UP_BID] * 8
    assert made["pm_up_ask"].loc[1:8].tolist() == [UP_ASK] * 8
    assert made["pm_ffill"].loc[3] == 1, "what is passed over is no observation"
    assert set(made["pm_verified"].loc[1:8]) == {"ok"}
    for second, is_sound in ((2, True), (4, False), (7, True)):
        held = found.book_at("1", at(second))
        assert held is not None
        assert (held.bids[0][0], held.asks[0][0], held.verified) == (UP_BID, UP_ASK, "ok")
        assert (held.is_unsound, held.gap) == (not is_sound, not is_sound)
        assert found.fill("1", "buy", 1, at(second)).gap is not is_sound
    many = found.books_at("1", [at(second) for second in (2, 4, 7)])
    assert many["gap"].tolist() == [False, True, False]
    assert set(many["best_bid"]) == {UP_BID}
    assert not found.book_at("2", at(2)).gap  # type: ignore[union-attr]


@pytest.mark.parametrize("payload", UNSOUND.values(), ids=UNSOUND)
def test_frames_mark_what_is_not_sound(tmp_path: Path, payload: bytes) -> None:
    quotes = archive(tmp_path, payload).quotes(token="1")
    marked = quotes[quotes["is_crossed"] | (quotes["verified"] == "failed")]
    assert set(quotes["verified"]) <= {"ok", "failed", "not_available"}
    assert marked["time"].tolist() == [at(3)]


def test_a_polled_book_that_failed_is_no_observation(tmp_path: Path) -> None:
    bad = book("1", timestamp=stamp(3), hash="f" * 40)
    lines = [
        Rest(many(book("1", timestamp=stamp(second)), book("2", timestamp=stamp(second))), second + 0.1)
        for second in (1, 2, 4)
    ]
    lines.insert(2, Rest(many(bad, book("2", timestamp=stamp(3))), 3.1))
    record(tmp_path, lines, feed="orderbook", tracked=TRACKED)
    assert not normalize(tmp_path, master_url="").failed
    [row] = rows(tmp_path, "coverage", "orderbook")
    assert (row["tracked_s"], row["observed_s"]) == (4, 3)


@pytest.mark.parametrize(("verdict", "is_observed"), [("ok", 1), ("failed", 0)])
def test_a_record_of_a_book_that_failed_has_no_values(verdict: Verdict, is_observed: int) -> None:
    spider: Any = SimpleNamespace(venue="polymarket", feed="orderbook")
    values: dict[str, Any] = {"venue": "polymarket", "feed": "orderbook", "received_at": NOON, "seq": 1}
    values |= {"platform": "polymarket", "market_id": CONDITION, "slug": SLUG, "asset": "BTC"}
    market = Market(**values, outcomes=["Up", "Down"], tokens={"Up": "1", "Down": "2"})
    sent = {token: parse_book(book(token)) for token in ("1", "2")}
    answer: Any = SimpleNamespace(received_at=NOON, seq=1)
    made = quote_of(spider, NOON, market, sent, answer, {"1": verdict, "2": "ok"})
    assert (made.is_observed, made.verified) == (is_observed, verdict)
    assert (made.up_bid is None) == (verdict == "failed")


def test_coverage_of_unchecked_books_is_made_again_when_they_are_checked(tmp_path: Path) -> None:
    changed = [Frame(change(second, "0.45", "0.55", "f" * 40), second) for second in range(3, 17)]
    lines = [Socket(tokens=("1", "2")), Frame(dump(1), 1), *changed, Socket("closed", 20)]
    record(tmp_path, lines, tracked=TRACKED)
    normalize(tmp_path, verify=False)
    [unchecked] = rows(tmp_path, "coverage", "stream")
    assert unchecked["observed_s"] > 10
    normalize(tmp_path)
    [row] = rows(tmp_path, "coverage", "stream")
    assert row["observed_s"] < 5
    assert not normalize(tmp_path).outputs
