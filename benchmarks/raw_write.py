"""Raw archive: lines a second into sealed, synced gzip, against an expert's plain loop.

Both sides make the same lines of the same items with the same codec and level, flush and fdatasync each
second, end the gzip member each minute, fsync and rename at the end. The expert's loop formats the envelope
by hand, does not check that a payload is JSON (it is), has no thread, no counts, no ledger and no manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec

from benchmarks.result import Result, pairs
from marketarchive.archive import codec
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import RealClock
from marketarchive.items import Frames, Response
from marketarchive.version import COLLECTOR

GOAL = 0.6
BOOKS = 20_000
FRAMES = 100_000
FRAMES_PER_ITEM = 256
START = time.time_ns()


def run() -> Result:
    random = Random(7)
    tokens = [str(random.getrandbits(256)) for _ in range(8)]
    responses = [_response(random, tokens[n % 8], n) for n in range(BOOKS)]
    frames = [_frames(random, tokens, first) for first in range(0, FRAMES, FRAMES_PER_ITEM)]
    book_bytes = sum(len(item.payload) for item in responses)
    frame_bytes = sum(len(payload) for item in frames for _, _, payload in item.frames)
    folder = Path(tempfile.mkdtemp(prefix="raw_write"))
    sizes: dict[str, int] = {}
    try:
        mine, theirs, ratio = pairs(
            lambda: sizes.update(ours=_ours(folder / "ours", responses, frames)),
            lambda: sizes.update(baseline=_plain(folder / "plain", responses, frames)),
        )
    finally:
        shutil.rmtree(folder)
    lines = BOOKS + FRAMES
    return Result(
        name="raw_write",
        value=lines / mine,
        unit="lines/s",
        baseline=lines / theirs,
        ratio=ratio,
        goal=GOAL,
        packages=("isal", "msgspec"),
        more={
            "payload_mb_per_s": round((book_bytes + frame_bytes) / mine / 1e6, 1),
            "baseline_payload_mb_per_s": round((book_bytes + frame_bytes) / theirs / 1e6, 1),
            "payload_bytes_per_book": round(book_bytes / BOOKS),
            "payload_bytes_per_frame": round(frame_bytes / FRAMES),
            "codec": f"{codec.CODEC} {codec.DEFAULT_LEVEL}",
            "bytes_on_disk": sizes,
        },
    )


def _ours(folder: Path, responses: Sequence[Response], frames: Sequence[Frames]) -> int:
    """From items to sealed segments, as a pipeline does it: waiting while the buffer is full."""
    shutil.rmtree(folder, ignore_errors=True)
    writer = ArchiveWriter(folder, RealClock(), ArchiveConfig())
    writer.start()
    run = writer.open_run("polymarket_orderbook", "polymarket", ["orderbook", "stream"], {}, {})
    items: list[Response | Frames] = [*responses, *frames]
    for item in items:
        run.write(item)
        while not writer.has_room:
            time.sleep(0.001)
    run.close("finished", {}).result()
    writer.close()
    return sum(path.stat().st_size for path in folder.glob("raw/**/*.gz"))


def _plain(folder: Path, responses: Sequence[Response], frames: Sequence[Frames]) -> int:
    """The expert's loop."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    collector, encode = json.dumps(COLLECTOR).encode(), msgspec.json.encode
    file = PlainFile(folder / "orderbook.jsonl.gz")
    for item in responses:
        file.add(
            b'{"kind":"response","collected_at_utc":"%b","seq":%d,"collector":%b,"method":"%b","url":"%b",'
            b'"params":%b,"status":%d,"latency_ms":%b,"headers":%b,"sha256":"%b","payload":%b}\n'
            % (
                stamp_of(item.received_at),
                item.seq,
                collector,
                item.method.encode(),
                item.url.encode(),
                encode(item.params),
                item.status,
                b"%.1f" % item.latency_ms,
                encode(item.headers),
                hashlib.sha256(item.payload).hexdigest().encode(),
                item.payload,
            )
        )
    file.close()
    file = PlainFile(folder / "stream.jsonl.gz")
    for many in frames:
        connection = many.connection.encode()
        for received_at, seq, payload in many.frames:
            file.add(
                b'{"kind":"frame","collected_at_utc":"%b","seq":%d,"connection":"%b","payload":%b}\n'
                % (stamp_of(received_at), seq, connection, payload)
            )
    file.close()
    return sum(path.stat().st_size for path in folder.glob("*.gz"))


class PlainFile:
    """Lines gathered to 1 MiB, compressed, written; flushed and synced each second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.with_name(path.name + ".part").open("wb", buffering=0)
        self.lines: list[bytes] = []
        self.size = 0
        self.compressor = codec.compressor(codec.DEFAULT_LEVEL)
        self.flush_at = time.monotonic() + 1
        self.member_at = time.monotonic() + 60

    def add(self, line: bytes) -> None:
        self.lines.append(line)
        self.size += len(line)
        if self.size >= 2**20:
            self._compress()

    def _compress(self) -> None:
        self.file.write(self.compressor.compress(b"".join(self.lines)))
        self.lines, self.size = [], 0
        now = time.monotonic()
        if now >= self.member_at:
            self.file.write(codec.finished(self.compressor))
            self.compressor = codec.compressor(codec.DEFAULT_LEVEL)
            self.member_at = now + 60
        if now >= self.flush_at:
            self.file.write(codec.flushed(self.compressor))
            os.fdatasync(self.file.fileno())
            self.flush_at = now + 1

    def close(self) -> None:
        self._compress()
        self.file.write(codec.finished(self.compressor))
        os.fsync(self.file.fileno())
        self.file.close()
        self.path.with_name(self.path.name + ".part").rename(self.path)


_second, _text = 0, b""


def stamp_of(ns: int) -> bytes:
    """An expert formats the date once a second too."""
    global _second, _text
    second, rest = divmod(ns, 1_000_000_000)
    if second != _second:
        _second, _text = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.".encode()
    return b"%b%06dZ" % (_text, rest // 1000)


def _response(random: Random, token: str, n: int) -> Response:
    return Response(
        venue="polymarket",
        feed="orderbook",
        received_at=START + n * 1_000_003,
        seq=n + 1,
        method="GET",
        url="https://clob.polymarket.com/book",
        params={"token_id": token},
        status=200,
        headers={
            "content-type": "application/json",
            "date": f"Sat, 21 Nov 2026 10:{n // 60 % 60:02d}:{n % 60:02d} GMT",
            "content-encoding": "gzip",
        },
        latency_ms=41.7,
        payload=make_book(random, token),
    )


def _frames(random: Random, tokens: Sequence[str], first: int) -> Frames:
    count = min(FRAMES_PER_ITEM, FRAMES - first)
    return Frames(
        venue="polymarket",
        feed="stream",
        connection="c1",
        frames=tuple(
            (START + n * 1_000_003, n + 1, make_price_change(random, tokens[n % 8]))
            for n in range(first, first + count)
        ),
    )


def make_book(random: Random, token: str) -> bytes:
    """As GET /book answers: about 3 kB."""
    levels = 36 + random.randrange(8)
    book = {
        "market": "0x" + "7b5b5b1f" * 8,
        "asset_id": token,
        "timestamp": str(START // 1_000_000 + random.randrange(10_000)),
        "hash": f"{random.getrandbits(160):040x}",
        "bids": [_level(random, n + 1) for n in range(levels)],
        "asks": [_level(random, 99 - n) for n in range(levels)],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "0.51",
    }
    return json.dumps(book, separators=(",", ":")).encode()


def _level(random: Random, cents: int) -> dict[str, str]:
    return {"price": f"0.{cents:02d}", "size": f"{random.expovariate(0.002):.2f}".rstrip("0").rstrip(".")}


def make_price_change(random: Random, token: str) -> bytes:
    """As the market socket sends it, both outcomes in one message: about 600 bytes."""
    cents = random.randrange(1, 99)
    change = {
        "market": "0x" + "7b5b5b1f" * 8,
        "price_changes": [
            {
                "asset_id": token,
                "price": f"0.{price:02d}",
                "size": f"{random.expovariate(0.002):.2f}",
                "side": side,
                "hash": f"{random.getrandbits(160):040x}",
                "best_bid": "0.51",
                "best_ask": "0.52",
            }
            for side, price in (("BUY", cents), ("SELL", 100 - cents))
        ],
        "timestamp": str(START // 1_000_000 + random.randrange(10_000)),
        "event_type": "price_change",
    }
    return json.dumps(change, separators=(",", ":")).encode()
