"""Tables and coverage of polled books: an answer may be a copy, and then it is no observation."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from marketarchive import Archive
from marketarchive.times import SECOND
from marketarchive.venues.kalshi.endpoints import BASE
from tests.archive.writing import NOON
from tests.research.kalshi.recording import answers

TICKER = "KXBTC15M-26NOV210715-15"


def polled(root: Path, *books: tuple[float, str, str | None]) -> None:
    """Archive books: (seconds after noon, and a fifth, bid for YES, what Age says)."""
    url = f"{BASE}/markets/{TICKER}/orderbook"
    told, headers = [], {}
    for at, bid, age in books:
        body = f'{{"orderbook_fp":{{"yes_dollars":[["{bid}","3.00"]],"no_dollars":[["0.4000","5.00"]]}}}}'
        told.append((NOON + int((at + 0.2) * SECOND), url, body.encode()))
        headers[told[-1][0]] = {} if age is None else {"age": age}
    answers(root, told, "orderbook", headers)


def test_a_copy_that_is_older_than_two_seconds_does_not_count(tmp_path: Path) -> None:
    polled(tmp_path, *((n, "0.5100", str(n)) for n in range(6)))
    [found] = Archive(tmp_path).coverage().to_dict("records")
    assert (found["market"], found["asset"]) == (TICKER, "BTC")
    assert (found["tracked_s"], found["observed_s"], found["unknown_s"]) == (6, 3, 3)
    books = Archive(tmp_path).books()
    assert list(books["age_s"]) == [0, 1, 2, 3, 4, 5]


def test_without_a_statement_a_book_is_as_old_as_its_first_receipt(tmp_path: Path) -> None:
    """It may be quiet, or a copy: nothing tells."""
    polled(tmp_path, *((n, "0.5100" if n < 4 else "0.5200", None) for n in range(6)))
    [found] = Archive(tmp_path).coverage().to_dict("records")
    assert (found["tracked_s"], found["observed_s"], found["unknown_s"]) == (6, 5, 1)
    assert list(Archive(tmp_path).books()["age_s"]) == [0, 1, 2, 3, 0, 1]


def test_the_book_of_a_market_without_tokens_is_found_by_its_ticker(tmp_path: Path) -> None:
    polled(tmp_path, (0, "0.5100", None), (1, "0.5200", None), (2, "0.4900", "9"))
    archive = Archive(tmp_path)
    assert archive.book_at(TICKER, "2026-11-21T12:00:00Z") is None
    found = archive.book_at(TICKER, "2026-11-21T12:00:05Z")
    assert found is not None
    assert (found.bids, found.asks, found.outcome) == (((0.52, 3.0),), ((0.6, 5.0),), "yes")
    assert (found.event_time, found.verified) == (None, "not_available")  # the copy that came later is older
    filled = archive.fill(TICKER, "buy", 2, "2026-11-21T12:00:02Z")
    assert (filled.filled, filled.value) == (Decimal(2), Decimal("1.2"))
