"""Archives made by hand: what was answered, when, and by which run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.items import Gap, Response
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from marketarchive.venues.polymarket.clob import book_hash, decode_book
from tests.archive.writing import FEED, NOON, VENUE, HandClock, open_run, writer
from tests.venues.polymarket.rows import book_row


class Answer(NamedTuple):
    """One exchange `at` seconds after noon of 2026-11-21."""

    payload: bytes
    at: float = 0.0
    path: str = "/books"
    status: int = 200
    host: str = "https://clob.polymarket.com"


class Hole(NamedTuple):
    """A gap line noticed at its end."""

    start: float
    end: float
    scope: dict[str, Any] = {}  # noqa: RUF012  (never changed)


def book(token: str = "1", **changes: Any) -> bytes:
    """A book with its right hash, compact as the venue sends it."""
    row = book_row(asset_id=token, **changes)
    if "hash" not in changes:
        row["hash"] = book_hash(decode_book(json.dumps(row).encode()))
    return json.dumps(row, separators=(",", ":")).encode()


def many(*books: bytes) -> bytes:
    return b"[%b]" % b",".join(books)


def collect(
    root: Path, lines: Sequence[Answer | Hole], *, tracked: dict[str, Any] | None = None, feed: str = FEED
) -> str:
    """One finished run; its id."""
    clock = HandClock()
    with writer(root, clock) as made:
        run = open_run(made)
        for line in lines:
            seq = run.next_seq(VENUE, feed)
            if isinstance(line, Hole):
                run.write(
                    Gap(
                        venue=VENUE,
                        feed=feed,
                        received_at=NOON + int(line.end * SECOND),
                        seq=seq,
                        from_ns=NOON + int(line.start * SECOND),
                        to_ns=NOON + int(line.end * SECOND),
                        scope=Scope.read(VENUE, feed, line.scope),
                        reason="rate_limited",
                        cause="venue",
                        detail="",
                    )
                )
            else:
                run.write(
                    Response(
                        venue=VENUE,
                        feed=feed,
                        received_at=NOON + int(line.at * SECOND),
                        seq=seq,
                        method="POST" if line.path == "/books" else "GET",
                        url=line.host + line.path,
                        params={},
                        status=line.status,
                        headers={},
                        latency_ms=1.0,
                        payload=line.payload,
                    )
                )
        run.close("finished", {"markets": {"tracked": tracked or {}}}).result()
    return run.run


def spoil_pages(table: Path) -> None:
    """Overwrite all rows of a Parquet file; its footer, which says what it was made of, stays whole."""
    data = bytearray(table.read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[4:footer] = bytes(footer - 4)
    table.write_bytes(data)
