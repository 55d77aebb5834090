"""Bytes on disk: of market channel frames in the archive, against the payloads alone in the same gzip.

Ten minutes of all rounds under way, as the simulated venue sends them, in the archive's own rhythm on both
sides: same codec and level, a flush each second, a member a minute. The archive's lines add receive time, seq
and connection, and its segment's first and last line. Goal: at most 115 % of the payloads; the ratio is what
is allowed over what was measured. The other feeds are told beside it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from benchmarks.result import Result
from benchmarks.venue_feeds import START, Feeds, Sent
from marketarchive.archive import codec, lines
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.feed import FeedWriter
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.lines import RawItem
from marketarchive.archive.store import Store
from marketarchive.clock import Instant, RealClock
from marketarchive.items import Frames, Response
from marketarchive.times import SECOND

AT_MOST = 1.15
SECONDS = 600
MEMBER_S = 60
CLOB, DATA_API = "https://clob.polymarket.com", "https://data-api.polymarket.com"


class SetClock(RealClock):
    """Stands at a moment until it is set to the next."""

    simulated = True

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def now_ns(self) -> int:
        return self.ns

    def mono_ns(self) -> int:
        return self.ns

    def instant(self) -> Instant:
        return Instant(self.ns, self.ns)


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk."""

    archive: int
    payloads: int
    messages: int

    @property
    def times(self) -> float:
        return self.archive / self.payloads

    def document(self) -> dict[str, float]:
        return {
            "times": round(self.times, 3),
            "archive_bytes": self.archive,
            "payload_bytes": self.payloads,
            "messages": self.messages,
            "bytes_more_per_message": round((self.archive - self.payloads) / self.messages, 1),
        }


def run() -> Result:
    feeds = Feeds(SECONDS)
    measured = {
        "stream": _measure("stream", feeds.stream(), _frames),
        "reference": _measure("reference", feeds.reference(), _frames),
        "orderbook": _measure("orderbook", feeds.orderbook(), _books(feeds.tokens)),
        "trades": _measure("trades", feeds.trades(), _trades),
    }
    if recorded := _recorded():
        measured["recorded"] = _measure("stream", recorded, _frames)
    stream = measured["stream"]
    return Result(
        name="bytes_on_disk",
        value=round(100 * stream.times, 1),
        unit="% of the payloads' bytes (less is better)",
        baseline=round(100 * AT_MOST, 1),
        ratio=AT_MOST / stream.times,
        goal=1.0,
        packages=("isal",),
        more={"codec": f"{codec.CODEC} {codec.DEFAULT_LEVEL}"}
        | {name: sizes.document() for name, sizes in measured.items()},
    )


def _measure(feed: str, sent: Sent, item: Callable[[str, Sent, int], list[RawItem]]) -> Sizes:
    root = Path(tempfile.mkdtemp(prefix="bytes_on_disk"))
    try:
        seconds = list(_by_second(_received(sent)))
        return Sizes(
            _archived(root, feed, [(at, item(feed, some, seq)) for at, some, seq in seconds]),
            _alone([some for _, some, _ in seconds]),
            len(sent),
        )
    finally:
        shutil.rmtree(root)


def _received(sent: Sent) -> Sent:
    """With the time of receipt, to the nanosecond: some milliseconds later, in the order of sending."""
    random, last, found = Random(7), 0, []
    for ns, payload in sent:
        last = max(last, ns + 20_000_000 + int(random.expovariate(1 / 3_000_000))) + random.randrange(
            1, 20_000
        )
        found.append((last, payload))
    return found


def _by_second(received: Sent) -> Iterator[tuple[int, Sent, int]]:
    """(its end, wall ns; what came in it; the first seq of it)."""
    seq = 1
    for second, some in groupby(received, lambda message: message[0] // SECOND):
        messages = list(some)
        yield (second + 1) * SECOND, messages, seq
        seq += len(messages)


def _archived(root: Path, feed: str, seconds: Sequence[tuple[int, list[RawItem]]]) -> int:
    """Written and synced second by second."""
    clock, files, config = SetClock(START), Files(), ArchiveConfig(member_s=MEMBER_S)
    identity = {"run": "20261121T100000Z-4f2a", "spider": f"polymarket_{feed}", "settings": {}}
    archive = FeedWriter(Store(root, clock, config, files, Ledger(root, files)), identity, "polymarket", feed)
    (root / "manifests").mkdir()
    for at, some in seconds:
        archive.write([lines.build(each) for each in some])
        clock.ns = at
        archive.sync()
    archive.seal("finished")
    return sum(path.stat().st_size for path in root.glob("raw/**/*.jsonl.gz"))


def _alone(seconds: Sequence[Sent]) -> int:
    """The payloads, one a line."""
    size = 0
    compressor = codec.compressor(codec.DEFAULT_LEVEL)
    for number, some in enumerate(seconds, 1):
        size += len(compressor.compress(b"".join(payload + b"\n" for _, payload in some)))
        if number % MEMBER_S:
            size += len(codec.flushed(compressor))
        else:
            size += len(codec.finished(compressor))
            compressor = codec.compressor(codec.DEFAULT_LEVEL)
    return size + len(codec.finished(compressor))


def _frames(feed: str, some: Sent, seq: int) -> list[RawItem]:
    frames = tuple((ns, number, payload) for number, (ns, payload) in enumerate(some, seq))
    return [Frames("polymarket", feed, "c1", frames)]


def _books(tokens: Sequence[str]) -> Callable[[str, Sent, int], list[RawItem]]:
    body = msgspec.json.encode([{"token_id": token} for token in tokens])

    def books(feed: str, some: Sent, seq: int) -> list[RawItem]:
        return [
            _response(feed, message, number, "POST", f"{CLOB}/books", {}, body)
            for number, message in enumerate(some, seq)
        ]

    return books


def _trades(feed: str, some: Sent, seq: int) -> list[RawItem]:
    params = {"limit": "100"}
    return [
        _response(feed, message, number, "GET", f"{DATA_API}/v2/trades", params, None)
        for number, message in enumerate(some, seq)
    ]


def _response(
    feed: str,
    message: tuple[int, bytes],
    seq: int,
    method: str,
    url: str,
    params: dict[str, Any],
    body: bytes | None,
) -> Response:
    ns, payload = message
    date = f"{datetime.fromtimestamp(ns // SECOND, UTC):%a, %d %b %Y %H:%M:%S GMT}"
    headers = {"content-type": "application/json", "date": date, "content-encoding": "gzip"}
    latency_ms = ns % 50_000_000 / 1e6
    return Response("polymarket", feed, ns, seq, method, url, params, 200, headers, latency_ms, payload, body)


def _recorded() -> Sent:
    """Frames of the venue itself, where recordings are: three a second."""
    with contextlib.suppress(ImportError):
        from tests.conformance.test_polymarket_stream import SAMPLES
        from tests.conformance.test_polymarket_stream import lines as frames_of

        if SAMPLES.is_dir():
            names = ("ws_market_session_2025-12-23.jsonl", "ws_market_frames_live_2026.jsonl")
            frames = [frame for name in names for frame in frames_of(name)]
            return [(START + n * SECOND // 3, frame) for n, frame in enumerate(frames)]
    return []
