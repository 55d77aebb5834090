"""Scrapy's own commands in this project: each works, or says in one sentence why not; none archives."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import SCRAPY, Simulator, run, simulator
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.process

PLAIN_SPIDER = """
import scrapy


class Plain(scrapy.Spider):
    name = "plain"
    start_urls = ["URL"]

    def parse(self, response):
        yield {"answered": response.json()}
"""
ARCHIVE_SPIDER = """
from marketarchive.spiders.polymarket_markets import PolymarketMarkets


class Mine(PolymarketMarkets):
    name = "mine"
"""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("truth"), "--start", "2026-11-20T10:01:00Z") as running:
        yield running


def scrapy(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = run([*SCRAPY, *arguments, "-s", f"OUTPUT_DIR={out}"], PATIENCE_S, **environment)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert not out.exists(), "it opened an archive"
    return done


def refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    """In one sentence, below the usage that Scrapy prints with each wrong argument."""
    assert done.returncode == 2, done.stderr
    usage, _, said = done.stderr.partition(": error: ")
    assert sentence in said
    assert said.count("\n") == 1, "more than one sentence"
    assert "Usage" in usage


def book_url(venue: Simulator) -> str:
    return f"{venue.url}/clob.polymarket.com/time"


def test_fetch_prints_the_answer_of_a_simulated_url(venue: Simulator, out: Path) -> None:
    done = scrapy(out, "fetch", "--nolog", book_url(venue))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()
    assert done.stderr == ""
    told = scrapy(out, "fetch", "--nolog", "--headers", book_url(venue))
    assert "< Server: cloudflare" in told.stdout
    logged = scrapy(out, "fetch", book_url(venue)).stderr
    assert "] WARNING:" not in logged
    assert "] ERROR:" not in logged


def test_shell_shows_the_answer_of_a_simulated_url(venue: Simulator, out: Path) -> None:
    done = scrapy(out, "shell", "--nolog", book_url(venue), "-c", "(response.status, response.text)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(200, '")


def test_view_opens_the_answer_in_a_browser(venue: Simulator, out: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    done = scrapy(out, "view", "--nolog", book_url(venue), BROWSER=f"{browser} %s")
    assert done.returncode == 0, done.stderr
    shown = Path(opened.read_text().strip().removeprefix("file://"))
    assert shown.read_text().strip().isdigit()
    shown.unlink()


def test_bench_runs(out: Path) -> None:
    done = scrapy(out, "bench", "-s", "CLOSESPIDER_PAGECOUNT=1")
    assert done.returncode == 0, done.stderr
    assert "'downloader/response_status_count/200'" in done.stderr
    assert "] ERROR:" not in done.stderr


def test_check_finds_no_contracts(out: Path) -> None:
    done = scrapy(out, "check")
    assert done.returncode == 0, done.stderr
    assert done.stderr.split()[-1] == "OK"


def test_runspider_runs_a_spider_that_is_not_of_the_archive(
    venue: Simulator, out: Path, tmp_path: Path
) -> None:
    spider, rows = tmp_path / "plain_one.py", tmp_path / "x.jsonl"
    spider.write_text(PLAIN_SPIDER.replace("URL", book_url(venue)))
    done = scrapy(out, "runspider", str(spider), "-O", str(rows))
    assert done.returncode == 0, done.stderr
    assert rows.read_text().startswith('{"answered": ')
    assert "] WARNING:" not in done.stderr
    assert "] ERROR:" not in done.stderr


def test_runspider_leaves_spiders_of_the_archive_to_crawl(out: Path, tmp_path: Path) -> None:
    spider = tmp_path / "mine_one.py"
    spider.write_text(ARCHIVE_SPIDER)
    refused(
        scrapy(out, "runspider", str(spider)), f"crawl mine -s OUTPUT_DIR={out}`, which seals what it writes"
    )


def test_parse_is_refused(out: Path) -> None:
    done = scrapy(out, "parse", "--spider", "polymarket_markets", "-c", "parse", "https://example.com/")
    refused(done, f"fetch URL -s OUTPUT_DIR={out}` or `")


@pytest.mark.parametrize("command", ["fetch", "shell", "view"])
def test_a_spider_for_one_url_is_refused(command: str, out: Path) -> None:
    done = scrapy(out, command, "--spider", "polymarket_markets", "http://127.0.0.1:9/")
    refused(
        done, f"{command} does not support --spider: spiders of the archive send only requests of their own"
    )


def test_edit_opens_the_editor(out: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\necho "$1" > {told}\n')
    editor.chmod(0o755)
    done = scrapy(out, "edit", "polymarket_markets", EDITOR=str(editor))
    assert done.returncode == 0, done.stderr
    assert told.read_text().strip().endswith("polymarket_markets.py")
    missing = scrapy(out, "edit", "polymarket_markets", EDITOR=str(tmp_path / "none"))
    refused(missing, "cannot be started: No such file or directory; set the environment variable EDITOR")


def test_settings_version_and_list(out: Path) -> None:
    assert scrapy(out, "settings", "--get", "BOT_NAME").stdout == "marketarchive\n"
    assert "Twisted" in scrapy(out, "version", "-v").stdout
    assert "polymarket_stream" in scrapy(out, "list").stdout.split()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
