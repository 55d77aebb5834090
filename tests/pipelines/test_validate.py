"""What an item says as a whole decides whether it goes on."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from scrapy.exceptions import DropItem

from marketarchive.pipelines.validate import ValidatePipeline
from marketarchive.spiders.polymarket_stream import PolymarketStream
from marketarchive.times import SECOND, utc
from marketarchive.venues.polymarket.rows import Quote
from tests.collecting.streams import at_work
from tests.e2e.harness import Output

START = 1_790_000_000


def quote(up_bid: str, up_ask: str, *, is_observed: bool = True) -> Quote:
    return Quote(
        venue="polymarket",
        feed="stream",
        received_at=START * SECOND,
        seq=7,
        timestamp=utc(START * SECOND),
        asset="BTC",
        market_id="a-round",
        condition_id="0x1",
        up_bid=Decimal(up_bid),
        up_ask=Decimal(up_ask),
        down_bid=Decimal("0.40"),
        down_ask=Decimal("0.60"),
        is_observed=1 if is_observed else 0,
        source="stream",
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (quote("0.55", "0.55"), "up_bid"),
        (quote("0.50", "0.55", is_observed=False), "is_observed"),
    ],
)
async def test_a_due_tick_keeps_its_row_without_prices_that_cannot_be(
    given: Quote, field: str, tmp_path: Path
) -> None:
    async with at_work(PolymarketStream, tmp_path) as spider:
        found = ValidatePipeline(spider.run).process_item(given)
        assert (found.is_observed, found.timestamp, found.seq) == (0, given.timestamp, 7)
        assert (found.up_bid, found.up_ask, found.down_bid, found.down_ask) == (None,) * 4
    [line] = Output(tmp_path).lines(kind="invalid")
    assert line["fields"] == [field]


async def test_sound_items_go_on_as_they_are_and_strangers_not_at_all(tmp_path: Path) -> None:
    async with at_work(PolymarketStream, tmp_path) as spider:
        pipeline = ValidatePipeline(spider.run)
        sound = quote("0.50", "0.55")
        assert pipeline.process_item(sound) is sound
        with pytest.raises(DropItem, match="not an item of this project"):
            pipeline.process_item({"bid": 1})
    assert not Output(tmp_path).lines(kind="invalid")
