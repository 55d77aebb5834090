"""`scrapy export --table catalog`: a row per resolved market, and nothing in it that came after its end."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ArgumentError
from marketarchive.items import PriceSnapshot
from marketarchive.research.products.catalog.training import COLUMNS
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.messages import CatalogVenue
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.simulator.whales import WhaleFiles
from marketarchive.times import DAY, from_iso, iso, utc
from marketarchive.venues.kalshi import queries as of_kalshi
from marketarchive.venues.kalshi.titles import question
from marketarchive.venues.polymarket import queries as of_polymarket
from tests.e2e.harness import command
from tests.exporting import export
from tests.master.markets import SECOND, START, market, priced, resolved
from tests.properties import examples
from tests.research.catalogue_master import at, empty, headline, put
from tests.simulator import catalog as simulated

YES_NO = ("Yes", "No")
MIDNIGHT_S = simulated.NOW_S // 86_400 * 86_400
LOOKS_S = [MIDNIGHT_S - weeks * 7 * 86_400 for weeks in range(7, -1, -1)]
"""Seconds at which the lists of open markets of the simulator are looked at."""


def price(t: float, yes: str, market_id: str = "0xabc", **said: Any) -> PriceSnapshot:
    return priced(t, market_id=market_id, yes_price=Decimal(yes), **said)


def rows(root: Path, **wanted: Any) -> list[dict[str, Any]]:
    export(root, "catalog", root / "x.parquet", "parquet", **wanted)
    return list(pq.read_table(root / "x.parquet").to_pylist())


def rain(root: Path) -> None:
    """A market that closes 5,000 s after its start, and what is seen of it up to a day later."""
    said: dict[str, Any] = {"title": "Will it rain?", "outcomes": YES_NO, "category": "Weather"}
    said |= {"event_id": "7", "description": "Rules.", "start_at": utc(START), "volume_unit": "dollars"}
    put(
        root,
        market(-100, status="active", **said),
        price(-50, "0.1", volume=Decimal(1)),  # quoted before it opened
        price(600, "0.4", volume=Decimal(5), liquidity=Decimal(50)),
        headline(700, "Clouds"),
        price(4900, "0.7", volume=Decimal("6.5"), liquidity=Decimal(40)),
        headline(5000, "It rained"),
        price(5000, "0.99", volume=Decimal(70), liquidity=Decimal(1)),
        market(6000, status="closed", closed_at=utc(START + 5000 * SECOND), **said),
        resolved(7000, payouts=("1", "0"), resolution_state="final", resolved_at=utc(START + 6500 * SECOND)),
        market(7000, market_id="open", status="active", outcomes=YES_NO),
        market(100, market_id="half", status="active", outcomes=YES_NO),
        resolved(7100, market_id="half", payouts=("0.5", "0.5"), resolution_state="final"),
        market(100, market_id="may be", status="active", outcomes=YES_NO),
        resolved(7100, market_id="may be", payouts=("1", "0"), resolution_state="proposed"),
        market(8000, market_id="late", status="closed", outcomes=YES_NO),
        resolved(8000, market_id="late", payouts=("0", "1"), resolution_state="final"),
    )


def test_a_row_has_what_was_seen_before_the_end_and_no_more(tmp_path: Path) -> None:
    rain(tmp_path)
    found = {row["market_id"]: row for row in rows(tmp_path)}
    assert set(found) == {"0xabc", "half", "late"}, "what is open, or only proposed, has no result"
    row = found["0xabc"]
    assert list(row) == [name for name in COLUMNS if name != "split"]
    assert (row["platform"], row["title"], row["category"]) == ("polymarket", "Will it rain?", "Weather")
    assert (row["outcomes"], row["resolution"], row["resolution_label"]) == (["Yes", "No"], "YES", "Yes")
    assert (row["volume"], row["liquidity"]) == (6.5, 40.0)
    assert (row["price_at_open"], row["price_at_close"]) == (0.4, 0.7)
    assert json.loads(row["price_history"]) == [
        {"at": at(t), "price": price} for t, price in ((-50, 0.1), (600, 0.4), (4900, 0.7))
    ]
    assert [each["headline"] for each in json.loads(row["news_headlines"])] == ["Clouds"]
    assert row["days_to_resolution"] == pytest.approx(6600 / 86_400)
    assert (row["whale_alerts"], row["whale_count"]) == (None, None), "nobody watched"
    assert row["description_sha256"] == hashlib.sha256(b"Rules.").hexdigest()
    assert (row["is_observed"], row["reopened"]) == (True, False)
    half = found["half"]
    assert (half["resolution"], half["resolution_kind"], half["price_at_open"]) == (None, "split", None)
    assert half["price_history"] == "[]"
    assert (found["late"]["is_observed"], found["late"]["days_to_resolution"]) == (False, None)


def test_a_first_price_later_than_a_cycle_is_no_opening_price(tmp_path: Path) -> None:
    rain(tmp_path)
    for cycle_s, expected in ((600, 0.4), (599, None)):
        [row] = rows(tmp_path, snapshot_cycle_s=cycle_s, options={"category": ("weather",)})
        assert (row["price_at_open"], row["price_at_close"]) == (expected, 0.7)


def test_an_export_as_of_each_time_is_what_was_known_then(tmp_path: Path) -> None:
    said: dict[str, Any] = {"title": "Will it rain?", "outcomes": YES_NO}
    put(
        tmp_path,
        market(0, status="active", **said),
        price(1, "0.5"),
        resolved(10, payouts=("1", "0"), resolution_state="final"),
        market(20, status="active", **said),
        resolved(20.5, status="closed"),
        price(25, "0.2"),
        resolved(30, payouts=("0", "1"), resolution_state="final"),
    )
    for t, expected in ((9, []), (15, [("YES", False, 0.5)]), (21, []), (31, [("NO", True, 0.2)])):
        found = rows(tmp_path, options={"as_of": START + t * SECOND})
        assert [(row["resolution"], row["reopened"], row["price_at_close"]) for row in found] == expected, t


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"since": START + 6500 * SECOND}, {"0xabc", "half", "late"}),
        ({"since": START + 6501 * SECOND}, {"half", "late"}),
        ({"until": START + 7000 * SECOND}, {"0xabc"}),
        ({"options": {"min_volume": 6.5}}, {"0xabc"}),
        ({"options": {"min_volume": 6.6}}, set()),
        ({"options": {"category": ("WEATHER",)}}, {"0xabc"}),
    ],
    ids=["since", "since later", "until", "volume", "more volume", "category"],
)
def test_rows_are_chosen(tmp_path: Path, wanted: dict[str, Any], expected: set[str]) -> None:
    rain(tmp_path)
    assert {row["market_id"] for row in rows(tmp_path, **wanted)} == expected


@pytest.mark.parametrize("form", ["parquet", "prompts"])
def test_a_category_that_no_market_has_is_an_error(tmp_path: Path, form: str) -> None:
    rain(tmp_path)
    with pytest.raises(ArgumentError, match="category='Wether'; there is Weather"):
        export(tmp_path, "catalog", tmp_path / "x", form, options={"category": ("weather", "Wether")})
    assert not (tmp_path / "x").exists()
    known_later = {"category": ("Weather",), "as_of": START - 200 * SECOND}
    assert export(tmp_path, "catalog", tmp_path / "x", form, options=known_later).rows == 0


def test_an_export_as_of_a_time_that_nothing_reaches_names_the_newest_receipt(tmp_path: Path) -> None:
    rain(tmp_path)
    said = [
        export(tmp_path, "catalog", tmp_path / "x", options={"as_of": START + t * SECOND}).remarks
        for t in (8000, 8001)
    ]
    assert said == [[], [f"--as-of: nothing that was received after {at(8000)} changed a market"]]


def test_every_format_has_the_lists_as_text_and_prices_can_be_left_out(tmp_path: Path) -> None:
    rain(tmp_path)
    options = {"category": ("Weather",), "no_prices": True}
    [row] = rows(tmp_path, options=options)
    assert list(row) == [
        name for name in COLUMNS if name not in ("price_at_open", "price_at_close", "price_history", "split")
    ]
    export(tmp_path, "catalog", tmp_path / "x.csv", options={"category": ("Weather",)})
    with (tmp_path / "x.csv").open(newline="") as file:
        [cells] = csv.DictReader(file)
    assert json.loads(cells["price_history"])[-1]["price"] == 0.7
    assert (cells["outcomes"], cells["resolution"], cells["reopened"]) == ('["Yes","No"]', "YES", "0")
    export(tmp_path, "catalog", tmp_path / "x.gz", "jsonl.gz", options={"category": ("Weather",)})
    [line] = gzip.decompress((tmp_path / "x.gz").read_bytes()).splitlines()
    assert json.loads(json.loads(line)["news_headlines"])[0]["headline"] == "Clouds"


def test_the_command_takes_the_options_of_its_table_only(tmp_path: Path) -> None:
    rain(tmp_path)
    given = ("--as-of", at(7050), "--category", "weather", "--min-volume", "1", "--no-prices")
    done = command("export", tmp_path, "--table", "catalog", "--format", "parquet", *given)
    assert (done.returncode, done.stderr) == (0, "")
    assert pq.read_table(tmp_path / "exports" / "catalog.parquet")["market_id"].to_pylist() == ["0xabc"]
    for options, message in (
        (("--table", "catalog", "--min-volume", "much"), "--min-volume 'much' is not a number"),
        (("--table", "gaps,current_gaps", "--no-prices"), "gaps"),
        (("--table", "current_gaps", "--category", "x"), "--category does not apply to current_gaps"),
    ):
        done = command("export", tmp_path, *options)
        assert done.returncode == 2
        assert message in done.stderr


def test_splits_and_repeated_questions_are_reported(tmp_path: Path) -> None:
    rain(tmp_path)
    put(
        tmp_path,
        market(100, market_id="again", title="Will it rain", outcomes=YES_NO),
        resolved(9000, market_id="again", payouts=("1", "0"), resolution_state="final"),
    )
    given = ("--format", "parquet", "--split", "50,50", "--dedupe")
    done = command("export", tmp_path, "--table", "catalog", *given)
    assert (done.returncode, done.stderr) == (0, "")
    assert "left out 1 markets: the same question as an earlier one" in done.stdout
    assert "in no split: 0 markets at a border" in done.stdout
    assert "of 0 answers with a name 0 stand in a text of another event" in done.stdout
    table = pq.read_table(tmp_path / "exports" / "catalog.parquet")
    assert dict(zip(table["market_id"].to_pylist(), table["split"].to_pylist(), strict=True)) == {
        "0xabc": "train",
        "half": "train",
        "late": "validation",
    }
    refused = command("export", tmp_path, "--table", "catalog", "--split", "most")
    assert refused.returncode == 2
    assert "--split most is not two or three percents" in refused.stderr


def test_without_a_master_there_is_no_such_table(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no market master"):
        rows(tmp_path)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each platform an archive of eight weekly looks at the lists, and one at what has ended."""
    lists = {
        "polymarket": (of_polymarket.markets(closed=False), of_polymarket.markets(closed=True)),
        "kalshi": (of_kalshi.markets(), of_kalshi.markets(status="settled")),
    }
    made = {}
    for platform, (listed, ended) in lists.items():
        made[platform] = tmp_path_factory.mktemp(platform)
        looks = [(listed, at_s) for at_s in LOOKS_S]
        for number, (query, at_s) in enumerate([*looks, (ended, simulated.NOW_S)]):
            pages = simulated.sweep(venue(platform), query, at_s)
            items = [item for page in pages for item in page.items]
            put(
                made[platform],
                *(
                    item.model_copy(update={"run": "r", "seq": 10_000 * number + place})
                    for place, item in enumerate(items)
                ),
            )
        files = WhaleFiles(made[platform], simulated.NOW_S * SECOND)
        for each in simulated.truth(venue(platform)).values():
            files.add(each)
        files.write()
    return made


def prompts(root: Path, **wanted: Any) -> list[dict[str, Any]]:
    export(root, "catalog", root / "x.jsonl", "prompts", **wanted)
    return [json.loads(line) for line in (root / "x.jsonl").read_text().splitlines()]


def test_a_prompt_asks_of_what_was_known_before_its_cut(tmp_path: Path) -> None:
    rain(tmp_path)
    (tmp_path / "x.jsonl").touch()
    [prompt] = prompts(tmp_path)
    assert list(prompt)[:4] == ["question", "context", "answer", "cut"]
    assert (prompt["question"], prompt["answer"]) == ("Will Will it rain? resolve YES?", "YES")
    assert prompt["cut"] == at(5000)
    assert list(prompt["context"]) == ["price_history", "whale_alerts", "news"]
    assert [each["price"] for each in prompt["context"]["price_history"]] == [0.1, 0.4, 0.7]
    assert [each["headline"] for each in prompt["context"]["news"]] == ["Clouds"]
    assert prompt["context"]["whale_alerts"] is None, "nobody watched"
    assert (prompt["labels"], prompt["market_id"]) == ({"YES": "Yes", "NO": "No"}, "0xabc")
    assert prompt["description_sha256"] == hashlib.sha256(b"Rules.").hexdigest()
    early, late = prompts(tmp_path, options={"cuts": (100 * SECOND, 4300 * SECOND, 5100 * SECOND)})
    assert [each["price"] for each in early["context"]["price_history"]] == [0.1, 0.4]
    assert early["context"]["news"] == [], "it came at the cut"
    assert [each["price"] for each in late["context"]["price_history"]] == [0.1, 0.4], "4,900 is the cut"
    [without] = prompts(tmp_path, options={"no_prices": True, "split": "100,0", "dedupe": True})
    assert without["split"] == "train"
    assert without["context"]["price_history"] == []


def test_other_labels_are_asked_for_by_the_first(tmp_path: Path) -> None:
    put(
        tmp_path,
        market(0, title="FaZe or illwill", outcomes=("FaZe", "illwill"), description="old"),
        market(50, title="illwill won", outcomes=("illwill", "FaZe"), description="new"),
        resolved(60, payouts=("1", "0"), resolution_state="final"),
    )
    new, old = prompts(tmp_path), prompts(tmp_path, options={"cuts": (10 * SECOND,)})
    assert [(each["question"], each["answer"]) for each in (*new, *old)] == [
        ("Will illwill won resolve illwill?", "YES"),
        ("Will FaZe or illwill resolve FaZe?", "NO"),
    ]
    assert old[0]["labels"] == {"YES": "FaZe", "NO": "illwill"}
    assert (new[0]["description"], old[0]["description"]) == ("new", "old")


def test_a_reopened_market_is_cut_at_its_first_result(tmp_path: Path) -> None:
    said: dict[str, Any] = {"title": "Will it rain?", "outcomes": YES_NO}
    put(
        tmp_path,
        market(0, status="active", **said),
        price(1, "0.5"),
        resolved(10, payouts=("1", "0"), resolution_state="proposed"),
        price(15, "0.9"),
        market(20, status="active", **said),
        resolved(20.5, status="closed"),
        resolved(30, payouts=("0", "1"), resolution_state="final"),
    )
    [prompt] = prompts(tmp_path)
    assert (prompt["cut"], prompt["answer"]) == (at(10), "NO")
    assert [each["price"] for each in prompt["context"]["price_history"]] == [0.5]


def test_the_command_writes_prompts_of_this_table_only(tmp_path: Path) -> None:
    rain(tmp_path)
    done = command("export", tmp_path, "--table", "catalog", "--format", "prompts", "--cuts", "1h,30m")
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "exports" / "catalog.prompts.jsonl").read_text().splitlines()
    assert [json.loads(line)["cut"] for line in lines] == [at(1400), at(3200)]
    assert "no prompt of 2 markets" in done.stdout
    refused = command("export", tmp_path, "--table", "current_gaps", "--format", "prompts")
    assert refused.returncode == 2
    ignored = command("export", tmp_path, "--table", "catalog", "--cuts", "1h")
    assert ignored.returncode == 2
    assert "--cuts is for --format prompts" in ignored.stderr
    assert "--format prompts does not apply to current_gaps" in refused.stderr


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a master that every example empties: to make one takes a second."""
    root = tmp_path_factory.mktemp("masked")
    put(root)
    return root


times = st.integers(0, 12)
states = st.lists(
    st.one_of(
        st.tuples(st.just("market"), times, st.sampled_from(["active", "active", "closed"])),
        st.tuples(st.just("price"), times, st.none()),
        st.tuples(st.just("news"), times, st.none()),
        st.tuples(st.just("result"), times, st.sampled_from([("1", "0"), ("0", "1"), None])),
    ),
    min_size=3,
    max_size=14,
)


@given(said=states, spans=st.sets(st.integers(0, 8), min_size=1), closed=st.none() | times)
@examples(20)
def test_no_prompt_knows_what_came_at_or_after_its_cut(
    shared: Path, said: list[Any], spans: set[int], closed: int | None
) -> None:
    """Every text, price and headline of the history names the second at which it came."""
    root = shared
    empty(root)
    end = None if closed is None else utc(START + closed * SECOND)
    items: list[Any] = [
        market(0, seq=1, title="0", description="0", outcomes=YES_NO),
        resolved(12, seq=2, payouts=("1", "0"), resolution_state="final"),
    ]
    results = {12}
    revised = {0}
    for seq, (kind, t, value) in enumerate(said, 3):
        if kind == "market":
            ends: dict[str, Any] = {"closed_at": end} if value == "closed" else {}
            items.append(
                market(t, seq=seq, title=str(t), description=str(t), outcomes=YES_NO, status=value, **ends)
            )
            revised.add(t)
        elif kind == "price":
            items.append(price(t, f"0.{t:02d}", seq=seq))
        elif kind == "news":
            items.append(headline(t, str(t)))
        else:
            state = None if value is None else "proposed"
            items.append(resolved(t, seq=seq, payouts=value, resolution_state=state))
            if value is not None:
                results.add(t)
    put(root, *items)
    is_closed = closed is not None and any(value == "closed" for _, _, value in said)
    for prompt in prompts(root, options={"cuts": tuple(span * SECOND for span in spans)}):
        cut = (from_iso(prompt["cut"]) - START) // SECOND
        assert cut <= min(results)
        assert not is_closed or closed is None or cut <= closed
        assert prompt["title"] == prompt["description"] == str(max(t for t in revised if t < cut))
        assert prompt["question"] == f"Will {prompt['title']} resolve YES?"
        prices = {round(100 * each["price"]) for each in prompt["context"]["price_history"]}
        assert prices <= {t for kind, t, _ in said if kind == "price" and t < cut}
        news = [each["headline"] for each in prompt["context"]["news"]]
        assert sorted(news) == sorted({str(t) for kind, t, _ in said if kind == "news" and t < cut})
        for each in (*prompt["context"]["price_history"], *prompt["context"]["news"]):
            assert from_iso(each["at"]) < from_iso(prompt["cut"])


@cache
def venue(platform: str) -> CatalogVenue:
    """A platform of few long-running markets, and no rounds, of which the lists of ended ones are full."""
    made = Polymarket(1) if platform == "polymarket" else Kalshi(1)
    made.open_catalog(40)
    made.list_rounds(())
    return made


def true_markets(platform: str) -> dict[str, dict[str, Any]]:
    return simulated.truth(venue(platform), (MIDNIGHT_S - 49 * 86_400), simulated.NOW_S)


def state_at(told: dict[str, Any], at_s: int) -> str | None:
    """The true state of a market at a second, None before it was listed."""
    said = [each["state"] for each in told["revisions"] if each["at"] <= iso(at_s * SECOND)]
    return said[-1] if said else None


@pytest.mark.parametrize("platform", ["polymarket", "kalshi"])
def test_rows_are_the_simulators_truth(worlds: dict[str, Path], platform: str) -> None:
    root, true = worlds[platform], true_markets(platform)
    checked = {"rows": 0, "prices": 0, "whales": 0}
    links = [json.loads(line) for line in (root / "whale_links.jsonl").read_text().splitlines()]
    found = {row["market_id"]: row for row in rows(root, wwatcher=root / "wwatcher.db")}
    for row in found.values():
        if row["market_id"] not in true:
            continue
        told = true[row["market_id"]]
        final = told["revisions"][-1]
        assert final["state"] == "final"
        if final["payout"] in ("0", "1"):
            assert row["resolution"] == ("YES" if final["payout"] == "1" else "NO")
        else:
            assert row["resolution"] is None
        assert row["event_id"] == told["event_id"]
        before = [each for each in told["revisions"] if from_iso(each["at"]) <= simulated.NOW_S * SECOND]
        assert row["description"] == before[-1]["rules"]
        stated = before[-1]["title"]
        assert row["title"] == (question(stated, told["label"]) if platform == "kalshi" else stated)
        assert row["description_sha256"] == hashlib.sha256(before[-1]["rules"].encode()).hexdigest()
        assert from_iso(row["resolved_at"].isoformat()) == from_iso(final["resolved_at"])
        if row["start_at"] is not None:  # Gamma leaves some out
            assert from_iso(row["start_at"].isoformat()) == from_iso(told["opens_at"])
        ended = row["closed_at"].isoformat()
        history = json.loads(row["price_history"])
        for point in history:
            assert from_iso(point["at"]) < from_iso(ended)
            if (price := told["prices"].get(point["at"])) is not None:
                assert point["price"] == pytest.approx(price, abs=0.01)
                checked["prices"] += 1
        assert row["price_at_close"] == (history[-1]["price"] if history else None)
        if row["whale_count"] is not None:
            mine = [each for each in links if each["market_id"] == row["market_id"]]
            before = [each for each in mine if from_iso(each["known_at"]) < from_iso(ended)]
            assert row["whale_count"] == len(before) == len(json.loads(row["whale_alerts"]))
            checked["whales"] += len(before)
        checked["rows"] += 1
    assert min(checked.values()) > 3, checked
    missed = [
        name
        for name, told in true.items()
        if name not in found
        and told["revisions"][-1]["payout"] in ("0", "1")  # lists alone state no other result
        and state_at(told, simulated.NOW_S) == "final"
        and any(state_at(told, at_s) == "open" for at_s in LOOKS_S if told["opens_at"] <= iso(at_s * SECOND))
    ]
    assert not missed, "seen while they were open, and final at the last look"


@pytest.mark.parametrize("platform", ["polymarket", "kalshi"])
def test_prompts_of_the_simulators_markets_keep_to_their_cuts(worlds: dict[str, Path], platform: str) -> None:
    root, true, seen = worlds[platform], true_markets(platform), 0
    questioned: set[str] = set()
    for prompt in prompts(root, wwatcher=root / "wwatcher.db", options={"cuts": (0, 10 * DAY)}):
        cut, context = from_iso(prompt["cut"]), prompt["context"]
        for each in (*context["price_history"], *context["news"]):
            assert from_iso(each["at"]) < cut
        for each in context["whale_alerts"] or ():
            assert from_iso(each["at"]) <= from_iso(each["known_at"]) < cut
        if (told := true.get(prompt["market_id"])) is not None:
            said = [each for each in told["revisions"] if from_iso(each["at"]) < cut]
            assert prompt["description"] in {each["rules"] for each in said}
            titles = {each["title"] for each in said}
            titles |= {question(each, told["label"]) for each in titles} if platform == "kalshi" else set()
            assert prompt["title"] in titles
            for point in context["price_history"]:
                if (price := told["prices"].get(point["at"])) is not None:
                    assert point["price"] == pytest.approx(price, abs=0.01)
            # Polymarket's closedTime is that of its result: a proposal that no look saw may come before it
            assert said[-1]["state"] != "final"
            assert cut <= from_iso(told["revisions"][-1]["resolved_at"])
            assert prompt["answer"] == ("YES" if told["revisions"][-1]["payout"] == "1" else "NO")
            seen += 1
            questioned.add(prompt["market_id"])
    assert seen > 3
    decided = {
        row["market_id"]
        for row in rows(root)
        if row["market_id"] in true and row["resolution"] is not None and row["is_observed"]
    }
    assert questioned == decided, "every market that was seen before its answer is asked about"


def test_days_to_resolution_are_from_the_first_sight(worlds: dict[str, Path]) -> None:
    for row in rows(worlds["polymarket"]):
        if row["is_observed"]:
            lasted = from_iso(row["resolved_at"].isoformat()) - from_iso(row["first_seen_at"].isoformat())
            assert row["days_to_resolution"] == pytest.approx(lasted / DAY)
