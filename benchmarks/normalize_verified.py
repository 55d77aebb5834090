"""Normalise: changes of books a second, all tables and every hash, against the least that it can cost.

The floor reads the same segments with isal, decodes lines and frames with msgspec into types of its own,
keeps each book's levels as sorted texts, joins them and hashes the whole after each change, and writes the
same rows' main columns with pyarrow and zstd. It knows that every frame is sound, compares no hash, carries
and searches no value that the socket does not send, and keeps nothing to be replayed. Ours, as `scrapy
normalize` does it, makes `gaps` and `coverage` too, checks each segment against the ledger, fsyncs and
replaces the files and leaves a manifest. One process each; what two processes gain on two days of the same
size is told as `two_processes`, what leaving the hashes out gains as `unverified_changes_per_s`.
"""

from __future__ import annotations

import gc
import hashlib
import shutil
import tempfile
import time
from bisect import bisect_left
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from benchmarks.result import Result, pairs
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.run import RunArchive
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.items import Connection, ConnectionEvent, Frames
from marketarchive.research.tables.normalize import normalize
from marketarchive.simulated_time import SimulatedClock
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.market_channel import MarketChannel
from marketarchive.simulator.polymarket.world import World
from marketarchive.times import DAY, SECOND, from_iso
from marketarchive.venues.polymarket.endpoints import MARKET_CHANNEL
from marketarchive.venues.polymarket.market_channel import subscribe

GOAL = 0.4
FRAMES = 100_000  # a day
SECONDS = 3_600  # more than it takes to send them
SPELL = 1_800 * SECOND  # about what it takes
MARKETS = 16
START = from_iso("2026-11-21T10:00:00Z")
TABLES = ("books", "book_changes", "trades", "quotes")


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="normalize"))
    try:
        for day in range(2):
            fill(root, START + day * DAY)
        first = sorted(root.glob("raw/venue=*/feed=*/date=2026-11-21/**/*.gz"))
        floor = root / "floor"
        floor.mkdir()
        mine, least, ratio = pairs(
            lambda: _ours(root, until=START + DAY // 2), lambda: _floor(first, floor), 3
        )
        changes = _same(root, floor)
        unverified, _, _ = pairs(
            lambda: _ours(root, until=START + DAY // 2, verify=False), lambda: None, rounds=3
        )
        one, two, gain = pairs(lambda: _ours(root, processes=2), lambda: _ours(root), rounds=3)
        return Result(
            name="normalize_verified",
            value=changes / mine,
            unit="changes/s",
            baseline=changes / least,
            ratio=ratio,
            goal=GOAL,
            packages=("isal", "msgspec", "pyarrow", "duckdb"),
            more={
                "unverified_changes_per_s": round(changes / unverified),
                "two_processes": round(gain, 2),
                "two_processes_s": [round(one, 2), round(two, 2)],
                "changes": changes,
                "frames": FRAMES,
                "segments": len(first),
            },
        )
    finally:
        shutil.rmtree(root)


def fill(root: Path, start: int, spells: int = 1) -> None:
    """Archive what the simulated venue sends as one run: FRAMES frames on one connection, that many times.

    start: of the first connection, wall ns; each later one begins a SPELL after the one before, with the
    markets that are listed then, and closes it.
    """
    channel = MarketChannel(SimBooks(world := World(1)))
    writer = ArchiveWriter(root, SimulatedClock.fixed(start), ArchiveConfig(segment_bytes=8 * 2**20))
    writer.start()
    run = writer.open_run("polymarket_stream", "polymarket", ["stream"], {}, {})
    for number in range(spells):
        _connect(writer, run, channel, world, start + number * SPELL, f"c{number + 1}")
    run.close("finished", {}).result()
    writer.close()


def _connect(
    writer: ArchiveWriter, run: RunArchive, channel: MarketChannel, world: World, start: int, connection: str
) -> None:
    second = start // SECOND
    markets = [
        market for market in world.listed(second) if market.kind == "round" and market.end > second + SECONDS
    ][:MARKETS]
    common: dict[str, Any] = {"venue": "polymarket", "feed": "stream", "connection": connection}

    def note(event: ConnectionEvent, at: int, *texts: str) -> None:
        seq = run.next_seq("polymarket", "stream")
        run.write(
            Connection(
                **common, received_at=at, seq=seq, event=event, url=MARKET_CHANNEL, subscribe=tuple(texts)
            )
        )

    note("opened", start, subscribe([token for market in markets for token in market.tokens]))
    frames = [channel.first(markets, start)]
    count = 0
    while count < FRAMES:
        batch = [
            (frame.ns + 9_000_000, run.next_seq("polymarket", "stream"), frame.payload)
            for frame in frames[: FRAMES - count]
        ]
        if batch:
            run.write(Frames(**common, frames=tuple(batch)))
        count += len(batch)
        frames = sorted(
            (frame for market in markets for frame in channel.frames(market, second)), key=lambda one: one.ns
        )
        second += 1
        while not writer.has_room:
            time.sleep(0.001)
    note("closed", second * SECOND)


def _ours(root: Path, *, until: int | None = None, verify: bool = True, processes: int = 1) -> None:
    shutil.rmtree(root / "tables", ignore_errors=True)
    done = normalize(root, until=until, verify=verify, processes=processes)
    assert done.outputs
    assert not done.failed, done.failed


# --- the floor: nothing of ours ------------------------------------------------------------------------


class _Line(msgspec.Struct, gc=False):
    kind: str
    collected_at_utc: str = ""
    seq: int = 0
    connection: str = ""
    payload: msgspec.Raw = msgspec.Raw()


class _Level(msgspec.Struct, gc=False):
    price: str
    size: str


class _Change(msgspec.Struct, gc=False):
    asset_id: str
    price: str
    size: str
    side: Literal["BUY", "SELL"]
    hash: str
    best_bid: str
    best_ask: str


class _Changes(msgspec.Struct, gc=False, tag_field="event_type", tag="price_change"):
    market: str
    timestamp: str
    price_changes: list[_Change]


class _Book(msgspec.Struct, gc=False, tag_field="event_type", tag="book"):
    market: str
    asset_id: str
    timestamp: str
    hash: str
    bids: list[_Level]
    asks: list[_Level]
    tick_size: str | None = None
    last_trade_price: str | None = None


class _Trade(msgspec.Struct, gc=False, tag_field="event_type", tag="last_trade_price"):
    market: str
    asset_id: str
    timestamp: str
    price: str
    size: str
    side: str
    fee_rate_bps: str
    transaction_hash: str


class _Best(msgspec.Struct, gc=False, tag_field="event_type", tag="best_bid_ask"):
    market: str
    asset_id: str
    timestamp: str
    best_bid: str
    best_ask: str


class _Other(msgspec.Struct, gc=False, tag_field="event_type", tag="new_market"):
    market: str


class _Resolved(msgspec.Struct, gc=False, tag_field="event_type", tag="market_resolved"):
    market: str


class _Tick(msgspec.Struct, gc=False, tag_field="event_type", tag="tick_size_change"):
    market: str


_LINE = msgspec.json.Decoder(_Line)
_Event = _Changes | _Book | _Trade | _Best | _Other | _Resolved | _Tick
_EVENT = msgspec.json.Decoder(_Event)
_EVENTS = msgspec.json.Decoder(list[_Event])
_TAIL = b'],"min_order_size":"5","tick_size":"0.01","neg_risk":false,"last_trade_price":"0.500"}'


class _Held:
    """A token's levels as texts, worst price first."""

    def __init__(self, book: _Book) -> None:
        self.head = f'{{"market":"{book.market}","asset_id":"{book.asset_id}","timestamp":"'
        self.keys: dict[str, list[float]] = {}
        self.texts: dict[str, list[bytes]] = {}
        for side, levels, sign in (("BUY", book.bids, 1), ("SELL", book.asks, -1)):
            self.keys[side] = [sign * float(level.price) for level in levels]
            self.texts[side] = [_text(level.price, level.size) for level in levels]

    def apply(self, change: _Change, at: str) -> str:
        key = float(change.price) if change.side == "BUY" else -float(change.price)
        keys, texts = self.keys[change.side], self.texts[change.side]
        place = bisect_left(keys, key)
        is_there = place < len(keys) and keys[place] == key
        if change.size == "0":
            if is_there:
                del keys[place], texts[place]
        elif is_there:
            texts[place] = _text(change.price, change.size)
        else:
            keys.insert(place, key)
            texts.insert(place, _text(change.price, change.size))
        head = f'{self.head}{at}","hash":"","bids":['.encode()
        bids, asks = b",".join(self.texts["BUY"]), b",".join(self.texts["SELL"])
        return hashlib.sha1(head + bids + b'],"asks":[' + asks + _TAIL, usedforsecurity=False).hexdigest()


def _text(price: str, size: str) -> bytes:
    return f'{{"price":"{price}","size":"{size}"}}'.encode()


def _floor(segments: list[Path], folder: Path) -> None:
    found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    held: dict[str, _Held] = {}
    tops: dict[str, Any] = {}
    gc.disable()  # ours does so too
    for segment in segments:
        run = "-".join(segment.name.split("-")[1:3])
        with igzip.open(segment) as lines:
            for text in lines:
                line = _LINE.decode(text)
                if line.kind == "frame":
                    _take(line, run, found, held, tops)
    gc.enable()
    for table, rows in found.items():
        pq.write_table(_columns(table, rows), folder / f"{table}.parquet", compression="zstd")


def _take(line: _Line, run: str, found: Any, held: dict[str, _Held], tops: dict[str, Any]) -> None:
    payload = bytes(line.payload)
    received = int(datetime.fromisoformat(line.collected_at_utc).timestamp() * 1_000_000)
    place = (run, line.seq, line.connection, received)
    events = _EVENTS.decode(payload) if payload[:1] == b"[" else [_EVENT.decode(payload)]
    for index, event in enumerate(events, 1):
        if isinstance(event, _Changes):
            at = int(event.timestamp) * 1000
            for position, one in enumerate(event.price_changes, 1):
                held[one.asset_id].apply(one, event.timestamp)
                about = (*place, event.market, one.asset_id, at, index, position)
                values = (one.side, one.price, one.size, one.hash, one.best_bid, one.best_ask, "ok", False)
                found["book_changes"].append((*about, *values))
                _quote(found, tops, about, (one.best_bid, one.best_ask), "price_change")
        elif isinstance(event, _Book):
            held[event.asset_id] = _Held(event)
            about = (*place, event.market, event.asset_id, int(event.timestamp) * 1000, index, 1)
            top = (
                event.bids[-1].price if event.bids else None,
                event.asks[-1].price if event.asks else None,
            )
            found["books"].append((*about, event, *top))
            _quote(found, tops, about, top, "book")
        elif isinstance(event, _Trade):
            about = (*place, event.market, event.asset_id, int(event.timestamp) * 1000, index, 1)
            told = (event.side, event.price, event.size, event.transaction_hash, event.fee_rate_bps)
            found["trades"].append((*about, *told))
        elif isinstance(event, _Best):
            about = (*place, event.market, event.asset_id, int(event.timestamp) * 1000, index, 1)
            _quote(found, tops, about, (event.best_bid, event.best_ask), "best_bid_ask")


def _quote(found: Any, tops: dict[str, Any], about: tuple[Any, ...], top: Any, source: str) -> None:
    numbers = [float(price) if price else None for price in top]
    if tops.get(about[5]) != numbers:
        tops[about[5]] = numbers
        found["quotes"].append((*about, source, *top, "ok"))


_ABOUT = ("run", "seq", "connection", "received_at", "market", "token", "event_time", "index", "position")
_NAMES = {
    "book_changes": ("side", "price", "size", "hash", "best_bid", "best_ask", "verified", "is_stale"),
    "books": ("book", "best_bid", "best_ask"),
    "trades": ("side", "price", "size", "transaction_hash", "fee_rate_bps"),
    "quotes": ("source", "best_bid", "best_ask", "verified"),
}
_MOMENT, _PRICE, _SIZE = pa.timestamp("us", tz="UTC"), pa.decimal128(18, 9), pa.decimal128(18, 6)
_TYPES = {
    "seq": pa.int64(),
    "received_at": _MOMENT,
    "event_time": _MOMENT,
    "index": pa.int32(),
    "position": pa.int32(),
    "is_stale": pa.bool_(),
}
_DECIMALS = {"price": _PRICE, "size": _SIZE, "best_bid": _PRICE, "best_ask": _PRICE}


def _columns(table: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns: dict[str, Any] = {}
    for place, name in enumerate((*_ABOUT, *_NAMES[table])):
        values = [row[place] for row in rows]
        if name == "book":
            columns |= {side: _levels([getattr(book, side) for book in values]) for side in ("bids", "asks")}
        elif name in _DECIMALS:
            texts = pa.array([value or None for value in values], pa.string())
            columns[name] = texts.cast(pa.decimal128(38, 18) if table == "trades" else _DECIMALS[name])
        else:
            columns[name] = pa.array(values, _TYPES.get(name, pa.string()))
    return pa.table(columns)


def _levels(sides: list[list[_Level]]) -> pa.Array:
    offsets = [0]
    for side in sides:
        offsets.append(offsets[-1] + len(side))
    prices = pa.array([level.price for side in sides for level in reversed(side)], pa.string()).cast(_PRICE)
    sizes = pa.array([level.size for side in sides for level in reversed(side)], pa.string()).cast(_SIZE)
    levels = pa.StructArray.from_arrays([prices, sizes], ["price", "size"])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), levels)


_SHARED = {
    "book_changes": (*_ABOUT, "side", "price", "size", "hash", "best_bid", "best_ask"),
    "books": (*_ABOUT, "best_bid", "best_ask", "bids", "asks"),
    "trades": (*_ABOUT, "side", "price", "size", "transaction_hash"),
    "quotes": (*_ABOUT, "source", "best_bid", "best_ask"),
}


def _same(root: Path, floor: Path) -> int:
    """Both made the same rows, or the comparison is worth nothing: how many changes there are."""
    counted: dict[str, int] = {}
    with duckdb.connect() as connection:
        for table in TABLES:
            ours = f"read_parquet('{root}/tables/{table}/*/*/date=2026-11-21/*.parquet')"
            theirs = f"read_parquet('{floor / table}.parquet')"
            names = ", ".join(f'"{name}"' for name in _SHARED[table])
            [counts] = connection.execute(
                f"SELECT (SELECT count(*) FROM {ours}), (SELECT count(*) FROM {theirs}), (SELECT count(*) "
                f"FROM (SELECT {names} FROM {ours} INTERSECT ALL SELECT {names} FROM {theirs}))"
            ).fetchall()
            assert len(set(counts)) == 1, (table, counts)
            counted[table] = counts[0]
    return counted["book_changes"]
