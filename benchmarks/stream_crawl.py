"""A crawl of one socket as a process of its own, with the project's settings, and what is told of it.

`python -m benchmarks.stream_crawl PARENT KIND URL FOLDER [NAME=VALUE ...]`: PARENT is the process that it
ends with, the last are settings. The spider is a StreamSpider that only receives (KIND `plain`), the market
channel's that proves books (`checked`), or Coinbase's that counts frames and keeps books (`coinbase`).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scrapy.crawler import AsyncCrawlerProcess
from scrapy.utils.project import get_project_settings

from benchmarks.ending import end_with_parent
from benchmarks.timed_files import SYNCS
from marketarchive.collecting.exchange_stream import ExchangeStreamSpider
from marketarchive.collecting.polymarket.due_rounds import DueRounds
from marketarchive.collecting.polymarket.market_stream import PolymarketStreamSpider
from marketarchive.collecting.process import Process
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.streams.websocket import CloseInfo
from marketarchive.items import Connection, Frames, Market
from marketarchive.venues.channel import Session, Update
from marketarchive.venues.coinbase.venue import SOCKETS
from marketarchive.venues.endpoint import Endpoint, Limit
from marketarchive.venues.polymarket.sockets import MARKETS, TOPIC_CHANNEL

ROOT = Path(__file__).parent.parent
LOOK_EVERY = 10_000
"""Frames after which the process looks at its memory."""
DAY_S = 86_400.0
NOTHING_DUE: Mapping[str, Any] = {
    "patience_s": DAY_S,
    "weak_max_s": DAY_S,
    "silent_s": DAY_S,
    "renew_s": None,
    "expects_pong": False,
}
"""Frames made before are dated before the crawl, so they prove nothing of it: no deadline may come."""


@dataclass
class Crawled:
    """`wall` and `cpu` are seconds from the open connection to the sealed archive, `rss_mb` by frames."""

    wall: float
    cpu: float
    peak_rss_mb: float
    rss_mb: list[tuple[int, float]]
    stats: dict[str, Any]
    syncs: list[tuple[str, int, int]]  # see timed_files


class BlindSession:
    """Looks into no message; the first one is the proof of all keys."""

    def __init__(self) -> None:
        self._keys: list[str] = []

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (said once)
        self._keys.extend(keys)
        return ["go"]

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:  # noqa: ARG002  (the sender only sends)
        return []

    def resync(self, keys: Sequence[str]) -> list[str]:  # noqa: ARG002
        return []

    def apply(self, received_at: int, seq: int, payload: bytes, **_: Any) -> list[Update]:  # noqa: ARG002
        first, self._keys = self._keys, []
        return [Update(key, "snapshot", received_at) for key in first]

    def concerned(self, payload: bytes) -> Sequence[str] | None:  # noqa: ARG002
        return None

    def load(self, received_at: int, seq: int, snapshot: Any) -> Update | None:  # noqa: ARG002
        return None

    def drop(self, keys: Iterable[str]) -> None:
        """Do nothing: there are no books."""

    def states(self) -> Iterator[tuple[str, bytes]]:
        return iter(())


class Watching(StreamSpider):
    """Looks at the process while it receives; ends when the other side closes with code 1000."""

    name = "polymarket_stream"
    venue = "polymarket"
    feed = "stream"
    feeds = ("stream",)
    accepts = ()
    channel = replace(TOPIC_CHANNEL, proof="none", heartbeat_s=10.0, **NOTHING_DUE)
    keys: Sequence[str] = ("all",)

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.opened_s = self.opened_cpu = 0.0
        self.taken = self.looked = 0
        self.rss_mb: list[tuple[int, float]] = []

    async def prepare(self) -> None:
        self.subscribe(self.keys)

    def closed_by_venue(self, keys: Sequence[str], ending: CloseInfo) -> None:
        if ending.code == 1000:
            self.unsubscribe(keys)

    def put(self, *things: Any) -> None:
        """Measure from the open connection on, and look at the process after each LOOK_EVERY frames."""
        super().put(*things)
        for each in things:
            if isinstance(each, Frames):
                self.taken += len(each.frames)
                if self.taken >= self.looked + LOOK_EVERY:
                    self.looked = self.taken
                    self.rss_mb.append((self.taken, _rss_mb()))
            elif isinstance(each, Connection) and each.event == "opened":
                self.opened_s, self.opened_cpu = time.perf_counter(), time.process_time()


class Receiving(Watching):
    """Receives, and does no more."""

    def new_session(self) -> Session:
        return BlindSession()


class Checking(Watching, PolymarketStreamSpider):
    """The market channel's spider, given its tokens instead of discovering its markets."""

    channel = replace(MARKETS, **NOTHING_DUE)

    async def prepare(self) -> None:
        market = Market(
            venue=self.venue,
            feed="markets",
            received_at=self.run.clock.now_ns(),
            seq=1,
            platform=self.venue,
            market_id="0x0",
        )
        self.watched = dict.fromkeys(self.keys, market)
        self.due = DueRounds(self)
        self.subscribe(self.keys)

    @property
    def expects_more(self) -> bool:
        return False

    def upkeep(self) -> list[Any]:
        return []


class Exchange(Watching, ExchangeStreamSpider):
    """Coinbase's spider."""

    name = "coinbase_spot"
    venue = "coinbase"
    feed = "spot"
    feeds = ("spot",)
    channel = replace(SOCKETS["advanced"][0], **NOTHING_DUE)
    wire = SOCKETS["advanced"][1]

    async def prepare(self) -> None:
        await ExchangeStreamSpider.prepare(self)


def crawl(kind: str, url: str, folder: Path, keys: Sequence[str] = (), **settings: Any) -> Crawled:
    """In a process of its own, on the cores of this one; `folder` is its OUTPUT_DIR."""
    command = [sys.executable, "-m", "benchmarks.stream_crawl", str(os.getpid()), kind, url, str(folder)]
    command += [f"{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        command, cwd=ROOT, input="\n".join(keys), stdout=subprocess.PIPE, text=True, check=True
    )
    return Crawled(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parent, kind, url, folder, *given = sys.argv[1:]
    end_with_parent(int(parent))
    spider = {"plain": Receiving, "checked": Checking, "coinbase": Exchange}[kind]
    endpoint = Endpoint("socket", url, Limit("polymarket/socket", 100))
    spider.channel = replace(spider.channel, endpoint=endpoint)
    spider.keys = sys.stdin.read().split() or spider.keys
    settings = get_project_settings()
    settings.setdict(
        {"OUTPUT_DIR": folder, "SIMULATOR_URL": "", "LOG_LEVEL": "ERROR", "STREAM_CHECK_SHARE": 1}
        | dict(each.split("=", 1) for each in given),
        "cmdline",
    )
    process = AsyncCrawlerProcess(settings)
    crawler = process.create_crawler(spider)
    process.crawl(crawler)
    process.start()
    done, cpu = time.perf_counter(), time.process_time()
    listening = crawler.spider
    assert isinstance(listening, Watching)
    Process.close_all()
    found = Crawled(
        done - listening.opened_s,
        cpu - listening.opened_cpu,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        listening.rss_mb,
        {name: value for name, value in crawler.stats.get_stats().items() if isinstance(value, (int, float))},
        SYNCS,
    )
    print(json.dumps(asdict(found)))


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
