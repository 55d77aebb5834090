"""The parts of a report: its time, its verdict, thinning, and what an archive without data gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.exceptions import ArchiveError
from marketarchive.research.products.updown.report import outcomes
from marketarchive.research.products.updown.report.rounds import POINTS, thinning_step
from marketarchive.research.report import recorded_gaps
from marketarchive.research.report.page import ReportPage, Section, html, table
from marketarchive.research.report.recorded_gaps import ReportedGap as Hole_
from marketarchive.research.report.recorded_gaps import over_books
from marketarchive.research.report.report import report
from marketarchive.research.report.scope import ReportScope, scope
from marketarchive.research.report.shares import SEEN, Shares
from marketarchive.research.report.verdict import ReportFindings, Verdict, verdict
from marketarchive.times import SECOND, from_iso
from tests.archive.writing import HandClock, open_run, response, writer
from tests.e2e.harness import command
from tests.research.making import Answer, Hole, book, collect, many
from tests.research.streaming import Frame, Lost, Socket, record
from tests.research.test_canonical import label
from tests.research.test_coverage import SLUG, TRACKED, dump

NOON = from_iso("2026-11-21T12:00:00Z")
CLEAN = ReportFindings([], 1000, 0, 0, 0, 0, 0, 0, None)


def gaps_of(root: Path, **chosen: Any) -> list[dict[str, Any]]:
    """The rows of the timeline, by lane, the last first."""
    text = report(root, **chosen).path.read_text()
    [charts] = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)
    rows: list[dict[str, Any]] = json.loads(charts)["gaps"]["data"]["values"]
    return sorted(rows, key=lambda row: str(row["lane"]), reverse=True)


def test_the_last_day_of_recording_is_looked_at(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")), at) for at in (0, 100_000)])
    collect(tmp_path, [Answer(b"{}", 300_000, "/markets")], feed="markets")  # is no recording
    found = scope(tmp_path, None, None, None)
    assert found.until == from_iso("2026-11-22T15:50:00Z")
    assert found.since == from_iso("2026-11-21T15:45:00Z")  # down to whole five minutes
    requested = scope(tmp_path, NOON + SECOND, NOON + 2 * SECOND, ["BTC"])
    assert (requested.since, requested.until) == (NOON, NOON + 300 * SECOND)
    assert (requested.has("BTC"), requested.has("ETH"), requested.has(None)) == (True, False, False)
    for since, until in ((None, NOON - 301 * SECOND), (NOON + 200_000 * SECOND, None)):
        with pytest.raises(ArchiveError, match="the recording is of 2026-11-21T12:00:00"):
            scope(tmp_path, since, until, None)


@pytest.mark.parametrize(
    ("hours", "bin_s", "step_s"), [(1, 300, 15), (24, 3600, 600), (24 * 14, 86_400, 10_800)]
)
def test_longer_times_have_longer_stretches(tmp_path: Path, hours: int, bin_s: int, step_s: int) -> None:
    found = ReportScope(tmp_path, NOON, NOON + hours * 3600 * SECOND)
    assert (found.bin_s, found.step_s) == (bin_s, step_s)


def test_a_verdict_says_why() -> None:
    assert verdict(CLEAN) == Verdict("sound")
    assert verdict(replace(CLEAN, tracked_s=0)) == Verdict("nothing")
    assert verdict(replace(CLEAN, not_looked_at=["tulips/letters"])) == Verdict("sound")
    unseen = verdict(replace(CLEAN, tracked_s=0, not_looked_at=["tulips/letters"]))
    assert unseen.level == "unknown"
    assert unseen.reasons == ["not checked: tulips/letters: their venues declare no coverage"]
    care: dict[str, Any] = {"unseen_s": 3, "gaps": 1, "failed": 2, "unchecked": 4, "alive_runs": ["r"]}
    for name, value in care.items():
        found = verdict(replace(CLEAN, **{name: value}))
        assert (found.level, len(found.reasons)) == ("care", 1), name
    defects: dict[str, Any] = {
        "differing": 1,
        "unexplained": 1,
        "problems": ["x"],
        "validation": "fail",
        "dead_runs": ["r"],
    }
    for name, value in defects.items():
        found = verdict(replace(CLEAN, **{name: value}))
        assert (found.level, len(found.reasons)) == ("defect", 1), name
    assert verdict(replace(CLEAN, validation="warn")) == Verdict("sound")
    both = verdict(replace(CLEAN, gaps=2, differing=1))
    assert (both.level, len(both.reasons)) == ("defect", 2)


def test_parts_of_a_bar_fill_it_and_it_ends_with_the_recording() -> None:
    found = Shares(SEEN, SEEN[-2:], 300)
    found.lasts("books", "BTC", 30, 450)
    for at, state, count in (
        (0, "observed", 200),
        (0, "unknown", 50),
        (0, "gapped", 20),
        (300, "observed", 1),
    ):
        found.add("books", "BTC", at, state, count)
    rows = found.rows()
    assert [(row["state"], row["x"], row["x2"]) for row in rows] == [
        ("observed", 30_000, 300_000),
        ("unknown", 30_000, 300_000),
        ("gapped", 30_000, 300_000),
        ("observed", 300_000, 450_000),
    ]
    assert [row["y"] for row in rows[1:3]] == [row["y2"] for row in rows[:2]]
    assert rows[2]["y2"] == 1
    assert [row["state"] for row in rows if row["is_worst"]] == ["gapped"]
    assert found.total(["books"]) == {"observed": 201, "unknown": 50, "gapped": 20}


@pytest.mark.parametrize(
    ("duration", "rounds"), [(300, 1), (300, 1152), (900, 2000), (86_400, 10), (14_400, 50)]
)
def test_rounds_are_thinned_to_a_bounded_page(duration: int, rounds: int) -> None:
    step = thinning_step(duration, rounds)
    assert duration % step == 0
    assert duration // step <= 300
    assert (duration // step) * rounds <= max(POINTS, 60 * rounds)
    assert duration // step >= 30  # something is left to see


@pytest.mark.parametrize(
    ("simulated", "told"),
    [
        ((False,), None),
        ((True,), "Recorded from the simulator, not from venues"),
        ((False, True), "1 of 2 runs recorded from the simulator, not from venues"),
    ],
)
def test_a_simulated_recording_says_so_above_its_verdict(
    tmp_path: Path, simulated: tuple[bool, ...], told: str | None
) -> None:
    for is_simulated in simulated:
        settings = {"SIMULATOR_URL": "http://127.0.0.1:8900"} if is_simulated else {}
        with writer(tmp_path, HandClock(NOON)) as made:
            run = open_run(made, **settings)
            run.write(response(run))
            run.close("finished", {}).result(10)
    page = report(tmp_path).path.read_text()
    head = page[page.index("<title>") : page.index("Can it be trusted?")]
    assert ("<b>simulated</b>" in head) == ("(simulated)" in head) == (told is not None)
    assert told is None or told in head


def test_an_outcome_that_is_to_come_is_pending() -> None:
    until = label(None).end_ns + 1
    known = replace(label(None), verdict="not_provable", strike=Decimal(100), resolved_outcome=None)
    waiting = replace(known, computed_outcome="Up")
    assert outcomes.shown_verdict(waiting, until) == "pending"
    cut = replace(known, computed_outcome=None)
    assert outcomes.shown_verdict(cut, cut.end_ns) == "pending"
    assert outcomes.shown_verdict(cut, until) == "not_provable", "its last price was missed"
    late = replace(cut, strike=None)
    assert outcomes.shown_verdict(late, late.end_ns) == "not_provable", "its strike was missed"
    done = replace(waiting, resolved_outcome="Up")
    assert outcomes.shown_verdict(done, until) == "not_provable"
    [row] = outcomes.counted([waiting, done], until)
    assert (row["rounds"], row["pending"], row["not_provable"]) == (2, 1, 1)
    assert [each["verdict"] for each in outcomes.without_proof([waiting, done], until)] == [
        "not provable",
        "pending",
    ]


def test_no_text_of_the_archive_can_become_markup() -> None:
    evil = "</script><script>alert(1)</script><!--"
    chart = {"data": {"values": [{"detail": evil}]}}
    shown = ReportPage(
        evil,
        evil,
        Verdict("care", [evil]),
        [(evil, evil)],
        [(evil, evil)],
        "",
        [Section("gaps", "", "", chart)],
    )
    text = html(shown, "var libraries;")
    assert text.count("<script") == text.count("</script>") == 5
    assert "alert(1)</script>" not in text
    assert evil not in table([("a", "A")], [{"a": evil}])
    [found] = [line for line in text.splitlines() if 'id="charts"' in line]
    inside = found.partition(">")[2].rpartition("</script>")[0]
    assert json.loads(inside)["gaps"] == chart


def test_an_archive_without_data_says_so_in_each_section(tmp_path: Path) -> None:
    collect(
        tmp_path,
        [Answer(b'{"data":[]}', 0, "/v2/trades", host="https://data-api.polymarket.com")],
        feed="trades",
    )
    done = report(tmp_path)
    assert done.verdict.level == "nothing"
    text = done.path.read_text()
    for words in (
        "No round and no price was tracked",
        "No gap was recorded",
        "No round of this time is known.",
        "No book of an open round was received",
        "No snapshot and no delta was received",
        "No round of this time is known: the market lists",
    ):
        assert words in text, words
    assert '<script type="application/json" id="charts">{}</script>' in text
    assert 'id="round"' not in text


def test_a_gap_without_an_end_is_drawn_until_its_feed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        Socket("opened", 0, ("1", "2")),
        Frame(dump("1", "2"), 0.5),
        Lost(10, 20, {"connection": "c1", "markets": [SLUG]}, is_open=True),
        Socket("closed", 30),
    ]
    record(tmp_path, lines, tracked=TRACKED)
    collect(tmp_path, [Hole(3, 4, {"endpoint": "/books"})])
    found, other = gaps_of(tmp_path)
    assert (found["x2"] // 1000 - NOON // SECOND, found["to"]) == (300, "not known")  # the report's end
    assert (other["lane"], other["lasted"]) == ("polymarket orderbook: rate_limited", "1.0 s")
    begun = {("polymarket", "stream"): [NOON + at * SECOND for at in (0, 77, 99)]}
    monkeypatch.setattr(recorded_gaps, "firsts", lambda scope: begun)
    assert gaps_of(tmp_path)[0]["x2"] // 1000 - NOON // SECOND == 77
    assert len(gaps_of(tmp_path, assets=["ETH"])) == 1  # what names no asset may concern every one


def test_gaps_over_the_books_of_an_asset_are_merged(tmp_path: Path) -> None:
    about = ReportScope(tmp_path, NOON, NOON + 300 * SECOND)

    def hole(
        start: int, end: int, asset: str | None, feed: str = "stream", *, is_of_books: bool = True
    ) -> Hole_:
        named = None if asset is None else frozenset({asset})
        begin, until = NOON + start * SECOND, NOON + end * SECOND
        more: dict[str, Any] = {"is_open": False, "scope": "", "detail": "", "assets": named}
        return Hole_("v", feed, "stall", "venue", begin, until, **more, is_of_books=is_of_books)

    given = [
        hole(-5, 10, "BTC"),
        hole(5, 20, None),
        hole(8, 9, "ETH"),
        hole(30, 40, "BTC", "reference", is_of_books=False),
    ]
    given += [hole(50, 60, "BTC", is_of_books=False), hole(290, 400, "BTC")]
    merged = over_books(given, "BTC", about)
    seconds = [((start - NOON) // SECOND, (end - NOON) // SECOND) for start, end in merged]
    assert seconds == [(0, 20), (290, 300)]


def test_without_a_sealed_segment_there_is_nothing_to_report(tmp_path: Path) -> None:
    done = command("report", tmp_path)
    assert done.returncode == 1
    assert "no sealed segment" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["now"], "takes no argument"),
        (["--since", "soon"], "--since"),
        (["--since", "2026-11-22", "--until", "2026-11-21"], "is not after --since"),
        (["--assets", "BTC,EUR"], "--assets EUR is unknown; use"),
        (["--output", "/nowhere/else/report.html"], "name a file in a folder that exists"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command("report", tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "reports").exists()
