"""A simulated day of `scrapy collect`, four assets: no missed second, every round reproduced, memory flat;
and hours under faults: every second missed is one that a fault kept back.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from marketarchive.research.labels.label_files import read_labels
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import ENVIRONMENT, ROOT, Output, command, simulator
from tests.e2e.test_collect import ASSETS, collect_command, second
from tests.e2e.test_collect_faults import ROUND_S as FAULT_ROUND_S
from tests.e2e.test_collect_faults import collect_under_faults, judge

pytestmark = pytest.mark.soak  # it needs a machine to itself

SPEED = float(os.environ.get("DAY_SPEED", "40"))
HOURS = float(os.environ.get("DAY_HOURS", "24"))
FAULT_SPEED = float(os.environ.get("FAULT_SPEED", "4"))
FAULT_HOURS = float(os.environ.get("FAULT_HOURS", "2"))
START = "2026-11-20T09:58:00Z"
ROUND_S = 900
GROWTH = 1.1
"""Memory at the end over that after an hour, at most."""


@pytest.mark.timeout(4 * 3600)
def test_a_day_without_a_missed_second(tmp_path: Path) -> None:
    out, seconds = tmp_path / "out", int(HOURS * 3600)
    options = ("--speed", str(SPEED), "--start", START)
    with simulator(tmp_path / "truth", *options) as venue:
        line = collect_command(venue.url, out, "--no-pages", "--duration", str(seconds))
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen(line, cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=log)
        memory = _memory_until_end(process)
        log.close()
        cpu_s = _children_cpu_s()
        assert venue.process.poll() is None, "the simulator did not keep up"
    assert process.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    first = from_iso(START) // SECOND
    whole = range(-(-(first + 120) // ROUND_S) * ROUND_S, (first + seconds) // ROUND_S * ROUND_S)
    figures = {asset: _rows(out, asset, whole) for asset in ASSETS}
    assert command("verify", out).returncode == 0
    done = subprocess.run(
        [*line[:3], "ground-truth", "-s", f"OUTPUT_DIR={out}"], cwd=ROOT, check=False, timeout=1200
    )
    assert done.returncode == 0
    labels = {each.market_id: each for each in read_labels(out)}
    own = [each for each in labels.values() if each.start_ns // SECOND in whole]
    assert len(own) == len(ASSETS) * len(whole) // ROUND_S
    assert {each.verdict for each in own} == {"reproduced"}
    hour = memory[min(len(memory) - 1, round(3600 / seconds * len(memory)))]
    disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    told = {
        "observed_share": figures,
        "rounds_reproduced": len(own),
        "memory_mb": {"after_an_hour": round(hour), "at_the_end": round(memory[-1])},
        "cpu_share_at_speed_1": round(cpu_s / seconds, 4),
        "disk_mb_a_day": round(disk / 1e6 * 86_400 / seconds, 1),
    }
    print(json.dumps(told))
    assert min(figures.values()) > 0.995
    assert memory[-1] <= GROWTH * hour


@pytest.mark.timeout(4 * 3600)
def test_hours_with_faults_are_the_truth_less_them(tmp_path: Path) -> None:
    rounds = round(FAULT_HOURS * 3600 / FAULT_ROUND_S)
    starts = collect_under_faults(tmp_path, rounds, ASSETS, FAULT_SPEED)
    judge(tmp_path, starts, ASSETS)


def _rows(out: Path, asset: str, whole: range) -> float:
    """Each second of `whole` has one row of the round under way; the share that was observed."""
    seen: Counter[int] = Counter()
    of: dict[str, int] = defaultdict(int)
    observed = 0
    for row in Output(out).records(f"polymarket_{asset.lower()}"):
        at = second(row)
        if not row["preopen"] and at in whole:
            seen[at] += 1
            of[row["market_id"]] += 1
            observed += row["is_observed"]
            assert row["market_id"].endswith(f"-15m-{at // ROUND_S * ROUND_S}")
    assert set(seen) == set(whole)
    assert set(seen.values()) == {1}
    assert set(of.values()) == {ROUND_S}
    return observed / len(whole)


def _memory_until_end(process: subprocess.Popen[bytes]) -> list[float]:
    """MB of the process, every two seconds (wall)."""
    found = []
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        found += [int(text.split()[1]) / 1024 for text in status.splitlines() if text.startswith("VmRSS")]
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            continue
    return found


def _children_cpu_s() -> float:
    """Of all children that have ended: the collector is the only one so far."""
    times = os.times()
    return times.children_user + times.children_system
