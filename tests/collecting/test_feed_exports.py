"""Rows of feed exports: digits, times, columns."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from marketarchive.collecting.feed_exports import CsvExporter, JsonExporter, JsonLinesExporter, columns, row
from marketarchive.items import DERIVED, Derived, Market, ReferencePrice
from marketarchive.venues.polymarket.rows import Quote

SEEN = datetime(2026, 11, 20, 10, 0, 0, 250_000, tzinfo=UTC)


def price(mid: str | None = "86000.10") -> ReferencePrice:
    return ReferencePrice(
        venue="chainlink",
        feed="pages",
        received_at=1_795_168_801_000_000_999,
        seq=7 if mid else 0,
        timestamp=SEEN if mid else None,
        asset="BTC",
        mid=None if mid is None else Decimal(mid),
        is_observed=1 if mid else 0,
        tick_at=SEEN.replace(microsecond=0),
        source="page",
    )


def test_a_row_begins_with_what_it_is_and_ends_with_where_it_came_from() -> None:
    told = row(price())
    assert list(told)[:3] == ["item", "timestamp", "asset"]
    assert list(told)[-7:] == list(Derived.model_fields)
    assert told["item"] == "ReferencePrice"
    assert told["timestamp"] == "2026-11-20T10:00:00.250000Z"
    assert told["received_at"] == "2026-11-20T10:00:01.000000Z"  # cut, never rounded up


def test_what_was_not_observed_was_received_never_and_in_no_message() -> None:
    told = row(price(None))
    assert (told["mid"], told["timestamp"], told["received_at"], told["seq"]) == (None,) * 4


@pytest.mark.parametrize("text", ["0.10", "86000.100000000000000001", "1E-18", "100"])
def test_no_digit_is_lost_or_added(text: str) -> None:
    for made in (JsonExporter, JsonLinesExporter, CsvExporter):
        file = io.BytesIO()
        exporter = made(file, fields_to_export=["mid"], indent=2)
        exporter.start_exporting()
        exporter.export_item(price(text))
        exporter.finish_exporting()
        told = file.getvalue().decode()
        if made is CsvExporter:
            assert told == f"mid\r\n{text}\r\n"
        else:
            found = json.loads(told, parse_float=str, parse_int=str)
            assert (found[0] if made is JsonExporter else found) == {"mid": text}


def test_an_indent_is_kept() -> None:
    file = io.BytesIO()
    exporter = JsonExporter(file, fields_to_export=["mid"], indent=2)
    exporter.start_exporting()
    exporter.export_item(price())
    exporter.finish_exporting()
    assert file.getvalue() == b'[\n{\n  "mid": 86000.10\n}\n]'


def test_labels_with_commas_and_quotes_stay_apart_in_a_cell() -> None:
    labels = ("Yes, please", 'No "way"')
    market = Market(
        venue="polymarket",
        feed="markets",
        received_at=1,
        seq=1,
        platform="polymarket",
        market_id="0x1",
        outcomes=labels,
        tokens={labels[0]: "1", labels[1]: "2"},
    )
    file = io.BytesIO()
    exporter = CsvExporter(file, fields_to_export=["outcomes", "tokens"], include_headers_line=False)
    exporter.export_item(market)
    exporter.finish_exporting()
    assert file.getvalue().decode() == (
        '"[""Yes, please"",""No \\""way\\""""]","{""Yes, please"":""1"",""No \\""way\\"""":""2""}"\r\n'
    )


def test_a_column_stands_once_however_many_items_have_it() -> None:
    found = columns(DERIVED)
    assert len(found) == len(set(found))
    assert set(found) == {"item"} | {name for each in DERIVED for name in each.model_fields}
    assert columns([Quote])[1] == "timestamp"
