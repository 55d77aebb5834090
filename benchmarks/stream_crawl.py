"""A crawl of one socket as a process of its own, with the project's settings, and what is told of it.

`python -m benchmarks.stream_crawl KIND URL FOLDER [NAME=VALUE ...]`, the last being settings. The spider
is a StreamSpider that only receives (KIND `plain`), or the market channel's that proves books (`checked`).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scrapy.crawler import AsyncCrawlerProcess
from scrapy.utils.project import get_project_settings

from benchmarks.timed_files import SYNCS
from marketarchive.collecting.polymarket.market_stream import MarketStreamSpider, Watched
from marketarchive.collecting.process import Process
from marketarchive.collecting.streams.link import Link
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.streams.websocket import Ending, Message
from marketarchive.items import Market
from marketarchive.venues.endpoint import Endpoint, Limit

ROOT = Path(__file__).parent.parent
LOOK_EVERY = 10_000
"""Frames after which the process looks at its memory."""


@dataclass
class Crawled:
    """`wall` and `cpu` are seconds from the open connection to the sealed archive, `rss_mb` by frames."""

    wall: float
    cpu: float
    peak_rss_mb: float
    rss_mb: list[tuple[int, float]]
    stats: dict[str, Any]
    syncs: list[tuple[str, int, int]]  # see timed_files


class Watching(StreamSpider):
    """Looks at the process while it receives; ends when the other side closes with code 1000."""

    name = "polymarket_stream"
    venue = "polymarket"
    feed = "stream"
    feeds = ("stream",)
    accepts = ()
    heartbeat_s = 10
    answers_heartbeats = False
    keys_per_socket = 100
    keys: Sequence[str] = ("all",)

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.opened_s = self.opened_cpu = 0.0
        self.taken = self.looked = 0
        self.rss_mb: list[tuple[int, float]] = []

    async def prepare(self) -> None:
        self.want(self.keys)

    def subscriptions(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (a hook)
        self.opened_s, self.opened_cpu = time.perf_counter(), time.process_time()
        return ["go"]

    def take(self, link: Link, batch: Sequence[Message]) -> None:
        link.data_at = batch[-1][0]
        if link.waiting:
            self.seen(link, list(link.keys), batch[0][0])
        self.run.stats.inc_value(f"frames/good/{self.feed}", len(batch))
        self.look(len(batch))

    def is_over(self, link: Link, ending: Ending) -> bool:  # noqa: ARG002  (a hook)
        return ending.code == 1000 and not ending.is_ours

    def look(self, count: int) -> None:
        self.taken += count
        if self.taken >= self.looked + LOOK_EVERY:
            self.looked = self.taken
            self.rss_mb.append((self.taken, _rss_mb()))


class Checking(Watching, MarketStreamSpider):
    """The market channel's spider, told its tokens instead of asking the venue for them."""

    async def prepare(self) -> None:
        now = self.run.clock.now_ns()
        market = Market(
            venue=self.venue, feed="markets", received_at=now, seq=1, platform=self.venue, market_id="0x0"
        )
        self.watched = {token: Watched(market, now, now) for token in self.keys}
        self.want(self.keys)

    @property
    def expects_more(self) -> bool:
        return False

    def upkeep(self) -> list[Any]:
        return []

    def new_link(self, keys: Iterable[str]) -> Link:
        return MarketStreamSpider.new_link(self, keys)

    def take(self, link: Link, batch: Sequence[Message]) -> None:
        MarketStreamSpider.take(self, link, batch)
        self.look(len(batch))


def crawl(kind: str, url: str, folder: Path, keys: Sequence[str] = (), **settings: Any) -> Crawled:
    """In a process of its own, on the cores of this one; `folder` is its OUTPUT_DIR."""
    command = [sys.executable, "-m", "benchmarks.stream_crawl", kind, url, str(folder)]
    command += [f"{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        command, cwd=ROOT, input="\n".join(keys), stdout=subprocess.PIPE, text=True, check=True
    )
    return Crawled(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    kind, url, folder, *given = sys.argv[1:]
    spider = {"plain": Watching, "checked": Checking}[kind]
    spider.endpoint = Endpoint("socket", url, Limit("polymarket/socket", 100))
    spider.keys = sys.stdin.read().split() or spider.keys
    settings = get_project_settings()
    settings.setdict(
        {"OUTPUT_DIR": folder, "SIMULATOR_URL": "", "LOG_LEVEL": "ERROR"}
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
