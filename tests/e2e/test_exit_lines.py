"""A process that fails says why in its last line, whatever LOG_LEVEL is."""

from __future__ import annotations

import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import SCRAPY, Done, Output, Simulator, crawl, run

pytestmark = pytest.mark.e2e

SILENT: dict[str, Any] = {"LOG_LEVEL": "CRITICAL", "REQUEST_ATTEMPTS": 1}


@contextmanager
def dead_port(world: Simulator) -> Iterator[str]:
    """An address that tells the simulator's time once; then nobody listens there any more."""

    class Once(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.socket.close()
            with urllib.request.urlopen(f"{world.url}{self.path}", timeout=60) as answer:
                body = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
            pass

    server = HTTPServer(("127.0.0.1", 0), Once)
    answering = threading.Thread(target=server.handle_request)
    answering.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        answering.join()
        server.server_close()


def check_last_line(done: Done, spider: str, code: int, cause: str) -> None:
    assert done.code == code, done.log
    [manifest] = (done.out.root / "manifests").glob("*.json")
    expected = rf"crawl: {spider}: {cause}; exit code {code}; manifest {re.escape(str(manifest))}"
    assert re.fullmatch(expected, done.log.splitlines()[-1]), done.log[-2000:]
    assert done.out.manifest()["summary"]["exit_cause"]


@pytest.mark.parametrize("logging", [{}, SILENT, {"LOG_ENABLED": False}])
def test_a_dead_port(world: Simulator, out: Path, logging: dict[str, Any]) -> None:
    with dead_port(world) as url:
        done = crawl(url, out, "polymarket_markets", "assets=BTC", **{**SILENT, **logging})
    cause = (
        "nothing collected in feed markets though due: no usable answer from gamma-api.polymarket.com: "
        r"Connection was refused.* after 1 attempts?, \d+ requests? failed"
    )
    check_last_line(done, "polymarket_markets", 1, cause)


def test_a_feed_that_collected_nothing(world: Simulator, out: Path) -> None:
    with world.ordered({"kind": "status", "route": "clob.polymarket.com/*", "status": 500}):
        done = crawl(world.url, out, "polymarket_orderbook", "durations=1d", **SILENT)
    cause = (
        "nothing collected in feed orderbook though due: no usable answer from clob.polymarket.com: "
        r"status 500 after 1 attempts?, \d+ requests? failed"
    )
    check_last_line(done, "polymarket_orderbook", 1, cause)


def test_a_venue_that_refuses(world: Simulator, out: Path) -> None:
    with world.ordered({"kind": "status", "route": "*", "status": 403}):
        done = crawl(world.url, out, "polymarket_markets", "assets=BTC", **SILENT)
    cause = "gamma-api.polymarket.com refuses us: status 403 after 1 attempts?"
    check_last_line(done, "polymarket_markets", 4, cause)


def test_a_spider_that_fails(world: Simulator, out: Path) -> None:
    modules = "marketarchive.spiders,tests.e2e.failing_spiders"
    done = crawl(world.url, out, "polymarket_trades", SPIDER_MODULES=modules, **SILENT)
    cause = "an unhandled exception in the spider: RuntimeError: this one always fails"
    check_last_line(done, "polymarket_trades", 1, cause)


def test_markets_that_do_not_exist(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "polymarket_orderbook", "markets=no-such-market", **SILENT)
    check_last_line(done, "polymarket_orderbook", 1, "none of the markets in markets= exists")


def test_a_full_disk(world: Simulator, out: Path) -> None:
    files = "tests.archive.faulty_files.Stuck"
    done = crawl(
        world.url, out, "polymarket_orderbook", "durations=1d,4h", "interval=1s",
        ARCHIVE_FILES=files, ARCHIVE_STALL_S=2, **SILENT,
    )  # fmt: skip
    assert done.code == 3, done.log
    last = done.log.splitlines()[-1]
    assert last.startswith("crawl: polymarket_orderbook: the disk has not taken a write for"), done.log
    assert re.search(r"exit code 3; \S+\.json could not be written: the next start does it$", last)


def test_a_run_that_ends_well_says_nothing(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "polymarket_orderbook", "durations=1d", **SILENT)
    assert (done.code, done.log) == (0, "")


def collect(url: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    settings = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}", "-s", "LOG_LEVEL=CRITICAL"]
    return run([*SCRAPY, "collect", "--assets", "BTC", "--no-pages", "--duration", "60", *settings, *options])


def test_a_collection_names_the_feeds_to_which_its_exit_code_is_due(world: Simulator, out: Path) -> None:
    with dead_port(world) as url:
        done = collect(url, out)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    found = re.fullmatch(
        r"collect: (\w+): nothing collected in feed .* no usable answer from \S+\.polymarket\.com: "
        r".*; exit code 1; manifest (\S+)",
        last,
    )
    assert found, done.stderr
    manifest = Output(out).root / "manifests" / Path(found[2]).name
    assert str(manifest) == found[2]
    assert manifest.name.startswith(f"{found[1]}-")
    assert manifest.exists()


def test_a_collection_on_a_full_disk(world: Simulator, out: Path) -> None:
    files = "ARCHIVE_FILES=tests.archive.faulty_files.Stuck"
    done = collect(world.url, out, "-s", files, "-s", "ARCHIVE_STALL_S=2")
    assert done.returncode == 3, done.stderr
    *_, before, last = done.stderr.splitlines()
    for line in (before, last):
        assert re.match(r"collect: [\w ]+: the disk (has not taken|takes no)", line), done.stderr
    assert last.startswith("collect: the collection: ")
    assert re.search(r"exit code 3; \S+collect-\S+\.json could not be written: the next start does it$", last)
    assert "not sealed" in done.stderr
