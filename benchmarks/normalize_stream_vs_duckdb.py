"""Normalise: changes of books a second from a socket's frames to Parquet, against an expert's DuckDB query.

Both sides read the same segments with DuckDB and write the same columns with zstd: prices and sizes as exact
decimals, best prices, hashes, times. The expert's query knows that every frame is an object, trusts each
number to be a string that fits, and proves nothing. Ours, as `scrapy normalize --no-verify` makes the table
`book_changes`, checks each segment against the ledger, reads arrays too, marks what SQL cannot be trusted
with, fsyncs and replaces the file and writes a manifest; what replaying every frame and recomputing every
hash costs on top is told as `verified_ratio`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.result import Result, pairs
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.items import Connection, Frames
from marketarchive.research.tables.normalize import normalize
from marketarchive.simulated_time import SimulatedClock
from marketarchive.simulator.polymarket.books import Books
from marketarchive.simulator.polymarket.market_channel import MarketChannel
from marketarchive.simulator.polymarket.world import World
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.polymarket.endpoints import MARKET_CHANNEL
from marketarchive.venues.polymarket.market_channel import subscribe

GOAL = 0.7
FRAMES = 200_000
SECONDS = 3_600  # more than it takes to send them
MARKETS = 16
START = from_iso("2026-11-21T10:00:00Z")


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="normalize"))
    try:
        payload_bytes = _fill(root)
        segments = [str(path) for path in sorted(root.glob("raw/**/*.gz"))]
        plain = root / "plain.parquet"
        mine, theirs, ratio = pairs(lambda: _ours(root, verify=False), lambda: _plain(segments, plain))
        verified, _, verified_ratio = pairs(
            lambda: _ours(root, verify=True), lambda: _plain(segments, plain), rounds=1
        )
        ours = next(root.glob("tables/book_changes/**/book_changes.parquet"))
        changes = _same(ours, plain)
        return Result(
            name="normalize_stream_vs_duckdb",
            value=changes / mine,
            unit="changes/s",
            baseline=changes / theirs,
            ratio=ratio,
            goal=GOAL,
            packages=("duckdb", "pyarrow"),
            more={
                "verified_changes_per_s": round(changes / verified),
                "verified_ratio": round(verified_ratio, 3),
                "changes": changes,
                "frames": FRAMES,
                "segments": len(segments),
                "payload_mb": round(payload_bytes / 1e6),
                "parquet_mb": round(ours.stat().st_size / 1e6, 1),
                "segments_mb": round(sum(Path(path).stat().st_size for path in segments) / 1e6, 1),
            },
        )
    finally:
        shutil.rmtree(root)


def _fill(root: Path) -> int:
    """What the simulated venue sends on one connection, FRAMES frames of it: the payloads' bytes."""
    world = World(1)
    second = START // SECOND
    channel = MarketChannel(Books(world))
    markets = [
        market for market in world.listed(second) if market.kind == "round" and market.end > second + SECONDS
    ][:MARKETS]
    writer = ArchiveWriter(root, SimulatedClock.fixed(START), ArchiveConfig(segment_bytes=8 * 2**20))
    writer.start()
    run = writer.open_run("polymarket_stream", "polymarket", ["stream"], {}, {})
    common: dict[str, Any] = {"venue": "polymarket", "feed": "stream", "connection": "c1"}
    texts = (subscribe([token for market in markets for token in market.tokens]),)
    run.write(
        Connection(
            **common,
            received_at=START,
            seq=run.next_seq("polymarket", "stream"),
            event="opened",
            url=MARKET_CHANNEL,
            subscribe=texts,
        )
    )
    frames = [channel.first(markets, START)]
    count = total = 0
    while count < FRAMES:
        batch = []
        for frame in frames[: FRAMES - count]:
            batch.append((frame.ns + 9_000_000, run.next_seq("polymarket", "stream"), frame.payload))
            total += len(frame.payload)
        if batch:
            run.write(Frames(**common, frames=tuple(batch)))
        count += len(batch)
        frames = sorted(
            (frame for market in markets for frame in channel.frames(market, second)), key=lambda one: one.ns
        )
        second += 1
        while not writer.has_room:
            time.sleep(0.001)
    run.close("finished", {}).result()
    writer.close()
    return total


def _ours(root: Path, *, verify: bool) -> None:
    shutil.rmtree(root / "tables", ignore_errors=True)
    done = normalize(root, tables=("book_changes",), verify=verify)
    assert len(done.outputs) == len({one.path for one in done.outputs}) > 0
    assert not done.failed, done.failed


_CHANGE = (
    '{"asset_id":"VARCHAR","price":"DECIMAL(18,9)","size":"DECIMAL(18,6)","side":"VARCHAR","hash":"VARCHAR",'
    '"best_bid":"VARCHAR","best_ask":"VARCHAR"}'
)
_EVENT = f'{{"market":"VARCHAR","timestamp":"BIGINT","price_changes":[{_CHANGE}]}}'
_QUERY = f"""
    COPY (
        SELECT market, change.asset_id AS token, make_timestamp_ms("timestamp")::TIMESTAMPTZ AS event_time,
               collected_at_utc::TIMESTAMPTZ AS received_at, run, seq, connection, position,
               change.side, change.price, change.size, change.hash,
               try_cast(change.best_bid AS DECIMAL(18,9)) AS best_bid,
               try_cast(change.best_ask AS DECIMAL(18,9)) AS best_ask
        FROM (
            SELECT collected_at_utc, run, seq, connection, event.market, event."timestamp",
                   unnest(event.price_changes) AS change,
                   generate_subscripts(event.price_changes, 1) AS position
            FROM (
                SELECT collected_at_utc, seq, connection, from_json(payload, '{_EVENT}') AS event,
                       regexp_extract(filename, '-([0-9TZ]+-[0-9a-f]{{4,8}})-[0-9]+.jsonl', 1) AS run
                FROM read_json(?, format = 'newline_delimited', filename = true, columns = {{
                    kind: 'VARCHAR', collected_at_utc: 'VARCHAR', seq: 'BIGINT', connection: 'VARCHAR',
                    payload: 'JSON'}})
                WHERE kind = 'frame' AND payload->>'event_type' = 'price_change')))
    TO ? (FORMAT parquet, COMPRESSION zstd)"""


def _plain(segments: list[str], target: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_QUERY, [segments, str(target)])


def _same(ours: Path, plain: Path) -> int:
    """Both made the same rows, or the comparison is worth nothing; how many."""
    shared = (
        "market, token, event_time, received_at, run, seq, connection, position, side, price, size, hash, "
        "best_bid, best_ask"
    )
    with duckdb.connect() as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM read_parquet(?)), (SELECT count(*) FROM read_parquet(?)), "
            f"(SELECT count(*) FROM (SELECT {shared} FROM read_parquet(?) "
            f"INTERSECT SELECT {shared} FROM read_parquet(?)))",
            [str(ours), str(plain), str(ours), str(plain)],
        ).fetchall()[0]
    assert len(set(counts)) == 1, counts
    return int(counts[0])
