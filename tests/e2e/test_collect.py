"""`scrapy collect` as a user runs it: all feeds of four assets in one process."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import subprocess
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.collecting.pages.chromium import check_browser
from marketarchive.exceptions import ConfigurationError
from marketarchive.times import SECOND, from_iso, utc
from tests.e2e.forking import default_signals
from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, Output, command, run, simulator
from tests.spiders_under_test import project_settings
from tests.waiting import until

pytestmark = pytest.mark.e2e

ASSETS = ("BTC", "ETH", "SOL", "XRP")
SPEED = 40
"""With four assets, and with one."""
START = "2026-11-20T10:03:30Z"  # a slow start must not cost the first boundary
NAMES = r"asset|market|left|observed|up bid|ask|spread|chainlink|gaps"
ROUNDS = ("--durations", "5m", "--no-pages")


def collect_command(url: str, out: Path, *options: str) -> list[str]:
    return [*SCRAPY, "collect", "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}", *options]


def collect(url: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs to its end."""
    return run(collect_command(url, out, *options))


def collected(out: Path) -> dict[str, Any]:
    """The manifest of the collection."""
    [path] = (out / "manifests").glob("collect-*.json")
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def second(row: dict[str, Any], name: str = "timestamp") -> int:
    return int(datetime.fromisoformat(row[name]).timestamp())


def resolved(out: Path) -> set[str]:
    """Condition ids of the markets whose outcome the Data API stated."""
    lines = Output(out).lines("resolutions", "response")
    answers = [line["payload"]["data"] for line in lines if line["url"].endswith("/v2/resolutions")]
    return {each["condition_id"] for answer in answers for each in answer if each["status"] == "resolved"}


def _is_of_pause(line: Message) -> bool:
    return line.kind == "gap" and bool(line.envelope["reason"] == "crash")


@dataclass
class Shown:
    """A process on a terminal of its own, and what it wrote there."""

    process: subprocess.Popen[bytes]
    terminal: int
    chunks: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(self.chunks).decode("utf-8", "replace"))

    @property
    def lines(self) -> list[str]:
        """All that stood there at any time, line by line."""
        return re.split(r"[\r\n]+", self.text)

    def resize(self, columns: int) -> None:
        termios.tcsetwinsize(self.terminal, (40, columns))


@contextmanager
def on_terminal(command_line: list[str], columns: int = 110) -> Iterator[Shown]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("COLUMNS", "LINES")}
    environment["TERM"] = "xterm"
    process = subprocess.Popen(
        command_line, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = Shown(process, ours)

    def read() -> None:
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                return
            shown.chunks.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        os.close(ours)


def test_every_second_of_every_asset_has_a_row_of_one_round_over_two_boundaries(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue:
        done = collect(venue.url, out, *ROUNDS, "--duration", "400")
        assert venue.process.poll() is None, "the simulator did not keep up"
    assert done.returncode == 0, done.stderr[-3000:]
    manifest = collected(out)
    for asset in ASSETS:
        primary = [row for row in Output(out).records(f"polymarket_{asset.lower()}") if not row["preopen"]]
        rows_of = Counter(second(row) for row in primary)
        assert set(rows_of.values()) == {1}
        assert sorted(rows_of) == list(range(min(rows_of), max(rows_of) + 1))
        assert len(rows_of) >= 340
        slugs = list(dict.fromkeys(row["market_id"] for row in sorted(primary, key=second)))
        assert len(slugs) == 3
        before = [row for row in Output(out).records(f"polymarket_{asset.lower()}") if row["preopen"]]
        assert sum(row["market_id"] == slugs[-1] for row in before) >= 60, (
            "followed a minute before it opened"
        )
        assert {row["condition_id"] for row in primary if row["market_id"] == slugs[0]} <= resolved(out)
        prices = [row for row in Output(out).records("reference_chainlink") if row["asset"] == asset]
        seconds = [second(row, "tick_at") for row in prices]
        assert seconds == list(range(seconds[0], seconds[0] + len(prices)))
        assert sum(row["is_observed"] for row in prices) >= 300
    runs = manifest["summary"]["runs"]
    assert Counter(run["spider"] for run in runs) == {
        "polymarket_stream": 1,
        "polymarket_reference": 1,
        "polymarket_trades": 1,
        "polymarket_resolutions": 2,  # the last one is a pass at the end
    }
    for each in runs:
        own = json.loads((out / each["manifest"]).read_text())
        assert own["settings"]["COLLECT_RUN"] == manifest["run"]
        assert own["summary"]["exit_code"] == each["exit_code"] == 0
    assert manifest["exit_reason"] == "duration"
    assert manifest["arguments"]["assets"] == list(ASSETS)
    told = [line for line in done.stderr.splitlines() if line.startswith("collect: ")]
    assert f"written to {out}" in "".join(told[-8:]), "a summary at the end"
    assert any(re.match(r"collect: BTC 5m: 3 rounds, observed \d+ of \d+ s", line) for line in told)
    lines = [line for line in told if "rows/s" in line]
    assert 6 <= len(lines) <= 7, "one a minute"
    assert re.search(r"BTC 5m 10:\d\d-10:\d\d left \d:\d\d observed \d+\.\d % up 0\.\d+/0\.\d+", lines[3])
    assert re.search(r"BTC 5m .* chainlink \d+\.\d s gaps \d+", lines[3])
    assert manifest["arguments"]["plans"] == ["updown"]
    assert command("verify", out).returncode == 0


def test_ctrl_c_seals_everything_and_the_table_is_readable(tmp_path: Path) -> None:
    out, wait = tmp_path / "out", random.uniform(0, 4)
    print(f"SIGINT after {wait:.2f} s")
    with (
        simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue,
        on_terminal(collect_command(venue.url, out, *ROUNDS)) as shown,
    ):
        until(lambda: len(list(out.glob("raw/venue=*/feed=*/**/*.part"))) >= 3)
        moment = time.monotonic() + wait
        until(lambda: time.monotonic() > moment)
        requested = time.monotonic()
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(120) == 0
        assert time.monotonic() - requested < 10
    manifest = collected(out)
    assert manifest["exit_reason"] == "SIGINT"
    assert {run["exit_reason"] for run in manifest["summary"]["runs"]} == {"SIGINT"}
    assert not list(out.glob("manifests/*-*.lock"))
    assert not list(out.glob("raw/**/*.part"))
    assert command("verify", out).returncode == 0
    for word in ("asset", "observed", "chainlink", "BTC", "XRP", "rows/s"):
        assert word in shown.text, word
    [log] = (out / "logs").iterdir()
    assert log.stem == f"collect-{manifest['run']}"
    kept = log.read_text()
    assert "INFO: polymarket_stream: Stopping (SIGINT)" in kept
    assert "INFO: Scrapy 2." in kept
    scrapys = re.findall(r"\[(scrapy\.(?:core|extensions|statscollectors)[.\w]*)\] \w+: (\w*)", kept)
    assert {name for name, _ in scrapys} >= {"scrapy.core.engine", "scrapy.statscollectors"}
    assert {feed for _, feed in scrapys} == {run["spider"] for run in manifest["summary"]["runs"]}
    screen = shown.text
    assert "INFO" not in screen
    assert "Dumping Scrapy stats" not in screen
    end = screen[screen.rindex("Collected ") :]
    assert re.search(r"Collected \d+ min \d+ s, ended by SIGINT, exit code 0", end)
    assert re.search(r"polymarket_stream +1 +[\d,]+ +[\d.]+ [kM]B +\d[\d,]* of [\d,]+ s \(\d+\.\d %\)", end)
    assert re.search(r"BTC 5m +\d+ +\d[\d,]* of [\d,]+ s", end)
    assert f"written to {out}" in end
    assert f"log lines in {log}" in end
    assert re.search(r"next, check every file: .*scrapy verify", end)


def test_the_table_fits_the_terminal_also_after_it_was_resized(tmp_path: Path) -> None:
    out, widths = tmp_path / "out", {40: 4, 60: 7, 80: 9}
    shown_at: dict[int, list[str]] = {}
    with (
        simulator(tmp_path / "truth", "--speed", "20", "--start", START) as venue,
        on_terminal(collect_command(venue.url, out, *ROUNDS), min(widths)) as shown,
    ):
        for columns, words in widths.items():
            shown.resize(columns)
            before = len(shown.lines)
            first = before - 1 + until(lambda: _head_with(words, shown.lines[before:]))  # noqa: B023
            until(lambda: re.search(r"10:\d\d-10:\d\d .* %\*", "\n".join(shown.lines[first:])))  # noqa: B023
            shown_at[columns] = shown.lines[first:-1]  # the last may be a part
        before = len(shown.lines)
        shown.resize(120)
        until(lambda: "spread" in "".join(shown.lines[before:]))
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(120) == 0
    for columns, words in widths.items():
        tables = [line for line in shown_at[columns] if re.match(r"(asset|BTC|ETH|SOL|XRP|20\d\d-) ?", line)]
        assert tables
        assert max(map(len, tables)) <= columns
        heads = {len(re.findall(NAMES, line)) for line in tables if line.startswith("asset")}
        assert heads == {words}
    assert "* since joined at 10:" in shown.text


def _head_with(words: int, lines: list[str]) -> int:
    """Return the place, counted from 1, of the first head of a table of `words` columns, 0 without one."""
    heads = (at for at, line in enumerate(lines, 1) if line.startswith("asset"))
    return next((at for at in heads if len(re.findall(NAMES, lines[at - 1])) == words), 0)


def test_a_terminal_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    """Its other end is closed, and SIGHUP comes."""
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            collect_command(venue.url, out, *ROUNDS),
            cwd=ROOT,
            env={**ENVIRONMENT, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=default_signals,  # noqa: PLW1509  (it sets signals and nothing else)
        )
        os.close(theirs)
        try:
            until(lambda: len(list(out.glob("raw/venue=*/feed=*/**/*.part"))) >= 3)
            os.close(ours)
            process.send_signal(signal.SIGHUP)
            assert process.wait(120) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert collected(out)["exit_reason"] == "SIGHUP"
    assert command("verify", out).returncode == 0


@pytest.mark.parametrize("settings", [["-L", "INFO"], ["-s", "LOG_FILE={out}.log"]])
def test_where_log_lines_go_is_the_users_choice(settings: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = [word.format(out=out) for word in settings]
    with (
        simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue,
        on_terminal(collect_command(venue.url, out, *ROUNDS, "--duration", "20", *options)) as shown,
    ):
        assert shown.process.wait(120) == 0
    assert not (out / "logs").exists()
    told = shown.text if "-L" in settings else Path(f"{out}.log").read_text()
    assert "INFO: polymarket_stream: " in told
    assert "Collected " in shown.text


def test_a_feed_that_fails_ends_no_other_and_is_started_again(tmp_path: Path) -> None:
    """RTDS is refused: its run goes on and waits. Trades fail: their run ends, and another begins."""
    out, faults = tmp_path / "out", tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "status", "route": "ws-live-data*", "status": 403}]))
    options = ("--speed", str(SPEED), "--start", START, "--faults", str(faults))
    failing = "SPIDER_MODULES=marketarchive.spiders,tests.e2e.failing_spiders"
    with simulator(tmp_path / "truth", *options) as venue:
        done = collect(venue.url, out, *ROUNDS, "--assets", "BTC", "--duration", "220", "-s", failing)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "polymarket_trades ended by itself (start_error, exit code 1); the others go on" in done.stderr
    reference, trades = done.stderr.splitlines()[-2:]
    assert (
        "polymarket_reference: ws-live-data.polymarket.com refuses us: status 403; exit code 1" in reference
    )
    assert "polymarket_trades: an unhandled exception in the spider: RuntimeError: this one" in trades
    manifest = collected(out)
    assert manifest["summary"]["restarts"] == {"polymarket_trades": 2}  # after one minute, and after two
    codes = {run["spider"]: run["exit_code"] for run in manifest["summary"]["runs"]}
    assert codes["polymarket_reference"] == 4
    assert codes["polymarket_trades"] == 1
    assert codes["polymarket_stream"] == codes["polymarket_resolutions"] == 0
    rows = Output(out).records("polymarket_btc")
    assert sum(row["is_observed"] for row in rows if not row["preopen"]) > 80
    assert command("verify", out).returncode == 0


def test_between_a_feed_that_ended_by_itself_and_its_next_run_there_is_a_gap(tmp_path: Path) -> None:
    """The stream's first run fails while it listens, its second before it does, the third is sound."""
    out = tmp_path / "out"
    dying = "SPIDER_MODULES=marketarchive.spiders,tests.e2e.dying_spiders"
    with simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue:
        options = ("--durations", "15m", "--no-pages", "--assets", "BTC", "--duration", "400")
        done = collect(venue.url, out, *options, "-s", dying)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = [run["run"] for run in collected(out)["summary"]["runs"] if run["spider"] == "polymarket_stream"]
    reader = ArchiveReader(out)
    lines = list(reader.messages(feed="stream", kinds=("frame", "gap")))
    gaps = {run: [line for line in lines if line.run == run and _is_of_pause(line)] for run in runs}
    heard = {run: [line.received_at for line in lines if line.run == run and line.payload] for run in runs}
    assert [len(gaps[run]) for run in runs] == [0, 0, 1]
    [gap] = gaps[runs[2]]
    first, last = (from_iso(gap.envelope[name]) for name in ("from", "to"))
    assert heard[runs[0]][-1] <= first <= heard[runs[0]][-1] + 5 * SECOND
    assert first + 150 * SECOND < last <= heard[runs[2]][0]
    assert not list(reader.messages(feed="trades", kinds=("gap",))), "they are read back"
    archive = Archive(out)
    market = "btc-updown-15m-1795168800"
    [row] = archive.coverage(market=market, feed="stream").to_dict("records")
    assert row["gapped_s"] >= (last - first) // SECOND
    whole = (row["last_tracked"] - row["first_tracked"]).total_seconds()
    assert abs(row["tracked_s"] - whole) <= 1, "no second of it is left out"
    quotes = archive.quotes(market=market)
    after = quotes[quotes["time"] >= utc(last)].iloc[0]
    assert after["gap_before"]
    assert command("verify", out).returncode == 0


def test_a_kill_is_recovered_with_the_collection(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue:
        process = subprocess.Popen(
            collect_command(venue.url, out, *ROUNDS), cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.DEVNULL
        )
        try:
            until(lambda: len(list(out.glob("raw/venue=*/feed=*/**/*.part"))) >= 3)
        finally:
            process.kill()
            process.wait()
    assert command("recover", out).returncode == 0
    manifest = collected(out)
    assert manifest["recovered"]
    assert manifest["arguments"]["feeds"][0]["spider"] == "polymarket_stream"
    assert command("verify", out).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--assets", "PEPE"], "Polymarket has up/down rounds of BTC"),
        (["--durations", "7m"], "durations='7m': '7m' is not one of"),
        (["--duration", "soon"], "duration='soon' is not a time span"),
        (["BTC"], "there is no plan 'BTC'; plans: catalog, kalshi, kxbtc15m, spot, updown"),
        (["assets=BTC"], "write --assets BTC"),
        (["-a", "assets=BTC"], "write --assets BTC"),
        (["-s", "LIMIT_SHARE=3"], "LIMIT_SHARE=3.0 is not a share"),
        (["-s", "MASTER_URL=x"], "MASTER_URL"),
        (["-s", "SIMULATOR_URL=http://127.0.0.1:9"], "no simulator answers at"),
    ],
)
def test_a_wrong_argument_or_setting_is_exit_code_2(options: list[str], message: str, tmp_path: Path) -> None:
    done = collect("http://127.0.0.1:9", tmp_path / "out", "-s", "SIMULATOR_URL=", *options)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out" / "raw").exists()


def test_pages_that_cannot_be_opened_are_said_once(tmp_path: Path) -> None:
    missing = '{"executable_path": "/nowhere/chromium"}'
    with simulator(tmp_path / "truth", "--speed", str(SPEED), "--start", START) as venue:
        options = ("--durations", "5m", "--assets", "BTC", "--duration", "20")
        done = collect(venue.url, tmp_path / "out", *options, "-s", f"PLAYWRIGHT_LAUNCH_OPTIONS={missing}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Chainlink's pages are left out (pass --no-pages") == 1
    assert "chainlink_streams" not in {
        run["spider"] for run in collected(tmp_path / "out")["summary"]["runs"]
    }


@pytest.mark.soak  # a real browser at speed: it needs a machine to itself
def test_pages_that_are_refused_are_told_and_spoil_nothing(tmp_path: Path) -> None:
    try:
        check_browser(project_settings())
    except ConfigurationError as missing:
        pytest.skip(str(missing))
    out, faults = tmp_path / "out", tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "status", "route": "data.chain.link/*", "status": 403}]))
    options = ("--speed", "3", "--start", START, "--faults", str(faults))
    with simulator(tmp_path / "truth", *options) as venue:
        done = collect(venue.url, out, "--durations", "5m", "--assets", "BTC", "--duration", "120")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "chainlink_streams was refused" in done.stderr
    codes = {run["spider"]: run["exit_code"] for run in collected(out)["summary"]["runs"]}
    assert codes.pop("chainlink_streams") == 4
    assert set(codes.values()) == {0}
    assert "blocked" in {gap["reason"] for gap in Output(out).gaps()}


@pytest.mark.soak  # real browsers at speed: they need a machine to themselves
def test_pages_are_collected_beside_the_rest(tmp_path: Path) -> None:
    try:
        check_browser(project_settings())
    except ConfigurationError as missing:
        pytest.skip(str(missing))
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", "3", "--start", START) as venue:
        done = collect(venue.url, out, "--durations", "5m", "--assets", "BTC,ETH", "--duration", "90")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [row for row in Output(out).records("chainlink_continuous") if row["is_observed"]]
    assert {(row["asset"], row["source"]) for row in rows if row["bid"]} >= {("BTC", "page"), ("ETH", "page")}
    assert command("verify", out).returncode == 0
