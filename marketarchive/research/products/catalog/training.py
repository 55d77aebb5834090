"""The table `catalog` of `scrapy export`: a row per resolved market; docs/TRAINING.md has its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.research.exports.table import ArrowRows, ExportRequest
from marketarchive.research.products.catalog.observed import SeenHeadline
from marketarchive.research.products.catalog.resolved import ResolvedMarket, microseconds, resolved_markets
from marketarchive.times import DAY, MICROSECOND, from_seconds, iso

if TYPE_CHECKING:
    import pyarrow as pa

WHAT = "a row a resolved market, for training: prices, whale alerts, headlines before its end, its outcome"
COLUMNS: Mapping[str, str] = {
    "market_id": "text",
    "platform": "text",
    "title": "text",
    "category": "text",
    "outcomes": "texts",
    "resolution": "text",
    "resolved_at": "time",
    "volume": "number",
    "liquidity": "number",
    "price_at_open": "number",
    "price_at_close": "number",
    "price_history": "text",
    "whale_alerts": "text",
    "whale_count": "int",
    "whale_net_direction": "text",
    "whale_avg_win_rate": "number",
    "whale_max_value": "number",
    "news_headlines": "text",
    "days_to_resolution": "number",
    "resolution_label": "text",
    "resolution_kind": "text",
    "resolution_state": "text",
    "is_observed": "flag",
    "reopened": "flag",
    "event_id": "text",
    "group": "text",
    "neg_risk": "flag",
    "asset": "text",
    "series": "text",
    "duration": "text",
    "subtitle": "text",
    "description": "text",
    "description_sha256": "text",
    "volume_unit": "text",
    "liquidity_unit": "text",
    "whale_win_rate_source": "text",
    "start_at": "time",
    "end_at": "time",
    "expected_end_at": "time",
    "closed_at": "time",
    "determined_at": "time",
    "resolution_seen_at": "time",
    "first_seen_at": "time",
    "split": "text",
}
"""Column -> kind, in the file's order: the columns that always existed, then those for splits and checks."""
PRICES = ("price_at_open", "price_at_close", "price_history")


def training_rows(request: ExportRequest) -> ArrowRows:
    """Return a row per requested resolved market. Raises ArgumentError, ConfigurationError, MasterError."""
    remarks: list[str] = []
    return ArrowRows(WHAT, _tables(request, remarks), request, remarks)


def _tables(request: ExportRequest, remarks: list[str]) -> Iterator[pa.Table]:
    cycle_us = from_seconds(request.snapshot_cycle_s) // MICROSECOND
    dropped = (
        *(PRICES if request.options.get("no_prices") else ()),
        *(() if "split" in request.options else ("split",)),
    )
    yield _table((), dropped)
    for some in resolved_markets(request, remarks):
        yield _table([training_row(each, cycle_us) for each in some.markets], dropped)


def training_row(market: ResolvedMarket, cycle_us: int) -> dict[str, Any]:
    """Return the row of a market: column of COLUMNS -> value.

    cycle_us: time after a market's opening within which its first mid counts as the price at open.
    """
    row = market.row
    alerts, rules = row["whale_alerts"], row["description"]
    first_seen, settled = microseconds(row["first_seen_at"]), microseconds(row["settled_at"])
    assert first_seen is not None
    assert settled is not None
    return {
        **{name: row[name] for name in COLUMNS if name in row},
        "volume": market.seen.volume,
        "liquidity": market.seen.liquidity,
        "price_at_open": market.price_at_open(cycle_us),
        "price_at_close": market.seen.last_price,
        "price_history": market.seen.history,
        "whale_alerts": None if alerts is None else json_text(alerts),
        "news_headlines": json_text(headline_list(market.headlines)),
        "days_to_resolution": (settled - first_seen) * MICROSECOND / DAY if row["is_observed"] else None,
        "reopened": row["reopened_at"] is not None,
        "description_sha256": None if rules is None else hashlib.sha256(rules.encode()).hexdigest(),
    }


def headline_list(headlines: Iterable[SeenHeadline]) -> list[dict[str, Any]]:
    """Return headlines as JSON objects, their times in ISO 8601."""
    return [
        {
            "at": iso(each.at * MICROSECOND),
            "headline": each.headline,
            "source": each.source,
            "url": each.url,
        }
        for each in headlines
    ]


def json_text(values: Sequence[Any]) -> str:
    """Return a list as the text of a JSON array."""
    return msgspec.json.encode(values).decode()


def _table(rows: Iterable[Mapping[str, Any]], dropped: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "number": pa.float64(),
        "int": pa.int64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items() if name not in dropped])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
