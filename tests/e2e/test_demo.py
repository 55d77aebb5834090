"""`scrapy demo`: it shows how far it is, and ends at once when its simulator does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, Output, command
from tests.waiting import until

pytestmark = pytest.mark.e2e


def _children(pid: int) -> dict[str, int]:
    """Process ids by command."""
    found = {}
    for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
        if "marketarchive" in words:
            found[words[words.index("marketarchive") + 1]] = int(number)
    return found


def test_it_does_the_main_job_and_says_how_fast_time_ran(tmp_path: Path) -> None:
    done = command("demo", tmp_path, "--no-pages", "--minutes", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    [mean] = re.findall(r"simulated time ran ([0-9.]+) times as\s+fast as the wall", done.stdout)
    assert 0 < float(mean) <= 40
    [out] = tmp_path.glob("demo-*")
    manifests = [each for each in Output(out).manifests() if each.get("spider") == "collect"]
    assert [each["summary"]["exit_code"] for each in manifests] == [0]
    stated = manifests[0]["summary"]["simulated_time"]
    assert 0 < stated["mean_speed"] <= stated["speed_limit"] == 40
    assert list(out.glob("reports/*.html"))


def test_it_ends_when_its_simulator_does(tmp_path: Path) -> None:
    line = [*SCRAPY, "demo", "--no-pages", "--minutes", "60", "-s", f"OUTPUT_DIR={tmp_path}"]
    process = subprocess.Popen(
        line, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until(lambda: list(tmp_path.glob("demo-*/raw/venue=*/feed=stream/**/*.part")))
        children = _children(process.pid)
        os.kill(children["simulate"], signal.SIGKILL)
        told, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "the simulator ended by itself, exit code -9" in told
    assert not Path(f"/proc/{children['collect']}").exists()
    [out] = tmp_path.glob("demo-*")
    assert not list(out.glob("raw/**/*.part"))  # the collectors were asked to end, and sealed
