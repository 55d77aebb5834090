from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.test import get_crawler

from marketarchive.exceptions import ConfigurationError, MasterError
from marketarchive.items import Gap
from marketarchive.master.feeder import BATCH, Feeder
from marketarchive.master.store import MasterStore
from marketarchive.pipelines.market_master import MarketMasterPipeline
from marketarchive.scope import Scope
from tests.master.markets import market, priced, resolved
from tests.waiting import until


class AnySpider(Spider):
    name = "any"


class Archive:
    """The part of a run's archive that the master looks at; the disk has all at once, or when it is told."""

    def __init__(self) -> None:
        self.marks = 0
        self.synced: float = float("inf")

    def mark(self) -> int:
        self.marks += 1
        return self.marks

    def is_synced(self, mark: int) -> bool:
        return mark <= self.synced

    def flush(self) -> Future[None]:
        future: Future[None] = Future()
        future.set_result(None)
        return future


def pipeline(
    tmp_path: Path, archive: Archive | None = None, /, **settings: Any
) -> tuple[MarketMasterPipeline, Crawler]:
    crawler = get_crawler(AnySpider, {"OUTPUT_DIR": str(tmp_path), **settings})
    crawler.archive_run = SimpleNamespace(archive=archive or Archive())  # type: ignore[attr-defined]
    made = MarketMasterPipeline.from_crawler(crawler)
    made.open_spider()
    return made, crawler


def stats(crawler: Crawler) -> dict[str, int]:
    assert crawler.stats is not None
    found = crawler.stats.get_stats()
    return {
        name.removeprefix("master/"): value for name, value in found.items() if name.startswith("master/")
    }


def rows(tmp_path: Path, what: str = "market_id, title") -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(tmp_path / "master.db")
    found = connection.execute(f"SELECT {what} FROM markets ORDER BY market_id").fetchall()
    connection.close()
    return found


async def test_items_reach_the_master_and_go_on(tmp_path: Path) -> None:
    made, crawler = pipeline(tmp_path)
    items = [market(0, title="a"), priced(1), resolved(2, resolution="Up")]
    assert [made.process_item(item) for item in items] == items
    gap = Gap("polymarket", "markets", 1, 1, 1, None, Scope("polymarket", "markets"), "stall", "unknown")
    assert made.process_item(gap) is gap
    await made.close_spider()
    assert rows(tmp_path, "market_id, title, resolution") == [("0xabc", "a", "Up")]
    assert stats(crawler) == {"rows_upserted": 3, "changes": 7}


def test_without_a_master_only_files_are_written(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="files only"):
        pipeline(tmp_path, MASTER_URL="")


@pytest.mark.parametrize(
    "settings", [{"MASTER_URL": "nonsense"}, {"MASTER_SNAPSHOTS": "some"}], ids=["url", "snapshots"]
)
def test_a_wrong_setting_ends_the_run_before_anything_is_sent(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError):
        pipeline(tmp_path, **settings)


async def test_a_locked_master_delays_nothing_and_gets_everything_when_unlocked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, crawler = pipeline(tmp_path)
    made.process_item(market(0))
    until(lambda: made.counts().get("rows_upserted") == 1)
    other = sqlite3.connect(tmp_path / "master.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.perf_counter()
    for t in range(1, 1001):
        made.process_item(market(t, market_id=f"m{t:04}"))
    assert time.perf_counter() - begun < 1.0
    until(lambda: made.counts().get("errors", 0) >= 2)
    other.execute("ROLLBACK")
    other.close()
    await made.close_spider()
    assert len(rows(tmp_path)) == 1001
    assert stats(crawler)["rows_upserted"] == 1001
    assert "rows_skipped" not in stats(crawler)
    assert len([record for record in caplog.records if "database is locked" in record.message]) == 1


async def test_rows_beyond_the_queue_and_beyond_the_time_to_close_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = set(threading.enumerate())
    made, crawler = pipeline(tmp_path, MASTER_QUEUE=10, MASTER_CLOSE_TIMEOUT=0.3)
    made.process_item(market(0))
    until(lambda: made.counts().get("rows_upserted") == 1)
    threads = [each for each in threading.enumerate() if each not in others and each.name == "market-master"]
    assert len(threads) == 1
    other = sqlite3.connect(tmp_path / "master.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for t in range(1, 101):
        made.process_item(market(t, market_id=f"m{t}"))
    begun = time.perf_counter()
    await made.close_spider()
    assert time.perf_counter() - begun < 2
    for thread in threads:
        thread.join(10)
    other.execute("ROLLBACK")
    other.close()
    assert stats(crawler)["rows_upserted"] == 1
    assert stats(crawler)["rows_skipped"] == 100
    assert "100 rows are not in the market master" in caplog.text
    assert not any(thread.is_alive() for thread in threads)
    assert len(rows(tmp_path)) == 1


async def test_a_closing_pipeline_leaves_the_loop_free(tmp_path: Path) -> None:
    made, crawler = pipeline(
        tmp_path, MASTER_URL=f"sqlite:////proc/{tmp_path.name}/master.db", MASTER_CLOSE_TIMEOUT=0.5
    )
    made.process_item(market(0))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(others())
    await made.close_spider()
    task.cancel()
    assert turns > 10
    assert stats(crawler)["rows_skipped"] == 1
    assert stats(crawler)["errors"] >= 1


async def test_what_raw_does_not_have_yet_is_not_in_the_master(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = Archive()
    archive.synced = 1
    made, crawler = pipeline(tmp_path, archive, MASTER_CLOSE_TIMEOUT=0.3)
    for t, name in enumerate(("synced", "written", "too late")):
        made.process_item(market(t, market_id=name))
    until(lambda: made.counts().get("rows_upserted") == 1)
    assert rows(tmp_path, "market_id") == [("synced",)]
    archive.synced = 2
    until(lambda: made.counts().get("rows_upserted") == 2)
    await made.close_spider()
    assert rows(tmp_path, "market_id") == [("synced",), ("written",)]
    assert stats(crawler)["rows_skipped"] == 1
    assert "1 rows are not in the market master" in caplog.text


async def test_a_deleted_master_is_begun_anew(tmp_path: Path) -> None:
    made, _ = pipeline(tmp_path)
    made.process_item(market(0, market_id="before"))
    until(lambda: made.counts().get("rows_upserted") == 1)
    (tmp_path / "master.db").unlink()
    made.process_item(market(1, market_id="after"))
    await made.close_spider()
    assert rows(tmp_path, "market_id") == [("after",)]


class Refusing(MasterStore):
    """Cannot store one market, as a database that does not take a value."""

    def write(self, observations: Any, states: Any = ()) -> Any:
        if any(observation.market_id == "bad" for observation in observations):
            raise ValueError("out of range")
        return super().write(observations, states)


def test_one_item_that_cannot_be_stored_does_not_take_others_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    feeder = Feeder(Refusing(f"sqlite:///{tmp_path}/master.db"), 1000, Archive().is_synced)
    for name in ("a", "bad", "b", "bad"):
        feeder.put(market(0, market_id=name), 1)
    feeder.start()
    assert feeder.close(10) == {"rows_upserted": 2, "changes": 0, "errors": 2, "rows_skipped": 2}
    assert rows(tmp_path, "market_id") == [("a",), ("b",)]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "the market master cannot store a Market: out of range"
    ]


class Failing(MasterStore):
    """Fails so many times first."""

    def __init__(self, url: str, times: int) -> None:
        super().__init__(url)
        self.times = times

    def write(self, observations: Any, states: Any = ()) -> Any:
        if self.times:
            self.times -= 1
            raise MasterError("down")
        return super().write(observations, states)


def test_a_master_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    feeder = Feeder(Failing(f"sqlite:///{tmp_path}/master.db", times=3), 10_000, Archive().is_synced)
    feeder.start()
    for t in range(BATCH + 100):
        feeder.put(market(t, market_id=f"m{t}"), t)
    until(lambda: feeder.counts().get("rows_upserted", 0) == BATCH + 100)
    assert feeder.close(1)["errors"] == 3
