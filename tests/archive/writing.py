"""What the tests of the write side share: a clock to turn by hand, items, a look at what was written."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from marketarchive.archive import lines
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.lines import Line
from marketarchive.archive.run import RunArchive
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import Clock, Instant
from marketarchive.items import Frames, Response
from marketarchive.times import SECOND, from_iso

NOON = from_iso("2026-11-21T12:00:00Z")
VENUE, FEED = "polymarket", "orderbook"


class HandClock:
    """Moves only when told to."""

    simulated = False
    speed = 1.0
    timeline = "by hand"

    def __init__(self, now_ns: int = NOON) -> None:
        self.wall = now_ns
        self.mono = 5 * SECOND

    def now_ns(self) -> int:
        return self.wall

    def mono_ns(self) -> int:
        return self.mono

    def instant(self) -> Instant:
        return Instant(self.wall, self.mono)

    def wait_s(self, ns: int) -> float:
        return ns / SECOND

    def passed_ns(self, machine_ns: int) -> int:
        return machine_ns

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()

    def pass_s(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.mono += int(seconds * SECOND)

    def step_s(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)


@contextmanager
def writer(
    root: Path, clock: Clock | None = None, files: Files | None = None, **config: Any
) -> Iterator[ArchiveWriter]:
    """A started writer, closed at the end; flushes are quick unless `flush_s` says otherwise."""
    made = ArchiveWriter(root, clock or HandClock(), ArchiveConfig(**{"flush_s": 0.02, **config}), files)
    made.start()
    try:
        yield made
    finally:
        made.close()


def open_run(made: ArchiveWriter, spider: str = "polymarket_orderbook", **settings: Any) -> RunArchive:
    return made.open_run(spider, VENUE, [FEED], {"markets": "all"}, settings)


def response(
    run: RunArchive, payload: bytes = b'{"bids":[]}', feed: str = FEED, status: int = 200
) -> Response:
    """The next one of `feed`."""
    seq = run.next_seq(VENUE, feed)
    return Response(
        venue=VENUE,
        feed=feed,
        received_at=NOON + seq * 1_000_000,
        seq=seq,
        method="GET",
        url="https://clob.polymarket.com/book",
        params={"token_id": "1"},
        status=status,
        headers={"content-type": "application/json"},
        latency_ms=41.7,
        payload=payload,
    )


def frames(run: RunArchive, *payloads: bytes, feed: str = "stream") -> Frames:
    seqs = [run.next_seq(VENUE, feed) for _ in payloads]
    return Frames(
        venue=VENUE,
        feed=feed,
        connection="c1",
        frames=tuple((NOON + seq * 1000, seq, body) for seq, body in zip(seqs, payloads, strict=True)),
    )


def cron(root: Path, runs: int = 3, start: int = NOON, feed: str = FEED, size: int = 1) -> None:
    """Runs one after another, a minute apart, each with a small segment of `feed`."""
    for number in range(runs):
        clock = HandClock(start + number * 60 * SECOND)
        with writer(root, clock) as made:
            run = made.open_run("polymarket_orderbook", VENUE, [feed], {}, {})
            for answer in range(size):
                one = response(run, b'{"run":%d,"answer":%d}' % (number, answer), feed=feed)
                run.write(replace(one, received_at=clock.now_ns() + answer))
            run.close("finished", {}).result()


def two_hours(root: Path) -> None:
    """Make one run with a segment in each of two hours."""
    clock = HandClock()
    with writer(root, clock) as made:
        run = open_run(made)
        for _ in range(2):
            run.write(response(run))
            run.flush().result()
            clock.pass_s(3600)
        run.close("finished", {}).result()


def ledger_of(root: Path, kind: str = "segment") -> list[dict[str, Any]]:
    return [entry.fields for entry in Ledger(root).entries() if entry.fields and entry.kind == kind]


def parts_of(root: Path) -> list[Path]:
    return sorted(root.glob("raw/*/*/*/*/*.part"))


def readable(path: Path) -> list[Line]:
    """The whole lines that can be read of a segment, sealed or torn, up to the very byte that is damaged."""
    data, text = path.read_bytes(), b""
    while data:
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            for start in range(0, len(data), 4096):
                before = inflate.copy()
                text += inflate.decompress(data[start : start + 4096])
                if inflate.eof:
                    break
        except zlib.error:
            text += _until_damage(before, data[start : start + 4096])
            break
        if not inflate.eof:
            break
        data = inflate.unused_data + data[start + 4096 :]
    return [lines.parse(line) for line in text.split(b"\n")[:-1]]


def _until_damage(inflate: Any, data: bytes) -> bytes:
    """Drop what zlib had already decompressed of the piece in which it meets damage."""
    text = b""
    with suppress(zlib.error):
        for at in range(len(data)):
            text += inflate.decompress(data[at : at + 1])
    return text


def segments(root: Path) -> dict[str, list[Line]]:
    """Every segment below `root`, sealed or not, by its path."""
    return {str(path.relative_to(root)): readable(path) for path in sorted(root.glob("raw/*/*/*/*/*"))}


def seqs(found: dict[str, list[Line]]) -> list[int]:
    """Of all lines that have one, in order."""
    return sorted(
        line.envelope["seq"] for lines_ in found.values() for line in lines_ if "seq" in line.envelope
    )
