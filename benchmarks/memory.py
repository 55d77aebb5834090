"""Memory: of a crawl after 10 million frames of a stream, against its first million.

The sender is faster than the archive, so what waits for the disk is part of it. Compared are the highest
resident memory until the first million and until the end; goal: at most a tenth more. The ratio is what is
allowed over what was measured. BENCHMARK_FRAMES=2000000 in the environment makes it shorter.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.result import Result
from benchmarks.sender import at_full_speed, price_changes, sender
from benchmarks.stream import archived
from benchmarks.stream_crawl import crawl

GROWTH = 1.1
BLOCK = 1_000  # different frames, sent again and again
FIRST = 1_000_000
FRAMES = int(os.environ.get("BENCHMARK_FRAMES", "10000000")) // BLOCK * BLOCK


def run() -> Result:
    payloads = price_changes(BLOCK)
    folder = Path(tempfile.mkdtemp(prefix="memory"))
    try:
        with sender(at_full_speed(payloads, FRAMES // BLOCK)) as port:
            crawled = crawl("plain", f"ws://127.0.0.1:{port}/", folder)
        assert archived(folder, payloads) == FRAMES
    finally:
        shutil.rmtree(folder)
    first = max(mb for count, mb in crawled.rss_mb if count <= FIRST)
    last = max(mb for _, mb in crawled.rss_mb)
    return Result(
        name="memory",
        value=round(last, 1),
        unit="MB (highest; less is better)",
        baseline=round(first, 1),
        ratio=GROWTH * first / last,
        goal=1.0,
        packages=("scrapy", "picows", "isal"),
        more={
            "frames": FRAMES,
            "growth": round(last / first, 3),
            "rss_mb": {
                str(mark): round(next(mb for count, mb in crawled.rss_mb if count >= mark), 1)
                for mark in range(FIRST, FRAMES, max(FIRST, FRAMES // 5))
            },
            "peak_rss_mb": round(crawled.peak_rss_mb, 1),
            "frames_per_s": round(FRAMES / crawled.wall),
        },
    )
