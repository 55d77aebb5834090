"""Make `tests/data/archive-0.1.0`: a small archive as version 0.1.0 writes it (raw schema 1).

    python -m tests.data.make_archive_0_1_0 FOLDER

FOLDER, which must not exist, becomes an OUTPUT_DIR, and FOLDER.digests.json says what its tables, labels and
canonical dataset hold. The one that is kept was made by version 0.1.0, and no later version can make it
again: that is what it is for. Run this to see how it was made, or to make one of a later version. It is the
same each time in structure, not in bytes: run ids, times of receipt and the order of concurrent lines differ.

It records the simulated venues over midnight, where the rule of the rounds changes: two rules, two UTC days,
and two hours in a quarter of an hour.

- `polymarket_stream`, with rows each second, over two whole rounds of BTC, 5 minutes each. Its socket is cut
  once, so that a gap with reason disconnect is recorded
- `polymarket_orderbook` beside it, every 30 s
- `polymarket_reference` in three runs, each for 40 s around a boundary of the two rounds
- `polymarket_markets`, which leaves the files in discovery/, `polymarket_trades` and
  `polymarket_resolutions`, once each
- `scrapy collect` for some seconds with all its feeds: runs that belong together, and Chainlink's pages if
  this machine has a Chromium
- `polymarket_stream` again, ended by SIGKILL while it wrote. Nothing has worked on the archive since: the
  `.part` files and the lock of that run lie there as they were left. Only master.db got its write-ahead log
  back, to be one file
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from marketarchive.times import SECOND, from_iso
from tests.data.digests import digests_of, write_digests
from tests.e2e.harness import (
    ENVIRONMENT,
    ROOT,
    SCRAPY,
    Simulator,
    crawl,
    crawl_command,
    crawling,
    simulator,
)
from tests.waiting import until

SPEED = 6
START = "2026-08-06T23:54:25Z"
FIRST, LENGTH = from_iso("2026-08-06T23:55:00Z") // SECOND, 300
"""The first round's start and the rounds' length, Unix seconds."""
BOUNDARIES = (FIRST, FIRST + LENGTH, FIRST + 2 * LENGTH)
ROUNDS = ("assets=BTC", "durations=5m")
FOLLOWED = (*ROUNDS, "ahead=2m")
WATCHED_S = 640
"""From the start until some seconds after the end of the second round."""
REFERENCE_S = 40
COLLECTED_S = 30
KILLED_AFTER_S = 24
CUT = {
    "kind": "ws_close",
    "route": "ws-subscriptions-clob.polymarket.com/*",
    "code": 1006,
    "reason": "",
    "from_s": 200,
    "count": 1,
}
"""In the middle of the first round."""


def make(out: Path) -> None:
    """Record the archive into the new folder `out`."""
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        faults = Path(folder) / "faults.json"
        faults.write_text(json.dumps([CUT]))
        options = ("--speed", str(SPEED), "--start", START, "--faults", str(faults))
        with simulator(Path(folder) / "truth", *options) as venue:
            _watch(venue, out)
            _finish(venue, out, "polymarket_resolutions", *ROUNDS, "since=20m")
            _collect(venue, out)
            _kill(venue, out)
    _close_master(out / "master.db")


def _watch(venue: Simulator, out: Path) -> None:
    """Record the two rounds."""
    stream = crawl_command(
        venue.url, out, "polymarket_stream", *FOLLOWED, "interval=1s", f"duration={WATCHED_S}"
    )
    books = crawl_command(
        venue.url, out, "polymarket_orderbook", *FOLLOWED, "interval=30s", f"duration={WATCHED_S}"
    )
    with _running(stream, books):
        slugs = ",".join(f"btc-updown-5m-{start}" for start in BOUNDARIES)
        for boundary in BOUNDARIES:
            venue.wait_until(boundary - REFERENCE_S / 2)
            _finish(venue, out, "polymarket_reference", f"duration={REFERENCE_S}")
            if boundary == FIRST:
                _finish(venue, out, "polymarket_markets", f"markets={slugs}")
                venue.wait_until(FIRST + LENGTH / 2)
                _finish(venue, out, "polymarket_trades", *FOLLOWED)


@contextmanager
def _running(*commands: Sequence[str]) -> Iterator[None]:
    """Run commands beside the block; at its end they must end well by themselves."""
    running = [subprocess.Popen(each, cwd=ROOT, env=ENVIRONMENT) for each in commands]
    try:
        yield
        codes = [process.wait(120) for process in running]
        assert not any(codes), codes
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()


def _finish(venue: Simulator, out: Path, spider: str, *arguments: str) -> None:
    done = crawl(venue.url, out, spider, *arguments)
    assert done.code == 0, done.log[-3000:]


def _collect(venue: Simulator, out: Path) -> None:
    places = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={venue.url}"]
    rounds = ["--assets", "BTC", "--durations", "5m", "--duration", str(COLLECTED_S)]
    with _running([*SCRAPY, "collect", *places, *rounds]):
        pass


def _kill(venue: Simulator, out: Path) -> None:
    """Start the stream once more, and kill it when it has written for a while."""
    with crawling(venue.url, out, "polymarket_stream", *FOLLOWED, "interval=1s") as process:
        until(lambda: list(out.glob("raw/venue=*/feed=stream/**/*.part")))
        venue.wait_until(venue.now_s() + KILLED_AFTER_S)
        assert process.poll() is None, "it ended by itself"
        process.kill()


def _close_master(path: Path) -> None:
    """Write what the killed run left in the log into the file, without the room of deleted rows."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("VACUUM")
    connection.close()  # the last one, which removes the log


def digest(out: Path) -> None:
    """Write the digests of the archive beside it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(out, Path(folder) / "archive"))
        write_digests(out.with_name(f"{out.name}.digests.json"), digests_of(copy))


if __name__ == "__main__":
    made = Path(sys.argv[1]).absolute()
    make(made)
    digest(made)
