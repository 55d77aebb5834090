"""Fifth pipeline: write markets, results, prices, headlines and cycles to the market master."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import NotConfigured

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.master_settings import master_url, snapshots_kept
from marketarchive.exceptions import MasterError
from marketarchive.invocation import command
from marketarchive.items import Cycle, Headline, Market, PriceSnapshot, Resolution

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

    from marketarchive.archive.run import RunArchive
    from marketarchive.master.feeder import Feeder

logger = logging.getLogger(__name__)


class MarketMasterPipeline:
    """Pipeline that queues items for the market master's writer thread; it never waits and never fails.

    Items that the queue cannot accept are counted; they are in the raw archive.
    """

    def __init__(self, crawler: Crawler, archive: RunArchive, feeder: Feeder, close_timeout_s: float) -> None:
        self._stats = crawler.stats
        self._archive = archive
        self._feeder = feeder
        self._close_timeout_s = close_timeout_s
        self._published: dict[str, int] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MarketMasterPipeline:
        from marketarchive.master.feeder import Feeder  # here: not every command needs SQLAlchemy
        from marketarchive.master.store import MasterStore

        archive = needed_run(crawler).archive
        settings = crawler.settings
        url = master_url(settings)
        if not url:
            raise NotConfigured("MASTER_URL is empty: collecting with files only")
        check_settings(settings)
        store = MasterStore(url, keep=snapshots_kept(settings))
        feeder = Feeder(store, settings.getint("MASTER_QUEUE", 10_000), archive.is_synced)
        return cls(crawler, archive, feeder, settings.getfloat("MASTER_CLOSE_TIMEOUT", 10.0))

    def open_spider(self) -> None:
        self._feeder.start()

    def process_item(self, item: Any) -> Any:
        if isinstance(item, (Market, Resolution, PriceSnapshot, Headline, Cycle)):
            self._feeder.put(item, self._archive.mark())
            self._publish(self.counts())
        return item

    async def close_spider(self) -> None:
        flushed = asyncio.wrap_future(self._archive.flush())
        await asyncio.wait({flushed}, timeout=self._close_timeout_s)
        if flushed.done():
            flushed.exception()  # retrieved, not raised: a failed disk ends the run elsewhere
        counts = await asyncio.to_thread(self._feeder.close, self._close_timeout_s)
        self._publish(counts)
        if skipped := counts.get("rows_skipped"):
            logger.warning(
                "%d rows are not in the market master; they are in raw: run `%s`",
                skipped,
                command("rebuild-master"),
            )

    def counts(self) -> dict[str, int]:
        """Return the numbers of rows written to the master and skipped, journal entries and errors, so far.

        By name: `rows_upserted`, `rows_skipped`, `changes`, `errors`. Scrapy's stats may lag behind them.
        """
        return self._feeder.counts()

    def _publish(self, counts: dict[str, int]) -> None:
        """Add to Scrapy's stats what was written to the master since the last call; for the reactor's thread.

        counts: totals so far, by name.
        """
        for name, value in counts.items():
            if more := value - self._published.get(name, 0):
                self._stats.inc_value(f"master/{name}", more)
        self._published = counts


def check_settings(settings: BaseSettings) -> None:
    """Check MASTER_URL and MASTER_SNAPSHOTS without connecting. Raises ConfigurationError."""
    from marketarchive.master.engine import connect

    snapshots_kept(settings)
    if url := master_url(settings):
        connect(url).dispose()


def prepare_master(settings: BaseSettings) -> None:
    """Create or migrate the master's tables before several crawlers start.

    A MasterError is ignored here: each crawler reports it when it writes.
    """
    from marketarchive.master.engine import open_master

    if url := master_url(settings):
        with suppress(MasterError):
            open_master(url).dispose()
