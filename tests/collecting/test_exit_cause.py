"""Why a run failed, in a sentence: from what it counted and what was logged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from marketarchive.archive.paths import manifest_path
from marketarchive.collecting.exit_cause import Exit, LastException, last_line
from marketarchive.collecting.exit_codes import BLOCKED, DISK, FAILED, FINISHED
from marketarchive.collecting.feed_context import working_for
from marketarchive.collecting.run import Run
from marketarchive.exceptions import DiskError
from marketarchive.items import GapReason
from marketarchive.scope import Scope
from tests.collecting.letters import Letters
from tests.collecting.streams import at_work


def lose(run: Run, reason: GapReason, detail: str, times: int = 1) -> None:
    for _ in range(times):
        now = run.clock.now_ns()
        run.stats.inc_value("requests/failed/stream")
        run.gap(reason, "venue", now, now, Scope(run.spider.venue, run.spider.feed), detail=detail)


async def test_a_feed_that_collected_nothing_names_host_reason_and_count(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        run = spider.run
        run.finish_reason = "finished"
        assert run.exit() == Exit(FINISHED)
        lose(run, "disconnect", "DownloadConnectionRefusedError: Connection was refused.", 12)
        assert run.exit() == Exit(
            FAILED,
            "nothing collected in feed stream though due: no usable answer from "
            "ws-subscriptions-clob.polymarket.com: Connection was refused, lost 12 times",
        )
        run.failures.note_host("stream", "https://clob.polymarket.com/books")
        assert "from clob.polymarket.com: Connection was refused, 12 requests failed" in run.exit().cause
        run.stats.inc_value("frames/good/stream")
        assert run.exit() == Exit(FINISHED)


async def test_a_refusal_names_who_refuses_and_how(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        spider.run.finish_reason = "finished"
        lose(spider.run, "blocked", "status 403")
        ended = spider.run.exit()
    assert ended == Exit(BLOCKED, "ws-subscriptions-clob.polymarket.com refuses us: status 403")


async def test_a_gap_of_our_own_is_no_reason_of_the_venue(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        spider.run.finish_reason = "finished"
        lose(spider.run, "stall", "no message for 60 s")
        lose(spider.run, "missed_tick", "3 ticks")
        assert "no message for 60 s, lost 2 times" in spider.run.exit().cause


async def test_an_exception_is_named_though_nothing_is_logged(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        run = spider.run
        run.finish_reason = "start_error"
        assert run.exit() == Exit(FAILED, "an unhandled exception in the spider")
        logger = logging.getLogger("tests")
        try:
            raise RuntimeError("a\nb")
        except RuntimeError:
            logger.exception("Task failed")
        with working_for("another"):
            logger.error("Not ours", exc_info=ValueError("c"))
        assert run.exit() == Exit(FAILED, "an unhandled exception in the spider: RuntimeError: a b")
        run.finish_reason = "finished"
        run.stats.inc_value("spider_exceptions/count", 2)
        assert run.exit().cause == "2 unhandled exceptions, the last: RuntimeError: a b"
        run.finish_reason = "unknown_markets"
        assert run.exit().cause.startswith("none of the markets in markets= exists")
        run.finish_reason = "closespider_timeout"
        assert run.exit().cause.startswith("it was closed as closespider_timeout")
    assert not any(isinstance(each, LastException) for each in logging.root.handlers)


async def test_a_disk_that_fails_says_what_it_says(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        spider.run.stop_reason = "disk"
        assert spider.run.exit() == Exit(DISK, "the disk failed")
        spider.run.error = DiskError("raw/x: No space left on device")
        assert spider.run.exit() == Exit(DISK, "raw/x: No space left on device")


@pytest.mark.parametrize("is_written", [True, False])
def test_the_last_line_names_feed_cause_code_and_manifest(tmp_path: Path, is_written: bool) -> None:
    name = "polymarket_trades-20261120T100000Z-00000000"
    path = tmp_path / manifest_path(name)
    path.parent.mkdir()
    if is_written:
        path.touch()
    told = last_line("crawl", "polymarket_trades", Exit(FAILED, "one\ntwo."), tmp_path, name)
    where = f"manifest {path}" if is_written else f"{path} could not be written: the next start does it"
    assert told == f"crawl: polymarket_trades: one two; exit code 1; {where}"


def test_without_a_run_there_is_no_manifest(tmp_path: Path) -> None:
    told = last_line("crawl", "polymarket_trades", Exit(DISK, "full"), tmp_path, None)
    assert told.endswith("exit code 3; no run was opened, so there is no manifest")
