"""Tables of a simulated venue's recording, compared with the venue itself."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from marketarchive.research.tables.normalize import Normalized, normalize
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.world import World
from marketarchive.venues.polymarket.clob import parse_book
from tests.e2e.harness import command
from tests.research.conftest import Simulated

pytestmark = pytest.mark.e2e

PATTERN = "tables/books/venue=polymarket/feed=orderbook/date=*/books.parquet"


@pytest.fixture(scope="module")
def done(simulated: Simulated) -> Normalized:
    return normalize(simulated.root)


@pytest.fixture(scope="module")
def table(simulated: Simulated, done: Normalized) -> pa.Table:
    """As pyarrow reads it, without DuckDB."""
    return pa.concat_tables(pq.ParquetFile(path).read() for path in sorted(simulated.root.glob(PATTERN)))


def test_every_row_is_the_venues_book(simulated: Simulated, table: pa.Table) -> None:
    world = World(1)
    rendered = SimBooks(world)
    sent = Counter(
        (line["run"], answer["seq"], book["asset_id"], book["hash"])
        for line, answer in _answers(simulated)
        for book in answer["payload"]
    )
    rows = table.to_pylist()
    assert Counter((row["run"], row["seq"], row["token"], row["hash"]) for row in rows) == sent
    assert len(rows) > 500
    for row in rows[::7]:
        changed_ms = round(row["event_time"].timestamp() * 1000)
        market = world.by_condition(row["market"])
        assert market is not None
        book = parse_book(rendered.body_at(market, market.tokens.index(row["token"]), changed_ms))
        assert row["hash"] == book.hash
        assert row["event_time"].timestamp() * 1000 == pytest.approx(book.timestamp_ms)
        assert (row["best_bid"], row["best_ask"]) == (book.best_bid, book.best_ask)
        for side in ("bids", "asks"):
            levels = [(Decimal(level.price), Decimal(level.size)) for level in getattr(book, side)]
            assert [(level["price"], level["size"]) for level in row[side]] == levels[::-1]
        assert row["bid_depth"] == sum(Decimal(level.size) for level in book.bids)
        assert (row["bid_levels"], row["ask_levels"]) == (len(book.bids), len(book.asks))
        assert row["slug"] == market.slug
        assert row["outcome"] == ("Up", "Down")[market.tokens.index(row["token"])]
        assert (row["verified"], row["recipe"], row["is_sorted"], row["is_crossed"]) == (
            "ok",
            "2025-12",
            True,
            False,
        )


def _answers(simulated: Simulated) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = []
    for path in simulated.output.segments("orderbook"):
        lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        found += [(lines[0], line) for line in lines if line["kind"] == "response" and line["status"] == 200]
    return found


def test_another_reader_sees_the_same(simulated: Simulated, table: pa.Table) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT * FROM read_parquet('{simulated.root}/{PATTERN}') ORDER BY run, seq, position"
        seen = connection.sql(query).to_arrow_table()
    ours = table.sort_by([("run", "ascending"), ("seq", "ascending"), ("position", "ascending")])
    assert seen.select(ours.column_names).to_pylist() == ours.to_pylist()
    assert pa.types.is_decimal128(ours.schema.field("bids").type.value_type.field("price").type)


def test_the_checks_pass_and_stand_in_a_manifest_that_verifies(
    simulated: Simulated, done: Normalized, table: pa.Table
) -> None:
    assert done.manifest is not None
    manifest = json.loads((simulated.root / done.manifest).read_text())
    assert {check["name"]: check["passed"] for check in manifest["checks"]} == dict.fromkeys(
        done.checks, True
    )
    assert manifest["rows"] == sum(one["rows"] for one in manifest["outputs"]) >= table.num_rows
    assert {one["path"] for one in manifest["inputs"]} == {
        str(path.relative_to(simulated.root)) for path in simulated.output.segments()
    }
    checked = command("verify", simulated.root)
    assert checked.returncode == 0, checked.stdout


def test_nothing_to_do_is_nothing_done(simulated: Simulated, done: Normalized) -> None:
    before = {path: path.stat().st_mtime_ns for path in simulated.root.rglob("*") if path.is_file()}
    again = normalize(simulated.root)
    assert (again.outputs, again.failed, again.manifest) == ([], {}, None)
    assert again.up_to_date == len(done.outputs)
    after = {path: path.stat().st_mtime_ns for path in simulated.root.rglob("*") if path.is_file()}
    before.pop(simulated.root / "tables" / "normalize.lock")
    after.pop(simulated.root / "tables" / "normalize.lock")
    assert after == before


def test_the_notebook_sees_the_books(simulated: Simulated, table: pa.Table) -> None:
    archive = Archive(simulated.root)
    frame = archive.books()
    assert len(frame) == table.num_rows
    assert frame["time"].is_monotonic_increasing
    assert ((frame["best_bid"] + frame["best_ask"]) / 2 - frame["mid"]).abs().max() < 1e-12
    slug = frame["market"].iloc[0]
    one = archive.books(market=slug)
    assert set(one["market"]) == {slug}
    assert len(one) == (frame["market"] == slug).sum() == len(archive.books(market=one["market_id"].iloc[0]))
    assert set(archive.books(token=one["token"].iloc[0])["outcome"]) == {one["outcome"].iloc[0]}
    assert len(archive.books(asset="BTC")) == len(frame)
    with pytest.raises(ArgumentError, match="there is BTC"):
        archive.books(asset="ETH")
    middle = frame["time"].iloc[len(frame) // 2]
    parts = [archive.books(end=middle), archive.books(start=middle.isoformat())]
    assert sum(map(len, parts)) == len(frame)
    assert min(map(len, parts)) > 0
    known = archive.markets()
    assert slug in set(known["market"])
    assert len(archive.gaps()) == len(simulated.output.gaps())  # a busy machine misses a tick
