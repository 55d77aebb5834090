"""Verify: MB of lines checked a second, against `zcat FILE > /dev/null; sha256sum FILE` on the same files.

Two archives, one of order book answers and one of socket frames, read from the page cache; the ratio is
that of the slower one. Ours also checks each gzip member, takes every envelope apart, counts lines by kind
and status, checks the digest of every body, the sequence numbers, the ledger's chain and the manifest.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.raw_write import make_book, make_price_change
from benchmarks.result import Result, pairs
from marketarchive.archive import codec
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.verify import verify
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import RealClock
from marketarchive.items import Frames, Response

GOAL = 0.8
ANSWERS = 4_000
BOOKS_PER_ANSWER = 16
FRAMES = 300_000
FRAMES_PER_ITEM = 256
START = time.time_ns()
TOKENS = [str(Random(n).getrandbits(256)) for n in range(BOOKS_PER_ANSWER)]


def run() -> Result:
    measured = {"books": _measure(_books), "frames": _measure(_frames)}
    slower = min(measured.values(), key=lambda found: found["ratio"])
    return Result(
        name="verify",
        value=slower["mb_per_s"],
        unit="MB/s of lines",
        baseline=slower["baseline_mb_per_s"],
        ratio=slower["ratio"],
        goal=GOAL,
        packages=("isal", "msgspec"),
        more={"codec": f"{codec.CODEC} {codec.DEFAULT_LEVEL}", **measured},
    )


def _measure(fill: Callable[[ArchiveWriter], int]) -> dict[str, float]:
    root = Path(tempfile.mkdtemp(prefix="verify"))
    try:
        writer = ArchiveWriter(root, RealClock(), ArchiveConfig())
        writer.start()
        payload_bytes = fill(writer)
        writer.close()
        files = sorted(root.glob("raw/**/*.gz"))
        line = "; ".join(f"zcat {file} > /dev/null; sha256sum {file} > /dev/null" for file in files)
        mine, theirs, ratio = pairs(
            lambda: _verify(root), lambda: subprocess.run(["sh", "-c", line], check=True)
        )
        return {
            "mb_per_s": round(payload_bytes / mine / 1e6, 1),
            "baseline_mb_per_s": round(payload_bytes / theirs / 1e6, 1),
            "ratio": round(ratio, 3),
            "payload_mb": round(payload_bytes / 1e6),
            "compressed_mb": round(sum(file.stat().st_size for file in files) / 1e6),
        }
    finally:
        shutil.rmtree(root)


def _verify(root: Path) -> None:
    report = verify(root)
    assert report.state == "passed", report.problems


def _books(writer: ArchiveWriter) -> int:
    """Answers of POST /books with 16 books of 3 kB each, at four a second: the payloads' bytes."""
    random = Random(7)
    run = writer.open_run("polymarket_orderbook", "polymarket", ["orderbook"], {}, {})
    total = 0
    for n in range(ANSWERS):
        payload = b"[%b]" % b",".join(make_book(random, token) for token in TOKENS)
        total += len(payload)
        run.write(
            Response(
                venue="polymarket",
                feed="orderbook",
                received_at=START + n * 250_000_003,
                seq=run.next_seq("polymarket", "orderbook"),
                method="POST",
                url="https://clob.polymarket.com/books",
                params={},
                status=200,
                headers={"content-type": "application/json", "date": "Sat, 21 Nov 2026 10:15:01 GMT"},
                latency_ms=41.7,
                payload=payload,
                body=b"[%b]" % b",".join(b'{"token_id":"%b"}' % token.encode() for token in TOKENS),
            )
        )
        while not writer.has_room:
            time.sleep(0.001)
    run.close("finished", {}).result()
    return total


def _frames(writer: ArchiveWriter) -> int:
    """Messages of the market socket of about 600 bytes: the payloads' bytes."""
    random = Random(7)
    run = writer.open_run("polymarket_stream", "polymarket", ["stream"], {}, {})
    total = 0
    for n in range(0, FRAMES, FRAMES_PER_ITEM):
        payloads = [make_price_change(random, TOKENS[k % 8]) for k in range(FRAMES_PER_ITEM)]
        total += sum(map(len, payloads))
        run.write(
            Frames(
                venue="polymarket",
                feed="stream",
                connection="c1",
                frames=tuple(
                    (START + number * 1_000_003, run.next_seq("polymarket", "stream"), payload)
                    for number, payload in enumerate(payloads, n)
                ),
            )
        )
        while not writer.has_room:
            time.sleep(0.001)
    run.close("finished", {}).result()
    return total
