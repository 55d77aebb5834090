"""Stream: frames a second from a socket into sealed, synced gzip on one core, against an expert's program.

Ours is a real crawl as a process of its own: the project's settings, socket, spider, pipelines and writer
thread, all on one core, while another process on the other core sends frames of about 600 bytes as fast as
they are taken; measured from the open connection to the sealed archive. The expert's program uses the fastest
library (picows), formats each line by hand, does not check that a payload is JSON, has no thread, counts,
pipelines, ledger or manifest; same codec and level, flushed and synced each second, a member a minute.
`of_bare_loop` compares with loops that only receive and count: what compresses cannot reach the fastest.
`checked` is the market channel's spider, every change applied to its book and proven by its hash.
"""

from __future__ import annotations

import asyncio
import gc
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import picows

from benchmarks.raw_write import PlainFile, stamp_of
from benchmarks.result import Result
from benchmarks.sender import at_full_speed, price_changes, sender
from benchmarks.sockets import CLOSE_TYPE, LIBRARIES, MAX_CONTROL_BYTES
from benchmarks.stream_crawl import Crawled, crawl
from benchmarks.venue_feeds import Feeds
from marketarchive.archive import codec

try:
    from isal import igzip as gzip
except ImportError:  # no wheel for this machine
    import gzip  # type: ignore[no-redef]

GOAL = 0.5
BLOCK, BLOCKS = 1_000, 500  # different frames, sent again and again
FRAMES = BLOCK * BLOCKS
ROUNDS = 3
MEMORY_MB = 400.0
CHECKED_S = 300  # of the venue's time
SEQ = re.compile(rb'"seq":(\d+)')


def run() -> Result:
    payloads = price_changes(BLOCK)
    folder = Path(tempfile.mkdtemp(prefix="stream"))
    ours: list[Crawled] = []
    plain: list[float] = []
    bare: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    gc.collect()
    gc.freeze()
    try:
        with sender(at_full_speed(payloads, BLOCKS)) as port:
            url = f"ws://127.0.0.1:{port}/"
            for _ in range(ROUNDS):
                ours.append(_crawl(url, folder, payloads))
                plain.append(_plain(url, folder))
                for name, receive in LIBRARIES.items():
                    count = asyncio.run(receive(url))
                    assert count.frames == FRAMES
                    bare[name].append(count.done_s - count.requested_s)
        checked = _checked(folder)
    finally:
        gc.unfreeze()
        shutil.rmtree(folder)
    wall = [one.wall for one in ours]
    peak = max(one.peak_rss_mb for one in ours)
    assert peak < MEMORY_MB, f"{peak:.0f} MB: what waits is not bounded"
    assert max(bare["picows"]) < min(wall), "the sender was not faster: nothing is said about what waits"
    return Result(
        name="stream",
        value=FRAMES / statistics.median(wall),
        unit="frames/s",
        baseline=FRAMES / statistics.median(plain),
        ratio=_ratio(plain, wall),
        goal=GOAL,
        packages=("scrapy", "picows", "isal", "msgspec"),
        more={
            "of_bare_loop": {name: round(_ratio(times, wall), 3) for name, times in bare.items()},
            "bare_loop_frames_per_s": {
                name: round(FRAMES / statistics.median(times)) for name, times in bare.items()
            },
            "cpu_us_per_frame": round(statistics.median(one.cpu for one in ours) / FRAMES * 1e6, 2),
            "peak_rss_mb": round(peak),
            "bytes_per_frame": round(sum(map(len, payloads)) / BLOCK),
            "codec": f"{codec.CODEC} {codec.DEFAULT_LEVEL}",
            "checked": checked,
        },
    )


def archived(folder: Path, payloads: Sequence[bytes]) -> int:
    """How many frames there are in sealed segments: `payloads` again and again, each line with its seq."""
    count, seq_next, ahead = 0, 1, set()
    for path in sorted(folder.glob("raw/**/*.jsonl.gz")):
        with gzip.open(path) as file:
            for line in file:
                head, _, payload = line.partition(b',"payload":')
                if (seq := SEQ.search(head)) is not None:
                    ahead.add(int(seq[1]))
                while seq_next in ahead:
                    ahead.remove(seq_next)
                    seq_next += 1
                if head.startswith(b'{"kind":"frame"'):
                    assert payload[:-2] == payloads[count % len(payloads)], f"frame {count} is another one"
                    count += 1
    assert not list(folder.glob("raw/**/*.part")), "not all is sealed"
    assert not ahead, f"seq {seq_next} is missing"
    return count


def _crawl(url: str, folder: Path, payloads: Sequence[bytes]) -> Crawled:
    shutil.rmtree(folder / "ours", ignore_errors=True)
    crawled = crawl("plain", url, folder / "ours")
    assert archived(folder / "ours", payloads) == FRAMES
    return crawled


def _checked(folder: Path) -> dict[str, Any]:
    """Frames with right hashes, as the simulated venue makes them, all checked while they come."""
    feeds = Feeds(CHECKED_S)
    payloads = [payload for _, payload in feeds.stream()]
    with sender(at_full_speed(payloads)) as port:
        crawled = crawl("checked", f"ws://127.0.0.1:{port}/", folder / "checked", feeds.tokens)
    assert archived(folder / "checked", payloads) == len(payloads)
    verdicts = {
        name.removeprefix("books/"): count
        for name, count in crawled.stats.items()
        if name.startswith("books/")
    }
    assert set(verdicts) == {"ok"}, verdicts
    return {
        "frames_per_s": round(len(payloads) / crawled.wall),
        "books_proven_per_s": round(verdicts["ok"] / crawled.wall),
        "cpu_us_per_frame": round(crawled.cpu / len(payloads) * 1e6, 2),
        "frames": len(payloads),
        "books": verdicts,
    }


def _ratio(theirs: Sequence[float], mine: Sequence[float]) -> float:
    return statistics.median(base / own for base, own in zip(theirs, mine, strict=True))


def _plain(url: str, folder: Path) -> float:
    """The expert's program: seconds."""
    (folder / "plain").mkdir(exist_ok=True)
    began, ended = asyncio.run(_record(url, folder / "plain" / "stream.jsonl.gz"))
    return ended - began


async def _record(url: str, path: Path) -> tuple[float, float]:
    class Recorder(picows.WSListener):
        count = 0

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            payload = frame.get_payload_as_bytes()
            if len(payload) <= MAX_CONTROL_BYTES and frame.msg_type is CLOSE_TYPE:
                transport.send_close(picows.WSCloseCode.OK)
                transport.disconnect()
                return
            self.count += 1
            add(
                b'{"kind":"frame","collected_at_utc":"%b","seq":%d,"connection":"c1","payload":%b}\n'
                % (stamp_of(time.time_ns()), self.count, payload)
            )

    file = PlainFile(path)
    add = file.add
    transport, recorder = await picows.ws_connect(Recorder, url)
    began = time.perf_counter()
    transport.send(picows.WSMsgType.TEXT, b"go")
    await transport.wait_disconnected()
    file.close()
    assert isinstance(recorder, Recorder)
    assert recorder.count == FRAMES
    return began, time.perf_counter()
