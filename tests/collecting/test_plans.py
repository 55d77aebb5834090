"""Plans: found where they stand, chosen by name, each with what is shown of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from marketarchive import plans
from marketarchive.collecting.arguments import ASSETS, Arguments
from marketarchive.collecting.together.feed_counts import FeedCounts
from marketarchive.collecting.together.listener import Selected, Traffic
from marketarchive.collecting.together.look import StatusSnapshot, line, table
from marketarchive.collecting.together.plan import Chosen, Plan, PlannedFeed, all_feeds
from marketarchive.exceptions import ArgumentError
from marketarchive.items import Frames, Gap, ReferencePrice, Response
from marketarchive.scope import Scope
from marketarchive.times import SECOND, utc
from tests.e2e.harness import ENVIRONMENT, ROOT, simulator

START = 1_795_168_800 * SECOND
STREAM = ("acme", "stream")
POLLS = ("acme", "polls")

PLANS_OF_A_USER = {
    "prices": 'PlannedFeed("polymarket_reference", {})',
    "markets": 'PlannedFeed("polymarket_markets", {"assets": "BTC", "interval": "10s"})',
}
PLAN_MODULE = """
from marketarchive.collecting.together.plan import Plan, PlannedFeed

PLAN = Plan("{name}", "{name} only", lambda arguments: [{feed}])
"""
WITH_LISTENER = """
from marketarchive.collecting.together.feed_counts import FeedCounts
from marketarchive.collecting.together.plan import Plan, PlannedFeed


class Joining(FeedCounts):
    def begin(self, clock, rows):
        rows.write_record("joined", clock.now_ns(), b'{"run":"%b"}' % rows.run.encode())

    async def keep(self):
        raise LookupError("nothing to join")

    def finish(self):
        print("joined to the end")


PLAN = Plan(
    "joined", "joined", lambda arguments: [PlannedFeed("polymarket_reference", {})],
    listener=lambda arguments, now: Joining(frozenset()),
)
"""
RUN = """
import sys
from marketarchive import plans
plans.__path__.append(sys.argv.pop(1))
from scrapy.cmdline import execute
execute(["scrapy", "collect", *sys.argv[1:]])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user's own plans stand."""
    own = tmp_path / "plans"
    own.mkdir()
    for name, feed in PLANS_OF_A_USER.items():
        (own / f"{name}.py").write_text(PLAN_MODULE.format(name=name, feed=feed))
    return own


def price(second: int, *, is_observed: bool = True) -> ReferencePrice:
    return ReferencePrice(
        venue="acme",
        feed="stream",
        received_at=START,
        seq=1 if is_observed else 0,
        timestamp=utc(START + second * SECOND) if is_observed else None,
        asset="BTC",
        is_observed=1 if is_observed else 0,
        tick_at=utc(START + second * SECOND),
        source="ticker",
    )


def response(feed: str, second: int) -> Response:
    at = START + second * SECOND
    return Response("acme", feed, at, 1, "GET", "https://acme.example/x", {}, 200, {}, 1.0, b"{}")


def gap(to_ns: int | None) -> Gap:
    return Gap("acme", "stream", START, 1, START, to_ns, Scope("acme", "stream"), "stall", "venue")


def counted() -> FeedCounts:
    counts = FeedCounts(frozenset({STREAM, POLLS}))
    frames = ((START, 1, b"a"), (START + 2 * SECOND, 2, b"b"))
    things: list[Any] = [Frames("acme", "stream", "c1", frames), response("polls", 1), response("polls", 3)]
    things += [price(0), price(1), price(2, is_observed=False), gap(None), gap(START + SECOND)]
    for thing in things:
        counts.apply(thing)
    return counts


def look(counts: FeedCounts) -> StatusSnapshot:
    part = counts.look(START + 5 * SECOND)
    return StatusSnapshot(
        "2026-11-20 10:08:55Z", (part,), 8.0, 95.4, 1_500_000, 2_000_000_000, "12 rows", 1, ()
    )


def test_a_plan_without_a_listener_is_shown_feed_by_feed() -> None:
    assert line(look(counted())).split("; ")[1:] == [
        "acme/polls messages 2 rows 0 gaps 0 last data 2.0 s",
        "acme/stream messages 2 rows 3 gaps 1 last data 3.0 s",
    ]
    share = counted().seconds(START)["stream"]
    assert (share.observed, share.due) == (2, 3)


@pytest.mark.parametrize(
    ("width", "columns"),
    [(80, ["feed", "messages", "rows", "gaps", "last data"]), (24, ["feed", "last data"])],
)
def test_its_table_fits(width: int, columns: list[str]) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table(look(counted()), width))
    text = captured.get().splitlines()
    assert max(map(len, text)) <= width
    head = next(each for each in text if "feed" in each)
    assert [name for name in ("feed", "messages", "rows", "gaps", "last data") if name in head] == columns
    [stream] = [each for each in text if "acme/stream" in each]
    assert stream.split()[-2:] == ["3.0", "s"]


def test_a_listener_is_given_only_what_is_of_its_feeds() -> None:
    traffic = Traffic()
    selected = Selected(traffic, frozenset({STREAM}))
    for venue in ("acme", "other"):
        selected.apply(Frames(venue, "stream", "c1", ((START, 1, b"a"),)))
    assert traffic.frames == 1


def chosen(name: str, *feeds: PlannedFeed) -> Chosen:
    return Chosen(Plan(name, name, lambda _: feeds), Arguments(), feeds, frozenset())


def test_a_feed_of_two_plans_runs_once_and_must_be_the_same() -> None:
    feed = PlannedFeed("ticker", {"assets": "BTC"})
    assert all_feeds([chosen("a", feed), chosen("b", feed)]) == [feed]
    with pytest.raises(ArgumentError, match="b and an earlier plan need ticker with different arguments"):
        all_feeds([chosen("a", feed), chosen("b", replace(feed, arguments={}))])


def test_a_plan_is_given_the_options_that_it_takes_and_its_defaults() -> None:
    plan = Plan("a", "a", lambda _: (), takes=(ASSETS,), defaults={"assets": "BTC"})
    assert plan.arguments({"durations": "5m"}).given() == {"assets": ("BTC",)}
    assert plan.arguments({"assets": "ETH"}).assets == ("ETH",)


def test_plans_are_found_where_they_stand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plans.DEFAULT in plans.plans()
    monkeypatch.setattr(plans, "__path__", [*plans.__path__, str(folder)])
    assert {*PLANS_OF_A_USER, plans.DEFAULT} <= set(plans.plans())


def collect(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, str(folder), *options],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.process
def test_several_plans_run_together_and_each_is_shown(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", "20", "--start", "2026-11-20T10:03:30Z") as venue:
        settings = ("-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={venue.url}")
        done = collect(folder, "prices", "markets", "--duration", "70", *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    [path] = (out / "manifests").glob("collect-*.json")
    manifest = json.loads(path.read_text())
    assert manifest["arguments"]["plans"] == ["prices", "markets"]
    assert {run["spider"] for run in manifest["summary"]["runs"]} == {
        "polymarket_reference",
        "polymarket_markets",
    }
    [minute, *_] = [text for text in done.stderr.splitlines() if "rows/s" in text]
    for feed in ("polymarket/reference", "polymarket/markets"):
        assert f"; {feed} messages " in minute
    assert "polymarket_reference: 1 run" in done.stderr
    assert "rounds" not in done.stderr


@pytest.mark.process
def test_a_listener_writes_rows_and_its_fault_leaves_the_feeds_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "joined.py").write_text(WITH_LISTENER)
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", "20", "--start", "2026-11-20T10:03:30Z") as venue:
        settings = ("-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={venue.url}")
        done = collect(folder, "joined", "--duration", "20", *settings)
    assert done.returncode == 1
    assert "the collection: LookupError: nothing to join; exit code 1" in done.stderr
    assert "joined to the end" in done.stdout
    assert "polymarket_reference: 1 run" in done.stderr
    [path] = (out / "manifests").glob("collect-*.json")
    manifest = json.loads(path.read_text())
    assert manifest["summary"]["exit_code"] == 1
    assert [each["rows"] for each in manifest["records"]] == [1]
    assert [run["exit_code"] for run in manifest["summary"]["runs"]] == [0]


@pytest.mark.process
def test_plans_are_listed_and_options_that_none_takes_refused(folder: Path, tmp_path: Path) -> None:
    listed = collect(folder, "--list")
    assert listed.returncode == 0, listed.stderr
    assert "updown (default): everything of the up/down rounds" in listed.stdout
    assert "prices: prices only" in listed.stdout
    refused = collect(folder, "prices", "--assets", "BTC", "-s", f"OUTPUT_DIR={tmp_path / 'out'}")
    assert refused.returncode == 2
    assert "prices has no option --assets" in refused.stderr
    assert not (tmp_path / "out").exists()
