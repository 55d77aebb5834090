"""The table `catalog` of `scrapy export`: a row per resolved market; docs/TRAINING.md lists its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.exceptions import ArgumentError
from marketarchive.field_docs import FieldDoc
from marketarchive.research.exports.table import ArrowRows, ExportRequest
from marketarchive.research.products.catalog.observed import SeenHeadline
from marketarchive.research.products.catalog.resolved import ResolvedMarket, microseconds, resolved_markets
from marketarchive.times import DAY, MICROSECOND, from_seconds, iso

if TYPE_CHECKING:
    import pyarrow as pa

WHAT = (
    "one row per resolved market, for training: prices, whale alerts, headlines before its end, its outcome"
)
_UNSTATED = "not stated"
_SHARE = "dollars per share of YES"
_CATALOGUE = "as in [the catalogue](RESEARCH.md#the-catalogue)"

FIELDS: Mapping[str, FieldDoc] = {
    "market_id": FieldDoc("the market", "the venue's own id", type="text"),
    "platform": FieldDoc("the venue", type="text"),
    "title": FieldDoc("the whole question, as stated last", "", _UNSTATED, type="text"),
    "category": FieldDoc("as stated last", "", _UNSTATED, type="text"),
    "outcomes": FieldDoc("labels, the first is YES", "", _UNSTATED, type="list of text"),
    "resolution": FieldDoc("YES, NO", "", "it is neither: see `resolution_kind`", type="text"),
    "resolved_at": FieldDoc("when it was paid, by the venue's clock", "UTC", _UNSTATED, type="time"),
    "volume": FieldDoc("the last figure before the end", "`volume_unit`", "none was received", type="double"),
    "liquidity": FieldDoc(
        "the last figure before the end", "`liquidity_unit`", "none was received", type="double"
    ),
    "price_at_open": FieldDoc(
        "the first price at or after `start_at`",
        _SHARE,
        "received later than one snapshot cycle (`CATALOG_SNAPSHOT_MINUTES`) after it",
        type="double",
    ),
    "price_at_close": FieldDoc("the last price before the end", _SHARE, "none was received", type="double"),
    "price_history": FieldDoc(
        "array of `at`, `price` of every price snapshot before the end: of Kalshi the mid, the last trade "
        "where a side is empty; of Polymarket what it states as the price",
        "UTC, dollars per share of YES",
        type="JSON text",
    ),
    "whale_alerts": FieldDoc(
        "array of the [alerts](CATALOG.md#whale-alerts) written before the end",
        "",
        "nobody watched, or no `WWATCHER_DB_PATH`",
        type="JSON text",
    ),
    "whale_count": FieldDoc("number of these alerts", "alerts", "`whale_alerts` is null", type="int"),
    "whale_net_direction": FieldDoc(
        "the side with more dollars, YES or NO; NEUTRAL where equal or none",
        "",
        "`whale_alerts` is null",
        type="text",
    ),
    "whale_avg_win_rate": FieldDoc(
        "mean win rate of the traders", "0 to 1", "no rate is known", type="double"
    ),
    "whale_max_value": FieldDoc("the largest alert", "dollars", "there is no alert", type="double"),
    "news_headlines": FieldDoc(
        "array of `at` (our receipt), `headline`, `source`, `url`", "UTC", type="JSON text"
    ),
    "days_to_resolution": FieldDoc(
        "from `first_seen_at` to `resolved_at`", "days", "`is_observed` is false", type="double"
    ),
    "resolution_label": FieldDoc(_CATALOGUE, "", "the market has no winner", type="text"),
    "resolution_kind": FieldDoc(_CATALOGUE, "", "not known", type="text"),
    "resolution_state": FieldDoc(_CATALOGUE, "", _UNSTATED, type="text"),
    "is_observed": FieldDoc(
        "false: the result was known when the market was first received; keep it out of training",
        type="boolean",
    ),
    "reopened": FieldDoc("an earlier result was withdrawn or replaced", type="boolean"),
    "event_id": FieldDoc(
        "the event of which it is one of several markets; for splits", "", _UNSTATED, type="text"
    ),
    "group": FieldDoc("markets whose outcomes depend on one another; for splits", type="text"),
    "neg_risk": FieldDoc("at most one market of the event ends YES", "", _UNSTATED, type="boolean"),
    "asset": FieldDoc("the asset that it is about", "`BTC`", _UNSTATED, type="text"),
    "series": FieldDoc("the series of rounds to which it belongs", "", _UNSTATED, type="text"),
    "duration": FieldDoc("length of a round", "`5m`, `15m`, ...", _UNSTATED, type="text"),
    "subtitle": FieldDoc("what its first outcome stands for", "", _UNSTATED, type="text"),
    "description": FieldDoc("rules as stated last", "", _UNSTATED, type="text"),
    "description_sha256": FieldDoc(
        "SHA-256 of `description` in UTF-8", "64 hex digits", "`description` is null", type="text"
    ),
    "volume_unit": FieldDoc("dollars, contracts", "", _UNSTATED, type="text"),
    "liquidity_unit": FieldDoc("dollars, contracts", "", _UNSTATED, type="text"),
    "whale_win_rate_source": FieldDoc(
        "`stated`: in the file of alerts; `computed`: of earlier alerts", "", "no rate is known", type="text"
    ),
    "start_at": FieldDoc("the scheduled start", "UTC", _UNSTATED, type="time"),
    "end_at": FieldDoc("the scheduled end of trading", "UTC", _UNSTATED, type="time"),
    "expected_end_at": FieldDoc("when the outcome was expected", "UTC", _UNSTATED, type="time"),
    "closed_at": FieldDoc("when trading ended, by the venue's clock", "UTC", _UNSTATED, type="time"),
    "determined_at": FieldDoc(
        "when the outcome was settled on, by the venue's clock", "UTC", _UNSTATED, type="time"
    ),
    "resolution_seen_at": FieldDoc(
        "when the present result was first received, by our clock", "UTC", type="time"
    ),
    "first_seen_at": FieldDoc("when the market was first received, by our clock", "UTC", type="time"),
    "split": FieldDoc(
        "`train`, `validation`, `test`; there only with `--split`", "", "at a border", type="text"
    ),
}
"""Columns in their order: those that `scrapy export` has always had, then what splits and checks need."""
COLUMNS = tuple(FIELDS)
PRICES = ("price_at_open", "price_at_close", "price_history")


def training_rows(request: ExportRequest) -> ArrowRows:
    """Return a row per requested resolved market. Raises ArgumentError, ConfigurationError, MasterError."""
    if "cuts" in request.options:
        raise ArgumentError("--cuts is for --format prompts: a row of this table is as of its market's end")
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

    cycle_us: time after a market's opening within which its first price counts as the price at open.
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
        "JSON text": pa.string(),
        "list of text": pa.list_(pa.string()),
        "double": pa.float64(),
        "int": pa.int64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, types[each.type]) for name, each in FIELDS.items() if name not in dropped])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
