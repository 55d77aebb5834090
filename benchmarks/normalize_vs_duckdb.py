"""Normalise: order books a second from sealed segments to Parquet, against an expert's DuckDB query.

Both sides read the same segments with DuckDB and write the same columns with zstd: best prices, sizes,
depths, levels as exact decimals, flags of order, range and crossing. The expert's query trusts every answer
to have the documented shape, recomputes no hash and rounds what has too many decimals. Ours, as `scrapy
normalize --no-verify` does it, checks each segment against the ledger, marks what SQL cannot be trusted
with, keys, fsyncs and replaces the file, runs the sanity checks and writes a manifest; what recomputing
every hash costs on top is told as `verified_ratio`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from random import Random

import duckdb

from benchmarks.result import Result, pairs
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.items import Response
from marketarchive.research.tables.normalize import normalize
from marketarchive.simulated_time import SimulatedClock
from marketarchive.simulator.polymarket.books import Books
from marketarchive.simulator.polymarket.world import World
from marketarchive.times import SECOND, from_iso

GOAL = 0.7
SECONDS = 1_800
MARKETS = 16
START = from_iso("2026-11-21T10:00:00Z")
ENDPOINT = "https://clob.polymarket.com"


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="normalize"))
    try:
        books, payload_bytes = _fill(root)
        segments = [str(path) for path in sorted(root.glob("raw/**/*.gz"))]
        plain = root / "plain.parquet"
        mine, theirs, ratio = pairs(lambda: _ours(root, verify=False), lambda: _plain(segments, plain))
        verified, _, verified_ratio = pairs(
            lambda: _ours(root, verify=True), lambda: _plain(segments, plain), rounds=3
        )
        ours = next(root.glob("tables/books/**/books.parquet"))
        _same(ours, plain, books)
        return Result(
            name="normalize_vs_duckdb",
            value=books / mine,
            unit="books/s",
            baseline=books / theirs,
            ratio=ratio,
            goal=GOAL,
            packages=("duckdb", "pyarrow"),
            more={
                "verified_books_per_s": round(books / verified),
                "verified_ratio": round(verified_ratio, 3),
                "books": books,
                "segments": len(segments),
                "payload_mb": round(payload_bytes / 1e6),
                "parquet_mb": round(ours.stat().st_size / 1e6, 1),
                "segments_mb": round(sum(Path(path).stat().st_size for path in segments) / 1e6, 1),
            },
        )
    finally:
        shutil.rmtree(root)


def _fill(root: Path) -> tuple[int, int]:
    """Books of the simulated venue each second, a batch and one alone: how many, and the payloads' bytes."""
    world = World(1)
    second = START // SECOND
    markets = [market for market in world.listed(second) if market.kind == "round"][:MARKETS]
    rendered = Books(world)
    random = Random(7)
    writer = ArchiveWriter(root, SimulatedClock.fixed(START), ArchiveConfig(segment_bytes=8 * 2**20))
    writer.start()
    run = writer.open_run("polymarket_orderbook", "polymarket", ["orderbook"], {}, {})
    count = total = 0
    for n in range(SECONDS):
        batch = [rendered.body(market, side, second + n) for market in markets for side in (0, 1)]
        random.shuffle(batch)
        answers = [("POST", "/books", b"[%b]" % b",".join(batch)), ("GET", "/book", batch[0])]
        count += len(batch) + 1
        for method, path, payload in answers:
            total += len(payload)
            run.write(
                Response(
                    venue="polymarket",
                    feed="orderbook",
                    received_at=START + n * SECOND + random.randrange(10**8),
                    seq=run.next_seq("polymarket", "orderbook"),
                    method=method,
                    url=ENDPOINT + path,
                    params={},
                    status=200,
                    headers={"content-type": "application/json", "date": "Sat, 21 Nov 2026 10:15:01 GMT"},
                    latency_ms=41.7,
                    payload=payload,
                )
            )
        while not writer.has_room:
            time.sleep(0.001)
    run.close("finished", {}).result()
    writer.close()
    return count, total


def _ours(root: Path, *, verify: bool) -> None:
    shutil.rmtree(root / "tables", ignore_errors=True)
    done = normalize(root, tables=("books",), verify=verify)
    assert done.outputs
    assert not done.failed, done.failed
    assert all(check.passed is not False for check in done.checks.values()), done.checks


_LEVEL = '{"price":"DECIMAL(18,9)","size":"DECIMAL(18,6)"}'
_BOOK = (
    '{"market":"VARCHAR","asset_id":"VARCHAR","timestamp":"BIGINT","hash":"VARCHAR",'
    f'"bids":[{_LEVEL}],"asks":[{_LEVEL}],"tick_size":"DECIMAL(18,9)","last_trade_price":"DECIMAL(18,9)"}}'
)
_QUERY = f"""
    COPY (
        SELECT b.market, b.asset_id AS token, make_timestamp_ms(b."timestamp")::TIMESTAMPTZ AS event_time,
               collected_at_utc::TIMESTAMPTZ AS received_at, run, seq, position, route, b.hash,
               list_max(bp) AS best_bid, b.bids[list_position(bp, list_max(bp))].size AS best_bid_size,
               list_min(ap) AS best_ask, b.asks[list_position(ap, list_min(ap))].size AS best_ask_size,
               list_sum(bs) AS bid_depth, list_sum("as") AS ask_depth,
               len(bp)::INTEGER AS bid_levels, len(ap)::INTEGER AS ask_levels,
               list_sort(bp) = bp AND list_unique(bp) = len(bp)
                   AND list_reverse_sort(ap) = ap AND list_unique(ap) = len(ap) AS is_sorted,
               list_max(bp) >= list_min(ap) AS is_crossed,
               list_min(bp) >= 0 AND list_max(bp) <= 1 AND list_min(ap) >= 0 AND list_max(ap) <= 1 AS is_in_range,
               list_min(bs) > 0 AND list_min("as") > 0 AS is_positive,
               b.tick_size, b.last_trade_price, list_reverse(b.bids) AS bids, list_reverse(b.asks) AS asks
        FROM (
            SELECT *, list_transform(b.bids, lambda x: x.price) AS bp, list_transform(b.asks, lambda x: x.price) AS ap,
                   list_transform(b.bids, lambda x: x.size) AS bs, list_transform(b.asks, lambda x: x.size) AS "as"
            FROM (
                SELECT collected_at_utc, seq, run, route, unnest(books) AS b, generate_subscripts(books, 1) AS position
                FROM (
                    SELECT collected_at_utc, seq, regexp_extract(filename, '-([0-9TZ]+-[0-9a-f]{{4,8}})-[0-9]+.jsonl', 1) AS run,
                           regexp_extract(url, '[a-z]+$') AS route,
                           CASE WHEN ends_with(url, '/books') THEN from_json(payload, '[{_BOOK}]')
                                ELSE [from_json(payload, '{_BOOK}')] END AS books
                    FROM read_json(?, format = 'newline_delimited', filename = true, columns = {{
                        kind: 'VARCHAR', collected_at_utc: 'VARCHAR', seq: 'BIGINT', url: 'VARCHAR',
                        status: 'INTEGER', payload: 'JSON'}})
                    WHERE kind = 'response' AND status = 200))))
    TO ? (FORMAT parquet, COMPRESSION zstd)"""  # noqa: E501


def _plain(segments: list[str], target: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_QUERY, [segments, str(target)])


def _same(ours: Path, plain: Path, books: int) -> None:
    """Both made the same rows, or the comparison is worth nothing."""
    shared = (
        "market, token, event_time, received_at, run, seq, position, route, hash, best_bid, best_bid_size, "
    )
    shared += "best_ask, best_ask_size, bid_levels, ask_levels, is_sorted, bids, asks"
    with duckdb.connect() as connection:
        [found] = connection.execute(
            f"SELECT count(*) FROM (SELECT {shared} FROM read_parquet(?) "
            f"INTERSECT SELECT {shared} FROM read_parquet(?))",
            [str(ours), str(plain)],
        ).fetchall()
    assert found == (books,), found
