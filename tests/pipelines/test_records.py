"""Rows of venues that the project has never heard of, through the pipelines into one OUTPUT_DIR."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scrapy.exceptions import DropItem

from marketarchive.archive.record_rows import series
from marketarchive.collecting.arguments import DURATION
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.items import BookRow, Derived, Gap, Problem, ReferencePrice, Row, series_name
from marketarchive.pipelines.records import RecordsPipeline
from marketarchive.pipelines.stamp import StampPipeline
from marketarchive.pipelines.validate import ValidatePipeline
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_datetime, iso, utc
from marketarchive.venues.chainlink.rows import SpotPrice, TwapPrice
from marketarchive.venues.perp_record import PerpRecord
from marketarchive.venues.polymarket.rows import Quote, TopicPrice
from tests.collecting.streams import at_work
from tests.e2e.harness import Output
from tests.exporting import export

CONTRACT = (Path(__file__).parents[2] / "docs/DATA_CONTRACT.md").read_text(encoding="utf-8")
START = 1_795_168_800 * SECOND


class AcmeSpot(ArchiveSpider):
    """One of two venues."""

    name = "acme_spot"
    venue = "acme"
    feed = "spot"
    feeds = ("spot",)
    accepts = (DURATION,)


class BoltSpot(AcmeSpot):
    """The other one."""

    name = "bolt_spot"
    venue = "bolt"


class Auction(Row):
    """A kind of row that a venue's author wrote: no values to withhold, so an unusable one is dropped."""

    at: datetime
    price: Decimal

    @property
    def series(self) -> str:
        return series_name(self.venue, "auctions")

    @property
    def tick(self) -> int:
        return from_datetime(self.at)

    def columns(self) -> dict[str, Any]:
        return {"timestamp": iso(self.tick), "price": self.price, "run": self.run}

    def problem(self) -> Problem | None:
        return ("price", "below zero") if self.price < 0 else super().problem()


def book(
    venue: str, second: int, bid: str | None = "99.50", ask: str | None = "100.10", **more: Any
) -> BookRow:
    given = {"asset": "BTC", "is_observed": int(bid is not None), "seq": 7 if bid else 0, **more}
    return BookRow(
        venue=venue,
        feed="spot",
        received_at=START + second * SECOND + 31_000_999,
        timestamp=utc(START + second * SECOND),
        bid=None if bid is None else Decimal(bid),
        ask=None if ask is None else Decimal(ask),
        source="poll",
        kind="spot",
        **given,
    )


def price(
    kind: type[ReferencePrice], second: int, mid: str | None, *, venue: str = "acme", **more: Any
) -> Any:
    given = {
        "venue": venue,
        "feed": "prices",
        "received_at": START + second * SECOND + SECOND // 2,
        "seq": 0 if mid is None else 3,
        "timestamp": None if mid is None else utc(START + second * SECOND + 250_000_000),
        "asset": "BTC",
        "mid": None if mid is None else Decimal(mid),
        "is_observed": int(mid is not None),
        "tick_at": utc(START + second * SECOND),
        "source": "poll",
    }
    return kind(**{**given, **more})


def through(spider: ArchiveSpider, items: Iterable[Any]) -> list[str]:
    """The names of what was dropped; the rest is in records/ when the spider's run is over."""
    records = RecordsPipeline(spider.run)
    dropped = []
    for item in items:
        try:
            passed = ValidatePipeline(spider.run).process_item(item)
            records.process_item(StampPipeline(spider.run).process_item(passed))
        except DropItem:
            dropped.append(type(item).__name__)
    records.close_spider()
    return dropped


async def test_rows_of_two_venues_in_one_folder_stay_apart(tmp_path: Path) -> None:
    about = Scope("acme", "spot", ("BTC",), kind="asset")
    gap = Gap("acme", "spot", START, 1, START, START + SECOND, about, "stall", "venue")
    async with at_work(AcmeSpot, tmp_path) as acme, at_work(BoltSpot, tmp_path) as bolt:
        given = [book("acme", 1), gap, price(ReferencePrice, 1, "86000.10"), book("acme", 0, asset="ETH/USD")]
        assert not through(acme, given)
        assert not through(bolt, [book("bolt", 1, "98", None), price(ReferencePrice, 1, "5", venue="bolt")])
        runs = {spider.venue: spider.run.archive.run for spider in (acme, bolt)}
    assert series(tmp_path) == [
        "acme_reference",
        "bolt_reference",
        "gaps",
        "spot_acme_btc",
        "spot_acme_eth_usd",
        "spot_bolt_btc",
    ]
    [row] = Output(tmp_path).records("spot_acme_btc")
    assert row == {
        "timestamp": "2026-11-20T10:00:01.000000Z",
        "asset": "BTC",
        "market_id": None,
        "mid": 99.8,
        "bid": 99.5,
        "ask": 100.1,
        "last": None,
        "is_observed": 1,
        "received_at": "2026-11-20T10:00:01.031000Z",
        "source": "poll",
        "run": runs["acme"],
        "seq": 7,
    }
    [other] = Output(tmp_path).records("spot_bolt_btc")
    assert (other["run"], other["mid"], other["bid"]) == (runs["bolt"], None, 98)
    assert [row["mid"] for row in Output(tmp_path).records("acme_reference")] == [86000.1]
    assert [row["venue"] for row in Output(tmp_path).records("gaps")] == ["acme"]


async def test_a_row_of_a_gap_is_followed_by_what_replaces_it(tmp_path: Path) -> None:
    """By seq: no row while its end is not known, and none that is void or open but after a row."""
    begun = Gap("acme", "spot", START, 1, START, None, Scope("acme", "spot", ("BTC",)), "stall", "venue")

    def line(seq: int, number: int, to_s: float | None) -> Gap:
        end = None if to_s is None else START + round(to_s * SECOND)
        return replace(begun, seq=seq, id=f"r:{number}", to_ns=end, received_at=START + seq * SECOND)

    ended_again = [line(1, 1, None), line(2, 1, 5), line(3, 1, None), line(4, 1, 8)]
    void_at_once = [line(5, 5, None), line(6, 5, 0.0000001)]  # the same microsecond
    void_in_the_end = [line(7, 7, None), line(8, 7, 5), line(9, 7, 0)]
    one_line = [line(10, 10, 0)]
    async with at_work(AcmeSpot, tmp_path) as acme:
        assert not through(acme, [*ended_again, *void_at_once, *void_in_the_end, *one_line])
    rows = Output(tmp_path).records("gaps")
    assert [row["seq"] for row in rows] == [2, 3, 4, 8, 9, 10]
    assert [row["to"] is None for row in rows] == [False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (book("acme", 1, "100", "100"), "bid"),
        (book("acme", 1, None, "100"), "is_observed"),
        (book("acme", 1, seq=0), "seq"),
        (price(ReferencePrice, 1, "100", bid=Decimal(101), ask=Decimal(99)), "bid"),
        (price(ReferencePrice, 1, "100", seq=0), "seq"),
        (price(ReferencePrice, 1, "100", is_observed=0), "is_observed"),
    ],
)
async def test_a_due_tick_keeps_its_row_without_values_that_cannot_be(
    given: Row, field: str, tmp_path: Path
) -> None:
    async with at_work(AcmeSpot, tmp_path) as spider:
        assert not through(spider, [given])
    [row] = Output(tmp_path).records(given.series)
    assert row["is_observed"] == 0
    assert {row[name] for name in ("mid", "bid", "ask", "received_at")} == {None}
    assert row.get("tick_at", row["timestamp"]) == iso(given.tick)
    [line] = Output(tmp_path).lines(kind="invalid")
    assert line["fields"] == [field]


async def test_what_was_not_due_is_dropped_when_unusable(tmp_path: Path) -> None:
    origin: dict[str, Any] = {"venue": "acme", "feed": "spot", "received_at": START, "seq": 1}
    auctions = [Auction(**origin, at=utc(START), price=Decimal(each)) for each in ("-1", "2.50")]
    read = price(ReferencePrice, 1, "100", timestamp=None, bid=Decimal(101), ask=Decimal(99))
    async with at_work(AcmeSpot, tmp_path) as spider:
        assert through(spider, [*auctions, read]) == ["Auction", "ReferencePrice"]
    assert series(tmp_path) == ["acme_auctions"]
    [path] = (tmp_path / "records").glob("*.jsonl")
    assert b'"price":2.50,' in path.read_bytes()
    assert len(Output(tmp_path).lines(kind="invalid")) == 2


async def test_a_row_waits_as_long_as_its_kind_says(tmp_path: Path) -> None:
    origin: dict[str, Any] = {"venue": "acme", "feed": "spot", "seq": 1}
    async with at_work(AcmeSpot, tmp_path, start=START) as spider:
        records, now = RecordsPipeline(spider.run), spider.run.clock.now_ns()
        records.process_item(Auction(**origin, received_at=now, at=utc(now), price=Decimal(1)))
        records.process_item(book("acme", 60))
        await asyncio.wrap_future(spider.run.archive.flush())
        assert series(tmp_path) == ["acme_auctions"]
        records.close_spider()
    assert "spot_acme_btc" in series(tmp_path)


async def test_each_instrument_has_a_series_of_its_own(tmp_path: Path) -> None:
    topics = (
        "crypto_prices",
        "crypto_prices_chainlink",
        "crypto_prices_twap_thirty",
        "crypto_prices_twap_sixty",
    )
    given = [
        price(SpotPrice, 1, "1", source="page"),
        price(SpotPrice, 1, "2", source="page_text", timestamp=None),
        price(TwapPrice, 1, "3", source="page_twap30", window_s=30),
        price(TwapPrice, 1, "4", source="page_twap60", window_s=60),
        *(
            price(TopicPrice, 1, str(number), source="rtds", topic=topic)
            for number, topic in enumerate(topics, 5)
        ),
    ]
    async with at_work(AcmeSpot, tmp_path) as spider:
        assert not through(spider, given)
    found = {name: Output(tmp_path).records(name) for name in series(tmp_path)}
    assert {
        name: [(row["mid"], row.get("window_s", "no")) for row in rows] for name, rows in found.items()
    } == {
        "chainlink_continuous": [(1, "no"), (2, "no")],
        "chainlink_twap_continuous": [(3, 30), (4, 60)],
        "reference_binance": [(5, "no")],
        "reference_chainlink": [(6, "no")],
        "reference_chainlink_twap30": [(7, 30)],
        "reference_chainlink_twap60": [(8, 60)],
    }
    first = ["timestamp", "asset", "mid", "bid", "ask", "is_observed"]
    assert all(list(row)[:6] == first for rows in found.values() for row in rows)


async def test_a_file_from_before_with_all_instruments_is_exported_whole(tmp_path: Path) -> None:
    """Early files of `chainlink_continuous` hold averages and topics too."""
    async with at_work(AcmeSpot, tmp_path) as spider:
        through(spider, [price(SpotPrice, 1, "1.10", source="page")])
    [path] = (tmp_path / "records").glob("chainlink_continuous-*")
    row = path.read_text()
    path.write_text(row + row.replace('"page"', '"rtds"') + row.replace('"page"', '"page_twap60"'))
    done = export(tmp_path, "chainlink_continuous", tmp_path / "x.csv")
    assert (done.rows, done.damaged) == (3, [])
    assert [line.split(",")[8] for line in (tmp_path / "x.csv").read_text().splitlines()] == [
        "source",
        "page",
        "rtds",
        "page_twap60",
    ]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [(TopicPrice, {"topic": "comments"}), (Quote, {"source": "poll"})],
)
def test_what_has_no_series_or_no_grace_is_no_item(kind: type[Derived], wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        kind(venue="polymarket", feed="x", received_at=1, seq=1, **wrong)


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        (
            "`polymarket_<asset>-YYYY-MM-DD.jsonl`",
            Quote(
                venue="polymarket",
                feed="stream",
                received_at=1,
                seq=1,
                timestamp=utc(START),
                asset="BTC",
                market_id="a-round",
                condition_id="0x1",
                is_observed=1,
                source="stream",
            ),
        ),
        (
            "`chainlink_continuous`, `chainlink_twap_continuous`, `reference_<topic>`",
            price(TwapPrice, 1, "4", window_s=60),
        ),
        ("`<kind>_<venue>_<asset>-YYYY-MM-DD.jsonl`", book("acme", 1)),
        (
            "`perps_<venue>_<asset>-YYYY-MM-DD.jsonl`",
            PerpRecord(
                venue="acme",
                feed="perps",
                received_at=1,
                seq=0,
                timestamp=utc(START),
                asset="BTC",
                market_id="BTC-X",
                is_observed=0,
                source="/tickers",
            ),
        ),
    ],
)
def test_the_contract_lists_each_column_in_its_order(heading: str, row: Row) -> None:
    section = CONTRACT.partition(f"### {heading}\n")[2].partition("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(row.columns())
