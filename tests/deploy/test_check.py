"""What the guide has `marketarchive-check` expect: a collector that does not run is reported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.archive.writing import cron
from tests.deploy.units import ROOT
from tests.spiders_under_test import spiders

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "deploy" / "systemd").glob("*.service"))]
START = (
    (ROOT / "docs" / "VPS_DEPLOYMENT.md")
    .read_text("utf-8")
    .partition("\n## 5. Start\n")[2]
    .partition("\n## ")[0]
)
FEED = "stream"


def expected(root: Path) -> list[str]:
    """Type what the guide writes, below `root`; return the options of the check as systemd splits them."""
    (root / "etc" / "marketarchive").mkdir(parents=True)
    lines = re.findall(r"^echo '[^']*' > /etc/marketarchive/.*$", START, re.MULTILINE)
    typed = "\n".join(lines).replace("/etc/", f"{root}/etc/")
    subprocess.run(["bash", "-c", typed], check=True, timeout=60)
    [line] = (root / "etc" / "marketarchive" / "check").read_text().splitlines()
    assert not re.search(r"[\"'\\]", line)
    name, _, value = line.partition("=")
    assert name == "OPTIONS"  # of ExecStart=... status --check $OPTIONS
    return value.split()


def check(archive: Path, *options: str) -> tuple[int, list[dict[str, object]]]:
    """Run `status --check`; return its exit code and the problems that it names."""
    limits = ("-s", "DISK_WARN_FREE_MB=0", "-s", "DISK_STOP_FREE_MB=0", "-s", f"OUTPUT_DIR={archive}")
    words = [sys.executable, "-m", "marketarchive", "status", "--check", *options, *limits]
    environment = {**os.environ, "SCRAPY_PROJECT": "vps"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout)["problems"]


@pytest.mark.process
def test_a_collector_that_does_not_run_is_reported(tmp_path: Path) -> None:
    archive = tmp_path / "pipelines_out"
    cron(archive, feed=FEED)  # ended long ago, with exit code 0
    assert check(archive) == (0, [])
    code, problems = check(archive, *expected(tmp_path))
    assert code == 1
    assert [(each["kind"], each["venue"], each["feed"]) for each in problems] == [
        ("stale_feed", "polymarket", FEED)
    ]


def test_what_is_expected_is_collected() -> None:
    main = {f"{spider.venue}/{spider.feed}" for spider in spiders().values()}
    named = {
        name for path in PAGES for name in re.findall(r"--expect ([a-z]+/[a-z]+)=", path.read_text("utf-8"))
    }
    assert f"polymarket/{FEED}" in named
    assert named <= main
