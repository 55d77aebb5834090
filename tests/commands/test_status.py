"""`scrapy status` as a user calls it: on a running archive, an empty one, a damaged one."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from scrapy.cmdline import execute

from marketarchive.archive.ledger import Ledger
from marketarchive.commands.status import size_text, span_text
from tests.archive import museum
from tests.e2e.harness import SCRAPY, Output, crawling, run, simulator, stop
from tests.waiting import until

pytestmark = pytest.mark.process


class Call:
    """Scrapy's own command line, in this process; `out` and `error` are of the last call."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.error = ""

    def __call__(self, *arguments: str) -> int:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            execute(["scrapy", "status", *arguments])
        self.out, self.error = self._capsys.readouterr()
        return int(ended.value.code or 0)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("SCRAPY_PROJECT", "default")
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "settings.base")
    return Call(capsys)


def run_status(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run([*SCRAPY, "status", *options, "-s", f"OUTPUT_DIR={out}"], 300)


def read(call: Call, out: Path, url: str) -> Any:
    assert call("--json", "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}") == 0
    return json.loads(call.out)


def runs(found: Any, state: str) -> list[Any]:
    return [run for run in found["runs"] if run["state"] == state]


def feeds(found: Any) -> dict[str, Any]:
    return {feed["feed"]: feed for feed in found["feeds"]}


BOOKS = ("polymarket_orderbook", "durations=5m", "ahead=10m", "interval=1s", "duration=1h")


def test_a_running_archive_a_killed_run_and_what_recovery_leaves(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", "40") as venue:
        with crawling(venue.url, out, *BOOKS) as killed:
            until(lambda: list(out.glob("records/polymarket_btc-*")))
            killed.kill()
            killed.wait()
        [dead_run] = runs(read(call, out, venue.url), "dead")
        assert dead_run["ended_at_utc"] is None
        venue.order({"kind": "status", "route": "clob.polymarket.com/books", "status": 404, "count": 3})
        with crawling(venue.url, out, *BOOKS) as alive:
            until(
                lambda: (
                    [run["gaps"].get("disconnect") for run in runs(read(call, out, venue.url), "alive")]
                    == [3]
                )
            )
            until(lambda: len(newest_run(out)) > 1)
            found = read(call, out, venue.url)
            text = run_status(out, "-s", f"SIMULATOR_URL={venue.url}")
            [run] = runs(found, "alive")
            tracked = {row["market_id"] for row in newest_run(out)}
            assert 0 < run["markets"] <= len(tracked)
            assert run["pid"] == alive.pid
            assert run["gaps"]["disconnect"] == 3
            book = feeds(found)["orderbook"]
            assert book["segments"] == {"sealed": 0, "recovered": 1, "torn": 1, "open": 1, "moved": 0}
            assert book["last_data_from"] == "file"
            assert -2 < book["age_s"] < 60  # ten simulated seconds are one of the wall
            assert (book["gaps_last_24h"]["crash"], book["gaps_last_24h"]["disconnect"]) == (1, 3)
            stop(alive)
            assert alive.returncode == 0  # status has not disturbed it
        found = read(call, out, venue.url)

    archive = Output(out)
    assert Counter(run["state"] for run in found["runs"]) == {"done": 1, "recovered": 1}
    gaps = Counter(gap["reason"] for gap in archive.gaps())
    assert {reason: counts["all"] for reason, counts in found["gaps"].items()} == gaps
    assert found["totals"]["lines"] == len(archive.lines())
    assert found["totals"]["bytes"] == sum(path.stat().st_size for path in archive.segments())
    assert found["ledger"]["head"] == str(Ledger(out).head())
    [done] = runs(found, "done")
    [manifest] = [each for each in archive.manifests() if each["run"] == done["run"]]
    assert done["markets"] == manifest["summary"]["markets"]["count"]
    assert done["rows"] == sum(each["rows"] for each in manifest["records"])
    with closing(sqlite3.connect(out / "master.db")) as master:
        assert (
            dict(master.execute("SELECT status, count(*) FROM markets GROUP BY status"))
            == (found["master"]["by_status"])
        )

    assert text.returncode == 0
    assert max(len(line.rstrip()) for line in text.stdout.splitlines() if "master.db" not in line) <= 100
    for word in ("1 alive", "1 recovered", "crash", "disconnect", "polymarket/orderbook", "chain intact"):
        assert word in text.stdout


def newest_run(out: Path) -> list[dict[str, Any]]:
    """Rows of the run that wrote last."""
    rows = Output(out).records("polymarket_btc")
    newest = max(row["run"] for row in rows)
    manifests = {each["run"] for each in Output(out).manifests()}
    return [row for row in rows if row["run"] == newest and newest not in manifests]


def test_an_empty_folder_says_what_to_do(call: Call, tmp_path: Path) -> None:
    assert call("-s", f"OUTPUT_DIR={tmp_path}") == 0
    assert "Nothing is archived here yet" in call.out
    assert call("--json", "-s", f"OUTPUT_DIR={tmp_path}") == 0
    assert json.loads(call.out)["state"] == "empty"
    assert not list(tmp_path.iterdir())


def test_a_damaged_ledger_is_exit_code_1(call: Call, tmp_path: Path) -> None:
    museum.build(tmp_path)
    assert call("-s", f"OUTPUT_DIR={tmp_path}") == 0
    museum.edit(museum.ledger(tmp_path), lambda lines: lines[1:])
    assert call("-s", f"OUTPUT_DIR={tmp_path}") == 1
    assert "DAMAGED  manifests/ledger.jsonl line 1" in call.out
    assert call("--json", "-s", f"OUTPUT_DIR={tmp_path}") == 1
    assert json.loads(call.out)["state"] == "damaged"


def test_the_newest_runs_are_listed(call: Call, tmp_path: Path) -> None:
    museum.build(tmp_path)
    assert call("--runs", "1", "-s", f"OUTPUT_DIR={tmp_path}") == 0
    assert "the newest 1 are listed" in call.out
    manifests = [each["run"] for each in Output(tmp_path).manifests()]
    assert sum(run in call.out for run in manifests) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "none: MASTER_URL is empty"),
        ("sqlite:////nonexistent/master.db", "not there yet"),
        ("postgresql://me:secret@127.0.0.1:1/x", "not reachable: market master"),
    ],
)
def test_a_master_that_is_not_there_is_said_and_no_failure(
    call: Call, tmp_path: Path, url: str, said: str
) -> None:
    museum.build(tmp_path)
    assert call("-s", f"OUTPUT_DIR={tmp_path}", "-s", f"MASTER_URL={url}") == 0
    assert said in " ".join(call.out.split())
    assert "secret" not in call.out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["polymarket"], "status takes no argument"),
        (["--runs", "-1"], "is not a number of runs"),
        (["--runs", "all"], "invalid int value"),
        (["-s", "OUTPUT_DIR=/nonexistent"], "there is no folder /nonexistent"),
        (["-s", "MASTER_URL=mysql://x"], "mysql is not supported"),
    ],
)
def test_a_wrong_argument_is_exit_code_2(call: Call, tmp_path: Path, given: list[str], message: str) -> None:
    assert call("-s", f"OUTPUT_DIR={tmp_path}", *given) == 2
    assert message in call.out + call.error


def test_spans_and_sizes_are_short() -> None:
    spans = [
        span_text(seconds) for seconds in (0.4, 59.9, 60, 3599, 3600, 86399, 86400, 40 * 86400, -5, -0.5)
    ]
    assert spans == ["0 s", "59 s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h", "40d00h", "-5 s", "0 s"]
    sizes = [size_text(size) for size in (0, 999, 1000, 12_345, 123_456, 5_000_000_000, 2_500_000_000_000)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "12.3 kB", "123 kB", "5.0 GB", "2.5 TB"]


def test_a_check_is_one_line_of_json(call: Call, tmp_path: Path) -> None:
    museum.build(tmp_path)
    assert call("--check", "-s", "DISK_WARN_FREE_MB=0", "-s", f"OUTPUT_DIR={tmp_path}") == 0
    [line] = call.out.splitlines()
    assert json.loads(line)["ok"] is True
    missing = ("--expect", "polymarket/nothing=1h", "-s", "DISK_WARN_FREE_MB=1000000000")
    assert call("--check", *missing, "-s", f"OUTPUT_DIR={tmp_path}") == 1
    [line] = call.out.splitlines()
    assert [each["kind"] for each in json.loads(line)["problems"]] == ["stale_feed", "disk_low"]
    assert (
        call(
            "--check",
            "--feed",
            "polymarket/nothing",
            "-s",
            "DISK_WARN_FREE_MB=0",
            "-s",
            f"OUTPUT_DIR={tmp_path}",
        )
        == 1
    )
    [stale] = json.loads(call.out)["problems"]
    assert (stale["feed"], stale["limit_s"], stale["age_s"]) == ("nothing", 300, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--check", "--json"), "--check, --watch and --json exclude each other"),
        (("--check", "--expect", "polymarket"), "is not of the form VENUE/FEED=SPAN"),
        (("--check", "--expect", "polymarket/stream"), "is not of the form VENUE/FEED=SPAN"),
        (("--check", "--expect", "polymarket/stream=soon"), "is not a time span"),
        (("--check", "--feed", "stream"), "is not of the form VENUE/FEED"),
        (("--check", "--max-age", "-1"), "is not a time span"),
        (("--watch", "--interval", "0"), "is not a time span"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_a_wrong_option_is_exit_code_2(
    options: tuple[str, ...], said: str, call: Call, tmp_path: Path
) -> None:
    assert call(*options, "-s", f"OUTPUT_DIR={tmp_path}") == 2
    assert said in call.error
