"""The join against the simulated whale alerts, of whose markets all is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from marketarchive.research.products.whales.database import read_alerts
from marketarchive.research.products.whales.joining import WhaleMatch, join_alerts
from marketarchive.research.products.whales.markets import TEXTS, TIMES, markets_of
from marketarchive.research.products.whales.whales import whale_columns
from marketarchive.simulator.messages import CatalogVenue
from marketarchive.simulator.whales import LINKS, WhaleFiles
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.kalshi.titles import question
from tests.simulator import catalog as simulated

NOW = simulated.NOW_S * SECOND
VENUES: dict[str, Callable[[], CatalogVenue]] = {
    "polymarket": simulated.polymarket,
    "kalshi": simulated.kalshi,
}


class World:
    """Files of the simulator, and the catalogue as it is known at the end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "wwatcher.db"
        files = WhaleFiles(folder, NOW)
        rows = []
        for venue in VENUES.values():
            for market in simulated.truth(venue()).values():
                files.add(market)
                rows.append(_row(market))
        files.write()
        lines = (folder / "whale_links.jsonl").read_bytes().splitlines()
        self.links: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
        self.catalogue = pd.DataFrame(rows, columns=[*TEXTS, "outcomes", *TIMES])


def _row(market: dict[str, Any]) -> dict[str, Any]:
    """What the market master knows of a market, by the names of `Archive.catalog()`."""
    now = [
        each for each in market["revisions"] if from_iso(each["at"]) <= NOW or each is market["revisions"][0]
    ][-1]
    is_kalshi = market["platform"] == "kalshi"
    closed = next((each["closed_at"] for each in market["revisions"] if each["closed_at"] is not None), None)
    return {
        "platform": market["platform"],
        "market_id": market["market_id"],
        "title": question(now["title"], market["label"]) if is_kalshi else now["title"],
        "subtitle": market["label"] if is_kalshi else None,
        "outcomes": list(market["outcomes"]) if market["outcomes"] else None,
        "start_at": market["opens_at"],
        "end_at": now["end"],
        "closed_at": closed if closed is not None and from_iso(closed) <= NOW else None,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("truth"))


def test_all_links_are_there_on_both_platforms(world: World) -> None:
    counts = Counter((each["platform"], each["link"]) for each in world.links)
    for platform in VENUES:
        for link in set(LINKS) - ({"ambiguous"} if platform == "polymarket" else set()):
            assert counts[platform, link] >= 3, (platform, link, counts)


def test_every_alert_has_its_true_market_or_none(world: World) -> None:
    file = read_alerts(world.path)
    joined = join_alerts(file.alerts, markets_of(world.catalogue))
    found: dict[int, WhaleMatch] = {each.alert.row: each for each in joined.matches}
    wrong = [
        (link, found.get(link["row"]))
        for link in world.links
        if link["market_id"] != (found[link["row"]].market.market_id if link["row"] in found else None)
    ]
    assert wrong == []
    for link in world.links:
        if link["row"] in found:
            match = found[link["row"]]
            assert match.market.side(match.alert) == link["side"]
            assert (match.kind == "id") == (link["link"] == "id")
            if link["link"] == "misspelt":
                assert match.kind == "fuzzy"
    unmatched = {each.alert.row: each.reason for each in joined.unmatched}
    for link in world.links:
        if link["link"] in ("ambiguous", "unknown"):
            assert unmatched[link["row"]] == link["link"]
    rubbish = [each["row"] for each in world.links if each["link"] == "rubbish"]
    assert [each.values["id"] for each in file.rubbish] == rubbish
    assert file.rubbish_counts == {"market": len(rubbish)}


def test_the_columns_are_those_of_the_truth(world: World) -> None:
    cut = NOW - 5 * 86_400 * SECOND
    made = whale_columns(world.path, world.catalogue, pd.Timestamp(cut, tz="UTC"))
    ends = {each.market_id: each.end for each in markets_of(world.catalogue)}
    net, counts = Counter[str](), Counter[str]()
    for link in world.links:
        limit = min(cut, ends.get(link["market_id"]) or cut)
        if link["market_id"] is not None and from_iso(link["known_at"]) < limit:
            counts[link["market_id"]] += 1
            cents = round(100 * link["value"])
            net[link["market_id"]] += cents if link["side"] == "YES" else -cents
    is_null = made.frame["whale_count"].isna()
    for market_id, row in zip(world.catalogue["market_id"], made.frame.to_dict("records"), strict=True):
        if pd.isna(row["whale_count"]):
            assert counts[market_id] == 0
            continue
        assert row["whale_count"] == counts[market_id]
        expected = "YES" if net[market_id] > 0 else "NO" if net[market_id] < 0 else "NEUTRAL"
        assert row["whale_net_direction"] == expected
    assert counts.total() > 100
    assert not is_null.all()


def test_the_same_truth_makes_the_same_alerts(world: World, tmp_path: Path) -> None:
    again = World(tmp_path)
    assert again.links == world.links
    assert read_alerts(again.path).alerts == read_alerts(world.path).alerts
    World(tmp_path)  # over the files of an earlier run


def test_without_a_catalogue_there_is_no_file(tmp_path: Path) -> None:
    WhaleFiles(tmp_path, NOW).write()
    assert list(tmp_path.iterdir()) == []
