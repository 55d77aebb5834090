"""Archives of sockets made by hand: lines in their order, in one segment or in many."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from marketarchive.items import BookState, Connection, ConnectionEvent, Frames, Gap, Response
from marketarchive.scope import Scope
from marketarchive.venues.polymarket.endpoints import MARKET_CHANNEL
from marketarchive.venues.polymarket.market_channel import subscribe
from tests.archive.writing import NOON, VENUE, HandClock, open_run, writer

STREAM = "stream"


class Line:
    """What `record` writes: one of the following."""


@dataclass
class Frame(Line):
    """`at` is seconds after noon, as everywhere here."""

    payload: bytes
    at: float = 0.0
    connection: str = "c1"


@dataclass
class Socket(Line):
    """A connection line."""

    event: ConnectionEvent = "opened"
    at: float = 0.0
    tokens: Sequence[str] = ()
    connection: str = "c1"
    text: str | None = None  # in place of the market channel's own
    has_keys: bool = False  # schema 2


@dataclass
class State(Line):
    """A book at a rotation; `after` is the place in the list of lines of the last frame in it."""

    token: str
    payload: bytes
    after: int
    at: float = 0.0
    connection: str = "c1"


@dataclass
class Rest(Line):
    payload: bytes
    at: float = 0.0
    url: str = "https://clob.polymarket.com/books"
    status: int = 200


@dataclass
class Lost(Line):
    """A gap line, noticed at its end where `noticed` does not say when."""

    start: float
    end: float
    scope: dict[str, Any] = field(default_factory=dict)
    is_open: bool = False
    begun: int | None = None  # schema 2: the place in the list of lines of the gap's first line
    noticed: float | None = None


class Rotate(Line):
    """The segment ends here: an hour has passed on the clock."""


def record(
    root: Path,
    lines: Iterable[Line],
    *,
    feed: str = STREAM,
    tracked: dict[str, Any] | None = None,
    begin: float = 0.0,
) -> str:
    """One finished run of `feed` that begins so many seconds after noon; its id."""
    clock = HandClock(ns(begin))
    seqs: list[int] = []  # by place in `lines`
    with writer(root, clock) as made:
        run = open_run(made, "polymarket_stream")
        for line in lines:
            if isinstance(line, Rotate):
                run.flush().result()
                clock.pass_s(3600)
                seqs.append(0)
                continue
            seqs.append(0 if isinstance(line, State) else run.next_seq(VENUE, feed))
            run.write(_item(line, feed, seqs, run.run))
        run.close("finished", {"markets": {"tracked": tracked or {}}}).result()
    return run.run


def ns(at: float) -> int:
    return NOON + round(at * 1_000_000) * 1000


def _item(line: Line, feed: str, seqs: list[int], run: str) -> Any:
    if isinstance(line, Lost):
        return Gap(
            venue=VENUE,
            feed=feed,
            received_at=ns(line.end if line.noticed is None else line.noticed),
            seq=seqs[-1],
            from_ns=ns(line.start),
            to_ns=None if line.is_open else ns(line.end),
            scope=Scope.read(VENUE, feed, line.scope),
            reason="disconnect",
            cause="venue",
            id="" if line.begun is None else f"{run}:{seqs[line.begun]}",
        )
    assert isinstance(line, (Frame, Socket, State, Rest))
    common: dict[str, Any] = {"venue": VENUE, "feed": feed}
    at = ns(line.at)
    if isinstance(line, Frame):
        return Frames(**common, connection=line.connection, frames=((at, seqs[-1], line.payload),))
    if isinstance(line, State):
        return BookState(
            **common,
            received_at=at,
            connection=line.connection,
            asset=line.token,
            derived_from_seq=seqs[line.after],
            payload=line.payload,
        )
    if isinstance(line, Socket):
        text = (subscribe(line.tokens) if line.tokens else None) if line.text is None else line.text
        return Connection(
            **common,
            received_at=at,
            seq=seqs[-1],
            connection=line.connection,
            event=line.event,
            url=MARKET_CHANNEL,
            subscribe=() if text is None else (text,),
            keys=tuple(line.tokens) if line.has_keys else None,
        )
    return Response(
        **common,
        received_at=at,
        seq=seqs[-1],
        method="POST" if line.url.endswith("books") else "GET",
        url=line.url,
        params={},
        status=line.status,
        headers={},
        latency_ms=1.0,
        payload=line.payload,
    )


def rows(root: Path, table: str, feed: str = STREAM, day: str = "2026-11-21") -> list[dict[str, Any]]:
    """A table's rows as pyarrow reads them, in the order of the messages."""
    path = root / f"tables/{table}/venue=polymarket/feed={feed}/date={day}/{table}.parquet"
    found: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return sorted(found, key=lambda row: [row.get(key) or 0 for key in ("run", "seq", "index", "position")])


def event(kind: str, **values: Any) -> bytes:
    return json.dumps({**values, "event_type": kind}, separators=(",", ":")).encode()
