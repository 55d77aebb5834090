"""What of the plan kxbtc15m a user chooses, and who may start it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from scrapy.crawler import Crawler

from marketarchive.collecting.together import claim
from marketarchive.exceptions import ArgumentError
from marketarchive.plans import plans
from marketarchive.plans.kxbtc15m.plan import PLAN, output
from marketarchive.spiders.kxbtc15m import Kxbtc15m
from tests.e2e.harness import SCRAPY, run
from tests.spiders_under_test import project_settings


def feeds(**given: str) -> dict[str, Any]:
    return {feed.spider: feed.arguments for feed in PLAN.feeds(PLAN.arguments(given))}


def test_one_spider_asks_the_venue_and_each_exchange_has_one() -> None:
    found = feeds(series="kxbtc15m,KXDOGE15M")
    assert found["kalshi_prices"] == {"series": "KXBTC15M,KXDOGE15M", "interval": "1s"}
    exchanges = {name: arguments for name, arguments in found.items() if name.endswith("_spot")}
    assert set(exchanges) == {"bitstamp_spot", "coinbase_spot", "gemini_spot", "kraken_spot"}
    assert {arguments["assets"] for arguments in exchanges.values()} == {"BTC"}


def test_a_series_without_an_exchange_has_the_venue_alone() -> None:
    assert set(feeds(series="KXDOGE15M")) == {"kalshi_prices", "kalshi_stream"}


@pytest.mark.parametrize("series", ["KXBTCD", "BTC", ","])
def test_a_series_that_is_none_is_refused(series: str) -> None:
    with pytest.raises(ArgumentError, match="series="):
        PLAN.arguments({"series": series})


def test_where_the_record_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_OUTPUT_DIR", raising=False)
    assert output(PLAN.arguments({})) is None
    (tmp_path / ".env").write_text(f"DATA_OUTPUT_DIR={tmp_path}/a\n")
    assert output(PLAN.arguments({})) == tmp_path / "a"
    monkeypatch.setenv("DATA_OUTPUT_DIR", str(tmp_path / "b"))
    assert output(PLAN.arguments({})) == tmp_path / "b"
    assert output(PLAN.arguments({"output": "c"})) == tmp_path / "c"
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match="is not a folder"):
        PLAN.arguments({"output": "file"})


def test_a_folder_has_one_collector_and_a_dead_ones_pid_is_known(tmp_path: Path) -> None:
    assert claim.running(tmp_path) is None
    (tmp_path / claim.PID_FILE).write_text("4711\n")
    assert claim.running(tmp_path) is None
    assert claim.stale(tmp_path) == 4711
    handle = claim.claim(tmp_path)
    assert claim.running(tmp_path) == os.getpid()
    assert claim.stale(tmp_path) is None
    with pytest.raises(ArgumentError, match=f"running already, PID {os.getpid()}"):
        claim.claim(tmp_path)
    os.close(os.dup(handle))  # another handle of it releases nothing
    assert claim.running(tmp_path) == os.getpid()


def test_only_our_crawl_starts_a_plan_by_its_spider() -> None:
    assert plans()[Kxbtc15m.plan] is PLAN
    with pytest.raises(ArgumentError, match="kxbtc15m is a plan of several spiders: start it with"):
        Kxbtc15m.from_crawler(Crawler(Kxbtc15m, project_settings()))


@pytest.mark.process
def test_other_commands_say_so(tmp_path: Path) -> None:
    done = run([*SCRAPY, "runspider", "marketarchive/spiders/kxbtc15m.py"])
    assert done.returncode == 2
    assert done.stderr.count("kxbtc15m is a plan of several spiders") == 1
    done = run([*SCRAPY, "crawl", "kxbtc15m", "-a", "colour=red", "-s", f"OUTPUT_DIR={tmp_path / 'out'}"])
    assert done.returncode == 2
    assert "kxbtc15m has no argument 'colour'; it takes duration, output, series" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.process
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "records"
    done = run([*SCRAPY, "kxbtc15m", "start", "-a", f"output={folder}", "-s", f"OUTPUT_DIR={tmp_path}"])
    assert done.returncode == 2
    cause = (
        f"kxbtc15m: the folder {folder} cannot be created: Not a directory; name another with -a output=DIR"
    )
    assert done.stderr.startswith(cause)
