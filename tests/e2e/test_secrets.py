"""The password in a MASTER_URL reaches neither the screen, nor a log, nor a file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import SCRAPY, Simulator, crawl, run
from tests.master.test_engine import MALFORMED

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("arguments", [["status"], ["rebuild-master"]])
@pytest.mark.parametrize("url", MALFORMED[2:4])
def test_a_malformed_url_is_not_printed(tmp_path: Path, arguments: list[str], url: str) -> None:
    check_not_printed(tmp_path, arguments, url)


@pytest.mark.parametrize("url", MALFORMED[3:6])
def test_nor_by_a_crawl(tmp_path: Path, url: str) -> None:
    check_not_printed(tmp_path, ["crawl", "polymarket_orderbook"], url)


def test_nor_by_a_collection(tmp_path: Path) -> None:
    check_not_printed(tmp_path, ["collect", "--assets", "BTC", "--no-pages"], MALFORMED[4])


def check_not_printed(out: Path, arguments: list[str], url: str) -> None:
    nobody = "http://127.0.0.1:9"  # nothing may be sent to the venue, whatever is wrong
    settings = [f"OUTPUT_DIR={out}", f"MASTER_URL={url}", f"SIMULATOR_URL={nobody}", "LOG_LEVEL=DEBUG"]
    options = [word for setting in settings for word in ("-s", setting)]
    done = run([*SCRAPY, *arguments, *options], 60)
    assert "s3cr3t" not in done.stdout + done.stderr
    assert "MASTER_URL" in done.stdout + done.stderr
    assert done.returncode == 2, done.stderr


def test_a_server_that_is_down_leaves_no_password(world: Simulator, out: Path) -> None:
    url = "postgresql://me:s3cr3t@127.0.0.1:9/none?sslpassword=s3cr3t"
    settings: dict[str, Any] = {"MASTER_URL": url, "MASTER_CLOSE_TIMEOUT": 1, "LOG_LEVEL": "DEBUG"}
    done = crawl(world.url, out, "polymarket_orderbook", "durations=1d", **settings)
    assert done.code == 0, done.log
    assert "market master postgresql+psycopg://me:***@127.0.0.1:9/none cannot be used" in done.log
    assert "s3cr3t" not in done.log
    for path in out.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"s3cr3t" not in (gzip.decompress(data) if path.suffix == ".gz" else data), path
