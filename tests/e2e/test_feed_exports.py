"""`-o` and `-O` as a user gives them to a crawl, beside what the same crawl wrote to records/."""

from __future__ import annotations

import csv
import json
import marshal
import pickle
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from marketarchive.collecting.feed_exports import columns
from marketarchive.items import Derived, Market, PriceSnapshot
from marketarchive.venues.polymarket.rows import Quote
from tests.e2e.harness import Done, Output, Simulator, crawl_command, run
from tests.spiders_under_test import spiders
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.e2e

TOLD = "Raw items are not exported; they are in raw/"
NOT_IN_RECORDS = {"up_mid", "down_mid"}
"""Columns of records/ that are made from the item's own."""


def exported(
    world: Simulator,
    out: Path,
    spider: str,
    arguments: Sequence[str],
    outputs: Sequence[str],
    **settings: Any,
) -> Done:
    command = [*crawl_command(world.url, out, spider, *arguments, **settings), *outputs]
    done = run(command, 2 * PATIENCE_S)
    assert "Traceback" not in done.stderr, done.stderr
    assert "dropped fields" not in done.stderr, done.stderr
    return Done(done.returncode, done.stderr, Output(out))


def digits(text: str) -> Any:
    """A JSON document with its numbers as they were written."""
    return json.loads(text, parse_float=str, parse_int=str)


def lines(path: Path) -> list[dict[str, Any]]:
    return [digits(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def as_text(value: Any) -> str:
    """How a value of a JSON row is told by a form that has texts only."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def in_order(rows: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [row[name] for name in names])


def test_every_form_holds_the_typed_items_as_records_do(world: Simulator, out: Path) -> None:
    forms = ("json", "jsonl", "jl", "csv", "xml", "pickle", "marshal")
    files = {form: out.parent / f"x.{form}" for form in forms}
    outputs = [part for path in files.values() for part in ("-O", str(path))]
    done = exported(world, out, "polymarket_orderbook", ["durations=15m,1h"], outputs)
    assert done.code == 0, done.log
    assert done.log.count(TOLD) == 1

    rows = lines(files["jsonl"])
    assert lines(files["jl"]) == digits(files["json"].read_text(encoding="utf-8")) == rows
    kinds = Counter(row["item"] for row in rows)
    assert set(kinds) == {"Quote", "Market", "PriceSnapshot"}
    classes: dict[str, type[Derived]] = {each.__name__: each for each in (Quote, Market, PriceSnapshot)}
    for row in rows:
        assert list(row) == columns([classes[row["item"]]])

    # the same values and digits as in records/
    quotes = in_order([row for row in rows if row["item"] == "Quote"], "timestamp", "market_id")
    recorded = [row for path in (out / "records").glob("polymarket_btc-*.jsonl") for row in lines(path)]
    recorded = in_order(recorded, "timestamp", "market_id")
    assert len(quotes) == len(recorded) > 1
    for quote, record in zip(quotes, recorded, strict=True):
        assert {name: quote[name] for name in record if name not in NOT_IN_RECORDS} == {
            name: value for name, value in record.items() if name not in NOT_IN_RECORDS
        }
        assert quote["up_bid"] is not None

    # one header with the columns of all that the spider yields; empty where an item has no such column
    header = columns([Quote, Market, PriceSnapshot])
    told = table(files["csv"])
    assert list(told[0]) == header
    assert told == [{name: as_text(row.get(name)) for name in header} for row in rows]

    elements = [{each.tag: each.text or "" for each in item} for item in Xml.parse(files["xml"]).getroot()]
    assert elements == [{name: as_text(value) for name, value in row.items()} for row in rows]

    with files["pickle"].open("rb") as file:
        pickled = [pickle.load(file) for _ in rows]
        assert not file.read()
    [first] = [
        each for each in pickled if each["item"] == "Quote" and each["market_id"] == quotes[0]["market_id"]
    ]
    assert first["up_bid"] == Decimal(quotes[0]["up_bid"])
    with files["marshal"].open("rb") as file:
        assert [str(marshal.load(file)["market_id"]) for _ in rows] == [row["market_id"] for row in rows]
        assert not file.read()


@pytest.mark.parametrize(
    ("spider", "arguments", "yields"),
    [
        ("polymarket_markets", ["assets=BTC"], {"Market", "PriceSnapshot"}),
        ("polymarket_resolutions", ["assets=BTC", "since=1h"], {"Market", "Resolution"}),
        ("polymarket_trades", ["durations=15m"], {"Market", "PriceSnapshot"}),
        (
            "polymarket_stream",
            ["durations=15m", "interval=1s", "duration=12s"],
            {"Market", "PriceSnapshot", "Quote"},
        ),
        ("polymarket_reference", ["duration=10s"], {"TopicPrice"}),
        pytest.param(
            "chainlink_streams", ["duration=4m"], {"SpotPrice", "TwapPrice"}, marks=pytest.mark.soak
        ),
    ],
)
def test_the_csv_of_a_spider_has_a_column_for_all_that_it_yields(
    spider: str, arguments: list[str], yields: set[str], world: Simulator, out: Path
) -> None:
    whole, flat = out.parent / "x.jsonl", out.parent / "x.csv"
    done = exported(world, out, spider, arguments, ["-O", str(whole), "-O", str(flat)])
    assert done.code == 0, done.log
    rows = lines(whole)
    assert {row["item"] for row in rows} == yields
    assert yields <= {each.__name__ for each in spiders()[spider].item_classes}
    told = table(flat)
    assert list(told[0]) == columns(spiders()[spider].item_classes)
    assert told == [{name: as_text(row.get(name)) for name in told[0]} for row in rows]
    for row in rows:
        assert set(row) <= set(told[0])


def test_rows_are_appended_below_one_header(world: Simulator, out: Path) -> None:
    file = out.parent / "x.csv"
    for _ in range(2):
        done = exported(world, out, "polymarket_markets", ["assets=BTC"], ["-o", str(file)])
        assert done.code == 0, done.log
    rows = table(file)
    runs = Counter(row["run"] for row in rows)
    assert len(runs) == 2
    assert {row["item"] for row in rows} == {"Market", "PriceSnapshot"}


def test_what_feeds_state_themselves_stays(world: Simulator, out: Path) -> None:
    folder = out.parent
    feeds = {
        str(folder / "quotes.csv"): {
            "format": "csv",
            "item_classes": ["marketarchive.venues.polymarket.rows.Quote"],
        },
        str(folder / "some.csv"): {"format": "csv", "fields": ["market_id", "up_bid"]},
        str(folder / "gaps.jsonl"): {"format": "jsonl", "item_classes": ["marketarchive.items.Gap"]},
    }
    with world.ordered({"kind": "status", "route": "clob.polymarket.com/book*", "status": 500}):
        done = exported(
            world, out, "polymarket_orderbook", ["durations=15m"], ["-s", f"FEEDS={json.dumps(feeds)}"]
        )
    quotes = table(folder / "quotes.csv")
    assert list(quotes[0]) == columns([Quote])
    assert {row["item"] for row in quotes} == {"Quote"}
    assert {(row["is_observed"], row["up_bid"], row["received_at"], row["seq"]) for row in quotes} == {
        ("0", "", "", "")
    }
    assert list(table(folder / "some.csv")[0]) == ["market_id", "up_bid"]
    gaps = lines(folder / "gaps.jsonl")
    assert [gap["reason"] for gap in gaps] == [gap["reason"] for gap in done.out.lines(kind="gap")]
