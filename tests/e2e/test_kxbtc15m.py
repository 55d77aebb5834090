"""The record of 15-minute rounds on the simulator, as its user makes it: against what was true."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.collecting.together.claim import PID_FILE, running
from marketarchive.times import SECOND, from_iso, iso
from tests.e2e.collectors import BOUND_S
from tests.e2e.harness import (
    ENVIRONMENT,
    ROOT,
    SCRAPY,
    Done,
    Simulator,
    Told,
    command,
    crawl,
    crawling,
    simulator,
)
from tests.e2e.kalshi_truth import key_settings
from tests.simulator.kalshi.requesting import venue
from tests.waiting import until

pytestmark = pytest.mark.e2e

START = from_iso("2026-11-21T10:14:20Z")
CLOSE = from_iso("2026-11-21T10:30:00Z") // SECOND
SERIES = "KXBTC15M"


@contextmanager
def quick(folder: Path, start: int, speed: int = 40) -> Iterator[Simulator]:
    with simulator(folder, "--speed", str(speed), "--start", iso(start)) as running:
        yield running


def lines_of(folder: Path, series: str = SERIES) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{series}-*.jsonl"))
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")  # the last may be in the writing
    ]


def check_prices(ticks: list[dict[str, Any]]) -> None:
    """What a tick shows was true within the age that it states and the time of an answer."""
    for tick in ticks:
        if not tick["is_observed"]:
            continue
        at = from_iso(tick["time"]) // SECOND
        each = venue().rounds.make(SERIES, CLOSE)
        shown = []
        for second in range(at - 3, at + 3):
            book = venue().books.at(each, second)
            bid, ask = book.yes_bid, book.yes_ask
            shown.append(tuple(None if level is None else float(level[0]) * 100 for level in (bid, ask)))
        found = (tick["yes_bid"], tick["yes_ask"])
        assert any(found == pytest.approx(one) for one in shown if None not in one) or None in found, tick
        if None not in found:
            assert tick["spread"] == pytest.approx(found[1] - found[0])


def jq(path: Path, question: str) -> Any:
    done = subprocess.run(["jq", "-s", question, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def requests_per_second(done: Done) -> float:
    """Requests of all spiders in each simulated second."""
    for manifest in done.out.manifests():
        if manifest["spider"] == "kalshi_prices":
            return float(manifest["summary"]["requests"]["count"]) / float(manifest["duration_s"])
    raise LookupError("kalshi_prices")


def test_a_round_from_its_open_to_its_settlement(tmp_path: Path, out: Path) -> None:
    with quick(tmp_path / "truth", START) as world:
        done = crawl(world.url, out, "kxbtc15m", "duration=970s", timeout=900)
    assert done.code == 0, done.log
    assert "are left out" in done.log  # there is no key
    lines = lines_of(out / "records")
    true = venue().rounds.make(SERIES, CLOSE)
    of = [line for line in lines if line["ticker"] == true.ticker]
    ticks = [line for line in of if line["type"] == "tick"]
    assert [from_iso(line["time"]) // SECOND for line in ticks] == [*range(CLOSE - 900, CLOSE)]
    assert Counter(line["type"] for line in of) == {
        "market_open": 1,
        "strike_set": 1,
        "tick": 900,
        "settlement": 1,
    }
    for line in ticks:
        is_fresh = line["age_s"] is not None and line["age_s"] <= 2
        assert line["is_observed"] == (is_fresh and set(line["feeds"].values()) != {None}), line
        assert (line["brti"] is None) == (line["brti_venues"] == [])
    assert sum(line["is_observed"] for line in ticks) > 450
    check_prices(ticks)
    [strike] = [line for line in of if line["type"] == "strike_set"]
    assert strike["strike"] == float(str(true.strike))
    assert strike["elapsed_since_open_secs"] < 30  # it is shown a second after the open
    [settled] = [line for line in of if line["type"] == "settlement"]
    assert settled["result"] == true.result
    assert settled["ticks_present"] == 60 - settled["settlement_ticks"].count(None) > 30
    assert settled["expiration_value"] == float(true.final)
    assert settled["avg_brti"] == pytest.approx(float(true.final), rel=2e-4)
    assert requests_per_second(done) < 2
    assert command("verify", out).returncode == 0
    [path] = (out / "records").glob(f"{SERIES}-*.jsonl")
    if shutil.which("jq"):
        assert jq(path, '[.[] | select(.type=="settlement")] | length') == len(
            [line for line in lines if line["type"] == "settlement"]
        )
        assert jq(path, '[.[] | select(.type=="tick") | .spread] | add / length') > 0
    frame = Archive(out).kxbtc15m("2026-11-21")
    assert len(frame) == len(lines)
    assert list(frame.columns[:4]) == ["time", "venue", "market", "market_id"]
    assert frame["market"].tolist() == [
        line["ticker"] for line in sorted(lines, key=lambda line: line["time"])
    ]
    assert frame[frame["type"] == "tick"]["brti"].notna().sum() > 450


def test_with_a_key_ticks_come_from_the_stream(tmp_path: Path, out: Path) -> None:
    def streamed() -> list[dict[str, Any]]:
        return [line for line in lines_of(out / "records") if line.get("source") == "stream"]

    with quick(tmp_path / "truth", START + 60 * SECOND, 20) as world:
        settings = key_settings(world, tmp_path)
        with crawling(world.url, out, "kxbtc15m", **settings) as process:
            until(lambda: len(streamed()) >= 20 or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            assert process.wait(BOUND_S) == 0
    ticks = streamed()
    assert {line["age_source"] for line in ticks} == {"sequence"}
    assert {line["is_trading"] for line in ticks} <= {None, 1}  # the socket does not say it
    assert ticks[-1]["volume"] is not None
    check_prices(ticks)


def test_it_is_kept_in_the_background_through_a_crash(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "record"
    with quick(tmp_path / "truth", START + 120 * SECOND, 10) as world:
        chosen = ("-a", f"output={folder}", "-s", f"SIMULATOR_URL={world.url}")

        def collector(verb: str) -> Told:
            return command("kxbtc15m", out, verb, *chosen)

        def start() -> int:
            """In a process of its own, which leaves the collector behind."""
            line = [*SCRAPY, "kxbtc15m", "start", *chosen, "-s", f"OUTPUT_DIR={out}"]
            return subprocess.run(line, env=ENVIRONMENT, cwd=ROOT, capture_output=True).returncode

        try:
            assert collector("status").stdout.startswith("not running")
            assert start() == 0
            pid = int((folder / PID_FILE).read_text())
            refused = collector("start")
            assert refused.returncode == 2
            assert f"running already, PID {pid}" in refused.stderr
            until(lambda: len(lines_of(folder)) > 20)
            status = collector("status")
            assert status.returncode == 0
            assert f"running, PID {pid}" in status.stdout
            assert f"markets tracked: {venue().rounds.make(SERIES, CLOSE).ticker}" in status.stdout
            os.kill(pid, signal.SIGKILL)
            until(lambda: running(folder) is None)
            assert f"names {pid}, which is gone" in collector("status").stdout
            before = lines_of(folder)
            assert start() == 0
            until(lambda: len(lines_of(folder)) > len(before) + 10)
            assert collector("stop").returncode == 0
            assert collector("status").stdout.startswith("not running\n")
        finally:
            with suppress(ValueError, OSError):
                if running(folder):
                    os.kill(int((folder / PID_FILE).read_text()), signal.SIGKILL)
    lines = lines_of(folder)
    assert lines[: len(before)] == before
    assert Counter(line["type"] for line in lines if line["type"] != "tick") == {
        "market_open": 1,
        "strike_set": 1,
    }
    times = [line["time"] for line in lines if line["type"] == "tick"]
    assert times == sorted(set(times))
    assert len({line["run"] for line in lines}) == 2
    assert command("verify", out).returncode == 0


def test_a_collector_that_does_not_start_tells_its_exit_code(out: Path) -> None:
    done = command("kxbtc15m", out, "start", "-s", "SIMULATOR_URL=http://127.0.0.1:9")
    assert done.returncode == 2
    assert "it ended with exit code 2" in done.stderr


@pytest.mark.soak
@pytest.mark.timeout(7 * 3600)
def test_a_day_has_900_ticks_a_market(tmp_path: Path, out: Path) -> None:
    with quick(tmp_path / "truth", from_iso("2026-11-21T10:14:20Z")) as world:
        done = crawl(world.url, out, "kxbtc15m", "duration=24h", timeout=6 * 3600)
    assert done.code == 0, done.log
    counts = Counter(line["ticker"] for line in lines_of(out / "records") if line["type"] == "tick")
    assert len(counts) >= 96
    assert Counter(list(counts.values())[1:-1]) == {900: len(counts) - 2}
    assert command("verify", out).returncode == 0
