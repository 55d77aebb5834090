"""Make `docs/samples`: a minute each of two simulated feeds as an OUTPUT_DIR, small enough to read.

    python -m tests.data.make_samples FOLDER

FOLDER, which must not exist, becomes an OUTPUT_DIR; `docs/samples/README.md` says what is in it. The world is
the same each time (seed 1, 2026-11-20T10:01:00Z); run ids, times of receipt and the order of concurrent lines
differ. It needs rclone, for the upload manifest.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from marketarchive.archive.compress_rows import compress_days
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.recover import recover
from marketarchive.archive.store import Store
from marketarchive.clock import RealClock
from tests.e2e.harness import SCRAPY, crawl, run, simulator

SEED = 1
START = "2026-11-20T10:01:00Z"
KEPT = ("raw", "records", "manifests", "tables")
RUNS = (("polymarket_reference",), ("kalshi_orderbook", "series=KXBTC15M", "interval=10s"))


def make(folder: Path) -> None:
    """Record a minute of two feeds, make their tables, and upload all of it to a folder beside it."""
    with tempfile.TemporaryDirectory() as scratch:
        out, remote = Path(scratch) / "out", Path(scratch) / "remote"
        config = Path(scratch) / "rclone.conf"
        config.write_text(f"[offsite]\ntype = alias\nremote = {remote}\n")
        options = ("--seed", str(SEED), "--start", START, "--speed", "4", "--assets", "BTC")
        with simulator(Path(scratch) / "truth", *options) as world:
            for spider, *arguments in RUNS:
                done = crawl(world.url, out, spider, *arguments, "duration=60s", MASTER_URL="")
                assert done.code == 0, done.log
        store = Store(out, RealClock(), ArchiveConfig(), Files(), Ledger(out, Files()))
        recover(out, store.clock, store.files, store.config)  # enters the day files: their day is over
        days = {path.name[: -len("-2026-11-20.jsonl")] for path in (out / "records").iterdir()}
        assert {each.outcome for each in compress_days(store, tuple(days))} == {"compressed"}
        rclone = ("--rclone-config", str(config))
        for line in (["normalize"], ["offload", "offsite:archive", *rclone], ["verify"]):
            ended = run([*SCRAPY, *line, "-s", f"OUTPUT_DIR={out}"])
            assert ended.returncode == 0, ended
        folder.mkdir()
        for name in KEPT:
            shutil.copytree(out / name, folder / name, ignore=shutil.ignore_patterns("*.lock"))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
