"""Tables of a simulated socket that loses, breaks and stalls, compared with the venue itself."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.archive.reader import ArchiveReader
from marketarchive.research.book_at import BookAt
from marketarchive.research.tables.normalize import Normalized, normalize
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.world import World
from tests.e2e.harness import crawl, simulator

pytestmark = pytest.mark.e2e

SPEED = 40
SOCKET = "ws-subscriptions-clob.polymarket.com/*"
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "ws_drop", "count": 2, "every": 5, "event": "price_change", "from_s": 20},
    {"kind": "ws_truncate", "count": 1, "from_s": 35},
    {"kind": "ws_close", "count": 1, "from_s": 50},
    {"kind": "ws_duplicate", "count": 3, "every": 3, "from_s": 65},
    {"kind": "ws_close", "count": 1, "code": 1006, "reason": "", "from_s": 80},
)


class Recorded(NamedTuple):
    root: Path
    done: Normalized


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A hundred seconds of the rounds around now, with losses."""
    folder = tmp_path_factory.mktemp("stream")
    options = ("--speed", str(SPEED), "--seed", "1", "--start", "2026-11-21T09:58:40Z")
    with simulator(folder / "truth", *options) as world:
        world.order(*({"route": SOCKET, **fault} for fault in FAULTS))
        done = crawl(
            world.url, folder / "out", "polymarket_stream", "durations=5m,15m", "ahead=6m", "duration=100s"
        )
        assert done.code == 0, done.log
    return Recorded(folder / "out", normalize(folder / "out"))


def table(recorded: Recorded, name: str) -> list[dict[str, Any]]:
    """As pyarrow reads it, without DuckDB."""
    paths = recorded.root.glob(f"tables/{name}/venue=*/feed=stream/date=*/{name}.parquet")
    found: list[dict[str, Any]] = pa.concat_tables(pq.ParquetFile(path).read() for path in paths).to_pylist()
    return found


def frames(recorded: Recorded) -> list[tuple[int, dict[str, Any]]]:
    """(seq, event) of every event that arrived whole."""
    found = []
    for message in ArchiveReader(recorded.root).messages("polymarket", "stream", kinds=("frame",)):
        try:
            document = json.loads(message.payload)
        except ValueError:
            continue
        found += [(message.seq, event) for event in (document if isinstance(document, list) else [document])]
    return found


def test_every_event_that_arrived_is_in_its_table(recorded: Recorded) -> None:
    assert not recorded.done.failed
    arrived = frames(recorded)
    changes = Counter(
        (seq, change["asset_id"], change["hash"], Decimal(change["price"]), Decimal(change["size"]))
        for seq, event in arrived
        if event["event_type"] == "price_change"
        for change in event["price_changes"]
    )
    rows = table(recorded, "book_changes")
    assert len(rows) > 500
    assert (
        Counter((row["seq"], row["token"], row["hash"], row["price"], row["size"]) for row in rows) == changes
    )
    books = Counter(
        (seq, event["asset_id"], event["hash"]) for seq, event in arrived if event["event_type"] == "book"
    )
    found = [row for row in table(recorded, "books") if row["route"] == "ws"]
    assert Counter((row["seq"], row["token"], row["hash"]) for row in found) == books
    trades = {event["transaction_hash"] for _, event in arrived if event["event_type"] == "last_trade_price"}
    assert Counter(row["transaction_hash"] for row in table(recorded, "trades")) == Counter(trades)
    unreadable = {one.path.split("/")[1]: sum(one.unreadable.values()) for one in recorded.done.outputs}
    assert unreadable["book_changes"] == 1, "the frame that was cut"


def test_losses_fail_their_changes_and_all_else_is_proven(recorded: Recorded) -> None:
    verdicts = Counter(row["verified"] for row in table(recorded, "book_changes"))
    assert verdicts["failed"] > 0
    assert verdicts["ok"] > 0.9 * sum(verdicts.values())
    assert {row["verified"] for row in table(recorded, "books") if row["route"] != "ws"} == {"ok"}


def test_the_book_at_any_moment_is_the_venues_or_says_that_it_may_not_be(recorded: Recorded) -> None:
    archive, world = Archive(recorded.root), World(1)
    truth, random = SimBooks(world), Random(3)
    quotes = archive.quotes()
    slack_ms = 1000  # what a frame may take on its way, on a busy machine
    sound = told = 0
    for _ in range(60):
        row = quotes.iloc[random.randrange(len(quotes))]
        moment = row["time"] + pd.Timedelta(milliseconds=random.randrange(3_000))
        book = archive.book_at(row["token"], moment, exact=True)
        assert book is not None
        if book.gap:
            told += 1
            continue
        market = world.by_condition(book.market_id)
        assert market is not None
        assert book.event_time is not None
        side = market.tokens.index(book.token)
        if book.verified == "ok":
            stamp = round(book.event_time.timestamp() * 1000)
            assert levels(book) == levels_of(truth.body_at(market, side, stamp))
            sound += 1
        earlier = int(moment.timestamp() * 1000) - slack_ms
        due = json.loads(truth.body_at(market, side, earlier))["timestamp"]
        assert book.event_time.timestamp() * 1000 >= int(due) - 0.5, "nothing older is carried silently"
    assert sound > 30
    assert told < 30


def levels(book: BookAt) -> tuple[list[Any], list[Any]]:
    return list(book.bids), list(book.asks)


def levels_of(body: bytes) -> tuple[list[Any], list[Any]]:
    document = json.loads(body)
    bids, asks = (
        [(Decimal(level["price"]), Decimal(level["size"])) for level in document[side]][::-1]
        for side in ("bids", "asks")
    )
    return bids, asks


def test_coverage_adds_up_and_knows_the_gaps(recorded: Recorded) -> None:
    archive = Archive(recorded.root)
    seen = archive.coverage(feed="stream")
    parts = seen[["observed_s", "quiet_s", "gapped_s", "unknown_s"]].sum(axis=1)
    assert (parts == seen["tracked_s"]).all()
    assert (seen["tracked_s"] > 0).all()
    gaps = archive.gaps("stream")
    concerned = {slug for markets in gaps["markets"].dropna() for slug in markets}
    assert concerned
    assert set(seen.loc[seen["gapped_s"] > 0, "market"]) >= concerned & set(seen["market"])
    now = seen[seen["market"].isin(concerned)]
    assert now["observed_s"].sum() > now["gapped_s"].sum() > 0
