"""Headlines from a simulated SearXNG: what is in the master is what was listed, and failures end nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from marketarchive.master.compare import compare
from marketarchive.master.engine import connect, sqlite_url
from marketarchive.master.tables import markets, news_context
from marketarchive.simulator.searxng import PAGE, Searxng
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.searxng.queries import query_text
from tests.e2e.harness import SCRAPY, Done, Output, Simulator, command, crawl, run, simulator

pytestmark = pytest.mark.e2e

LAKE, SPACEPORT = "will-the-lake-freeze-over-this-winter", "will-a-new-spaceport-open-by-2028"
BEGIN = from_iso("2026-11-20T10:01:00Z") // SECOND
LEAD_S = 2400
"""Simulated seconds in which the first cycle is over, before something new is listed."""
FAST = {"NEWS_PER_MINUTE": 6000}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Path]]:
    """A simulator, and an archive whose master knows its markets."""
    listed = next_listing([query_text("Will the lake freeze over this winter?")], BEGIN + LEAD_S)
    options = ("--speed", "100", "--start", iso((listed - LEAD_S) * SECOND))
    with simulator(tmp_path_factory.mktemp("truth"), *options) as world:
        out = tmp_path_factory.mktemp("news") / "out"
        names = f"markets={LAKE},{SPACEPORT}"
        assert crawl(world.url, out, "polymarket_markets", names).code == 0
        yield world, out


def news(world: Simulator, out: Path, *arguments: str, **settings: Any) -> Done:
    """Run the spider on the simulated server."""
    server = {"NEWS_SEARXNG_URL": f"{world.url}/searxng.example"}
    return crawl(world.url, out, "searxng_news", *arguments, **{**FAST, **server, **settings})


def rows(out: Path) -> list[dict[str, Any]]:
    engine = connect(sqlite_url(out / "master.db"))
    with engine.connect() as connection:
        query = select(news_context, markets.c.slug, markets.c.title).join(
            markets, news_context.c.market_id == markets.c.market_id
        )
        found = [dict(row) for row in connection.execute(query).mappings()]
    engine.dispose()
    return found


def gaps_of(out: Path) -> list[dict[str, Any]]:
    return Output(out).lines("news", "gap")


@pytest.fixture(scope="module")
def collected(known: tuple[Simulator, Path]) -> tuple[Simulator, Path]:
    """Two cycles; between them a headline was listed that was published before the first."""
    world, out = known
    done = news(world, out)
    assert done.code == 0, done.log
    requested = {line["params"]["q"] for line in Output(out).lines("news", "response")}
    world.wait_until(next_listing(requested, int(world.now_s())))
    done = news(world, out)
    assert done.code == 0, done.log
    return world, out


def next_listing(requested: Iterable[str], now: int) -> int:
    """The first minute after `now` at which a search finds another page that is older than `now`."""
    server = Searxng(1)
    for moment in range(now + 60, now + 86_400, 60):
        for text in requested:
            seen = {each["url"] for each in server.results(text, now)}
            newest = server.results(text, moment)[:PAGE]
            if any(each["url"] not in seen and each["publishedDate"] < iso(now * SECOND) for each in newest):
                return moment
    raise AssertionError("nothing is listed within a day")


def test_what_was_listed_is_in_the_master_as_first_seen(collected: tuple[Simulator, Path]) -> None:
    _, out = collected
    server = Searxng(1)
    truth: dict[tuple[str, str, str], tuple[int, str]] = {}
    for line in Output(out).lines("news", "response"):
        at = from_iso(line["collected_at_utc"])
        # the answer was made within its latency: the lists of both ends are the same where nothing changed
        sent = at - int(line["latency_ms"] * 1_000_000)
        listed = [server.results(line["params"]["q"], moment // SECOND)[:PAGE] for moment in (sent, at)]
        assert [each["url"] for each in line["payload"]["results"]] in [
            [each["url"] for each in some] for some in listed
        ]
        for each in line["payload"]["results"]:
            identity = (line["params"]["market"], each["url"], each["title"])
            truth.setdefault(identity, (at, each["publishedDate"]))
    found = {
        (row["market_id"], row["url"], row["headline"]): (
            row["captured_at"] * 1000,
            iso(row["published_at"] * 1000)[:19],
        )
        for row in rows(out)
    }
    assert found == truth
    assert len({market for market, _, _ in truth}) == 2
    assert len({at for at, _ in truth.values()}) > 2  # the second cycle brought something
    assert all(iso(at) > published for at, published in truth.values())


def test_a_search_is_made_of_the_title(collected: tuple[Simulator, Path]) -> None:
    _, out = collected
    requested = {line["params"]["q"] for line in Output(out).lines("news", "response")}
    assert requested == {query_text(row["title"]) for row in rows(out)}


def test_raw_says_what_was_asked_and_where_it_stood(collected: tuple[Simulator, Path]) -> None:
    world, out = collected
    for line in Output(out).lines("news", "response"):
        assert line["url"] == f"{world.url}/searxng.example/search"
        assert line["canonical_url"] == "https://searxng.example/search"


def test_a_rebuild_makes_the_same(collected: tuple[Simulator, Path], tmp_path: Path) -> None:
    _, out = collected
    other = sqlite_url(tmp_path / "again.db")
    told = command("rebuild-master", out, "-s", f"MASTER_URL={other}")
    assert told.returncode == 0, told.stderr
    assert compare(sqlite_url(out / "master.db"), other) == []


def test_a_frame_has_what_was_captured_by_a_moment(collected: tuple[Simulator, Path]) -> None:
    _, out = collected
    archive = Archive(out)
    whole = archive.news()
    assert len(whole) == len(rows(out))
    assert set(whole["market"]) == {LAKE, SPACEPORT}
    first, moment = whole["time"].iloc[0], whole["time"].iloc[PAGE * 2 - 1]
    by_then = archive.news(as_of=moment)
    assert len(by_then) == (whole["time"] <= moment).sum() == 2 * PAGE
    assert archive.news(as_of=first - timedelta(microseconds=1)).empty
    late = whole[whole["time"] > moment]
    assert (late["published_at"] < moment).any()  # published before, and not known then
    assert set(archive.news([LAKE])["market"]) == {LAKE}
    assert archive.news(end=first).empty
    with pytest.raises(ArgumentError, match="market='nothing'"):
        archive.news("nothing")


def test_without_a_server_nothing_is_collected(known: tuple[Simulator, Path], tmp_path: Path) -> None:
    world, _ = known
    done = crawl(world.url, tmp_path / "out", "searxng_news")
    assert done.code == 2
    assert "NEWS_SEARXNG_URL is not set" in done.log


def test_a_server_without_json_says_which_setting_to_enable(
    known: tuple[Simulator, Path], tmp_path: Path
) -> None:
    world, out = known
    with world.ordered({"kind": "searxng_html_only"}):
        done = news(world, tmp_path / "out", MASTER_URL=sqlite_url(out / "master.db"))
    assert done.code == 4
    assert "list json under search.formats in its settings.yml" in done.log
    [requested] = done.out.lines("news", "response")  # it is left alone after the first refusal
    assert requested["status"] == 403
    first, rest = gaps_of(tmp_path / "out")
    assert {first["reason"], rest["reason"]} == {"blocked"}
    named = first["scope"]["markets"] + rest["scope"]["markets"]
    assert len(named) == len(set(named)) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "searxng_engines_down"}, "disconnect"),
        ({"kind": "status", "status": 502}, "disconnect"),
        ({"kind": "html"}, "disconnect"),
        ({"kind": "hang"}, "stall"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value,
)
def test_a_server_that_fails_leaves_gaps_of_its_markets(
    known: tuple[Simulator, Path], tmp_path: Path, fault: dict[str, Any], reason: str
) -> None:
    world, out = known
    url, few = sqlite_url(out / "master.db"), {"REQUEST_ATTEMPTS": 2, "DOWNLOAD_TIMEOUT": 1}
    with world.ordered({"route": "searxng.example/*", **fault}):
        done = news(world, tmp_path / "out", MASTER_URL=url, **few)
    assert done.code == 1, done.log
    found = gaps_of(tmp_path / "out")
    assert [gap["reason"] for gap in found] == [reason] * 2
    assert len({market for gap in found for market in gap["scope"]["markets"]}) == 2


def test_a_run_goes_on_after_a_failure(known: tuple[Simulator, Path], tmp_path: Path) -> None:
    world, out = known
    url = sqlite_url(out / "master.db")
    once = {"kind": "searxng_engines_down", "count": 2}
    with world.ordered(once):
        done = news(world, tmp_path / "out", "interval=1m", "duration=150s", MASTER_URL=url)
    assert done.code == 0, done.log
    lines = done.out.lines("news", "response")
    answered = [bool(line["payload"]["results"]) for line in lines]
    assert answered[:2] == [False, False]
    assert all(answered[2:])
    assert len(answered) >= 4
    assert len(gaps_of(tmp_path / "out")) == 2


def test_results_that_stand_twice_are_one_headline(known: tuple[Simulator, Path], tmp_path: Path) -> None:
    world, out = known
    url = sqlite_url(out / "master.db")
    with world.ordered({"kind": "searxng_repeats"}):
        done = news(world, tmp_path / "out", f"markets={LAKE}", MASTER_URL=url)
    assert done.code == 0
    [line] = done.out.lines("news", "response")
    assert len(line["payload"]["results"]) == 2 * PAGE
    [manifest] = (tmp_path / "out" / "manifests").glob("searxng_news-*.json")
    assert json.loads(manifest.read_text())["summary"]["master"]["rows_upserted"] == PAGE


def test_cycles_take_turns_with_the_markets(known: tuple[Simulator, Path], tmp_path: Path) -> None:
    world, out = known
    url = sqlite_url(out / "master.db")
    done = news(world, tmp_path / "out", "interval=1m", "duration=150s", MASTER_URL=url, NEWS_MARKETS=1)
    assert done.code == 0, done.log
    requested = [line["params"]["market"] for line in done.out.lines("news", "response")]
    assert len(requested) >= 2
    assert all(one != other for one, other in pairwise(requested))


def test_a_configuration_file_is_enough(known: tuple[Simulator, Path], tmp_path: Path) -> None:
    """The live profile: what the file names is asked in place of the venues."""
    with simulator(tmp_path / "truth") as world:
        path = tmp_path / "my.toml"
        path.write_text(
            f"""
[general]
db_path = "{tmp_path}/data/markets.db"
[polymarket]
gamma_url = "{world.url}/gamma-api.polymarket.com"
[news]
searxng_url = "{world.url}/searxng.example"
"""
        )
        out = tmp_path / "out"
        given = ("-s", f"OUTPUT_DIR={out}", "--config", str(path))
        found = run(
            [*SCRAPY, "crawl", "polymarket_markets", "-a", f"markets={LAKE}", *given],
            SCRAPY_PROJECT="default",
        )
        assert found.returncode == 0, found.stderr
        said = run([*SCRAPY, "crawl", "searxng_news", *given], SCRAPY_PROJECT="default", COLLECTOR_CONFIG="")
        assert said.returncode == 0, said.stderr
    assert not (out / "master.db").exists()
    engine = connect(f"sqlite:///{tmp_path}/data/markets.db")
    with engine.connect() as connection:
        assert len(connection.execute(select(news_context)).all()) > 0
    engine.dispose()
    [line] = Output(out).lines("markets", "response")[:1]
    assert line["url"].startswith(f"{world.url}/gamma-api.polymarket.com/")
    assert line["canonical_url"] == line["url"].replace(f"{world.url}/", "https://")
    again = command("rebuild-master", out, "-s", f"MASTER_URL=sqlite:///{tmp_path}/again.db")
    assert again.returncode == 0, again.stderr
    assert compare(f"sqlite:///{tmp_path}/data/markets.db", f"sqlite:///{tmp_path}/again.db") == []
