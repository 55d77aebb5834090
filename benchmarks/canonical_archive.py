"""The tables, labels and tokens' names of an archive with many up/down rounds, always the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.paths import new_run_id
from marketarchive.archive.store import Store
from marketarchive.clock import RealClock
from marketarchive.research.labels import label_files
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.labels.label import Label
from marketarchive.research.labels.label_files import LabelStamp
from marketarchive.research.tables import coverage, gaps, schemas
from marketarchive.research.tables.extract import copy
from marketarchive.research.tables.partitions import METADATA, Partition, Stamp, partitions
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.polymarket.venue import DECIMALS

DURATION = 900
DAY_S = 86_400
ASSETS = ("BTC", "ETH", "SOL", "XRP")
PER_DAY = len(ASSETS) * DAY_S // DURATION
START = from_iso("2026-09-01T00:00:00Z")
RUN = "20260901T000000Z-0000"
EARLY_S = 60  # books are there so long before their round begins
ROWS_AT_ONCE = {"books": 5_000}  # in a row group, as `scrapy normalize` writes them
ROWS = 50_000
CHANGES = 10  # of a token's book in a second, of which about one moves its best prices
STATED = 50  # every so many seconds a token's best prices are stated by themselves too
FEEDS = {
    "reference": ("reference_prices", "gaps", "coverage"),
    "stream": ("gaps", "books", "book_changes", "quotes", "coverage"),
}
SHORT = {300: "5m", 900: "15m"}


def make(root: Path, markets: int) -> None:
    """Make rounds of 15 minutes.

    Prices once a second, ten changes of each token's book a second, ten seconds of gaps in every tenth
    round; the columns that a table has, without values where nothing of a dataset comes from.
    """
    (root / "manifests").mkdir(parents=True)
    labels = [_label(number, DURATION) for number in range(markets)]
    label_files.write(root, labels, LabelStamp("benchmark"))
    schemas = _schemas()
    for day, first in enumerate(range(0, markets, PER_DAY)):
        of_day = labels[first : first + PER_DAY]
        made = {"reference_prices": _prices(day), "gaps": _gaps(of_day), **_books(day, of_day, CHANGES)}
        for table, rows in made.items():
            _write(root, table, day, _whole(rows, schemas[table]))
    _manifest(root, labels)


def make_days(root: Path, days: int, changes: int) -> int:
    """Make all rounds of 5 and of 15 minutes of so many days, as `scrapy validate` needs them; count rounds.

    As `make` does, with `changes` of each token's book a second, and the ledger's lines of the recording,
    whose segments were moved away: the tables are up to date by their stamps, and so are the labels.
    """
    root.mkdir(parents=True, exist_ok=True)
    Ledger(root).append(*(line for day in range(days) for feed in FEEDS for line in _segment(day, feed)))
    labels = [
        _label(number, duration)
        for duration in SHORT
        for number in range(days * len(ASSETS) * DAY_S // duration)
    ]
    labels.sort(key=lambda each: (each.start_ns, each.market_id))
    schemas = _schemas()
    for day in range(days):
        start = START + day * DAY_S * SECOND
        of_day = [each for each in labels if start <= each.start_ns < start + DAY_S * SECOND]
        parts = [
            _books(day, [each for each in of_day if each.duration == name], changes)
            for name in SHORT.values()
        ]
        gap_rows = {"stream": _gaps(of_day), "reference": _gaps([])}
        rows = {table: pa.concat_tables([part[table] for part in parts]) for table in parts[0]}
        for table in ("books", "book_changes"):
            rows[table] = rows[table].sort_by("received_at")
        rows["reference_prices"] = _prices(day)
        rows["coverage"] = _coverage(of_day)
        for feed, tables in FEEDS.items():
            stamps = {each.table: each.stamp(verified=True) for each in _partitions(root, day, feed)}
            for table in tables:
                of_table = gap_rows[feed] if table == "gaps" else rows[table]
                of_feed = of_table.slice(0, 0 if (feed, table) == ("reference", "coverage") else None)
                _write(root, table, day, _whole(of_feed, schemas[table]), feed=feed, stamp=stamps[table])
    _manifest(root, labels)
    label_files.write(root, labels[:1], LabelStamp("benchmark"))
    ground_truth(root)  # without raw it makes no label, but the stamp of these inputs
    stamp = label_files.stamp_of(root)
    assert stamp is not None
    label_files.write(root, labels, stamp)
    return len(labels)


def _segment(day: int, feed: str) -> list[dict[str, Any]]:
    """Return the ledger's lines of a recording's segment of one day, which was moved away."""
    start = START + day * DAY_S * SECOND
    path = f"raw/venue=polymarket/feed={feed}/date={iso(start)[:10]}/hour=00/{feed}-{RUN}-{day + 1}"
    return [
        {
            "kind": "segment",
            "path": f"{path}.jsonl.gz",
            "run": RUN,
            "spider": f"polymarket_{feed}",
            "venue": "polymarket",
            "feed": feed,
            "n": day + 1,
            "bytes": 1,
            "lines": 1,
            "first": iso(start + SECOND // 10),
            "last": iso(start + DAY_S * SECOND - SECOND // 10),
            "seq_min": day + 1,
            "seq_max": day + 1,
            "counts": {"frame": 1},
            "statuses": {},
            "sha256": hashlib.sha256(f"{feed} {day}".encode()).hexdigest(),
        },
        {"kind": "moved", "path": f"{path}.jsonl.gz", "to": "elsewhere"},
    ]


def _partitions(root: Path, day: int, feed: str) -> list[Partition]:
    start = START + day * DAY_S * SECOND
    return partitions(root, {("polymarket", feed)}, start, start + DAY_S * SECOND)


def _coverage(labels: Sequence[Label]) -> pa.Table:
    """Return a row per round, whose books are observed from its start to its end."""
    rows = [
        {
            "market": each.condition_id,
            "slug": each.market_id,
            "asset": each.asset,
            "spans": [
                {
                    "start": each.start_ns // 1000,
                    "seconds": (each.end_ns - each.start_ns) // SECOND,
                    "state": "observed",
                }
            ],
        }
        for each in labels[1::2]  # the others have none
    ]
    schema = _schemas()["coverage"]
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)


def _manifest(root: Path, labels: Sequence[Label]) -> None:
    """Write the manifest of the recording, which names the rounds' tokens."""
    tracked = {each.market_id: {"tokens": tokens(each.market_id)} for each in labels}
    files, clock = Files(), RealClock()
    store = Store(root, clock, ArchiveConfig(), files, Ledger(root, files))
    summary = {"markets": {"count": len(tracked), "tracked": tracked}}
    document = {"kind": "manifest", "schema": 1, "run": RUN, "raw": [], "summary": summary}
    store_manifest(store, f"polymarket_stream-{new_run_id(START)}", document)


def tokens(slug: str) -> dict[str, str]:
    return {side: f"{slug}-{side}".encode().hex() for side in ("Up", "Down")}


def _label(number: int, duration: int) -> Label:
    asset = ASSETS[number % len(ASSETS)]
    start = START + number // len(ASSETS) * duration * SECOND
    strike = 10**18 * (1000 + number)
    return Label(
        market_id=f"{asset.lower()}-updown-{SHORT[duration]}-{start // SECOND}",
        condition_id=f"0x{duration:010x}{number:054x}",
        asset=asset,
        duration=SHORT[duration],
        start_ns=start,
        end_ns=start + duration * SECOND,
        strike=Decimal(strike) / 10**18,
        settlement=Decimal(strike) / 10**18,
        strike_e18=strike,
        settlement_e18=strike,
        resolved_outcome="Up" if number % 3 else "Down",
        computed_outcome="Up",
        outcome_match=None,
        strike_source="rtds",
        settlement_source="rtds",
        rule="chainlink twap 60s",
        verdict="reproduced",
        reason="",
        strike_received_at_ns=start + 2 * SECOND,
        settlement_received_at_ns=start + (duration + 2) * SECOND,
        rule_by="market",
        instrument=f"chainlink:{asset.lower()}-usd-twap-60s",
        resolution_source=None,
        stated_strike=None,
        stated_settlement=None,
        error=None,
    )


def _prices(day: int) -> pa.Table:
    random = np.random.default_rng(day)
    second = START // SECOND + day * DAY_S + np.arange(DAY_S)
    parts = []
    for asset in ASSETS:
        for topic, window in (("crypto_prices_chainlink", 0), ("crypto_prices_twap_sixty", 60)):
            event = second[random.random(DAY_S) > 0.001] * 1_000_000
            count = len(event)
            tail = f"-twap-{window}s" if window else ""
            parts.append(
                pa.table(
                    {
                        "topic": pa.repeat(topic, count),
                        "symbol": pa.repeat(f"{asset.lower()}/usd", count),
                        "asset": pa.repeat(asset, count),
                        "event_time": _times(event),
                        "published_at": _times(event + 1_100_000),
                        "received_at": _times(event + random.integers(1_200_000, 1_600_000, count)),
                        "instrument": pa.repeat(f"chainlink:{asset.lower()}-usd{tail}", count),
                        "value": _decimals(1000 + random.normal(0, 0.01, count).cumsum()),
                        "window_s": pa.repeat(window, count),
                        "is_backfill": pa.repeat(False, count),
                        "run": pa.repeat(RUN, count),
                        "seq": pa.array(np.arange(count)),
                        "connection": pa.repeat("c1", count),
                        "index": pa.repeat(1, count),
                    }
                )
            )
    return pa.concat_tables(parts).sort_by("received_at")


def _books(day: int, labels: Sequence[Label], changes_a_second: int) -> dict[str, pa.Table]:
    """What the socket sent of the rounds' tokens: whole books, changes, and best prices by themselves.

    The rounds are of one duration.
    """
    random = np.random.default_rng(1_000 + day)
    names = [
        (each.condition_id, each.market_id, side, token)
        for each in labels
        for side, token in tokens(each.market_id).items()
    ]
    seconds = (labels[0].end_ns - labels[0].start_ns) // SECOND + EARLY_S
    count = seconds * changes_a_second
    shape = (len(names), count)
    # no two of a token in one millisecond
    event = np.sort(random.integers(0, 1000 * seconds - count, shape)) + np.arange(count)
    event = (
        1000 * event + np.repeat([each.start_ns // 1000 - EARLY_S * 1_000_000 for each in labels], 2)[:, None]
    )
    received = event + random.integers(5_000, 90_000, shape)
    is_moved = random.random(shape) < 1 / changes_a_second
    mid = np.clip(50 + (random.integers(-1, 2, shape) * is_moved).cumsum(axis=1), 3, 97)
    moved = np.maximum.accumulate(np.where(is_moved, np.arange(count), 0), axis=1)
    bid, ask = (
        mid + side * np.take_along_axis(random.integers(1, 3, shape), moved, axis=1) for side in (-1, 1)
    )
    is_new = np.ones(shape, bool)
    is_new[:, 1:] = (np.diff(bid) != 0) | (np.diff(ask) != 0)

    every, stated, whole = (np.zeros(shape, bool) for _ in range(3))
    every[:], stated[:, :: STATED * changes_a_second], whole[:, [0, count // 2]] = True, True, True
    changes = _told(names, every, event, received, bid, ask)
    quotes = [  # in order of their source, as they are stored
        _told(names, stated, event, received + 2_000, bid - 1, ask, source="best_bid_ask"),
        _told(names, is_new, event, received, bid, ask, source="price_change"),
    ]
    books = _told(names, whole, event - 700, received + 5_000, bid, ask)
    route = pa.array(["ws", "state"] * len(names))
    return {
        "book_changes": changes.sort_by("received_at")
        .append_column("side", pa.repeat("BUY", changes.num_rows))
        .append_column("is_stale", pa.repeat(False, changes.num_rows)),
        "quotes": pa.concat_tables(quotes),
        "books": books.append_column("route", route).sort_by("received_at"),
    }


def _told(
    names: Sequence[tuple[str, ...]], chosen: Any, event: Any, received: Any, bid: Any, ask: Any, **same: str
) -> pa.Table:
    """The `chosen` of arrays with a row per token."""
    row = np.nonzero(chosen)[0].astype(np.int32)
    count = len(row)
    texts = {
        column: pa.DictionaryArray.from_arrays(row, pa.array(values))
        for column, values in zip(
            ("market", "slug", "outcome", "token"), zip(*names, strict=True), strict=True
        )
    }
    return pa.table(
        {
            **texts,
            "event_time": _times(event[chosen]),
            "received_at": _times(received[chosen]),
            "run": pa.repeat(RUN, count),
            "seq": pa.array(np.arange(count)),
            "connection": pa.repeat("c1", count),
            "index": pa.repeat(1, count),
            "position": pa.repeat(1, count),
            "best_bid": _decimals(bid[chosen] / 100),
            "best_ask": _decimals(ask[chosen] / 100),
            "verified": pa.repeat("ok", count),
            **{column: pa.repeat(text, count) for column, text in same.items()},
        }
    )


def _gaps(labels: Sequence[Label]) -> pa.Table:
    rows = [
        {
            "from": (each.start_ns + 100 * SECOND) // 1000,
            "to": (each.start_ns + 110 * SECOND) // 1000,
            "reason": "stall",
            "cause": "venue",
            "scope": json.dumps({"markets": [each.market_id]}),
            "markets": [each.market_id],
            "subjects": [each.market_id],
            "kind": "market",
            "detail": "",
            "noticed_at": (each.start_ns + 110 * SECOND) // 1000,
            "run": RUN,
            "seq": 1,
        }
        for each in labels[::10]
    ]
    return pa.Table.from_pylist(rows, schema=gaps.nothing().schema)


def _schemas() -> dict[str, pa.Schema]:
    """The columns that `scrapy normalize` writes."""
    found = {"gaps": gaps.nothing().schema, "coverage": coverage.nothing().schema}
    for table in ("books", "book_changes", "quotes", "reference_prices"):
        found[table] = schemas.schema(table, DECIMALS)
    of_path = ("venue", "feed", "date")
    return {
        table: pa.schema([field for field in schema if field.name not in of_path])
        for table, schema in found.items()
    }


def _whole(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    assert set(rows.column_names) <= set(schema.names) | {"venue", "feed", "date"}, rows.column_names
    columns = [rows[field.name] if field.name in rows.column_names else None for field in schema]
    whole = [
        pa.nulls(rows.num_rows, field.type)
        if column is None
        else column  # to be written as text
        if pa.types.is_dictionary(column.type)
        else column.cast(field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.table(whole, names=schema.names)


def _write(
    root: Path, table: str, day: int, rows: pa.Table, *, feed: str | None = None, stamp: Stamp | None = None
) -> None:
    """As `scrapy normalize` does: quotes by DuckDB, others by Arrow, some at a time."""
    date = iso(START + day * DAY_S * SECOND)[:10]
    feed = feed or ("reference" if table == "reference_prices" else "stream")
    path = root / "tables" / table / "venue=polymarket" / f"feed={feed}" / f"date={date}" / f"{table}.parquet"
    path.parent.mkdir(parents=True)
    if table == "quotes":
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("given", rows)
            copy(connection, "FROM given", path, stamp or Stamp("benchmark", True, {}))
    else:
        if stamp is not None:
            rows = rows.replace_schema_metadata({METADATA: msgspec.json.encode(stamp)})
        pq.write_table(rows, path, compression="zstd", row_group_size=ROWS_AT_ONCE.get(table, ROWS))


def _times(us: Any) -> pa.Array:
    return pa.array(us.astype("int64")).cast(pa.timestamp("us", tz="UTC"))


def _decimals(values: Any) -> pa.Array:
    return pa.array(np.round(values, 6)).cast(pa.decimal128(18, 6), safe=False)
