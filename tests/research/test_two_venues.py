"""Two venues in one OUTPUT_DIR: what one missed is no hole in what the other has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from marketarchive import Archive
from marketarchive.items import Gap
from marketarchive.research.engine import connect, run
from marketarchive.research.names import known
from marketarchive.research.products.updown.canonical import inputs
from marketarchive.research.report.recorded_gaps import over_books, recorded_gaps
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.tables.normalize import normalize
from marketarchive.scope import Scope
from tests.archive.writing import NOON, HandClock, open_run, writer
from tests.research.streaming import Frame, Line, Lost, Socket, ns, record
from tests.research.test_canonical import label
from tests.research.test_stream_api import SLUG, TRACKED, change, dump

LINES: list[Line] = [
    Socket(tokens=("1", "2"), has_keys=True),
    Frame(dump("1", "2"), 1),
    Frame(change("0.5", "9", best_bid="0.50"), 20),
    Socket("closed", 60),
]


def miss(root: Path, venue: str, feed: str) -> None:
    """A gap of everything in a feed of another venue, from second 5 to second 15."""
    with writer(root, HandClock()) as made:
        other = open_run(made, f"{venue}_{feed}")
        seq = other.next_seq(venue, feed)
        scope = Scope(venue, feed)
        gap = Gap(venue, feed, ns(15), seq, ns(5), ns(15), scope, "disconnect", "venue")
        other.write(gap)
        other.close("finished", {}).result()


def of_round(root: Path) -> list[tuple[int, int]]:
    """Of the round that begins at noon, in seconds after it, as the canonical dataset has them."""
    connection = connect()
    begun = replace(label(None), market_id=SLUG, start_ns=NOON, end_ns=NOON + 60 * 10**9)
    inputs.register_rounds(connection, [begun], {SLUG: {"Up": "1", "Down": "2"}})
    kinds = [("instrument", pa.int64()), ("received_us", pa.int64()), ("event_us", pa.int64())]
    connection.register("prices", pa.schema(kinds).empty_table())
    inputs.create_gaps(connection, root, *inputs.span([begun], 60))
    start = NOON // 1000
    found = run(connection, "SELECT from_us, to_us FROM market_gaps ORDER BY ALL")
    connection.close()
    return [((first - start) // 10**6, (last - start) // 10**6) for first, last in found]


def of_report(root: Path) -> list[tuple[int, int]]:
    """Over the books of its asset, as the report draws them."""
    about = ReportScope(root, NOON, NOON + 60 * 10**9)
    connection = connect()
    found = over_books(recorded_gaps(connection, about, known(root, "")), "BTC", about, "polymarket")
    connection.close()
    return [((first - NOON) // 10**9, (last - NOON) // 10**9) for first, last in found]


@pytest.mark.parametrize(
    ("venue", "feed"), [("kraken", "stream"), ("kalshi", "orderbook"), ("kraken", "pages")]
)
def test_a_gap_of_another_venue_makes_no_hole(venue: str, feed: str, tmp_path: Path) -> None:
    record(tmp_path, LINES, tracked=TRACKED)
    miss(tmp_path, venue, feed)
    normalize(tmp_path)
    assert of_round(tmp_path) == of_report(tmp_path) == []
    archive = Archive(tmp_path)
    assert [(gap["venue"], gap["feed"]) for gap in archive.gaps().to_dict("records")] == [(venue, feed)]
    changes = archive.quotes(market=SLUG)
    assert not changes["gap_before"].any()
    book = archive.book_at("1", "2026-11-21T12:00:10Z")
    assert book is not None
    assert not book.gap
    [seen] = archive.coverage(market=SLUG).to_dict("records")
    assert seen["gapped_s"] == 0


def test_a_gap_of_its_own_does(tmp_path: Path) -> None:
    everything = {"venue": "polymarket", "feed": "stream"}
    record(tmp_path, [*LINES[:2], Lost(5, 15, everything), *LINES[2:]], tracked=TRACKED)
    normalize(tmp_path)
    assert of_round(tmp_path) == of_report(tmp_path) == [(5, 15)]
    assert Archive(tmp_path).quotes(market=SLUG)["gap_before"].any()
