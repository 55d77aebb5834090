"""Stream pages as a user collects them, in a real Chromium, against all that the simulated venue knew.

Skipped where the extra `browser` or a Chromium is missing: `pip install 'marketarchive[browser]'` and
`apt-get install chromium` bring both.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.archive.record_rows import series
from marketarchive.collecting.pages.chromium import check_browser
from marketarchive.exceptions import ConfigurationError
from marketarchive.simulator.chainlink.reports import Reports, SimReport
from marketarchive.simulator.chainlink.streams import BY_SLUG
from marketarchive.simulator.prices import Prices
from marketarchive.times import MILLISECOND, SECOND, from_iso
from tests.e2e.harness import Done, Output, command, crawl, crawling, simulator
from tests.spiders_under_test import project_settings
from tests.waiting import until

pytestmark = pytest.mark.soak  # real browsers at speed: they need a machine to themselves

try:
    check_browser(project_settings())
except ConfigurationError as missing:
    pytest.skip(str(missing), allow_module_level=True)

SEED, SPEED = 7, 5
START = "2026-11-20T10:00:00Z"
SPOT, TWAP = "btc-usd-cexprice-streams", "btc-usd-twap-60s-streams"
PAGES = f"data.chain.link/streams/{SPOT}"
SLACK = int(0.5 * SPEED * SECOND)
"""Half a second of the wall."""


def _crawl(folder: Path, seconds: int, *faults: dict[str, Any], speed: float = SPEED, **more: Any) -> Done:
    ordered = folder / "faults.json"
    ordered.write_text(json.dumps(faults))
    options = ("--speed", str(speed), "--start", START, "--faults", str(ordered), "--seed", str(SEED))
    with simulator(folder / "truth", *options) as venue:
        pages = more.pop("pages", "spot")
        done = crawl(
            venue.url, folder / "out", "chainlink_streams", f"duration={seconds}", f"pages={pages}", **more
        )
    assert not orphans(), "a browser is left"
    return done


def orphans() -> list[int]:
    """Process ids of browsers whose driver is gone: no run may leave one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            is_browser = b"chromium" in text and b"--type=" not in text and b"crashpad" not in text
            if is_browser and parent == 1:
                found.append(int(entry.name))
    return found


def _rows(out: Path, source: str = "page") -> list[dict[str, Any]]:
    series = "chainlink_twap_continuous" if "twap" in source else "chainlink_continuous"
    found = []
    for path in (out / "records").glob(f"{series}-*.jsonl"):
        found += [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
    return [row for row in found if row["source"] == source]


def _truth(slug: str, first: int, last: int) -> dict[int, list[SimReport]]:
    """The reports of each second (Unix) from `first` on, the newest last."""
    found: dict[int, list[SimReport]] = {}
    reports = Reports(SEED, Prices(SEED)).observed(BY_SLUG[slug], first * SECOND, (last + 1) * SECOND)
    for report in reports:
        found.setdefault(report.observed_us // 10**6, []).append(report)
    return found


def _last_requested(out: Path) -> int:
    """The time (ns) of the last request that was answered: what was published later could not be known."""
    answers = [line for line in Output(out).lines("pages", "response") if "/api/" in line["url"]]
    return max(
        (from_iso(line["collected_at_utc"]) - int(line["latency_ms"] * MILLISECOND) for line in answers),
        default=0,
    )


def _check_rows(out: Path, source: str, slug: str) -> list[int]:
    """Every row equals the truth of its second, one a second; gives the seconds that were not observed.

    Some seconds have two reports, the second of which may be published after the run's last answer.
    """
    rows, last_requested = _rows(out, source), _last_requested(out)
    ticks = [from_iso(row["tick_at"]) // SECOND for row in rows]
    assert sorted(ticks) == list(range(min(ticks), max(ticks) + 1))
    truth = _truth(slug, min(ticks), max(ticks))
    for tick, row in zip(ticks, rows, strict=True):
        if row["is_observed"]:
            at = from_iso(row["timestamp"])
            [report] = [each for each in truth[tick] if each.observed_us * 1000 == at]
            newer = [each for each in truth[tick] if each.observed_us > report.observed_us]
            assert all(each.published_ns > last_requested for each in newer), (tick, report, newer)
            values = [Decimal(row[name]).scaleb(18) for name in ("mid", "bid", "ask")]
            assert values == [report.mid, report.bid, report.ask]
            assert from_iso(row["received_at"]) >= report.published_ns
        else:
            assert [row[name] for name in ("timestamp", "mid", "bid", "ask", "received_at")] == [None] * 5
    return [tick for tick, row in zip(ticks, rows, strict=True) if not row["is_observed"] and tick in truth]


def _begun(out: Output) -> list[dict[str, Any]]:
    """Return the first lines of gaps: they stay where the gap turns out void."""
    return [line for line in out.lines(kind="gap") if line["id"].endswith(f":{line['seq']}")]


def _closed(done: Done) -> list[dict[str, Any]]:
    """Return the gaps that hold: each was reported open when it began, and has an end."""
    begun = {gap["id"]: gap for gap in _begun(done.out)}
    for gap in done.out.gaps():
        first = begun[gap["id"]]
        assert first["to"] is None
        assert gap["to"] is not None
        assert all(gap[name] == first[name] for name in ("reason", "cause", "detail", "scope"))
    return done.out.gaps()


def _check_gaps_explain(done: Done, slug: str, source: str) -> None:
    """Whatever was not observed and could have been lies in a gap of its page, or after the last answer."""
    lost = _check_rows(done.out.root, source, slug)
    gaps = [gap for gap in _closed(done) if gap["scope"] == {"page": slug, "asset": "BTC"}]
    seen = [from_iso(row["timestamp"]) for row in _rows(done.out.root, source) if row["is_observed"]]
    for tick in lost:
        at = tick * SECOND
        inside = any(from_iso(g["from"]) - SECOND <= at <= from_iso(g["to"]) + SLACK for g in gaps)
        assert inside or at > max(seen, default=0), tick


def test_rows_equal_the_truth_and_nothing_is_missing(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 90, pages="spot,twap60")
    assert done.code == 0, done.log[-3000:]
    assert series(tmp_path / "out") == ["chainlink_continuous", "chainlink_twap_continuous"]
    for source, slug in (("page", SPOT), ("page_twap60", TWAP)):
        lost = _check_rows(tmp_path / "out", source, slug)
        last = max(from_iso(row["tick_at"]) // SECOND for row in _rows(tmp_path / "out", source))
        assert all(tick > last - 8 for tick in lost), lost  # the page is three seconds behind
        assert sum(row["is_observed"] for row in _rows(tmp_path / "out", source)) > 70
    assert not done.out.gaps()
    answers = [line for line in done.out.lines("pages", "response") if "/api/" in line["url"]]
    assert len(answers) > 100
    assert all("feedId" in line["params"] for line in answers)
    events = [line["event"] for line in done.out.lines("pages", "connection")]
    assert sorted(events) == ["closed", "closed", "opened", "opened", "subscribed", "subscribed"]
    assert command("verify", tmp_path / "out").returncode == 0


def test_a_checkpoint_is_blocked_and_nothing_else_is_tried(tmp_path: Path) -> None:
    fault = {"kind": "checkpoint", "route": "data.chain.link/*"}
    done = _crawl(tmp_path, 200, fault, speed=20, pages="spot,twap60")
    assert done.code == 4, done.log[-3000:]
    assert {gap["reason"] for gap in _closed(done)} == {"blocked"}
    assert {gap["scope"]["page"] for gap in _closed(done)} == {SPOT, TWAP}
    answers = done.out.lines("pages", "response")
    assert [line["status"] for line in answers if "/streams/" in line["url"]] == [429, 429]
    assert not any(row["is_observed"] for row in _rows(tmp_path / "out"))


def test_a_refusal_is_left_alone_for_an_hour_then_one_page_tries(tmp_path: Path) -> None:
    fault = {"kind": "checkpoint", "route": "data.chain.link/*", "to_s": 200}
    done = _crawl(tmp_path, 3720, fault, speed=60, pages="spot,twap60")
    assert done.code == 0, done.log[-3000:]
    gaps = _closed(done)
    assert [gap["reason"] for gap in gaps] == ["blocked", "blocked"]
    assert all(from_iso(gap["to"]) - from_iso(gap["from"]) > 3500 * SECOND for gap in gaps)
    documents = [line for line in done.out.lines("pages", "response") if "/streams/" in line["url"]]
    assert [line["status"] for line in documents] == [429, 429, 200, 200]
    answers = [line for line in done.out.lines("pages", "response") if "/api/" in line["url"]]
    first_data = min(from_iso(line["collected_at_utc"]) for line in answers if line["status"] == 200)
    assert [from_iso(line["collected_at_utc"]) < first_data for line in documents] == [
        True,
        True,
        True,
        False,
    ]
    assert any(row["is_observed"] for row in _rows(tmp_path / "out"))


@pytest.mark.parametrize(
    ("how", "reason"),
    [("loop", "stall"), ("blank", "disconnect"), ("throw", "stall")],
)
def test_a_broken_page_is_reopened_and_what_no_answer_holds_is_a_gap(
    tmp_path: Path, how: str, reason: str
) -> None:
    fault = {"kind": "page_crash", "how": how, "after_s": 4, "count": 1, "route": PAGES}
    done = _crawl(tmp_path, 110, fault)
    assert done.code == 0, done.log[-3000:]
    [first] = _begun(done.out)  # void by now if the new page's first answer reaches back over it
    assert first["reason"] == reason
    _check_gaps_explain(done, SPOT, "page")
    events = done.out.lines("pages", "connection")
    assert {line["connection"] for line in events} == {"p1", "p2"}
    [opened] = [line for line in events if line["connection"] == "p2" and line["event"] == "opened"]
    observed = [row for row in _rows(tmp_path / "out") if row["is_observed"]]
    assert from_iso(observed[-10]["received_at"]) > from_iso(opened["collected_at_utc"])


def test_a_frozen_value_is_a_stall_until_it_moves(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 270, {"kind": "page_stale", "from_s": 40, "to_s": 200})
    assert done.code == 0, done.log[-3000:]
    [gap] = _closed(done)
    assert gap["reason"] == "stall"
    assert "answers arrived" in gap["detail"]
    assert from_iso(gap["to"]) - from_iso(gap["from"]) > 50 * SECOND
    _check_gaps_explain(done, SPOT, "page")


def test_where_no_json_is_seen_rows_are_read_from_labels_without_a_time(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 90, {"kind": "page_no_json"})
    rows = _rows(tmp_path / "out", "page_text")
    assert len(rows) > 40
    assert len({row["tick_at"] for row in rows}) == len(rows)
    start = from_iso(START) // SECOND
    shown = {
        round(Decimal(report.mid).scaleb(-18), 2)
        for report in Reports(SEED, Prices(SEED)).observed(
            BY_SLUG[SPOT], (start - 20) * SECOND, (start + 200) * SECOND
        )
    }
    for row in rows:
        assert row["timestamp"] is None
        assert from_iso(row["received_at"]) // SECOND == from_iso(row["tick_at"]) // SECOND
        assert any(abs(Decimal(row["mid"]) - value) <= Decimal("0.01") for value in shown)
    assert not any(row["is_observed"] for row in _rows(tmp_path / "out"))
    [gap] = _closed(done)
    assert gap["reason"] == "stall"


def test_a_growing_page_is_replaced_without_a_gap(tmp_path: Path) -> None:
    fault = {"kind": "page_leak", "mb_per_s": 40, "count": 1, "route": PAGES}
    done = _crawl(tmp_path, 140, fault, PAGE_MEMORY_MB=400)
    assert done.code == 0, done.log[-3000:]
    lines = done.out.lines("pages", "connection")
    assert "renewed" in {line.get("close_reason") for line in lines}
    assert not done.out.gaps()
    lost = _check_rows(tmp_path / "out", "page", SPOT)
    assert all(tick > lost[-1] - 8 for tick in lost), lost


def test_a_page_that_is_not_there_is_asked_for_less_and_less(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 60, {"kind": "status", "route": "data.chain.link/streams/*", "status": 404})
    assert done.code == 1
    assert {gap["reason"] for gap in _closed(done)} == {"disconnect"}
    assert len(done.out.lines("pages", "response")) < 15


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Any]:
    with simulator(tmp_path / "truth", "--speed", "1", "--seed", str(SEED)) as running:
        yield running


def _children(pid: int) -> list[int]:
    try:
        direct = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return direct + [each for child in direct for each in _children(child)]


def _named(pids: list[int], text: bytes) -> list[int]:
    found = []
    for pid in pids:
        try:
            if text in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def _answers(out: Path) -> int:
    """Bytes on the disk so far: they grow while answers come."""
    return sum(path.stat().st_size for path in out.glob("raw/**/*.part"))


@pytest.mark.parametrize("fault", [None, {"kind": "page_crash", "how": "loop", "after_s": 1}])
def test_a_stop_takes_seconds_and_leaves_no_process(
    venue: Any, tmp_path: Path, fault: dict[str, Any] | None
) -> None:
    if fault is not None:
        venue.order(fault)
    out = tmp_path / "out"
    with crawling(venue.url, out, "chainlink_streams") as process:
        until(lambda: _answers(out) > 3000)
        pids = _children(process.pid)
        assert _named(pids, b"--type=renderer")
        if fault is not None:
            until(lambda: _is_busy(_named(_children(process.pid), b"--type=renderer")))
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(120) == 0
        assert time.monotonic() - started < 8
    until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)])
    [ended] = Output(out).lines("pages", "end")
    assert ended["reason"] == "SIGTERM"


def test_a_killed_browser_is_started_again(venue: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with crawling(venue.url, out, "chainlink_streams", "pages=spot") as process:
        until(lambda: _answers(out) > 3000)
        [first] = [
            pid
            for pid in _named(_children(process.pid), b"chromium")
            if _named([pid], b"--remote-debugging") and not _named([pid], b"--type=")
        ]
        os.kill(first, signal.SIGKILL)
        until(lambda: [pid for pid in _named(_children(process.pid), b"--type=renderer") if pid > first])
        size = _answers(out)
        until(lambda: _answers(out) > size + 1500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    [begun] = _begun(Output(out))
    assert begun["reason"] == "disconnect"
    assert all(gap["to"] is not None for gap in Output(out).gaps())
    assert command("verify", out).returncode == 0


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _is_busy(pids: list[int]) -> bool:
    """Whether one of them is running right now, again and again."""

    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "Z"

    def spins(pid: int) -> bool:
        for _ in range(10):
            if state(pid) != "R":
                return False
            time.sleep(0.01)
        return True

    return any(spins(pid) for pid in pids)


def test_the_table_holds_every_report_once_and_exactly(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 60, pages="spot,twap60")
    assert done.code == 0, done.log[-3000:]
    out = tmp_path / "out"
    assert command("normalize", out).returncode == 0
    frame = Archive(out).reference(exact=True)
    for slug, instrument, window_s in (
        (SPOT, "chainlink:btc-usd", None),
        (TWAP, "chainlink:btc-usd-twap-60s", 60),
    ):
        mine = frame[frame["symbol"] == slug]
        assert set(mine["instrument"]) == {instrument}
        assert set(mine["topic"]) == {"chainlink_page"}
        assert (mine["window_s"].isna().all()) if window_s is None else set(mine["window_s"]) == {window_s}
        shown: Iterable[Any] = mine.itertuples()
        told = {int(row.event_time.value): row for row in shown}
        assert len(told) == len(mine) > 90  # the minute before, and the run
        first, last = min(told), max(told)
        for report in Reports(SEED, Prices(SEED)).observed(BY_SLUG[slug], first, last + 1):
            row = told.pop(report.observed_us * 1000)
            values = [Decimal(each).scaleb(18) for each in (row.value, row.bid, row.ask)]
            assert values == [report.mid, report.bid, report.ask]
            assert row.received_at.value >= report.published_ns
        assert not told
