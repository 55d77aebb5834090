"""`scrapy soak` on the simulator: it and its collector are killed; for a day under faults as a soak."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.soak.processes import process_stat
from marketarchive.research.soak.page import ACCELERATED
from marketarchive.times import from_iso
from tests.e2e.all_venues import hold_against_truth, schedule
from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, Simulator, command, simulator
from tests.e2e.kalshi_truth import key_settings
from tests.waiting import until

pytestmark = pytest.mark.e2e

START = "2026-11-20T09:58:00Z"
HOURS = float(os.environ.get("SOAK_HOURS", "24"))
SPEED = float(os.environ.get("SOAK_SPEED", "40"))
KILLS = int(os.environ.get("SOAK_KILLS", "6"))
ASSETS = os.environ.get("SOAK_ASSETS", "BTC,ETH")
FOLDER = os.environ.get("SOAK_DIR")
HOUR_S = 3600
PLAN = ("updown", "--durations", "5m", "--no-pages")


@contextmanager
def soaking(venue: Simulator, out: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor, and whatever it leaves behind when it is killed: both are ended by their ids."""
    line = [*SCRAPY, "soak", *words, "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={venue.url}"]
    process = subprocess.Popen(line, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lines(out: Path, *kinds: str) -> list[dict[str, Any]]:
    """The whole lines of the journal, of these kinds."""
    found = "".join(path.read_text() for path in out.glob("soak/*/samples.jsonl"))
    decoded = [json.loads(line) for line in found[: found.rfind("\n") + 1].splitlines()]
    return [line for line in decoded if line["kind"] in kinds]


def test_a_soak_goes_on_after_kills_of_the_collector_and_of_itself(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue:
        try:
            with soaking(venue, out, *PLAN, "--hours", "0.15", "--assets", "BTC") as first:
                [begun] = until(lambda: lines(out, "first_data"))
                os.kill(begun["pid"], signal.SIGKILL)
                again = until(lambda: lines(out, "first_data")[1:])[0]
                assert again["pid"] != begun["pid"]
                first.kill()
                first.wait()
            with soaking(venue, out) as second:
                until(lambda: lines(out, "resumed"))
                assert command("soak", out, "-s", f"SIMULATOR_URL={venue.url}").returncode == 2  # two at once
                assert second.wait(600) == 0
            assert venue.process.poll() is None
        finally:
            for line in lines(out, "child_started"):
                _end(line)
    assert next(iter(lines(out, "child_exited")))["exit_code"] == -signal.SIGKILL
    assert [line["reason"] for line in lines(out, "end")] == ["its hours are over"]
    assert len(lines(out, "reported")) == 1
    [report] = out.glob("reports/soak_test_2026-11-20.md")
    text = report.read_text().splitlines()
    assert text[0] == ACCELERATED
    rows = {row[1].strip(): row[4].strip() for line in text if len(row := line.split("|")) == 8}
    assert rows["verify"] == "0 problems"
    assert rows["unsealed"] == "0 files"
    assert rows["unrecorded"] == "0 s"
    assert 0 < float(rows["restart"].split()[0]) < 600
    assert 0 < float(rows["observed"].split()[0]) < 100  # the restart is no secret


def _end(started: dict[str, Any]) -> None:
    """End a collector that a killed supervisor left, if it is still the same process."""
    stat = process_stat(started["pid"])
    if stat is not None and stat.started_ticks == started["started_ticks"]:
        os.kill(started["pid"], signal.SIGKILL)


def faults(hours: float) -> list[dict[str, Any]]:
    """Each hour of it a fault of every kind that a venue or a network has, one after another."""
    found: list[dict[str, Any]] = []
    socket, prices, books = (
        "ws-subscriptions-clob.polymarket.com/*",
        "ws-live-data*",
        "clob.polymarket.com/books",
    )
    gamma = "gamma-api.polymarket.com/*"
    for hour in range(int(-(-hours // 1))):
        begin = hour * HOUR_S + 300

        def at(first: float, last: float, start: float = begin) -> dict[str, float]:
            return {"from_s": start + first, "to_s": start + last}

        found += [
            {"kind": "ws_close", "route": socket, "count": 1, "from_s": begin},
            {"kind": "status", "route": books, "status": 429, "retry_after": 3, **at(120, 180)},
            {
                "kind": "status",
                "route": gamma,
                "status": 429,
                "retry_after": 3,
                "count": 5,
                "from_s": begin + 120,
            },
            {"kind": "status", "route": gamma, "status": 503, **at(240, 250)},
            {"kind": "ws_stall", "route": socket, "count": 1, "seconds": 15, "from_s": begin + 360},
            {"kind": "ws_half_open", "route": prices, "count": 1, "from_s": begin + 480},
            {"kind": "ws_drop", "route": socket, "event": "price_change", "count": 3, "from_s": begin + 600},
            {"kind": "ws_duplicate", "route": socket, "count": 5, "from_s": begin + 720},
            {"kind": "ws_reorder", "route": socket, "count": 5, "from_s": begin + 840},
            {"kind": "ws_truncate", "route": socket, "count": 2, "from_s": begin + 960},
            {"kind": "ws_wrong_hash", "route": socket, "count": 2, "from_s": begin + 1080},
            {"kind": "ws_unknown_event", "route": socket, "count": 2, "from_s": begin + 1200},
            {"kind": "truncate", "route": gamma, "count": 1, "from_s": begin + 1320},
            {"kind": "html", "route": gamma, "count": 1, "from_s": begin + 1440},
            {
                "kind": "ws_close",
                "route": prices,
                "code": 1006,
                "reason": "",
                "count": 1,
                "from_s": begin + 1560,
            },
            {"kind": "ws_accept_close", "route": socket, "count": 1, "from_s": begin + 1560},
            {
                "kind": "ws_close",
                "route": socket,
                "code": 1006,
                "reason": "",
                "count": 1,
                "from_s": begin + 1680,
            },
            {"kind": "ws_no_snapshot", "route": socket, "count": 1, "from_s": begin + 1680},
        ]
    return found


@pytest.mark.soak  # it needs a machine to itself
@pytest.mark.timeout(12 * HOUR_S)
def test_hours_under_a_full_plan_of_faults(tmp_path: Path) -> None:
    """All venues' streams: what is missing lies in a gap, also where the collector is killed."""
    folder = tmp_path if FOLDER is None else Path(FOLDER).absolute()
    out, truth = folder / "out", folder / "truth"
    words = ("spot", "kalshi", *PLAN, "--hours", str(HOURS), "--kills", str(KILLS), "--assets", ASSETS)
    with simulator(truth, "--speed", str(SPEED), "--start", START) as venue:
        venue.order(*faults(HOURS), *schedule(HOURS * HOUR_S, HOUR_S / 24))
        key = [word for each in key_settings(venue, folder).items() for word in ("-s", "{}={}".format(*each))]
        with soaking(venue, out, *words, *key) as process:
            assert process.wait() == 0
    [report] = out.glob("reports/soak_test_*.md")
    text = report.read_text()
    print(text)
    assert text.startswith(ACCELERATED)
    rows = {row[1].strip(): row[5].strip() for line in text.splitlines() if len(row := line.split("|")) == 8}
    assert {name for name, holds in rows.items() if holds == "NO"} <= {"observed", "uptime"}
    killed = [from_iso(line["at_utc"]) for line in lines(out, "killed")]
    assert len(killed) == KILLS
    hold_against_truth(out, truth, HOURS * HOUR_S, killed)
