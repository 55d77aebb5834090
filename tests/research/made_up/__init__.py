"""A venue that does not exist, found where venues are found: an exchange of tulip bulbs.

What is to be proven of any venue is proven of it: no module of the project knows it.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import marketarchive.venues
from marketarchive.items import Frames, Gap, Response
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from tests.archive.writing import NOON, HandClock, writer

VENUE = "tulips"
MODULE = "marketarchive.venues.tulips"


@contextmanager
def tulips() -> Iterator[None]:
    """The venue stands among the others meanwhile."""
    marketarchive.venues.__path__.append(str(Path(__file__).parent))
    marketarchive.venues.venues.cache_clear()
    try:
        yield
    finally:
        marketarchive.venues.__path__.remove(str(Path(__file__).parent))
        marketarchive.venues.venues.cache_clear()
        for name in [name for name in sys.modules if name.startswith(MODULE)]:
            del sys.modules[name]


def depth(market: str, bids: Any, asks: Any, at: float = 0.0, **changes: Any) -> bytes:
    """A book as the exchange sends it, with its right checksum."""
    text = json.dumps([bids, asks], separators=(",", ":"))
    row = {"market": market, "time_ns": NOON + int(at * SECOND), "bids": bids, "asks": asks}
    return json.dumps(row | {"crc": zlib.crc32(text.encode())} | changes).encode()


def answer(payload: bytes, at: float, seq: int, feed: str = "depth", status: int = 200) -> Response:
    return Response(
        venue=VENUE,
        feed=feed,
        received_at=NOON + int(at * SECOND),
        seq=seq,
        method="GET",
        url=f"https://tulips.example/{feed}",
        params={},
        status=status,
        headers={},
        latency_ms=1.0,
        payload=payload,
    )


def frame(payload: bytes, at: float, seq: int, feed: str = "socket") -> Frames:
    return Frames(venue=VENUE, feed=feed, connection="c1", frames=((NOON + int(at * SECOND), seq, payload),))


def gap(
    start: float, end: float, seq: int, scope: dict[str, Any], feed: str = "depth", venue: str = VENUE
) -> Gap:
    return Gap(
        venue=venue,
        feed=feed,
        received_at=NOON + int(end * SECOND),
        seq=seq,
        from_ns=NOON + int(start * SECOND),
        to_ns=NOON + int(end * SECOND),
        scope=Scope.read(venue, feed, scope),
        reason="rate_limited",
        cause="venue",
    )


def record(root: Path, items: Sequence[Any], *, tracked: dict[str, Any] | None = None) -> str:
    """One finished run, written by the real writer; its id."""
    clock = HandClock()
    with writer(root, clock) as made:
        run = made.open_run("tulips_depth", VENUE, sorted({item.feed for item in items}), {}, {})
        for item in items:
            run.next_seq(VENUE, item.feed)
            run.write(item)
        run.close("finished", {"markets": {"tracked": tracked or {}}}).result()
    return run.run


def rows(root: Path, table: str, feed: str = "depth", venue: str = VENUE) -> list[dict[str, Any]]:
    path = root / f"tables/{table}/venue={venue}/feed={feed}/date=2026-11-21/{table}.parquet"
    found: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return sorted(found, key=lambda row: [row.get(key) or 0 for key in ("run", "seq", "index", "position")])
