"""An archive of two recorders over midnight, mounted read-only, with books that cannot be true.

Every product tells the same of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.collecting.polymarket.quotes import quote_of
from marketarchive.items import Market
from marketarchive.research.exports.archive_tables import archive_tables
from marketarchive.research.exports.table import ExportRequest
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.products.updown.validation.validate import validate
from marketarchive.research.report.report import report
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.polymarket.clob import book_hash, decode_book, verify_book
from marketarchive.venues.polymarket.rows import Quote
from tests.archive.mounting import read_only
from tests.research.simulated_rounds import VENUE, Lost, archive, rounds
from tests.venues.polymarket.rows import parsed

pytestmark = pytest.mark.process  # works for seconds

START = from_iso("2026-08-05T23:55:00Z") // SECOND
ONE = [Lost(40.2, 51.7), Lost(100.2, 111.7)]
OTHER = [Lost(106.3, 129.6)]
BOTH = range(106, 112)
"""Seconds of the round that touch a gap of both recorders."""
[ROUND] = rounds(START, 1)
FAILED, CROSSED = 132.5, 151.5
"""When Up's book had another hash than it stated, and when its sides crossed: nothing else came meanwhile."""
LASTED = 1.25
"""Seconds until whole books came."""
MADE_UP = {FAILED: 0.013, CROSSED: 0.987}
"""Best bids of these states."""


def ns(t: float) -> int:
    return START * SECOND + int(t * SECOND)


def whole_books(t: float) -> list[dict[str, Any]]:
    """Both books as they are at a moment, dated by it."""
    found = json.loads(VENUE.market_channel.first([ROUND], ns(t)).payload)
    for each in found:
        del each["event_type"]
        each["timestamp"] = str(ns(t) // 1_000_000)
        each["hash"] = book_hash(decode_book(json.dumps(each).encode()))
    return list(found)


def wrong(t: float) -> dict[str, Any]:
    """Up's book of a moment with a made-up bid."""
    up, _ = whole_books(t)
    up["bids"] = [{"price": str(MADE_UP[t]), "size": "7"}]
    if t == CROSSED:
        up["hash"] = book_hash(decode_book(json.dumps(up).encode()))
    return up


def told() -> list[tuple[int, bytes]]:
    """The states that cannot be true, and the whole books that end them."""
    sent = [(t, [wrong(t)]) for t in MADE_UP]
    sent += [(t + LASTED, whole_books(t + LASTED)) for t in MADE_UP]
    return [
        (ns(t), json.dumps([each | {"event_type": "book"} for each in books]).encode()) for t, books in sent
    ]


def recorded(sent: dict[str, Any]) -> Quote:
    """The row of records/ of a book of Up as it was polled, beside a sound one of Down."""
    received = {"venue": "polymarket", "feed": "orderbook", "received_at": ns(0), "seq": 1}
    spider, answer = SimpleNamespace(**received), SimpleNamespace(**received)
    tokens = dict(zip(("Up", "Down"), ROUND.tokens, strict=True))
    known: Any = {"slug": ROUND.slug, "outcomes": ["Up", "Down"], "tokens": tokens, "asset": "BTC"}
    market = Market(**received, platform="polymarket", market_id=ROUND.condition_id, **known)
    books = parsed("https://clob.polymarket.com/books", [sent, whole_books(0)[1]]).books
    by_token = {book.token: book for book in books}
    verdicts = {token: verify_book(book)[0] for token, book in by_token.items()}
    made = quote_of(spider, ns(0), market, by_token, answer, verdicts)  # type: ignore[arg-type]  # what it needs
    return made if made.problem() is None else made.unobserved()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What one recorder without any loss has."""
    root = tmp_path_factory.mktemp("whole")
    archive(root, [ROUND], told=told())
    ground_truth(root)
    return Archive(root)


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """What two lossy ones have, in one archive that nobody may write to."""
    root, folder = tmp_path_factory.mktemp("joined"), tmp_path_factory.mktemp("mount")
    for lost in (ONE, OTHER):
        archive(root, [ROUND], lost=lost, told=told())
    with read_only(root, folder / "here") as place:
        found = Archive(place, cache=folder / "cache")
        ground_truth(found.root)
        yield found


def test_all_products_see_the_gap_that_both_have_and_no_other(joined: Archive, whole: Archive) -> None:
    [(slug, start)] = joined.labels()[["market", "time"]].itertuples(index=False, name=None)
    dataset, lossless = joined.canonical(), whole.canonical()
    assert not lossless["gap"].any()
    inside = set(dataset.loc[dataset["gap"], "t"])
    assert inside >= set(BOTH)
    assert inside <= {*BOTH, BOTH.stop}, "and the second at whose instant it ended"
    seen = ~dataset["t"].isin([*BOTH, BOTH.stop]) & ~lossless["pm_ffill"]
    for name in ("cl_mid", "pm_up_bid", "pm_up_ask", "pm_down_bid", "Y"):
        assert dataset.loc[seen, name].equals(lossless.loc[seen, name]), name
    coverage = joined.coverage(feed="stream", market=slug)
    assert coverage["gapped_s"].sum() == len(BOTH)
    told = {(gap["from"], gap["to"]) for gap in joined.quotes(market=slug).attrs["gaps"]}
    ends = {end for _, end in told}
    assert told
    assert {begin[:17] for begin, _ in told} == {"2026-08-05T23:56:"}
    assert ends <= {"2026-08-05T23:56:51.700000Z", "2026-08-05T23:56:52.000000Z"}
    assert len(joined.gaps(feed="stream")) == len(ONE) + len(OTHER)
    changes = joined.book_changes()
    after = changes.loc[changes["gap_before"], "time"] - start
    assert set(after.dt.total_seconds() // 1) <= {*BOTH, *range(112, 116)}, "to whole seconds"
    assert len(changes) < len(whole.book_changes()), "what both lost is lost"
    book = joined.book_at(slug, start + 45 * (joined.canonical()["time"].iloc[1] - start))
    assert book is not None
    assert not book.gap
    missed = joined.recorders(feed="stream")
    assert (missed["missed"] > 0).all()
    assert missed["closed_s"].sum() > 0
    drawn = report(joined.root).path.read_text()
    rows = json.loads(drawn.split('id="charts">')[1].split("</script>")[0])["gaps"]["data"]["values"]
    assert {row["from"][:17] for row in rows} == {"2026-08-05T23:56:"}
    assert {row["to"] for row in rows} <= {end[:23] + "Z" for end in ends}
    assert all(f"left for {slug}" in row["scope"] for row in rows)
    assert "Recorders of the same feed" in drawn


def test_no_product_takes_a_state_that_cannot_be_true(joined: Archive, whole: Archive) -> None:
    start = joined.labels()["time"].iloc[0]

    def at(t: float) -> datetime:
        moment: datetime = start + pd.Timedelta(seconds=t)
        return moment

    for found in (joined, whole):
        dataset = found.canonical()
        assert not dataset["pm_up_bid"].isin(MADE_UP.values()).any()
        assert set(dataset["pm_verified"].dropna()) == {"ok"}
        quotes = found.quotes(token=ROUND.tokens[0])
        marked = quotes[quotes["is_crossed"] | (quotes["verified"] == "failed")]
        marked = marked[~marked["gap_before"]]  # a recorder that missed a change is right to say so
        assert marked["best_bid"].tolist() == list(MADE_UP.values()), "each once, whoever received it"
        assert marked["verified"].tolist() == ["failed", "unchecked"]
        for t in MADE_UP:
            before, during, after = (
                found.book_at(ROUND.tokens[0], at(t + later)) for later in (-0.2, 0.5, LASTED + 0.2)
            )
            assert before is not None
            assert during is not None
            assert after is not None
            assert [book.is_unsound for book in (before, during, after)] == [False, True, False]
            assert (during.bids, during.verified) == (before.bids, "ok"), "the last that can be true"
            fills = found.fills(ROUND.tokens[0], "sell", 1, [at(t - 0.2), at(t + 0.5), at(t + LASTED + 0.2)])
            assert fills["gap"].tolist() == [False, True, False]
            assert (recorded(wrong(t)).is_observed, recorded(wrong(t)).up_bid) == (0, None)
        assert recorded(whole_books(FAILED)[0]).is_observed == 1
        [books] = [check for check in validate(found.root).checks if check.name == "books"]
        recorders = 2 if found is joined else 1
        assert (books.state, books.figures["failed outside recorded gaps"]) == ("fail", recorders)
        reasons = report(found.root).verdict.reasons
        assert f"{recorders} hashes fail without a recorded gap that explains it (section 6)" in reasons


def test_an_export_has_the_rows_of_the_frame(joined: Archive, tmp_path: Path) -> None:
    opened = archive_tables()["book_changes"].open(ExportRequest(joined.root))
    exported = sum(batch.arrow().num_rows for batch in opened.batches(tmp_path))
    stored = sum(pq.read_metadata(path).num_rows for path in joined.root.glob("tables/book_changes/*/*/*/*"))
    assert exported == len(joined.book_changes()) < stored
